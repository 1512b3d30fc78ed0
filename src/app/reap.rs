//! Reap: notice agents that ended, whatever they last said. One batched probe for each runtime.

use std::collections::BTreeMap;

use super::Application;
use super::error::AppError;
use super::running::Exclusive;
use super::writer::Ending;
use crate::domain::exit::Exit;
use crate::domain::id::RuntimeKind;
use crate::domain::phase::{EndReason, Phase};
use crate::domain::session::Session;
use crate::fault::{self, Point};
use crate::ports::runtime::{Liveness, TerminalKey};
use crate::ports::store::SessionFilter;

impl Application {
    /// Looks at every live session once, and ends those whose agent was seen dead. What could not be found out changes
    /// nothing.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn reap(&self) -> Result<(), AppError> {
        self.look().await.map(drop)
    }

    /// As [`reap`](Self::reap); gives the sessions that were not over when it began, for who goes on with them: reading all of
    /// them, their prompts too, is what a look costs.
    pub(super) async fn look(&self) -> Result<Vec<Session>, AppError> {
        let watched = self.watched();
        let sessions = self.shared.sessions.sessions(&SessionFilter::default()).await?;
        let mut live: Vec<&Session> = sessions.iter().filter(|session| session.phase == Phase::Live).collect();
        let mut by_runtime: BTreeMap<&RuntimeKind, Vec<&Session>> = BTreeMap::new();
        for session in live.iter().copied() {
            by_runtime.entry(&session.spec.runtime).or_default().push(session);
        }
        for (kind, sessions) in by_runtime {
            let Ok(runtime) = self.runtime(kind) else {
                tracing::warn!(runtime = %kind, "sessions of a runtime that this ao does not have stay as they are");
                continue;
            };
            let keys: Vec<TerminalKey> = sessions.iter().map(|session| self.terminal_key(session)).collect();
            let mut answers = runtime.probe(&keys).await;
            for session in sessions {
                let Some(answer) = answers.remove(&session.id) else { continue };
                // One that cannot be recorded keeps nobody from the others: the next look tries again.
                if let Err(error) = self.take_in(session, answer).await {
                    tracing::error!(session = %session.id, %error, "what was seen of an agent could not be recorded");
                }
            }
        }
        // Last: a watch of an agent that is dead already would take the session away from this look, which could not say then that
        // what ended is on record. One that is to be killed belongs to who settles it: a watch would take it away each time.
        live.retain(|session| session.facts.kill_requested_at.is_none());
        self.watch_only(&live, &watched);
        Ok(sessions)
    }

    async fn take_in(&self, session: &Session, seen: Liveness) -> Result<(), AppError> {
        match seen {
            Liveness::Dead(exit) => {
                // Somebody builds, kills or looks at it: it is theirs to record.
                if let Some(exclusive) = self.shared.running.try_exclusive(&session.id) {
                    self.bury(session, exit, &exclusive).await?;
                }
            }
            Liveness::Alive(process) if session.facts.process != Some(process) => {
                self.shared.writer.saw_process(&session.id, process).await?;
            }
            Liveness::Unknown(why) => tracing::debug!(session = %session.id, why, "unknown"),
            Liveness::Alive(_) => {}
        }
        Ok(())
    }

    /// Records the end of a live session whose agent was seen dead; the caller holds it.
    pub(super) async fn bury(&self, session: &Session, exit: Exit, _held: &Exclusive) -> Result<(), AppError> {
        let current = self.shared.sessions.session(&session.id).await?;
        // A kill that was cut off is finished as a whole, workspace and all, by whoever settles it.
        if current.is_none_or(|session| session.phase != Phase::Live || session.facts.kill_requested_at.is_some()) {
            return Ok(());
        }
        let output_tail = self.output_tail(session).await;
        let stopped = self.stop_terminal(session).await.unwrap_or_else(|error| {
            tracing::warn!(session = %session.id, %error, "what is left of an ended agent's terminal could not be removed");
            None
        });
        // A supervisor that was slow, and not hanging, recorded the exit meanwhile.
        let exit = if exit == Exit::Unknown { stopped.unwrap_or(exit) } else { exit };
        fault::reach(Point::ReapTerminalStopped)?;
        let reason = if exit == Exit::Unknown { EndReason::Lost } else { EndReason::Exited(exit) };
        tracing::info!(session = %session.id, %reason, "ended");
        self.shared.writer.end(&session.id, &Ending { reason, exit: Some(exit), output_tail }).await?;
        fault::reach(Point::ReapEndRecorded)?;
        Ok(())
    }
}
