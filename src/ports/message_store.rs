//! What is on record about messages? Written by the one writer of the database, each change with its log entries.

use async_trait::async_trait;

use super::store::StoreError;
use crate::domain::Timestamp;
use crate::domain::change::NewChange;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::MessageRecord;

/// The records of messages.
#[async_trait]
pub trait MessageStore: Send + Sync {
    /// Records a new message with its changes, durably.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; [`StoreError::Missing`] when its session is not on record.
    async fn insert_message(&self, record: &MessageRecord, changes: &[NewChange]) -> Result<(), StoreError>;

    /// A message; `Ok(None)` when there is none of that id.
    ///
    /// # Errors
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn message(&self, id: &MessageId) -> Result<Option<MessageRecord>, StoreError>;

    /// A session's messages, in the order in which they were recorded; with `unsettled`, only those of which more may become.
    ///
    /// # Errors
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn messages(&self, session: &SessionId, unsettled: bool) -> Result<Vec<MessageRecord>, StoreError>;

    /// Whether a session has a message of ao's own of which more may become.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn has_unsettled_of_ao(&self, session: &SessionId) -> Result<bool, StoreError>;

    /// How deep what a session's agent was handed last is, 0 when that is nothing: the newest message of a person or a session, or, where
    /// that is deeper, one of ao's own that came after it. These add to a depth, and begin none anew.
    ///
    /// # Errors
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn depth_handed(&self, session: &SessionId) -> Result<u32, StoreError>;

    /// When the newest messages of one session to another were accepted, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn newest_between(&self, from: &SessionId, to: &SessionId, limit: u32) -> Result<Vec<Timestamp>, StoreError>;

    /// The sessions that have messages of which more may become.
    ///
    /// # Errors
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn sessions_with_unsettled(&self) -> Result<Vec<SessionId>, StoreError>;

    /// Writes what became of a message, logged at `at`. Who calls this sees to it that nobody else does for the same session meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Missing`].
    async fn update_message(
        &self,
        record: &MessageRecord,
        changes: &[NewChange],
        at: Timestamp,
    ) -> Result<(), StoreError>;
}
