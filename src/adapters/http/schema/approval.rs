//! What agents ask permission for, and who answered.

use super::{object, same_schema, words};
use crate::domain::Timestamp;
use crate::domain::approval::{
    AnsweredRequest, Decider, Decision, PendingRequest, RequestState, Subject, SubjectKind, Verdict,
};
use crate::domain::id::{RequestId, SessionId};
use crate::domain::rule::{Rule, RuleVerdict};
use crate::domain::session::ToolUse;

object! {
    /// A permission decision that an agent waits for.
    PermissionRequest(PendingRequest) {
        /// Tells it from every other request.
        id: RequestId,
        /// What it wants to do.
        #[serde(flatten)]
        tool_use: ToolUse,
        /// What of that a person decides by.
        subject: Subject,
        /// Since when it waits.
        since: Timestamp,
        /// Since when no hook waits for the answer any more: it can be given in the agent's terminal only, if it is still asked there. Null while one does.
        unheard_since: Option<Timestamp>,
    }
}

object! {
    /// A tool call.
    ToolCall(ToolUse) {
        /// The tool's name, for example `Bash`.
        tool: String,
        /// The tool's input.
        input: serde_json::Value,
        /// The agent's own id for the subagent that calls it; missing when none does.
        subagent: Option<String>,
        /// Whether something of the input was left out for its size; missing when not.
        #[serde(default)]
        is_cut: bool,
    }
}

object! {
    /// What in a tool's input a person decides by.
    RequestSubject(Subject) {
        /// How it is to be read.
        kind: SubjectKind,
        /// The field of the input that it is; null for the whole input, as JSON.
        field: Option<String>,
        /// Whether the rest of the input asks for something that it does not say.
        says_not_all: bool,
    }
}

words! {
    /// How what a person decides by is to be read.
    RequestSubjectKind(SubjectKind) {
        Shell = "shell",
        Path = "path",
        Address = "address",
        Text = "text",
    }
}

object! {
    /// A request that is open no more.
    AnsweredPermissionRequest(AnsweredRequest) {
        /// The request's id.
        id: RequestId,
        /// The tool that was asked for.
        tool: String,
        /// What of its input a person decides by, cut when it is long; null when that is not known.
        about: Option<String>,
        /// The agent's own id for the subagent that asked, if one did.
        subagent: Option<String>,
        /// When it was asked.
        since: Timestamp,
        /// Since when it is not open.
        answered_at: Timestamp,
        /// What was decided; null when it was answered elsewhere, as on the agent's terminal, or not at all.
        decision: Option<Decision>,
        /// Whether its agent ended before anybody had answered.
        agent_ended: bool,
        /// Whether the agent did it although it was denied: it had been allowed on the terminal before.
        is_overruled: bool,
        /// Tells the tool call from others, until it is made anew.
        call: Option<RequestId>,
    }
}

object! {
    /// A decision about a request.
    PermissionDecision(Decision) {
        /// Yes or no.
        verdict: Verdict,
        /// Why; the agent is told when it may not.
        reason: Option<String>,
        /// Who decided.
        by: Decider,
    }
}

words! {
    /// Yes or no.
    PermissionVerdict(Verdict) {
        Allow = "allow",
        Deny = "deny",
    }
}

object! {
    /// A rule of a project's `ao.toml`.
    PermissionRule(Rule) {
        /// A pattern for the tool's name.
        tool: String,
        /// A pattern for what a person decides by; null for whatever that is.
        input: Option<String>,
        /// What it says.
        decide: RuleVerdict,
        /// Why.
        reason: Option<String>,
    }
}

words! {
    /// What a rule says.
    PermissionRuleVerdict(RuleVerdict) {
        Allow = "allow",
        Deny = "deny",
        Ask = "ask",
    }
}

/// Who decided.
#[derive(utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum DecidedBy {
    /// A person, or a program of theirs.
    Person,
    /// The agent of a session.
    Session {
        /// The session.
        session: SessionId,
    },
    /// A rule of the project.
    Rule {
        /// Which one of its rules, from 1.
        number: usize,
        /// The rule, as it was accepted.
        rule: Rule,
    },
}
same_schema!(Decider, DecidedBy);
const _: fn(Decider) -> DecidedBy = |real| match real {
    Decider::Person => DecidedBy::Person,
    Decider::Session { session } => DecidedBy::Session { session },
    Decider::Rule { number, rule } => DecidedBy::Rule { number, rule },
};

/// What there is to be known about a request.
#[derive(utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum PermissionRequestState {
    /// It is open, or the report of it has not come yet.
    Open,
    /// It was decided.
    Decided {
        /// The decision.
        decision: Decision,
    },
    /// It was answered elsewhere, or its agent has ended.
    Settled,
}
same_schema!(RequestState, PermissionRequestState);
const _: fn(RequestState) -> PermissionRequestState = |real| match real {
    RequestState::Open => PermissionRequestState::Open,
    RequestState::Decided { decision } => PermissionRequestState::Decided { decision },
    RequestState::Settled => PermissionRequestState::Settled,
};
