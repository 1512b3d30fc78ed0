//! Once: a request that is asked again with its key, because the answer was lost on the way, is answered again and not done again.
//!
//! A key is on record before anything is done, and with the answer after it. What was cut off in between by the end of a daemon
//! is asked again like any request; what it may have done is found by what it left: a spawn tells its key in the entry of the change
//! log that is written with the session's record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::Application;
use super::error::{AppError, ErrorKind};
use crate::domain::change::ChangeKind;
use crate::domain::session::Session;
use crate::ports::answer_store::{Answer, AnswerRecord};
use crate::ports::store::{ChangeFilter, StoreError};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How many changes are looked at at once.
const BATCH: u32 = 1000;

/// Who works on which key: one at a time, so that two who ask at once are one.
#[derive(Default)]
pub(super) struct OnceLocks(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl OnceLocks {
    async fn of(&self, key: &str) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(key.to_owned()).or_default().clone()
        };
        lock.lock_owned().await
    }
}

/// What is to be done for who asks with a key.
pub enum Once {
    /// It was answered before.
    Answered(Answer),
    /// It is to be done.
    Begun(OnceBegun),
}

/// A request that is being done under its key, by nobody else.
pub struct OnceBegun {
    key: String,
    record: AnswerRecord,
    /// The newest change when it was begun before, if it was and no answer is known.
    pub cut_off_after: Option<u64>,
    _alone: OwnedMutexGuard<()>,
}

impl Application {
    /// Begins a request under its client's key, or gives the answer there was. Another one that is being done under the same key is waited for.
    ///
    /// # Errors
    /// `idempotency_key_reused` when the key was used for a request with another digest; or the store's failure.
    pub async fn begin_once(&self, key: &str, digest: String) -> Result<Once, AppError> {
        let alone = self.shared.once.of(key).await;
        let answers = &self.shared.answers;
        let now = self.shared.clock.now();
        if let Ok(before) = now.checked_sub(KEPT) {
            answers.forget_answers_before(before).await?;
        }
        let known = answers.answer(key).await?;
        if known.as_ref().is_some_and(|known| known.digest != digest) {
            let message = "this Idempotency-Key was used for another request";
            return Err(AppError::new(ErrorKind::Refused, "idempotency_key_reused", message)
                .hint("make up a new key for each request, and keep it for asking the same again"));
        }
        let since = match known {
            Some(AnswerRecord { answer: Some(answer), .. }) => return Ok(Once::Answered(answer)),
            Some(AnswerRecord { since, .. }) => Some(since),
            None => None,
        };
        let begun = match since {
            Some(since) => since,
            None => self.shared.changes.last_seq().await?,
        };
        let record = AnswerRecord { digest, since: begun, begun_at: now, answer: None };
        answers.put_answer(key, &record).await?;
        Ok(Once::Begun(OnceBegun { key: key.to_owned(), record, cut_off_after: since, _alone: alone }))
    }

    /// Keeps the answer for who asks again; `None` when nothing was done, so that it may be tried again.
    ///
    /// # Errors
    /// The store's failure. What was done is done all the same.
    pub async fn end_once(&self, begun: OnceBegun, answer: Option<Answer>) -> Result<(), AppError> {
        let answers = &self.shared.answers;
        match answer {
            Some(answer) => {
                answers.put_answer(&begun.key, &AnswerRecord { answer: Some(answer), ..begun.record }).await?;
            }
            None => answers.forget_answer(&begun.key).await?,
        }
        Ok(())
    }

    /// The session that was spawned under a key, of a spawn that was begun when `since` was the newest change; `None` when none was.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn spawned_once(&self, key: &str, mut since: u64) -> Result<Option<Session>, AppError> {
        loop {
            let filter = ChangeFilter { since, session: None, limit: BATCH };
            let changes = match self.shared.changes.changes(&filter).await {
                // What is told after that is looked at: it may be there.
                Err(StoreError::ChangesGone { oldest, .. }) => {
                    since = oldest - 1;
                    continue;
                }
                changes => changes?,
            };
            let Some(last) = changes.last() else { return Ok(None) };
            since = last.seq;
            let is_it = |kind, data: &serde_json::Value| kind == ChangeKind::SessionRecorded && data["key"] == *key;
            let Some(change) = changes.iter().find(|change| is_it(change.kind, &change.data)) else { continue };
            return match &change.session {
                Some(id) => Ok(self.shared.sessions.session(id).await?),
                None => Ok(None),
            };
        }
    }
}
