//! Reconcile: bring the record and the world together: finish, adopt or undo what an earlier daemon left, and notice what
//! ended. Runs at the start and on a tick; takes no input and is idempotent.

use std::time::Duration;

use super::Application;
use super::error::AppError;
use super::writer::Ended;
use crate::domain::phase::{Phase, Step};
use crate::domain::session::Session;
use crate::ports::runtime::Liveness;
use crate::ports::store::SessionFilter;

impl Application {
    /// Brings the record and the world together: takes in spooled reports, adopts agents that run, undoes spawns that were
    /// cut off before their agent ran, and ends sessions whose agent is gone.
    ///
    /// # Errors
    /// The store's failure. What cannot be settled for one session is logged and left for the next time.
    pub async fn reconcile(&self) -> Result<(), AppError> {
        for session in self.shared.sessions.sessions(&SessionFilter::default()).await? {
            if let Phase::Provisioning { step } = session.phase
                && let Err(error) = self.settle_spawn(&session, step).await
            {
                tracing::error!(session = %session.id, %error, "a spawn that was cut off could not be settled");
            }
        }
        self.drain_spool().await?;
        self.reap().await
    }

    /// Reconciles every `interval`, until the application is shut down.
    pub async fn keep_reconciling(&self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.shared.stop.cancelled() => return,
            }
            if let Err(error) = self.reconcile().await {
                tracing::error!(%error, "the record and the world could not be brought together");
            }
        }
    }

    async fn settle_spawn(&self, session: &Session, step: Step) -> Result<(), AppError> {
        let Some(_exclusive) = self.shared.running.try_exclusive(&session.id) else { return Ok(()) };
        if step == Step::Launched
            && let Some(Liveness::Alive(process)) = self.probe_one(session, &self.terminal_key(&session.id)).await
        {
            self.shared.writer.saw_process(&session.id, process).await?;
            self.shared.writer.go_live(&session.id).await?;
            tracing::info!(session = %session.id, pid = process.pid, "adopted");
            return Ok(());
        }
        self.undo(&session.id, "the daemon ended while it was being spawned", Ended::default()).await
    }
}
