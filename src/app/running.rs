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
    /// The interrupt of who has the right.
    interrupt: Mutex<CancellationToken>,
}

impl Entry {
    fn interrupt(&self) -> MutexGuard<'_, CancellationToken> {
        self.interrupt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The exclusive right to build up or tear down one session.
pub(super) struct Exclusive {
    _guard: OwnedMutexGuard<()>,
    _entry: Arc<Entry>,
    interrupt: CancellationToken,
}

impl Exclusive {
    /// With an interrupt of its own: that of who had the right before was not for who waited for it.
    fn new(guard: OwnedMutexGuard<()>, entry: Arc<Entry>) -> Self {
        let interrupt = CancellationToken::new();
        entry.interrupt().clone_from(&interrupt);
        Self { _guard: guard, _entry: entry, interrupt }
    }

    /// Ends when somebody wants this work to stop and be undone.
    pub(super) async fn interrupted(&self) {
        self.interrupt.cancelled().await;
    }
}

impl Running {
    /// Waits for the exclusive right.
    pub(super) async fn exclusive(&self, id: &SessionId) -> Exclusive {
        let entry = self.entry(id);
        let guard = entry.lock.clone().lock_owned().await;
        Exclusive::new(guard, entry)
    }

    /// The exclusive right, if nobody has it.
    pub(super) fn try_exclusive(&self, id: &SessionId) -> Option<Exclusive> {
        let entry = self.entry(id);
        let guard = entry.lock.clone().try_lock_owned().ok()?;
        Some(Exclusive::new(guard, entry))
    }

    /// Asks whoever works on this session to stop and undo; nothing happens when nobody does.
    pub(super) fn interrupt(&self, id: &SessionId) {
        if let Some(entry) = self.sessions().get(id) {
            entry.interrupt().cancel();
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
    use std::time::Duration;

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
        assert!(!second.interrupt.is_cancelled());
    }

    #[tokio::test]
    async fn an_interrupt_is_not_for_who_waited() {
        let running = Arc::new(Running::default());
        let id: SessionId = "app-1".parse().unwrap();
        let first = running.exclusive(&id).await;
        // A kill, which waits then, and a restore behind it.
        running.interrupt(&id);
        let wait = || {
            let (running, id) = (running.clone(), id.clone());
            tokio::spawn(async move {
                let exclusive = running.exclusive(&id).await;
                tokio::time::timeout(Duration::ZERO, exclusive.interrupted()).await.is_ok()
            })
        };
        let (kill, restore) = (wait(), wait());
        tokio::task::yield_now().await;
        drop(first);
        assert!(!kill.await.unwrap());
        assert!(!restore.await.unwrap(), "it came after the kill");
    }
}
