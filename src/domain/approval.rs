//! What an agent asks permission for, and who answered.
//!
//! Several requests may be open at once: subagents work side by side, and each asks for itself. A request is answered by a decision made
//! here, or elsewhere, as on the agent's terminal, which shows only in what the agent reports next.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Timestamp;
use super::id::{RequestId, SessionId};
use super::rule::Rule;
use super::session::ToolUse;
use super::text::{cut, printable};

/// How much of what is asked for stands in the change log, and with an answered request, in characters.
const MAX_TOLD: usize = 500;

/// What in a tool's input a person decides by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// How it is to be read.
    pub kind: SubjectKind,
    /// The field of the input that it is; `None` for the whole input, as JSON.
    pub field: Option<String>,
    /// Whether the rest of the input asks for something that it does not say.
    #[serde(default)]
    pub says_not_all: bool,
}

/// How what a person decides by is to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SubjectKind {
    /// A command for a shell.
    Shell,
    /// The path of a file.
    Path,
    /// The address of a page.
    Address,
    /// Any text.
    #[default]
    Text,
}

/// A permission decision that an agent waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PendingRequest {
    /// Tells it from every other request. One that an older ao recorded has an id that nobody answers to.
    #[serde(default = "RequestId::unknown")]
    pub id: RequestId,
    /// What it wants to do.
    #[serde(flatten)]
    pub tool_use: ToolUse,
    /// What of that a person decides by.
    #[serde(default)]
    pub subject: Subject,
    /// Since when it waits.
    pub since: Timestamp,
    /// Since when no hook waits for the answer any more: it can be given in the agent's terminal only, if it is still asked there.
    #[serde(default)]
    pub unheard_since: Option<Timestamp>,
}

impl PendingRequest {
    /// What a person decides by; `None` when the report left it out for its size.
    #[must_use]
    pub fn about(&self) -> Option<Cow<'_, str>> {
        match &self.subject.field {
            Some(field) => self.tool_use.input.get(field).and_then(Value::as_str).map(Cow::Borrowed),
            None if self.tool_use.is_cut => None,
            None => Some(Cow::Owned(self.tool_use.input.to_string())),
        }
    }

    /// The same, cut when it is long.
    #[must_use]
    pub fn told_about(&self) -> Option<String> {
        self.about().map(|about| cut(&about, MAX_TOLD))
    }

    pub(super) fn told(&self) -> Value {
        told(&self.id, &self.tool_use.tool, self.told_about().as_deref())
    }
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The agent may.
    Allow,
    /// It may not.
    Deny,
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decider {
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

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person => f.write_str("a person"),
            Self::Session { session } => write!(f, "{session}"),
            Self::Rule { number, rule } => write!(f, "rule {number} of ao.toml ({rule})"),
        }
    }
}

/// A decision about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// Yes or no.
    pub verdict: Verdict,
    /// Why; the agent is told when it may not.
    pub reason: Option<String>,
    /// Who decided.
    pub by: Decider,
}

impl Decision {
    /// How long a reason may be, in bytes: an agent reads it in the middle of its work.
    const MAX_REASON_BYTES: usize = 4 * 1024;

    /// Whether a reason can be told to an agent.
    ///
    /// # Errors
    /// Why not.
    pub fn check_reason(reason: &str) -> Result<(), String> {
        if reason.trim().is_empty() {
            return Err("the reason is empty: give one, or leave it out".to_owned());
        }
        if reason.len() > Self::MAX_REASON_BYTES {
            return Err(format!("the reason has {} bytes, and {} is the most", reason.len(), Self::MAX_REASON_BYTES));
        }
        Ok(())
    }

    /// What an agent is told that may not.
    #[must_use]
    pub fn refusal(&self) -> String {
        match &self.reason {
            Some(reason) => printable(reason),
            None => format!("Denied by {}, through ao.", self.by),
        }
    }
}

/// A request that was decided, and whose hook did not say yet that it has told the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DecidedRequest {
    /// What was asked.
    pub request: PendingRequest,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// When its hook last fetched that, to tell the agent.
    #[serde(default)]
    pub fetched_at: Option<Timestamp>,
    /// What was decided.
    pub decision: Decision,
}

/// A request that is open no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AnsweredRequest {
    /// The request's id.
    pub id: RequestId,
    /// The tool that was asked for.
    pub tool: String,
    /// What of its input a person decides by, cut when it is long; `None` when that is not known.
    pub about: Option<String>,
    /// The agent's own id for the subagent that asked, if one did.
    pub subagent: Option<String>,
    /// When it was asked.
    pub since: Timestamp,
    /// Since when it is not open.
    pub answered_at: Timestamp,
    /// What was decided; `None` when it was answered elsewhere, as on the agent's terminal, or not at all.
    pub decision: Option<Decision>,
    /// Whether its agent ended before anybody had answered.
    #[serde(default)]
    pub agent_ended: bool,
    /// Whether the agent did it although it was denied: it had been allowed on the terminal before.
    #[serde(default)]
    pub is_overruled: bool,
    /// Tells the tool call from others, until it is made anew.
    #[serde(default)]
    pub call: Option<RequestId>,
}

impl AnsweredRequest {
    pub(super) fn of(request: PendingRequest, answered_at: Timestamp, decision: Option<Decision>) -> Self {
        let about = request.told_about();
        let PendingRequest { id, tool_use, subject: _, since, unheard_since: _ } = request;
        let call = Some(RequestId::of_call(&tool_use));
        let ToolUse { tool, subagent, .. } = tool_use;
        Self { id, tool, about, subagent, since, answered_at, decision, agent_ended: false, is_overruled: false, call }
    }

    pub(super) fn told(&self) -> Value {
        let mut told = told(&self.id, &self.tool, self.about.as_deref());
        if self.agent_ended {
            told["agent_ended"] = true.into();
        }
        told
    }
}

impl DecidedRequest {
    /// When its hook was last known to be there, or was to come.
    #[must_use]
    pub fn last_step_at(&self) -> Timestamp {
        self.fetched_at.map_or(self.decided_at, |fetched| fetched.max(self.decided_at))
    }
}

impl From<DecidedRequest> for AnsweredRequest {
    fn from(decided: DecidedRequest) -> Self {
        Self::of(decided.request, decided.decided_at, Some(decided.decision))
    }
}

fn told(id: &RequestId, tool: &str, about: Option<&str>) -> Value {
    json!({ "request": id, "tool": tool, "about": about })
}

/// What there is to be known about a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestState {
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
