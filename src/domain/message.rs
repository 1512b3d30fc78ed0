//! Text on its way to an agent, and what became of it.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Timestamp;
use super::change::{ChangeKind, NewChange};
use super::id::{MessageId, SessionId};
use super::sender::Sender;

/// How long an agent may be silent about what it was handed before that is told, in seconds.
const SILENCE_S: i64 = 60;
const NOT_TAKEN: &str = "the agent was handed it and has not shown yet that it took it; what is newer waits for that";
const GIVEN_BACK: &str = "the agent was handed it and did not take it, so it is handed over again";

/// Text for one session's agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The message's id.
    pub id: MessageId,
    /// The session it is for.
    pub session: SessionId,
    /// Who sent it.
    pub from: Sender,
    /// The text. Never empty.
    pub body: String,
    /// When it was accepted.
    pub created_at: Timestamp,
}

impl Message {
    /// What the agent is to read: the text, and before it who sent it, where that was no person.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        self.from.sign(&self.body)
    }
}

/// The way by which an agent is handed text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Route {
    /// In the middle of a turn, with a tool's result.
    BetweenTools,
    /// When its turn would be over, which then goes on.
    EndOfTurn,
    /// With the next prompt of a person.
    NextPrompt,
    /// While it is idle, which begins a turn.
    Wake,
    /// Typed into its terminal while it waits at its empty prompt: it has no hooks for text.
    Terminal,
}

impl Route {
    /// The route's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BetweenTools => "between_tools",
            Self::EndOfTurn => "end_of_turn",
            Self::NextPrompt => "next_prompt",
            Self::Wake => "wake",
            Self::Terminal => "terminal",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What became of a message so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MessageState {
    /// It waits for its agent.
    Queued,
    /// The agent was handed it.
    Injected,
    /// The agent was seen to have taken it.
    Acknowledged,
    /// The agent ended before it was seen to have taken it: it waits for the next one.
    Returned,
    /// It cannot reach the agent.
    Failed,
}

impl MessageState {
    /// The state's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Injected => "injected",
            Self::Acknowledged => "acknowledged",
            Self::Returned => "returned",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more becomes of it.
    #[must_use]
    pub fn is_settled(self) -> bool {
        matches!(self, Self::Acknowledged | Self::Failed)
    }
}

impl fmt::Display for MessageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How far a message that was posted has come, as its messenger sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It waits to be taken.
    Waiting,
    /// The agent was handed it.
    Injected {
        /// How.
        via: Route,
        /// When.
        at: Timestamp,
    },
    /// The agent was seen to have taken it.
    Acknowledged {
        /// How it was handed over.
        via: Route,
        /// When.
        injected_at: Timestamp,
        /// When it was seen.
        at: Timestamp,
    },
}

/// A message's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRecord {
    /// The message.
    #[serde(flatten)]
    pub message: Message,
    /// What became of it.
    pub state: MessageState,
    /// How the agent was handed it, last.
    pub via: Option<Route>,
    /// When the agent was handed it, last.
    pub injected_at: Option<Timestamp>,
    /// When the agent was seen to have taken it.
    pub acknowledged_at: Option<Timestamp>,
    /// Why it cannot reach the agent, or did not reach the one before.
    pub error: Option<String>,
    /// How many messages its session and the one that sent it had exchanged without a person's word, itself included; 0 of any other.
    #[serde(skip)]
    pub depth: u32,
}

impl MessageRecord {
    /// The record of a message that was accepted just now.
    #[must_use]
    pub fn queued(message: Message) -> Self {
        Self {
            message,
            state: MessageState::Queued,
            via: None,
            injected_at: None,
            acknowledged_at: None,
            error: None,
            depth: 0,
        }
    }

    /// Takes in how far it has come; gives the changes worth logging. What is settled stays as it is.
    pub fn observe(&mut self, progress: &Progress) -> Vec<NewChange> {
        let mut changes = Vec::new();
        if self.state.is_settled() {
            return changes;
        }
        match *progress {
            Progress::Waiting if self.state == MessageState::Queued => {}
            // It lay with an agent that ended, or was not taken after all: it is handed over again.
            Progress::Waiting => {
                self.state = MessageState::Queued;
                self.error = self.given_back().map(str::to_owned);
                changes.push(self.change(ChangeKind::MessageQueued));
            }
            Progress::Injected { via, at } => {
                if self.injected(via, at) {
                    changes.push(self.change(ChangeKind::MessageInjected));
                }
            }
            Progress::Acknowledged { via, injected_at, at } => {
                // Who follows the changes is told of each state, also when both came between two looks.
                if self.injected(via, injected_at) {
                    changes.push(self.change(ChangeKind::MessageInjected));
                }
                (self.state, self.error) = (MessageState::Acknowledged, None);
                self.acknowledged_at = Some(at);
                changes.push(self.change(ChangeKind::MessageAcknowledged));
            }
        }
        changes
    }

    /// Why it waits still, if it was handed over before.
    fn given_back(&self) -> Option<&'static str> {
        self.injected_at.map(|_| GIVEN_BACK)
    }

    fn injected(&mut self, via: Route, at: Timestamp) -> bool {
        if self.state == MessageState::Injected && self.injected_at == Some(at) {
            return false;
        }
        (self.state, self.via, self.injected_at, self.error) = (MessageState::Injected, Some(via), Some(at), None);
        true
    }

    /// Takes in what keeps it from going on; whether that is news.
    pub fn hindered(&mut self, cause: &str) -> bool {
        let is_news = !self.state.is_settled() && self.error.as_deref() != Some(cause);
        if is_news {
            self.error = Some(cause.to_owned());
        }
        is_news
    }

    /// Takes in that it was found as far as it had come; whether that is news. `unheard`: why nobody is about to hand it over, if so. An agent that
    /// was handed it and does not show for long that it took it is told of.
    pub fn unchanged(&mut self, unheard: Option<&str>, now: Timestamp) -> bool {
        let is_long = |at| now.duration_since(at).as_secs() >= SILENCE_S;
        match self.state {
            MessageState::Queued => match unheard.or(self.given_back()) {
                Some(why) => self.hindered(why),
                None => self.error.take().is_some(),
            },
            MessageState::Injected if self.injected_at.is_some_and(is_long) => self.hindered(NOT_TAKEN),
            _ => false,
        }
    }

    /// Takes in that its agent ended.
    pub fn agent_ended(&mut self) -> Vec<NewChange> {
        if self.state.is_settled() || self.state == MessageState::Returned {
            return Vec::new();
        }
        let was = if self.state == MessageState::Injected { "was seen to have taken it" } else { "was handed it" };
        self.state = MessageState::Returned;
        self.error = Some(format!("the agent ended before it {was}; a restored one gets it"));
        vec![self.change(ChangeKind::MessageReturned)]
    }

    /// Takes in that it cannot reach the agent.
    pub fn fail(&mut self, error: String) -> Vec<NewChange> {
        if self.state.is_settled() {
            return Vec::new();
        }
        self.state = MessageState::Failed;
        self.error = Some(error);
        vec![self.change(ChangeKind::MessageFailed)]
    }

    /// What the change log is told of its state.
    #[must_use]
    pub fn change(&self, kind: ChangeKind) -> NewChange {
        let data =
            json!({ "message": self.message.id, "from": self.message.from, "via": self.via, "error": self.error });
        NewChange::new(kind, data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::tests::at;

    fn record() -> MessageRecord {
        MessageRecord::queued(Message {
            id: MessageId::hash_of("a"),
            session: "app-1".parse().unwrap(),
            from: Sender::Person,
            body: "text".into(),
            created_at: at(0),
        })
    }

    fn kinds(changes: &[NewChange]) -> Vec<&'static str> {
        changes.iter().map(|change| change.kind.as_str()).collect()
    }

    #[test]
    fn each_state_is_told_once_and_in_order() {
        let mut record = record();
        let injected = Progress::Injected { via: Route::EndOfTurn, at: at(1) };
        assert!(record.observe(&Progress::Waiting).is_empty());
        assert_eq!(kinds(&record.observe(&injected)), ["message.injected"]);
        assert!(record.observe(&injected).is_empty());
        let taken = Progress::Acknowledged { via: Route::EndOfTurn, injected_at: at(1), at: at(2) };
        assert_eq!(kinds(&record.observe(&taken)), ["message.acknowledged"]);
        for late in [Progress::Waiting, injected, taken] {
            assert!(record.observe(&late).is_empty(), "{late:?}");
        }
        assert!(record.agent_ended().is_empty() && record.fail("x".into()).is_empty());
        assert_eq!((record.state, record.via), (MessageState::Acknowledged, Some(Route::EndOfTurn)));
    }

    #[test]
    fn what_was_taken_between_two_looks_was_injected_before() {
        let mut record = record();
        let taken = Progress::Acknowledged { via: Route::Wake, injected_at: at(1), at: at(2) };
        assert_eq!(kinds(&record.observe(&taken)), ["message.injected", "message.acknowledged"]);
        assert_eq!((record.injected_at, record.acknowledged_at), (Some(at(1)), Some(at(2))));
    }

    #[test]
    fn what_was_handed_over_and_not_seen_to_be_taken_says_so_until_it_was() {
        let mut record = record();
        let injected = Progress::Injected { via: Route::Terminal, at: at(1) };
        record.observe(&injected);
        assert!(record.hindered("no echo was seen") && !record.hindered("no echo was seen"));
        assert!(record.observe(&injected).is_empty() && !record.unchanged(None, at(2)));
        assert_eq!(record.error.as_deref(), Some("no echo was seen"));
        record.observe(&Progress::Acknowledged { via: Route::Terminal, injected_at: at(1), at: at(2) });
        assert_eq!((record.state, record.error), (MessageState::Acknowledged, None));
    }

    #[test]
    fn an_agent_that_is_silent_for_long_about_what_it_was_handed_is_told_of() {
        let mut record = record();
        record.observe(&Progress::Injected { via: Route::Wake, at: at(1) });
        let mut unchanged = |seconds| record.unchanged(None, at(seconds));
        assert!(!unchanged(60) && unchanged(61) && !unchanged(62));
        assert!(record.error.as_deref().is_some_and(|error| error.contains("not shown")), "{record:?}");
    }

    #[test]
    fn one_that_waits_says_why_where_it_went_back_or_nobody_hears_it() {
        let mut record = record();
        assert!(!record.unchanged(None, at(1)));
        assert!(record.unchanged(Some("nobody waits"), at(2)) && !record.unchanged(Some("nobody waits"), at(3)));
        assert_eq!(record.error.as_deref(), Some("nobody waits"));
        assert!(record.unchanged(None, at(4)) && record.error.is_none());

        record.observe(&Progress::Injected { via: Route::Wake, at: at(5) });
        let changes = record.observe(&Progress::Waiting);
        assert_eq!((kinds(&changes), record.state), (vec!["message.queued"], MessageState::Queued));
        assert!(
            changes[0].data["error"].as_str().is_some_and(|error| error.contains("did not take it")),
            "{changes:?}"
        );
        assert!(!record.unchanged(None, at(6)), "it goes on to say so");
        assert!(record.unchanged(Some("nobody waits"), at(7)) && record.unchanged(None, at(8)));
        assert!(record.error.as_deref().is_some_and(|error| error.contains("did not take it")), "{record:?}");
        record.observe(&Progress::Injected { via: Route::Wake, at: at(9) });
        assert_eq!(record.error, None);
    }

    #[test]
    fn an_agent_that_ends_returns_what_it_was_not_seen_to_have_taken() {
        let mut record = record();
        record.observe(&Progress::Injected { via: Route::Wake, at: at(1) });
        assert_eq!(kinds(&record.agent_ended()), ["message.returned"]);
        assert!(record.error.as_deref().is_some_and(|error| error.contains("ended before")));
        assert!(record.agent_ended().is_empty());
        assert_eq!(kinds(&record.observe(&Progress::Waiting)), ["message.queued"]);
        assert!(record.error.as_deref().is_some_and(|error| error.contains("handed over again")));
    }
}
