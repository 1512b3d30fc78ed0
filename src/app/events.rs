//! Events: the change log, followed from any number on.
//!
//! Nothing is queued for anybody. Each reader asks for what comes next when it can take it, and the log keeps it until then: a slow one
//! holds nobody up, and one that comes back with the last number it saw misses nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Application;
use super::error::{AppError, ErrorKind};
use crate::domain::change::Change;
use crate::domain::id::SessionId;
use crate::ports::store::ChangeFilter;

/// A reader of the change log.
#[derive(Debug)]
pub struct Events {
    application: Application,
    session: Option<SessionId>,
    position: u64,
    /// The same, for those who look on while this waits.
    passed: Arc<AtomicU64>,
}

impl Application {
    /// Follows what happened after number `since`, or what happens from now on; of one session where one is named.
    ///
    /// # Errors
    /// `unknown_session` where there is no such session and the log tells of none; `changes_gone` when the next one was trimmed;
    /// `changes_ahead` when `since` is a number that no change has yet, so it is from another log; or the store's failure.
    pub async fn events(&self, since: Option<u64>, session: Option<SessionId>) -> Result<Events, AppError> {
        if let Some(session) = &session {
            self.insist_on_session(session).await?;
        }
        let newest = self.last_seq().await?;
        let position = since.unwrap_or(newest);
        if position > newest {
            return Err(ahead(position, newest));
        }
        self.shared.changes.changes(&ChangeFilter { since: position, session: None, limit: 1 }).await?;
        Ok(Events { application: self.clone(), session, position, passed: Arc::new(AtomicU64::new(position)) })
    }
}

impl Events {
    /// The number up to which everything was given: who begins anew after it misses nothing.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The number up to which nothing is missed, also while [`next`](Self::next) waits. What it gives is put there by who has handed it on.
    pub(crate) fn passed(&self) -> Arc<AtomicU64> {
        self.passed.clone()
    }

    /// What comes next, by number: at least one, which is waited for. `None` once the application is shut down. Nothing is lost when
    /// this is dropped before it answers.
    ///
    /// # Errors
    /// `changes_gone` when the next one was trimmed meanwhile, or the store's failure.
    pub async fn next(&mut self) -> Result<Option<Vec<Arc<Change>>>, AppError> {
        let shared = &self.application.shared;
        loop {
            let page = tokio::select! {
                biased;
                () = shared.stop.cancelled() => return Ok(None),
                page = shared.tail.after(&*shared.changes, self.position, self.session.as_ref()) => page?,
            };
            let went_on = page.up_to > self.position;
            self.position = page.up_to;
            if !page.changes.is_empty() {
                return Ok(Some(page.changes));
            }
            self.passed.store(self.position, Ordering::Relaxed);
            if went_on {
                continue;
            }
            tokio::select! {
                () = shared.changes.wait_beyond(self.position) => {}
                () = shared.stop.cancelled() => return Ok(None),
            }
        }
    }
}

pub(super) fn ahead(position: u64, newest: u64) -> AppError {
    let message = format!("there is no change {position} yet, the newest is {newest}");
    AppError::new(ErrorKind::Invalid, "changes_ahead", message).hint(
        "this is another log than the one that was read before: read the sessions anew, and go on from the newest",
    )
}
