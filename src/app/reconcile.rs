//! Reconcile: bring the record and the world together: finish, adopt or undo what an earlier daemon left, and notice what
//! ended. Runs at the start and on a tick; takes no input and is idempotent.

use std::time::Duration;

use super::Application;
use super::error::AppError;
use super::running::Exclusive;
use super::writer::Ended;
use crate::domain::exit::Exit;
use crate::domain::id::SessionId;
use crate::domain::phase::{Phase, Step};
use crate::domain::session::Session;
use crate::fault::{self, Point};
use crate::ports::runtime::Liveness;

/// How long what cannot be settled is left alone before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

impl Application {
    /// Takes in spooled reports, ends sessions whose agent is gone, adopts agents that run, undoes spawns that were cut off
    /// before their agent ran, finishes kills, and gives free places to those in line. Returns when everything was settled or
    /// has failed to be; who was given a place may still be being built.
    pub async fn reconcile(&self) {
        let settling = self.begin_to_reconcile().await;
        settling.await;
    }

    /// As [`reconcile`](Self::reconcile), in two parts: once it returns, [`keep_reconciling`](Self::keep_reconciling) may begin; what
    /// it returns ends when all that it found has been settled or has failed to be. That goes on by itself.
    pub async fn begin_to_reconcile(&self) -> impl Future<Output = ()> + Send + 'static {
        if let Err(error) = self.drain_spool().await {
            tracing::error!(%error, "the spool could not be drained");
        }
        if let Err(error) = self.end_stray_teardowns().await {
            tracing::error!(%error, "teardowns that were cut off could not be looked for");
        }
        let settling = match self.look().await {
            Ok(sessions) => {
                self.forget_terminals_before(&sessions).await;
                self.start_settling(&sessions)
            }
            Err(error) => {
                tracing::error!(%error, "sessions could not be looked at");
                Vec::new()
            }
        };
        let application = self.clone();
        async move {
            for task in settling {
                // A task that broke off has said so, and its session is looked at again.
                let _ = task.await;
            }
            if let Err(error) = application.begin_to_follow_all().await {
                tracing::error!(%error, "messages could not be followed");
            }
            if let Err(error) = application.admit_from_line().await {
                tracing::error!(%error, "the line could not be looked at");
            }
        }
    }

    /// Reconciles every `interval`, until the application is shut down. What takes long to settle holds nothing else up, and a
    /// place that becomes free is given to the next in line at once.
    pub async fn keep_reconciling(&self, interval: Duration) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let outcomes = tokio::select! {
                _ = ticks.tick() => [self.drain_spool().await, self.tick().await],
                () = self.shared.writer.ended() => {
                    [self.admit_from_line().await, self.begin_to_follow_all().await]
                }
                () = self.shared.stop.cancelled() => return,
            };
            for outcome in outcomes {
                if let Err(error) = outcome {
                    tracing::error!(%error, "the record and the world could not be brought together");
                }
            }
        }
    }

    /// One look at all sessions, and what follows from it.
    async fn tick(&self) -> Result<(), AppError> {
        let sessions = self.look().await?;
        self.start_settling(&sessions);
        self.begin_to_follow_all().await?;
        self.look_for_hooks(&sessions).await?;
        self.begin_to_announce(&sessions);
        if sessions.iter().any(|session| session.facts.queue_ticket.is_some()) {
            self.admit_from_line().await?;
        }
        Ok(())
    }

    /// Lets go of what restores had set aside that went well: a daemon that was killed then could not do this itself. Who works on a
    /// session does it himself, or may have set aside what his restore puts back if it fails.
    async fn forget_terminals_before(&self, sessions: &[Session]) {
        for session in sessions.iter().filter(|session| session.phase == Phase::Live) {
            let Some(_exclusive) = self.shared.running.try_exclusive(&session.id) else { continue };
            // The list is older than the right to this session: it may have ended since, and be restored.
            match self.shared.sessions.session(&session.id).await {
                Ok(Some(session)) if session.phase == Phase::Live => self.forget_terminal_of_live(&session).await,
                Ok(_) => {}
                Err(error) => tracing::error!(session = %session.id, %error, "a session could not be looked at"),
            }
        }
    }

    /// Starts a task for each of these sessions that nobody works on and that is not as it should be.
    fn start_settling(&self, sessions: &[Session]) -> Vec<tokio::task::JoinHandle<()>> {
        let mut tasks = Vec::new();
        for session in sessions.iter().filter(|session| needs_settling(session)) {
            let Some(exclusive) = self.shared.running.try_exclusive(&session.id) else { continue };
            let (application, id) = (self.clone(), session.id.clone());
            tasks.push(self.shared.tasks.spawn(async move { application.settle(id, exclusive).await }));
        }
        tasks
    }

    async fn settle(&self, id: SessionId, exclusive: Exclusive) {
        // The list is older than the right to this session: somebody may have brought it on since.
        let settled = match self.shared.sessions.session(&id).await {
            Ok(Some(session)) if needs_settling(&session) => match session.phase {
                Phase::Provisioning { step } => self.settle_spawn(&session, step).await,
                Phase::Live => self.end_agent(&session).await.map(drop),
                Phase::Terminated { .. } => Ok(()),
            },
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        };
        let Err(error) = settled else { return };
        tracing::error!(session = %id, %error, "a session could not be settled; it is tried again");
        // Holding it keeps the next tick away. A kill gets it at once.
        tokio::select! {
            () = tokio::time::sleep(RETRY_AFTER) => {}
            () = exclusive.interrupted() => {}
            () = self.shared.stop.cancelled() => {}
        }
    }

    async fn settle_spawn(&self, session: &Session, step: Step) -> Result<(), AppError> {
        let cut_off = "the daemon ended while it was being spawned";
        let has_failed = session.facts.spawn_failure.is_some() || session.facts.kill_requested_at.is_some();
        if step != Step::Launched || has_failed {
            return self.undo(&session.id, cut_off, Ended::default()).await;
        }
        match self.probe_one(session, &self.terminal_key(session)).await {
            Some(Liveness::Alive(process)) => {
                self.shared.writer.saw_process(&session.id, process).await?;
                fault::reach(Point::SettleProcessRecorded)?;
                self.go_live(&session.id).await?;
                tracing::info!(session = %session.id, pid = process.pid, "adopted");
                Ok(())
            }
            // A command came and went meanwhile, as it should: the next look records its end.
            Some(Liveness::Dead(exit)) if exit.is_success() && !session.spec.agent_reports => {
                self.go_live(&session.id).await
            }
            Some(Liveness::Dead(exit)) if exit != Exit::Unknown => {
                let failure = self.died_at_once(session, exit).await;
                self.undo(&session.id, &failure.cause, failure.ended).await
            }
            Some(Liveness::Dead(_)) => self.undo(&session.id, cut_off, Ended::default()).await,
            // Unknown is never death: it is looked at again.
            Some(Liveness::Unknown(_)) | None => Ok(()),
        }
    }
}

/// Whether an unattended session in this state has to be brought on. One that waits in line is as it should be.
fn needs_settling(session: &Session) -> bool {
    let facts = &session.facts;
    match session.phase {
        Phase::Provisioning { .. } => {
            facts.queue_ticket.is_none() || facts.kill_requested_at.is_some() || facts.spawn_failure.is_some()
        }
        Phase::Live => facts.kill_requested_at.is_some(),
        Phase::Terminated { .. } => false,
    }
}
