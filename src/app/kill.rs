//! Kill: end a session's agent, and take its workspace away where that loses nothing.

use std::pin::pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Application;
use super::error::AppError;
use super::provision::on_work_of_kill;
use super::writer::{Ended, Ending, unknown_session};
use crate::domain::id::SessionId;
use crate::domain::phase::{EndReason, Phase};
use crate::domain::session::Session;
use crate::fault::{self, Point};
use crate::ports::runtime::Liveness;
use crate::ports::workspace::{OnWork, Removal};

/// How often a kill that waits for its turn asks whoever has it to stop.
const REQUEST_INTERVAL: Duration = Duration::from_millis(100);

/// What a kill did.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Killed {
    /// The session, now over.
    pub session: Session,
    /// What became of its workspace.
    pub workspace: WorkspaceFate,
}

/// What became of a killed session's workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkspaceFate {
    /// What the remover said.
    Settled(Removal),
    /// It could not be settled; the agent is dead all the same, and killing again tries again.
    Unsettled {
        /// Why.
        cause: String,
    },
}

impl Application {
    /// Ends a session. Idempotent: on one that is over it only looks whether its workspace can go. A spawn under way is
    /// interrupted and undone. `on_work` says what becomes of a workspace that holds uncommitted work.
    ///
    /// # Errors
    /// `unknown_session`; `runtime_failed` when the agent could not be ended.
    pub async fn kill(&self, id: &SessionId, on_work: OnWork) -> Result<Killed, AppError> {
        let (application, id) = (self.clone(), id.clone());
        self.to_its_end("a kill", async move { application.kill_now(&id, on_work).await }).await
    }

    async fn kill_now(&self, id: &SessionId, on_work: OnWork) -> Result<Killed, AppError> {
        let request = || self.shared.writer.request_kill(id, on_work == OnWork::Preserve);
        request().await?;
        fault::reach(Point::KillRequested)?;
        let mut exclusive = pin!(self.shared.running.exclusive(id));
        let _exclusive = loop {
            self.shared.running.interrupt(id);
            match tokio::time::timeout(REQUEST_INTERVAL, exclusive.as_mut()).await {
                Ok(exclusive) => break exclusive,
                // Others may have waited longer: a restore among them forgets, as it begins, what was requested before it.
                Err(_elapsed) => request().await?,
            };
        };
        let session = request().await?;
        let workspace = match session.phase {
            Phase::Live => self.end_agent(&session).await?,
            // Cut off by an earlier daemon, and nobody has settled it yet.
            Phase::Provisioning { .. } => {
                self.undo(id, "it was killed", Ended::default()).await?;
                self.settle_workspace(&session, on_work).await?
            }
            Phase::Terminated { .. } => self.settle_workspace(&session, on_work).await?,
        };
        let session = self.shared.sessions.session(id).await?.ok_or_else(|| unknown_session(id))?;
        Ok(Killed { session, workspace })
    }

    /// Ends a live session, its workspace included; the caller holds it. The end is recorded last: until then the kill is on
    /// record as wanted, and after a crash anywhere between it is finished.
    pub(super) async fn end_agent(&self, session: &Session) -> Result<WorkspaceFate, AppError> {
        let output_tail = self.output_tail(session).await;
        let mut exit = self.stop_terminal(session).await?;
        fault::reach(Point::KillTerminalStopped)?;
        if exit.is_none()
            && let Some(Liveness::Dead(ended)) = self.probe_one(session, &self.terminal_key(session)).await
        {
            exit = Some(ended);
        }
        let ended = Ended { exit, output_tail: output_tail.clone() };
        self.shared.writer.agent_ended(&session.id, &ended).await?;
        let workspace = self.settle_workspace(session, on_work_of_kill(session)).await?;
        fault::reach(Point::KillWorkspaceSettled)?;
        let ending = Ending { reason: EndReason::Killed, exit, output_tail };
        self.shared.writer.end(&session.id, &ending).await?;
        tracing::info!(session = %session.id, "killed");
        fault::reach(Point::KillEndRecorded)?;
        Ok(workspace)
    }

    async fn settle_workspace(&self, session: &Session, on_work: OnWork) -> Result<WorkspaceFate, AppError> {
        match self.take_workspace_away(session, on_work).await {
            Ok(removal) => Ok(WorkspaceFate::Settled(removal)),
            Err(error) => {
                self.note_unsettled(&session.id, &error).await?;
                Ok(WorkspaceFate::Unsettled { cause: error.full() })
            }
        }
    }

    async fn note_unsettled(&self, id: &SessionId, error: &AppError) -> Result<(), AppError> {
        tracing::warn!(session = %id, %error, "a killed session's workspace could not be taken away");
        let note = format!("its workspace could not be removed: {}; ao kill {id} tries again", error.message);
        self.shared.writer.note(id, &note).await.map(drop)
    }
}
