//! Provision: build what a recorded session needs, one recorded step after the other; on failure undo all of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::Application;
use super::error::{AppError, ErrorKind, WORKSPACE_BUSY};
use super::running::Exclusive;
use super::teardown::removal_note;
use super::writer::Ended;
use crate::domain::exit::Exit;
use crate::domain::id::SessionId;
use crate::domain::phase::{EndReason, Phase, Step};
use crate::domain::session::{Restoring, Session};
use crate::fault::{self, Point};
use crate::ports::agent::{AgentCommand, LaunchPlan, LaunchRequest};
use crate::ports::repo::Repository;
use crate::ports::runtime::{Liveness, RuntimeError, TerminalKey, TerminalSize, TerminalSpec};
use crate::ports::workspace::{OnWork, Removal};

/// How often a starting agent is looked at. Its reports wake the watch at once; only its death has to be looked for.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// Why a step failed, with what the agent left.
pub(super) struct StepFailure {
    pub(super) cause: String,
    pub(super) ended: Ended,
}

impl<E: Into<AppError>> From<E> for StepFailure {
    fn from(error: E) -> Self {
        Self { cause: error.into().full(), ended: Ended::default() }
    }
}

impl Application {
    /// Takes a recorded session through its steps. Ends with the session live, over, undone, or, when the daemon stops after
    /// the agent was started, left for the next start to adopt.
    pub(super) async fn provision(&self, id: &SessionId, repository: &Repository, exclusive: Exclusive) {
        let built = tokio::select! {
            built = self.build(id, repository) => built,
            () = exclusive.interrupted() => Err(interrupted("it was killed while it was being spawned")),
            () = self.shared.stop.cancelled() => {
                if self.outlives_a_stop(id).await {
                    tracing::info!(session = %id, "left for the next start");
                    return;
                }
                Err(interrupted("the daemon was stopped while it was being spawned"))
            }
        };
        let settled = match built {
            // Not interrupted: a session is either live or undone, never both.
            Ok(()) => self.go_live(id).await.map(|()| tracing::info!(session = %id, "live")),
            Err(failure) => {
                tracing::warn!(session = %id, cause = %failure.cause, "spawn failed");
                self.undo(id, &failure.cause, failure.ended).await
            }
        };
        if let Err(error) = settled {
            tracing::error!(session = %id, %error, "a spawn could not be settled; it is tried again");
        }
    }

    /// Whether a session that is being built is left as it is when the daemon stops: its agent may run already, or it has
    /// not left the line yet.
    async fn outlives_a_stop(&self, id: &SessionId) -> bool {
        let Ok(Some(session)) = self.shared.sessions.session(id).await else { return false };
        session.phase == Phase::Provisioning { step: Step::Launched } || session.facts.queue_ticket.is_some()
    }

    async fn build(&self, id: &SessionId, repository: &Repository) -> Result<(), StepFailure> {
        fault::reach(Point::SpawnRecorded)?;
        let session = self.shared.writer.advance(id, Step::Workspace).await?;
        fault::reach(Point::SpawnWorkspaceRecorded)?;
        self.make_workspace(&session, repository).await?;
        let session = self.shared.writer.advance(id, Step::Setup).await?;
        fault::reach(Point::SpawnSetupRecorded)?;
        self.set_up(&session, repository).await?;
        let session = self.shared.writer.advance(id, Step::Prepared).await?;
        fault::reach(Point::SpawnPreparedRecorded)?;
        let plan = self.prepare_agent(&session, repository).await?;
        self.set_terminal_aside(&session).await?;
        self.shared.writer.advance(id, Step::Launched).await?;
        fault::reach(Point::SpawnLaunchedRecorded)?;
        self.launch(&session, plan.command).await
    }

    async fn make_workspace(&self, session: &Session, repository: &Repository) -> Result<(), AppError> {
        if session.facts.restoring.is_some() && self.had_workspace_once(session, repository).await? {
            self.reopen_workspace(session, repository).await?;
        } else {
            self.create_workspace(session, repository).await?;
        }
        self.shared.messenger.open(&session.spec.workspace).await?;
        fault::reach(Point::SpawnInboxMade)?;
        Ok(())
    }

    async fn create_workspace(&self, session: &Session, repository: &Repository) -> Result<(), AppError> {
        let request = self.workspace_request(session, repository);
        let checkout = self.shared.workspace.create(&request).await?;
        fault::reach(Point::SpawnWorkspaceMade)?;
        self.shared
            .writer
            .change(&session.id, |session, _| {
                session.facts.base_commit = Some(checkout.base_commit.clone());
                session.facts.resolved_base = Some(checkout.base.clone());
                Ok(Vec::new())
            })
            .await?;
        for note in &checkout.notes {
            self.shared.writer.note(&session.id, note).await?;
        }
        Ok(())
    }

    async fn prepare_agent(&self, session: &Session, repository: &Repository) -> Result<LaunchPlan, AppError> {
        let session_dir = self.shared.session_dirs.make(&session.id).await?;
        fault::reach(Point::SpawnSessionDirMade)?;
        let request = LaunchRequest {
            session: session.id.clone(),
            kind: session.spec.kind,
            session_dir,
            workspace: session.spec.workspace.clone(),
            repository: repository.path.clone(),
            prompt: session.spec.prompt.clone(),
            system_prompt: self.system_prompt(session).await?,
            permission_mode: session.spec.permission_mode,
            args: session.spec.agent_args.clone(),
            ao_program: self.shared.settings.ao_program.clone(),
            data_dir: self.shared.settings.data_dir.root().to_owned(),
        };
        let agent = self.agent(&session.spec.agent)?;
        let plan = match &session.facts.agent_session_id {
            Some(conversation) if session.facts.restoring.is_some() => {
                agent.prepare_resume(&request, conversation).await?
            }
            _ => agent.prepare(&request).await?,
        };
        let began_before = |before: &Restoring| before.facts.launched_at.is_some();
        if session.facts.restoring.as_deref().is_some_and(began_before) && session.facts.agent_session_id.is_none() {
            let note = format!("restored: {} knows no conversations, so it began its task again", agent.kind());
            self.shared.writer.note(&session.id, &note).await?;
        }
        fault::reach(Point::SpawnAgentPrepared)?;
        self.shared
            .writer
            .change(&session.id, |session, _| {
                session.facts.agent_session_id.clone_from(&plan.agent_session_id);
                session.facts.resumed = plan.resumes;
                Ok(Vec::new())
            })
            .await?;
        for note in &plan.notes {
            self.shared.writer.note(&session.id, note).await?;
        }
        Ok(plan)
    }

    async fn launch(&self, session: &Session, command: AgentCommand) -> Result<(), StepFailure> {
        let spec = TerminalSpec {
            key: self.terminal_key(session),
            command,
            base_env: self.agent_env(session),
            cwd: session.spec.workspace.clone(),
            size: TerminalSize::default(),
            confinement: self.shared.settings.confinement.clone(),
        };
        let runtime = self.runtime(&session.spec.runtime)?;
        let process = runtime.create(&spec).await.map_err(|error| match error {
            RuntimeError::CannotCreate { exit, ref output_tail, .. } => StepFailure {
                ended: Ended { exit, output_tail: Some(output_tail.clone()).filter(|tail| !tail.is_empty()) },
                cause: AppError::from(error).full(),
            },
            error => error.into(),
        })?;
        fault::reach(Point::SpawnTerminalMade)?;
        self.shared.writer.saw_process(&session.id, process).await?;
        self.note_remarks(session).await?;
        fault::reach(Point::SpawnProcessRecorded)?;
        let watched = self.watch_start(session, &spec.key).await;
        fault::reach(Point::SpawnWatched)?;
        match watched {
            Some(exit) if session.spec.agent_reports || !exit.is_success() => {
                Err(self.died_at_once(session, exit).await)
            }
            _ => Ok(()),
        }
    }

    /// Watches a starting agent until it reports, dies, or its time is up. Gives its exit when it died.
    async fn watch_start(&self, session: &Session, key: &TerminalKey) -> Option<Exit> {
        let settings = &self.shared.settings;
        let bound = if session.spec.agent_reports { settings.start_watch } else { settings.settle };
        let watch = async {
            loop {
                let seq = self.shared.changes.last_seq().await.unwrap_or(0);
                if self.has_reported(&session.id).await {
                    return None;
                }
                if let Some(Liveness::Dead(exit)) = self.probe_one(session, key).await {
                    return Some(exit);
                }
                let _ = tokio::time::timeout(WATCH_INTERVAL, self.shared.changes.wait_beyond(seq)).await;
            }
        };
        tokio::time::timeout(bound, watch).await.unwrap_or(None)
    }

    async fn has_reported(&self, id: &SessionId) -> bool {
        let session = self.shared.sessions.session(id).await;
        session.is_ok_and(|session| session.is_some_and(|session| session.facts.first_report_at.is_some()))
    }

    pub(super) async fn probe_one(&self, session: &Session, key: &TerminalKey) -> Option<Liveness> {
        let runtime = self.runtime(&session.spec.runtime).ok()?;
        runtime.probe(std::slice::from_ref(key)).await.remove(&key.session)
    }

    pub(super) async fn died_at_once(&self, session: &Session, exit: Exit) -> StepFailure {
        let output_tail = self.output_tail(session).await;
        let error = AppError::new(
            ErrorKind::Failed,
            "agent_exited",
            format!("{} {exit} right after its start", session.spec.agent),
        );
        StepFailure { cause: error.full(), ended: Ended { exit: Some(exit), output_tail } }
    }

    /// Records why a spawn failed, undoes what it built, and records that. Work that the agent left keeps its workspace.
    /// Nothing happens to a session that is not being provisioned.
    pub(super) async fn undo(&self, id: &SessionId, cause: &str, mut ended: Ended) -> Result<(), AppError> {
        let Some(session) = self.shared.sessions.session(id).await? else { return Ok(()) };
        if !matches!(session.phase, Phase::Provisioning { .. }) {
            return Ok(());
        }
        if ended.output_tail.is_none() {
            ended.output_tail = self.output_tail(&session).await;
        }
        let session = self.shared.writer.spawn_failed(id, cause, &ended).await?;
        fault::reach(Point::UndoCauseRecorded)?;
        self.end_setup(&session).await?;
        let exit = self.stop_terminal(&session).await?;
        fault::reach(Point::UndoTerminalStopped)?;
        ended.exit = ended.exit.or(exit);
        if let Some(before) = &session.facts.restoring {
            return self.undo_restore(&session, before).await;
        }
        self.undo_workspace(&session, on_work_of_undo(&session)).await?;
        fault::reach(Point::UndoWorkspaceSettled)?;
        if let Err(error) = self.shared.session_dirs.remove_but(id, &self.shared.setup.logs()).await {
            self.shared.writer.note(id, &error.to_string()).await?;
        }
        fault::reach(Point::UndoSessionDirRemoved)?;
        self.shared.writer.undone(id, &ended).await?;
        Ok(())
    }

    /// Takes back what a restore built: the workspace and its branch, if they had been gone, and the terminal. What was put back into the workspace is held
    /// as before, whatever the agent did to it, and what the agent wrote is saved on top. Killed in
    /// the middle of it, the session is over as it was, and its workspace goes as with the kill of any that is over.
    async fn undo_restore(&self, session: &Session, before: &Restoring) -> Result<(), AppError> {
        // Before step `workspace` nothing was made, whatever is there by now.
        let has_made = session.phase != (Phase::Provisioning { step: Step::Recorded }) && !before.had_workspace;
        let left = if has_made {
            self.undo_workspace(session, OnWork::PreserveAll).await?
        } else if session.facts.kill_requested_at.is_some() {
            self.undo_workspace(session, on_work_of_kill(session)).await?
        } else {
            None
        };
        fault::reach(Point::RestoreWorkspaceUndone)?;
        self.put_terminal_back(session).await?;
        if matches!(before.reason, EndReason::SpawnFailed { .. }) {
            // Of a failed spawn no more is left.
            self.shared.session_dirs.remove_but(&session.id, &self.shared.setup.logs()).await?;
        }
        self.shared.writer.restore_undone(&session.id, left.as_deref()).await?;
        fault::reach(Point::RestoreUndone)?;
        Ok(())
    }

    /// The agent is gone, which is what a person must be able to rely on; what else fails is said, and a kill tries again. Gives
    /// what is on record about a workspace that is left.
    async fn undo_workspace(&self, session: &Session, on_work: OnWork) -> Result<Option<String>, AppError> {
        match self.take_workspace_away(session, on_work).await {
            Err(error) if error.code == WORKSPACE_BUSY => Err(error),
            Err(error) => {
                let note = format!("its workspace could not be removed: {}", error.full());
                self.shared.writer.note(&session.id, &note).await?;
                Ok(Some(note))
            }
            Ok(removal @ Removal::Kept { .. }) => Ok(removal_note(session, &removal)),
            Ok(_) => Ok(None),
        }
    }

    pub(super) fn agent_env(&self, session: &Session) -> BTreeMap<String, String> {
        let settings = &self.shared.settings;
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut env = settings.agent_env.clone();
        env.extend(session.spec.setup.iter().flat_map(|setup| setup.env.clone()));
        env.insert("AO_SESSION_ID".to_owned(), session.id.to_string());
        env.insert("AO_PROJECT_ID".to_owned(), session.id.project().to_string());
        env.insert("AO_DATA_DIR".to_owned(), text(settings.data_dir.root().to_owned()));
        env.insert("AO_PROGRAM".to_owned(), text(settings.ao_program.clone()));
        match &session.spec.issue {
            Some(issue) => env.insert("AO_ISSUE_ID".to_owned(), issue.clone()),
            None => env.remove("AO_ISSUE_ID"),
        };
        env
    }

    pub(super) fn terminal_key(&self, session: &Session) -> TerminalKey {
        TerminalKey {
            session: session.id.clone(),
            session_dir: self.shared.session_dirs.path(&session.id),
            agent: session.facts.process,
        }
    }
}

/// What becomes of work in the workspace of a session that is to end.
pub(super) fn on_work_of_kill(session: &Session) -> OnWork {
    if session.facts.kill_preserves { OnWork::Preserve } else { OnWork::Keep }
}

/// What becomes of work in the workspace of a spawn that is undone. Before an agent ran, only the project's own setup can have
/// written there, and that must not keep the workspace of a session that never was: it is saved, in case it is wanted after
/// all.
fn on_work_of_undo(session: &Session) -> OnWork {
    let never_ran = matches!(session.phase, Phase::Provisioning { step: Step::Setup | Step::Prepared });
    if never_ran { OnWork::Preserve } else { on_work_of_kill(session) }
}

fn interrupted(cause: &str) -> StepFailure {
    StepFailure { cause: cause.to_owned(), ended: Ended::default() }
}
