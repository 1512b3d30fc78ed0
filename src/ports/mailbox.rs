//! What waits for an agent, and what was it handed? The agent's own side of messages: its hooks ask, in processes of their own, whether
//! or not a daemon runs; for an agent without hooks, who types to it in the daemon.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::messenger::MessengerError;
use crate::domain::Timestamp;
use crate::domain::id::MessageId;
use crate::domain::message::Route;

/// Text that waits for the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The message's id.
    pub id: MessageId,
    /// The text.
    pub text: String,
}

/// How and when the agent was handed text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// By which route.
    pub via: Route,
    /// When.
    pub at: Timestamp,
    /// Where the agent's own record stood then, as [`TextHooks::trace`](super::text_hooks::TextHooks::trace) gave it; of text that is typed, how far that is.
    /// It has 32 KiB as JSON at most.
    pub trace: serde_json::Value,
}

/// A message of which it is not known yet whether the agent has taken it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The message's id.
    pub id: MessageId,
    /// How it was to be handed over.
    pub handover: Handover,
    /// Whether it was. If not, a hook that took it out for that has ended before it could; who types may be about it still.
    pub was_handed_over: bool,
}

/// Whether an agent is in a turn, as its hooks noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is in one.
    Running {
        /// How long ago that was last noted.
        silent: Duration,
    },
    /// It is in none.
    Over {
        /// How long ago the last one ended; `None` when none ever did.
        since: Option<Duration>,
    },
}

/// One session's messages, seen from its agent's side.
///
/// # Contract
/// - Looking costs next to nothing: it is done at every tool call. Only [`open`](Mailbox::open) waits for who has it open.
/// - What one process put on record the next one finds, and so does [`AgentMessenger`](super::messenger::AgentMessenger) for that workspace.
/// - Nothing waits in a workspace that is gone, or where no messenger was opened: looking makes nothing there, and it cannot be opened.
/// - No symbolic link is followed anywhere, and what is no message of ao's is passed over.
pub trait Mailbox: Send + Sync {
    /// Whether nothing waits and nothing is unconfirmed.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn is_quiet(&self) -> Result<bool, MessengerError>;

    /// Opens it; waits until nobody else has it open, some seconds at most, for an agent waits meanwhile.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn open(&self) -> Result<Box<dyn OpenMailbox + '_>, MessengerError>;

    /// Whether somebody waits to wake the agent, when that is idle, for what comes. For a moment, in which it is looked for messages, nobody may seem
    /// to. Default: somebody does.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn is_waited_at(&self) -> Result<bool, MessengerError> {
        Ok(true)
    }

    /// Notes that the agent is in a turn just now, or is not.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn note_turn(&self, is_in_turn: bool) -> Result<(), MessengerError>;

    /// What was last noted. [`take_back`](super::messenger::AgentMessenger::take_back) and [`open`](super::messenger::AgentMessenger::open) of
    /// the messenger note that the agent is in none, for the one that was in it has ended.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn turn(&self) -> Result<Turn, MessengerError>;

    /// Notes that whatever the agent itself had asked permission for is answered, for the hook that asked: it may have no daemon to hear that of.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn note_settled(&self) -> Result<(), MessengerError>;

    /// When that was last noted; `None` when it never was.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn settled_at(&self) -> Result<Option<SystemTime>, MessengerError>;
}

/// A mailbox that nobody else has open meanwhile.
pub trait OpenMailbox {
    /// What is unconfirmed, oldest first.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn unconfirmed(&self) -> Result<Vec<Unconfirmed>, MessengerError>;

    /// What waits, oldest first.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn waiting(&self) -> Result<Vec<MessageId>, MessengerError>;

    /// Takes a message that waits out to be handed over: no other hook gets it. `None` when none of that name waits, or what bears it is no
    /// message. On record before it answers: when this process ends now, the next one finds it unconfirmed.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn take(&mut self, id: &MessageId, handover: &Handover) -> Result<Option<Letter>, MessengerError>;

    /// Records anew how a message that was taken out and not handed over is being handed over. On record before it answers.
    ///
    /// # Errors
    /// [`MessengerError`], also for any other message.
    fn note(&mut self, id: &MessageId, handover: &Handover) -> Result<(), MessengerError>;

    /// The text of a message that was taken out; `None` when it is not there, or is no message any more.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn text(&self, id: &MessageId) -> Result<Option<String>, MessengerError>;

    /// Keeps a copy of a message that was taken out where the agent can read it, as long as there is the workspace; its path, absolute and the
    /// same each time.
    ///
    /// # Errors
    /// [`MessengerError`], also for a message that was not taken out.
    fn keep(&mut self, id: &MessageId) -> Result<PathBuf, MessengerError>;

    /// Records that a message that was taken out was handed over.
    ///
    /// # Errors
    /// [`MessengerError`], also for a message that was not taken out.
    fn handed_over(&mut self, id: &MessageId) -> Result<(), MessengerError>;

    /// Puts a message that was taken out, handed over or not, and that the agent has not taken, back where it was. Any other stays as it is: idempotent.
    ///
    /// # Errors
    /// [`MessengerError`].
    fn give_back(&mut self, id: &MessageId) -> Result<(), MessengerError>;

    /// Records that the agent was seen to have taken a message that was handed over.
    ///
    /// # Errors
    /// [`MessengerError`], also for any other message.
    fn confirm(&mut self, id: &MessageId, at: Timestamp) -> Result<(), MessengerError>;
}
