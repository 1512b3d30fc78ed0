//! How does text reach a running agent?

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::mailbox::Mailbox;
use crate::domain::id::MessageId;
use crate::domain::message::{Message, Progress};

/// Why a message could not be handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MessengerError {
    /// The text is empty.
    #[error("the message is empty")]
    Empty,
    /// The text is too large.
    #[error("the message has {size_bytes} bytes; at most {limit_bytes} are taken")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// A symbolic link, or something that is not a directory, stands in the way. Nothing was written.
    #[error("refused: {} is not a directory of its own", path.display())]
    Planted {
        /// What stands there.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// Hands text to the agent that works in a workspace.
///
/// # Contract
/// - [`open`](AgentMessenger::open) is called when the workspace was made, before the agent starts. Idempotent.
/// - [`post`](AgentMessenger::post) is durable when it answers `Ok`, and visible to the agent's side as a whole or not at all.
///   What is handed over is [`Message::text`]. Messages are taken in the order they were posted. Posting the same message id again changes
///   nothing until it is forgotten, however far it has come.
/// - [`progress`](AgentMessenger::progress) tells of every message that was posted and not forgotten, in the order they were posted.
/// - [`take_back`](AgentMessenger::take_back) is called when the agent has ended: what it was handed and was not seen to have taken waits
///   again, in its old place.
/// - Of a workspace that is gone, or was never opened, there is nothing to be told, forgotten or taken back: that is no error, and makes nothing.
/// - No symbolic link anywhere below the workspace's `.ao` is followed, whenever it was planted.
/// - Directories are 0750, files 0600.
#[async_trait]
pub trait AgentMessenger: Send + Sync {
    /// Finds out whether a message could be posted by itself: its text is neither empty nor too large. Changes nothing.
    ///
    /// # Errors
    /// [`MessengerError::Empty`] or [`MessengerError::TooLarge`].
    fn check(&self, message: &Message) -> Result<(), MessengerError>;

    /// The messages of a workspace as its agent's side sees them, for who hands them to an agent that has no hooks for that. What is asked
    /// of it waits for the disk, and for who has it open.
    fn mailbox(&self, workspace: &Path) -> Box<dyn Mailbox>;

    /// Makes the place messages go to, before its agent is started.
    ///
    /// # Errors
    /// [`MessengerError::Planted`] or [`MessengerError::File`].
    async fn open(&self, workspace: &Path) -> Result<(), MessengerError>;

    /// Hands a message over.
    ///
    /// # Errors
    /// [`MessengerError`]; nothing was handed over then.
    async fn post(&self, workspace: &Path, message: &Message) -> Result<(), MessengerError>;

    /// How far the messages have come.
    ///
    /// # Errors
    /// [`MessengerError::Planted`] or [`MessengerError::File`].
    async fn progress(&self, workspace: &Path) -> Result<Vec<(MessageId, Progress)>, MessengerError>;

    /// Forgets messages that were taken. Others, and those it does not know, stay as they are.
    ///
    /// # Errors
    /// [`MessengerError::Planted`] or [`MessengerError::File`].
    async fn forget(&self, workspace: &Path, taken: &[MessageId]) -> Result<(), MessengerError>;

    /// Takes back what an agent that ended was handed and was not seen to have taken.
    ///
    /// # Errors
    /// [`MessengerError::Planted`] or [`MessengerError::File`].
    async fn take_back(&self, workspace: &Path) -> Result<(), MessengerError>;
}
