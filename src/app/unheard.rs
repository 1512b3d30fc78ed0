//! Unheard: why messages wait that nobody is about to take. One that waits beside an agent at work needs no reason.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Application;
use crate::domain::id::SessionId;
use crate::domain::message::{MessageRecord, MessageState};
use crate::domain::session::{Activity, Session};
use crate::domain::status::Status;

/// How long nobody may seem to wait at an idle agent: who does begins a moment after a turn's end, or after it was ended, and seems not to while it
/// looks.
const UNHEARD: Duration = Duration::from_secs(10);

/// Since when nobody was seen to wait at the idle agents of these sessions, for which messages wait.
#[derive(Default)]
pub(super) struct Unheard {
    since: Mutex<BTreeMap<SessionId, Instant>>,
}

impl Unheard {
    /// Nothing waits for its agent any more, or somebody waits there.
    pub(super) fn forget(&self, session: &SessionId) {
        self.since().remove(session);
    }

    /// Nobody waits there at this moment; gives whether that has been so for long.
    fn note(&self, session: &SessionId) -> bool {
        self.since().entry(session.clone()).or_insert_with(Instant::now).elapsed() >= UNHEARD
    }

    fn since(&self) -> MutexGuard<'_, BTreeMap<SessionId, Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Application {
    /// Why these messages of a session whose agent takes text through hooks wait; `None` when it may be about to take them.
    pub(super) async fn why_unheard(&self, session: &Session, records: &[MessageRecord]) -> Option<String> {
        let (id, unheard) = (&session.id, &self.shared.unheard);
        if !records.iter().any(|record| record.state == MessageState::Queued) {
            unheard.forget(id);
            return None;
        }
        if Status::of(session, self.shared.clock.now()) == Status::NoSignal {
            return Some(format!(
                "its agent never reported since it was started, so something may ask in its terminal: ao show {id}"
            ));
        }
        if session.facts.activity != Activity::Idle || self.is_waited_at(session).await {
            unheard.forget(id);
            return None;
        }
        unheard.note(id).then(|| {
            format!(
                "nobody waits for messages beside its idle agent (what did was ended), which gets it with the next prompt: \
                 write to it in its terminal (ao attach {id}), or ao kill {id} and ao restore {id}"
            )
        })
    }

    /// Also where that cannot be told.
    async fn is_waited_at(&self, session: &Session) -> bool {
        let mailbox = self.shared.messenger.mailbox(&session.spec.workspace);
        // It asks the disk.
        let asked = tokio::task::spawn_blocking(move || mailbox.is_waited_at().unwrap_or(true));
        asked.await.unwrap_or(true)
    }
}
