//! Once: a request that is asked again with its key, because the answer was lost on the way, is answered again and not done again.
//!
//! A key is on record before anything is done, and with the answer after it. What was cut off in between by the end of a daemon
//! is asked again like any request; what it may have done is found by its mark, which nothing else has: a spawn tells it in the entry of the change
//! log that is written with the session's record, and a message has its id of it. A key that was forgotten and is used anew gets another mark.
//!
//! A key is its caller's: an agent that asks with the key of a person, or of another agent, has asked for something else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::Application;
use super::caller::{Caller, Identity};
use super::error::{AppError, ErrorKind};
use crate::domain::Timestamp;
use crate::domain::change::ChangeKind;
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::ports::answer_store::{Answer, AnswerKey, AnswerRecord};
use crate::ports::store::{ChangeFilter, StoreError};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How many answers are kept for each who asks: the newest.
const NEWEST: u32 = 1000;
/// How many changes are looked at at once.
const BATCH: u32 = 1000;

/// Who works on which key: one at a time, so that two who ask at once are one.
#[derive(Default)]
pub(super) struct OnceLocks(Mutex<BTreeMap<AnswerKey, Arc<tokio::sync::Mutex<()>>>>);

impl OnceLocks {
    async fn of(&self, key: &AnswerKey) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            locks.entry(key.clone()).or_default().clone()
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
    key: AnswerKey,
    record: AnswerRecord,
    /// What it leaves is known by this.
    pub mark: String,
    /// The newest change when it was begun before, if it was and no answer is known.
    pub cut_off_after: Option<u64>,
    _alone: OwnedMutexGuard<()>,
}

/// What tells this use of a key from every other.
fn mark(key: &AnswerKey, begun_at: Timestamp) -> String {
    let AnswerKey { asker, route, key } = key;
    let asker = asker.as_ref().map(ToString::to_string).unwrap_or_default();
    let use_of_it = format!("{asker} {route} {key} {}", begun_at.as_millisecond());
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, use_of_it.as_bytes()).to_string()
}

impl Application {
    /// Begins a request (`route`: its method and path) under the key that its client made up, or gives the answer there was. Another one that is being done
    /// under the same key is waited for.
    ///
    /// # Errors
    /// `idempotency_key_reused` when the caller used the key there for a request with another digest; `unknown_sender` when it cannot be told whose key it
    /// is; or the store's failure.
    pub async fn begin_once(
        &self,
        caller: &Caller,
        route: String,
        key: String,
        digest: String,
    ) -> Result<Once, AppError> {
        let key = AnswerKey { asker: self.asker(caller).await?, route, key };
        let alone = self.shared.once.of(&key).await;
        let answers = &self.shared.answers;
        let now = self.shared.clock.now();
        let before = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
        answers.bound_answers(key.asker.as_ref(), before, NEWEST).await?;
        let known = answers.answer(&key).await?;
        if known.as_ref().is_some_and(|known| known.digest != digest) {
            let message = "this Idempotency-Key was used for another request";
            return Err(AppError::new(ErrorKind::Refused, "idempotency_key_reused", message)
                .hint("make up a new key for each request, and keep it for asking the same again"));
        }
        let (record, cut_off_after) = match known {
            Some(AnswerRecord { answer: Some(answer), .. }) => return Ok(Once::Answered(answer)),
            Some(cut_off) => {
                let since = cut_off.since;
                (cut_off, Some(since))
            }
            None => {
                let since = self.shared.changes.last_seq().await?;
                let record = AnswerRecord { digest, since, begun_at: now, answer: None };
                answers.put_answer(&key, &record).await?;
                (record, None)
            }
        };
        let mark = mark(&key, record.begun_at);
        Ok(Once::Begun(OnceBegun { key, record, mark, cut_off_after, _alone: alone }))
    }

    /// Whose keys those of a caller are.
    async fn asker(&self, caller: &Caller) -> Result<Option<SessionId>, AppError> {
        match self.identify(caller).await? {
            Identity::Person => Ok(None),
            Identity::Session(session) => Ok(Some(session)),
            Identity::Nobody(who) => {
                let message = format!("nothing is done under an Idempotency-Key for {who}");
                Err(AppError::new(ErrorKind::Refused, "unknown_sender", message)
                    .hint("in a shell of your own, ask as a person: unset AO_SESSION_ID AO_LAUNCH_ID"))
            }
        }
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

    /// The session that was spawned with a mark, of a spawn that was begun when `since` was the newest change; `None` when none was.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn spawned_once(&self, mark: &str, mut since: u64) -> Result<Option<Session>, AppError> {
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
            let is_it = |kind, data: &serde_json::Value| kind == ChangeKind::SessionRecorded && data["key"] == *mark;
            let Some(change) = changes.iter().find(|change| is_it(change.kind, &change.data)) else { continue };
            return match &change.session {
                Some(id) => Ok(self.shared.sessions.session(id).await?),
                None => Ok(None),
            };
        }
    }
}
