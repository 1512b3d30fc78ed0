//! A project's own commands: setup before the agent starts, teardown before the workspace goes. What they are was recorded
//! with the session, as it was accepted then.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Application;
use super::error::{AppError, ErrorKind};
use crate::domain::change::{ChangeKind, NewChange};
use crate::domain::id::SessionId;
use crate::domain::phase::{Phase, Step};
use crate::domain::session::Session;
use crate::domain::setup::ProjectSetup;
use crate::fault::{self, Point};
use crate::ports::repo::Repository;
use crate::ports::setup::{SetupCommand, Stage};
use crate::ports::workspace::{OnWork, Removal, WorkspaceError, WorkspaceRef};

/// What a person should know whose restore failed in its setup.
const AS_SPAWNED: &str =
    "a restore runs the commands that ao.toml had at the spawn: mend what they need, or spawn anew";

impl Application {
    /// Brings the files of a session's project into its workspace and runs its setup there; success when there is none. A
    /// workspace that a restore found is set up again only if its setup never ended well, or was torn down since.
    pub(super) async fn set_up(&self, session: &Session, repository: &Repository) -> Result<(), AppError> {
        let Some(setup) = &session.spec.setup else { return Ok(()) };
        let runner = &self.shared.setup;
        let directory = self.shared.session_dirs.make(&session.id).await?;
        let was_there = session.facts.restoring.as_ref().is_some_and(|before| before.had_workspace);
        if was_there && runner.finished(&directory).await? == Some(Stage::Setup) {
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_secs(setup.timeout_s);
        // What an earlier stage left running must not meet the files that are brought.
        runner.begin(&directory, Stage::Setup).await?;
        fault::reach(Point::SetupBegun)?;
        if !(setup.copy.is_empty() && setup.link.is_empty()) {
            let bring = self.shared.workspace.bring(&session.spec.workspace, repository, &setup.copy, &setup.link);
            // What is dropped stops before the next file.
            let notes = tokio::time::timeout_at(deadline, bring).await.map_err(|_elapsed| bringing_timed_out())??;
            for note in notes {
                self.shared.writer.note(&session.id, &note).await?;
            }
        }
        fault::reach(Point::SetupFilesBrought)?;
        for command in &setup.setup {
            let done = self.run_command(session, &directory, Stage::Setup, command, deadline).await;
            done.map_err(|error| if session.facts.restoring.is_some() { error.hint(AS_SPAWNED) } else { error })?;
        }
        runner.finish(&directory, Stage::Setup).await?;
        Ok(fault::reach(Point::SetupFinished)?)
    }

    /// Runs the teardown of a session's project, if its workspace is to be removed and really would be; the caller holds the
    /// session. It runs once for a workspace, unless it is cut off: what that left running ends first, whether the workspace
    /// goes or stays. That it fails is said, and nothing more: the workspace goes all the same.
    ///
    /// # Errors
    /// When something may still be writing in the workspace, when it cannot be found out whether it would go, or the store fails.
    pub(super) async fn tear_down(
        &self,
        session: &Session,
        workspace: &WorkspaceRef,
        on_work: OnWork,
    ) -> Result<(), AppError> {
        let Some(setup) = session.spec.setup.as_ref().filter(|setup| !setup.teardown.is_empty()) else { return Ok(()) };
        let not_begun = matches!(session.phase, Phase::Provisioning { step: Step::Recorded | Step::Workspace });
        if not_begun && session.facts.restoring.is_none() {
            return Ok(());
        }
        self.shared.setup.end(&self.shared.session_dirs.path(&session.id)).await?;
        fault::reach(Point::TeardownStraysEnded)?;
        match self.shared.workspace.assess(workspace, on_work).await {
            Ok(Removal::Removed { .. }) => {}
            // What is still being made was never set up.
            Ok(_) | Err(WorkspaceError::Busy { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let problems = match self.try_tear_down(session, setup).await {
            Ok(problems) => problems,
            Err(error) => vec![error.full()],
        };
        for problem in problems {
            tracing::warn!(session = %session.id, problem, "a project's teardown failed");
            self.shared.writer.note(&session.id, &format!("teardown: {problem}")).await?;
        }
        Ok(())
    }

    async fn try_tear_down(&self, session: &Session, setup: &ProjectSetup) -> Result<Vec<String>, AppError> {
        let runner = &self.shared.setup;
        let directory = self.shared.session_dirs.make(&session.id).await?;
        if runner.finished(&directory).await? == Some(Stage::Teardown) {
            return Ok(Vec::new());
        }
        runner.begin(&directory, Stage::Teardown).await?;
        fault::reach(Point::TeardownBegun)?;
        let deadline = Instant::now() + Duration::from_secs(setup.teardown_timeout_s);
        let mut problems = Vec::new();
        for command in &setup.teardown {
            if let Err(error) = self.run_command(session, &directory, Stage::Teardown, command, deadline).await {
                problems.push(error.full());
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        runner.finish(&directory, Stage::Teardown).await?;
        fault::reach(Point::TeardownFinished)?;
        Ok(problems)
    }

    async fn run_command(
        &self,
        session: &Session,
        directory: &Path,
        stage: Stage,
        command: &str,
        deadline: Instant,
    ) -> Result<(), AppError> {
        tracing::info!(session = %session.id, %stage, command, "runs a project's command");
        let begins = NewChange::new(ChangeKind::SessionSetup, json!({ "stage": stage, "command": command }));
        self.shared.writer.tell(&session.id, &begins).await?;
        fault::reach(Point::SetupCommandAnnounced)?;
        let command = SetupCommand {
            stage,
            command: command.to_owned(),
            session_dir: directory.to_owned(),
            workspace: session.spec.workspace.clone(),
            env: self.agent_env(session),
            timeout: deadline.saturating_duration_since(Instant::now()),
        };
        self.shared.setup.run(&command).await?;
        Ok(fault::reach(Point::SetupCommandSettled)?)
    }

    /// Ends what a setup that was cut off left running. Success when the record allows for none.
    pub(super) async fn end_setup(&self, session: &Session) -> Result<(), AppError> {
        if !is_setting_up(session) || session.spec.setup.is_none() {
            return Ok(());
        }
        Ok(self.shared.setup.end(&self.shared.session_dirs.path(&session.id)).await?)
    }

    /// Ends what teardowns left running that were cut off with an earlier daemon, of sessions that are over and wait for nothing. Of one
    /// that does (a spawn, a kill), it is ended when that is settled.
    ///
    /// # Errors
    /// When they cannot be found; one that cannot be ended is told in the log.
    pub(super) async fn end_stray_teardowns(&self) -> Result<(), AppError> {
        let there = self.shared.session_dirs.list().await?;
        let there: Vec<_> = there.iter().map(|found| self.shared.session_dirs.path(&found.session)).collect();
        for directory in self.shared.setup.running(&there).await? {
            let session = directory.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            // Another data directory's are another daemon's.
            let Some(id) = session.filter(|id| self.shared.session_dirs.path(id) == directory) else { continue };
            let Some(_exclusive) = self.shared.running.try_exclusive(&id) else { continue };
            if self.shared.sessions.session(&id).await?.is_some_and(|session| !session.phase.is_terminated()) {
                continue;
            }
            if let Err(error) = self.shared.setup.end(&directory).await {
                tracing::warn!(session = %id, %error, "what a teardown left running could not be ended");
            }
        }
        Ok(())
    }

    /// The last lines of what a stage's commands printed; empty when there is nothing.
    ///
    /// # Errors
    /// `unknown_session`, or when it cannot be read.
    pub async fn setup_output(&self, id: &SessionId, stage: Stage, lines: usize) -> Result<String, AppError> {
        self.session(id).await?;
        let directory = self.shared.session_dirs.path(id);
        Ok(self.shared.setup.output(&directory, stage, lines).await?.unwrap_or_default())
    }

    /// The end of what the setup under way printed; `None` when there is nothing.
    pub(super) async fn setup_tail(&self, session: &Session, lines: usize) -> Option<String> {
        if !is_setting_up(session) {
            return None;
        }
        let output = self.setup_output(&session.id, Stage::Setup, lines).await.ok()?;
        (!output.is_empty()).then_some(output)
    }
}

fn bringing_timed_out() -> AppError {
    let message = "the files of copy and link in ao.toml were not brought in time";
    AppError::new(ErrorKind::Failed, "setup_timed_out", message)
        .hint("setup_timeout_s in ao.toml says how long it may take, with the commands")
}

fn is_setting_up(session: &Session) -> bool {
    matches!(session.phase, Phase::Provisioning { step: Step::Setup })
}
