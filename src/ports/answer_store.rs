//! What was answered to requests that may be asked again? A client that lost an answer asks again with the same key, and is told the same.

use async_trait::async_trait;

use super::store::StoreError;
use crate::domain::Timestamp;

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
    async fn answer(&self, key: &str) -> Result<Option<AnswerRecord>, StoreError>;

    /// Records under a key, durably, in the place of what was there.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] or [`StoreError::Failed`].
    async fn put_answer(&self, key: &str, record: &AnswerRecord) -> Result<(), StoreError>;

    /// Takes a key off the record; also one that is on none.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] or [`StoreError::Failed`].
    async fn forget_answer(&self, key: &str) -> Result<(), StoreError>;

    /// Takes off the record what was begun before a time.
    ///
    /// # Errors
    /// [`StoreError::Unwritable`] or [`StoreError::Failed`].
    async fn forget_answers_before(&self, before: Timestamp) -> Result<(), StoreError>;
}
