//! Watch: be told of an agent's end by its runtime, at once, where the runtime can tell. [`super::reap`] notices the others, and whatever
//! is missed here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::Application;
use super::error::AppError;
use crate::domain::id::SessionId;
use crate::domain::phase::Phase;
use crate::domain::session::Session;
use crate::fault::{self, Point};
use crate::ports::runtime::Liveness;

/// The live sessions whose ends are waited for, each by a task of its own. Taking one out ends its task.
#[derive(Default)]
pub(super) struct Watches {
    tasks: Mutex<HashMap<SessionId, DropGuard>>,
}

impl Watches {
    /// Begins a watch: what it gives is cancelled when the watch shall end. `None` when this session is watched already.
    fn begin(&self, id: &SessionId) -> Option<CancellationToken> {
        match self.tasks().entry(id.clone()) {
            Entry::Occupied(_) => None,
            Entry::Vacant(free) => {
                let given_up = CancellationToken::new();
                free.insert(given_up.clone().drop_guard());
                Some(given_up)
            }
        }
    }

    fn end(&self, id: &SessionId) {
        self.tasks().remove(id);
    }

    /// Ends these watches where the session is not among those that may live.
    fn end_unless(&self, watched: &[SessionId], live: &[&Session]) {
        let is_over = |id: &SessionId| watched.contains(id) && !live.iter().any(|session| session.id == *id);
        self.tasks().retain(|id, _| !is_over(id));
    }

    fn tasks(&self) -> MutexGuard<'_, HashMap<SessionId, DropGuard>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Application {
    /// Records that the agent was seen running, and watches it from now on.
    pub(super) async fn go_live(&self, id: &SessionId) -> Result<(), AppError> {
        let session = self.shared.writer.go_live(id).await?;
        // Here it can only die: the agent lives.
        let _ = fault::reach(Point::SpawnLiveRecorded);
        self.forget_terminal_of_live(&session).await;
        fault::reach(Point::SpawnLive)?;
        self.watch(&session);
        Ok(())
    }

    /// Lets go of what a restore had set aside that went well. What cannot be removed is in nobody's way until the next restore.
    pub(super) async fn forget_terminal_of_live(&self, session: &Session) {
        if let Err(error) = self.forget_terminal_before(session).await {
            tracing::warn!(session = %session.id, %error, "what an earlier agent's terminal left is still there");
        }
    }

    /// The sessions that are watched now, for [`watch_only`](Self::watch_only).
    pub(super) fn watched(&self) -> Vec<SessionId> {
        self.shared.watches.tasks().keys().cloned().collect()
    }

    /// Watches these sessions, which are all that may live of those that did when `watched` was asked for, and of those watched then
    /// no other any more.
    pub(super) fn watch_only(&self, live: &[&Session], watched: &[SessionId]) {
        self.shared.watches.end_unless(watched, live);
        for session in live {
            self.watch(session);
        }
    }

    /// Watches a live session until its end was looked at once, or it is not live any more, or the daemon stops.
    pub(super) fn watch(&self, session: &Session) {
        let Ok(runtime) = self.runtime(&session.spec.runtime) else { return };
        let Some(given_up) = self.shared.watches.begin(&session.id) else { return };
        let (runtime, key, stop) = (runtime.clone(), self.terminal_key(session), self.shared.stop.clone());
        // Waiting must not keep the application: one that is dropped gives its watches up.
        let (shared, id) = (Arc::downgrade(&self.shared), session.id.clone());
        self.shared.tasks.spawn(async move {
            tokio::select! {
                () = runtime.ended(&key) => {}
                () = given_up.cancelled() => return,
                () = stop.cancelled() => return,
            }
            let Some(shared) = shared.upgrade() else { return };
            let application = Application { shared };
            if let Err(error) = application.look_at(&id).await {
                tracing::error!(session = %id, %error, "an agent that may have ended could not be looked at; the next look at all does");
            }
            // Where it is live still, that look watches it again: a runtime that tells too early costs a task a tick, not a busy loop.
            application.shared.watches.end(&id);
        });
    }

    /// Ends a session if its agent is dead.
    async fn look_at(&self, id: &SessionId) -> Result<(), AppError> {
        // Waits for whoever spawns, kills or restores it, and then finds it as they left it.
        let exclusive = self.shared.running.exclusive(id).await;
        let Some(session) = self.shared.sessions.session(id).await? else { return Ok(()) };
        if session.phase != Phase::Live {
            return Ok(());
        }
        match self.probe_one(&session, &self.terminal_key(&session)).await {
            Some(Liveness::Dead(exit)) => self.bury(&session, exit, &exclusive).await,
            Some(Liveness::Alive(_) | Liveness::Unknown(_)) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::tests::session;

    #[test]
    fn a_session_is_watched_once_and_not_after_its_end() {
        let watches = Watches::default();
        let live = session();
        let other: SessionId = "other-1".parse().unwrap();
        let (first, second) = (watches.begin(&live.id).unwrap(), watches.begin(&other).unwrap());
        assert!(watches.begin(&live.id).is_none(), "watched twice");
        let later = watches.begin(&"later-1".parse().unwrap()).unwrap();
        watches.end_unless(&[live.id.clone(), other.clone()], &[&live]);
        assert!(!later.is_cancelled(), "what went live after the look is not known to be over");
        assert!(!first.is_cancelled() && second.is_cancelled(), "what is over is waited for");
        watches.end(&live.id);
        assert!(watches.begin(&live.id).is_some(), "after its end was looked at it can be watched again");
        let last = watches.begin(&other).unwrap();
        drop(watches);
        assert!(last.is_cancelled(), "the application is gone, and somebody waits on");
    }
}
