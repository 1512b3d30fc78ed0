//! Which sessions somebody works on right now, so that a kill can interrupt a spawn and two kills do not cross.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use crate::domain::id::SessionId;

/// A lock and an interrupt for each session that is being worked on. An entry lives as long as somebody holds it or
/// waits for it.
#[derive(Default)]
pub(super) struct Running {
    sessions: Mutex<HashMap<SessionId, Arc<Entry>>>,
}

#[derive(Default)]
struct Entry {
    lock: Arc<tokio::sync::Mutex<()>>,
    interrupt: CancellationToken,
}

/// The exclusive right to build up or tear down one session.
pub(super) struct Exclusive {
    _guard: OwnedMutexGuard<()>,
    entry: Arc<Entry>,
}

impl Exclusive {
    /// Ends when somebody wants this work to stop and be undone.
    pub(super) async fn interrupted(&self) {
        self.entry.interrupt.cancelled().await;
    }
}

impl Running {
    /// Waits for the exclusive right.
    pub(super) async fn exclusive(&self, id: &SessionId) -> Exclusive {
        let entry = self.entry(id);
        let guard = entry.lock.clone().lock_owned().await;
        Exclusive { _guard: guard, entry }
    }

    /// The exclusive right, if nobody has it.
    pub(super) fn try_exclusive(&self, id: &SessionId) -> Option<Exclusive> {
        let entry = self.entry(id);
        let guard = entry.lock.clone().try_lock_owned().ok()?;
        Some(Exclusive { _guard: guard, entry })
    }

    /// Asks whoever works on this session to stop and undo; nothing happens when nobody does.
    pub(super) fn interrupt(&self, id: &SessionId) {
        if let Some(entry) = self.sessions().get(id) {
            entry.interrupt.cancel();
        }
    }

    fn entry(&self, id: &SessionId) -> Arc<Entry> {
        let mut sessions = self.sessions();
        sessions.retain(|_, entry| Arc::strong_count(entry) > 1);
        sessions.entry(id.clone()).or_default().clone()
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Entry>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_an_interrupt_ends_with_its_holder() {
        let running = Running::default();
        let id: SessionId = "app-1".parse().unwrap();
        let first = running.exclusive(&id).await;
        assert!(running.try_exclusive(&id).is_none());
        running.interrupt(&id);
        first.interrupted().await;
        drop(first);
        let second = running.try_exclusive(&id).unwrap();
        assert!(!second.entry.interrupt.is_cancelled());
    }
}
