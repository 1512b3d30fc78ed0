//! What was answered to requests that may be asked again? A client that lost an answer asks again with the same key, and is told the same.

use async_trait::async_trait;

use super::store::StoreError;
use crate::domain::Timestamp;
use crate::domain::id::SessionId;

/// Which request. The keys of who asks are nobody else's, and each thing that can be asked for has keys of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AnswerKey {
    /// The session whose agent asks; `None` for a person.
    pub asker: Option<SessionId>,
    /// What is asked for: a method and a path.
    pub route: String,
    /// What the client made up for this request.
    pub key: String,
}

/// An answer, as it is told again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Where what was made is.
    pub location: Option<String>,
    /// The body.
    pub body: String,
}

/// What is on record under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerRecord {
    /// The digest of what was sent.
    pub digest: String,
    /// The newest change when it was begun: what it did is told after it.
    pub since: u64,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// The answer; `None` when none is known.
    pub answer: Option<Answer>,
}

/// The records of answers.
#[async_trait]
pub trait AnswerStore: Send + Sync {
    /// What is on record under a key; `Ok(None)` when nothing is.
    ///
    /// # Errors
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn answer(&self, key: &AnswerKey) -> Result<Option<AnswerRecord>, StoreError>;

    /// Records under a key, durably, in the place of what was there.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] or [`StoreError::Failed`].
    async fn put_answer(&self, key: &AnswerKey, record: &AnswerRecord) -> Result<(), StoreError>;

    /// Takes a key off the record; also one that is on none.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] or [`StoreError::Failed`].
    async fn forget_answer(&self, key: &AnswerKey) -> Result<(), StoreError>;

    /// Takes off the record what was begun before a time, whoever asked; and of what this asker asked all but the `newest` that were begun last.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] or [`StoreError::Failed`].
    async fn bound_answers(&self, asker: Option<&SessionId>, before: Timestamp, newest: u32) -> Result<(), StoreError>;
}
