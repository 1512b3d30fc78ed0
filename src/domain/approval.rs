//! What an agent asks permission for, and who answered.
//!
//! Several requests may be open at once: subagents work side by side, and each asks for itself. A request is answered by a decision made
//! here, or elsewhere, as on the agent's terminal, which shows only in what the agent reports next.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Timestamp;
use super::change::{ChangeKind, NewChange};
use super::id::{RequestId, SessionId};
use super::rule::{Rule, RuleVerdict};
use super::session::{Activity, ToolUse};
use super::text::printable;

/// How many answered requests are kept with a session, the newest.
const KEPT: usize = 10;
/// How much of what is asked for stands in the change log, in characters.
const MAX_TOLD: usize = 500;

/// What in a tool's input a person decides by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// How it is to be read.
    pub kind: SubjectKind,
    /// The field of the input that it is; `None` for the whole input, as JSON.
    pub field: Option<String>,
}

/// How what a person decides by is to be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A command for a shell.
    Shell,
    /// The path of a file.
    Path,
    /// Any text.
    #[default]
    Text,
}

/// A permission decision that an agent waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
}

impl PendingRequest {
    /// What a person decides by; `None` when the report left it out for its size.
    #[must_use]
    pub fn about(&self) -> Option<Cow<'_, str>> {
        match &self.subject.field {
            Some(field) => self.tool_use.input.get(field).and_then(Value::as_str).map(Cow::Borrowed),
            None => Some(Cow::Owned(self.tool_use.input.to_string())),
        }
    }

    fn told(&self) -> Value {
        let about: Option<String> = self.about().map(|about| about.chars().take(MAX_TOLD).collect());
        json!({ "request": self.id, "tool": self.tool_use.tool, "about": about })
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
            return Err("the reason is empty".to_owned());
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

/// A request that is open no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnsweredRequest {
    /// What was asked.
    #[serde(flatten)]
    pub request: PendingRequest,
    /// Since when it is not open.
    pub answered_at: Timestamp,
    /// What was decided; `None` when it was answered elsewhere, as on the agent's terminal.
    pub decision: Option<Decision>,
}

/// What there is to be known about a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
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

/// The requests of an agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Option<Recorded>")]
pub struct Requests {
    /// Those that are open, oldest first.
    pub open: Vec<PendingRequest>,
    /// Those that were answered, the newest last.
    pub answered: Vec<AnsweredRequest>,
    /// Whatever the agent itself asked up to then has been answered, also what a late report tells of.
    pub own_settled_up_to: Option<Timestamp>,
    /// The same of whatever its subagents asked.
    pub all_settled_up_to: Option<Timestamp>,
    /// What the agent does apart from waiting, while a request is open.
    pub beside: Option<Activity>,
}

/// What may stand in a record.
#[derive(Deserialize)]
#[serde(untagged)]
enum Recorded {
    Requests {
        open: Vec<PendingRequest>,
        #[serde(default)]
        answered: Vec<AnsweredRequest>,
        #[serde(default)]
        own_settled_up_to: Option<Timestamp>,
        #[serde(default)]
        all_settled_up_to: Option<Timestamp>,
        #[serde(default)]
        beside: Option<Activity>,
    },
    /// The one open request of an older ao.
    Open(PendingRequest),
}

impl From<Option<Recorded>> for Requests {
    fn from(recorded: Option<Recorded>) -> Self {
        match recorded {
            Some(Recorded::Requests { open, answered, own_settled_up_to, all_settled_up_to, beside }) => {
                Self { open, answered, own_settled_up_to, all_settled_up_to, beside }
            }
            Some(Recorded::Open(request)) => Self { open: vec![request], ..Self::default() },
            None => Self::default(),
        }
    }
}

impl Requests {
    /// The request that is decided next.
    #[must_use]
    pub fn first(&self) -> Option<&PendingRequest> {
        self.open.first()
    }

    /// What is known about a request that was asked then.
    #[must_use]
    pub fn state(&self, id: &RequestId, asked_at: Timestamp) -> RequestState {
        match self.answered.iter().rfind(|answered| answered.request.id == *id) {
            Some(AnsweredRequest { decision: Some(decision), .. }) => {
                RequestState::Decided { decision: decision.clone() }
            }
            Some(_) => RequestState::Settled,
            None if self.open.iter().any(|request| request.id == *id) => RequestState::Open,
            None if self.all_settled_up_to.is_some_and(|settled| asked_at <= settled) => RequestState::Settled,
            // Its report is on its way, for example in the spool.
            None => RequestState::Open,
        }
    }

    /// Takes in that something is asked. A report that comes twice, or after the answer, opens nothing.
    pub(super) fn ask(&mut self, request: PendingRequest) -> Option<NewChange> {
        let mut known = self.open.iter().chain(self.answered.iter().map(|answered| &answered.request));
        if known.any(|known| known.id == request.id) {
            return None;
        }
        let is_own = request.tool_use.subagent.is_none();
        let settled_up_to = if is_own { self.own_settled_up_to } else { self.all_settled_up_to };
        if let Some(answered_at) = settled_up_to.filter(|settled| request.since <= *settled) {
            self.keep(AnsweredRequest { request, answered_at, decision: None });
            return None;
        }
        let change = NewChange::new(ChangeKind::SessionAsked, request.told());
        self.open.push(request);
        Some(change)
    }

    /// Takes in that the open requests for which `is_answered` says so were answered elsewhere.
    pub(super) fn settle(&mut self, at: Timestamp, is_answered: impl Fn(&PendingRequest) -> bool) -> Vec<NewChange> {
        let (settled, open) =
            std::mem::take(&mut self.open).into_iter().partition(|request| request.since <= at && is_answered(request));
        self.open = open;
        let settled: Vec<PendingRequest> = settled;
        let changes =
            settled.iter().map(|request| NewChange::new(ChangeKind::SessionSettled, request.told())).collect();
        for request in settled {
            self.keep(AnsweredRequest { request, answered_at: at, decision: None });
        }
        changes
    }

    /// Records a decision about an open request; `None` when it is not open.
    pub(super) fn decide(&mut self, id: &RequestId, decision: Decision, now: Timestamp) -> Option<NewChange> {
        let at = self.open.iter().position(|request| request.id == *id)?;
        let request = self.open.remove(at);
        let mut told = request.told();
        told["decision"] = json!(decision);
        self.keep(AnsweredRequest { request, answered_at: now, decision: Some(decision) });
        Some(NewChange::new(ChangeKind::SessionDecided, told))
    }

    /// The first open request about which a rule has an answer.
    pub(super) fn decided_by(&self, rules: &[Rule], workspace: &std::path::Path) -> Option<(RequestId, Decision)> {
        self.open.iter().find_map(|request| {
            let (index, rule) = rules.iter().enumerate().find(|(_, rule)| rule.matches(request, workspace))?;
            let verdict = match rule.decide {
                RuleVerdict::Allow => Verdict::Allow,
                RuleVerdict::Deny => Verdict::Deny,
                RuleVerdict::Ask => return None,
            };
            let by = Decider::Rule { number: index + 1, rule: rule.clone() };
            Some((request.id.clone(), Decision { verdict, reason: rule.reason.clone(), by }))
        })
    }

    /// Takes in that the clock has stepped back behind what is on record: what was asked was asked by then.
    pub(super) fn step_back(&mut self, to: Timestamp) {
        for request in &mut self.open {
            request.since = request.since.min(to);
        }
        self.own_settled_up_to = self.own_settled_up_to.min(Some(to));
        self.all_settled_up_to = self.all_settled_up_to.min(Some(to));
    }

    /// Nobody asks any more: the agent has ended.
    pub(crate) fn end(&mut self) {
        self.open.clear();
        self.beside = None;
    }

    fn keep(&mut self, answered: AnsweredRequest) {
        self.answered.push(answered);
        let surplus = self.answered.len().saturating_sub(KEPT);
        self.answered.drain(..surplus);
    }
}
