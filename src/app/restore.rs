//! Restore: build an ended session again, in its workspace and with its agent's conversation. A restore that fails leaves the
//! session as it was.

use serde::{Deserialize, Serialize};

use super::Application;
use super::error::{AppError, ErrorKind};
use super::writer::unknown_session;
use crate::domain::exit::Exit;
use crate::domain::id::SessionId;
use crate::domain::phase::{EndReason, Phase};
use crate::domain::session::Session;
use crate::fault::{self, Point};
use crate::ports::repo::Repository;
use crate::ports::runtime::Liveness;
use crate::ports::store::SessionFilter;
use crate::ports::workspace::{OnWork, ReopenRequest, ToMake};

/// The signals that end agents from outside: a hang-up, an interrupt, a kill, a shutdown.
const FROM_OUTSIDE: [i32; 4] = [1, 2, 9, 15];

/// One session of several that were to be restored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RestoreAttempt {
    /// The session.
    pub session: SessionId,
    /// Why it could not even be begun; `None` when it is under way.
    pub refusal: Option<RestoreRefusal>,
}

/// Why a restore was not begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RestoreRefusal {
    /// A stable code, for programs.
    pub code: String,
    /// What was attempted and why it was refused.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Whether it is the state that does not allow it, and not something that is broken.
    pub by_state: bool,
}

impl From<AppError> for RestoreRefusal {
    fn from(error: AppError) -> Self {
        let by_state = error.kind == ErrorKind::Refused;
        Self { code: error.code.to_owned(), message: error.message, hint: error.hint, by_state }
    }
}

impl Application {
    /// Checks that an ended session can be built again, records that, and builds it in the background: in its workspace,
    /// which is made again from its branch and its preserved work where it is gone, with the permission mode and the
    /// arguments it had, and with its agent's conversation where there is one. Where no place is free, it waits in line if it
    /// may.
    ///
    /// # Errors
    /// `unknown_session`; `not_over`; `agent_not_dead`; `limit_reached`; or what is missing or refuses. The session is as it was then.
    pub async fn restore(&self, id: &SessionId, may_wait: bool) -> Result<Session, AppError> {
        if self.shared.stop.is_cancelled() {
            let message = "the daemon is stopping: nothing is restored";
            return Err(AppError::new(ErrorKind::Refused, "stopping", message)
                .hint("once it has stopped, the same command starts a new one"));
        }
        let (application, id) = (self.clone(), id.clone());
        self.to_its_end("a restore", async move { application.restore_now(&id, may_wait).await }).await
    }

    async fn restore_now(&self, id: &SessionId, may_wait: bool) -> Result<Session, AppError> {
        let exclusive = self.shared.running.exclusive(id).await;
        let session = self.shared.sessions.session(id).await?.ok_or_else(|| unknown_session(id))?;
        if !session.phase.is_terminated() {
            let message = format!("{id} is not over, so there is nothing to restore");
            return Err(AppError::new(ErrorKind::Refused, "not_over", message).hint(format!("see: ao show {id}")));
        }
        let repository = self.shared.repos.resolve(&id.project()).await?;
        self.agent(&session.spec.agent)?.preflight(&session.spec.agent_args).await?;
        self.runtime(&session.spec.runtime)?.preflight().await?;
        self.shared.workspace.check_tools().await?;
        if session.spec.setup.is_some() {
            // A teardown that was cut off would go on in what is restored.
            self.shared.setup.end(&self.shared.session_dirs.path(id)).await?;
        }
        // What cannot be told of its workspace would refuse later.
        self.shared.workspace.assess(&self.workspace_ref(&session).await?, OnWork::Keep).await?;
        self.refuse_unless_dead(&session).await?;
        // What its last agent reported late must not pass for a report of the next one.
        self.drain_spool().await?;
        // Of a restore that went well, and whose daemon was killed then: older than what this one is to put back if it fails.
        self.forget_terminal_before(&session).await?;
        let begin = async move |admitted| self.shared.writer.begin_restore(id, admitted).await;
        let session = self.admit(may_wait, begin).await?;
        fault::reach(Point::RestoreBegun)?;
        let ticket = session.facts.queue_ticket;
        tracing::info!(session = %id, ticket, "restoring");
        if ticket.is_none() {
            let (application, id) = (self.clone(), id.clone());
            self.shared.tasks.spawn(async move { application.provision(&id, &repository, exclusive).await });
        }
        Ok(session)
    }

    /// Begins to restore every session whose agent did not end by itself: those that were lost, and those that something
    /// other than ao ended by a signal, as a shutdown does. Those that somebody killed, before or after, stay over.
    ///
    /// # Errors
    /// The store's failure. What refuses one session is told for that one.
    pub async fn restore_all(&self, may_wait: bool) -> Result<Vec<RestoreAttempt>, AppError> {
        // What died a moment ago may not be on record as dead yet.
        self.reap().await?;
        let all = SessionFilter { project: None, include_terminated: true, ..SessionFilter::default() };
        let mut attempts = Vec::new();
        for session in self.shared.sessions.sessions(&all).await?.iter().filter(|session| was_cut_short(session)) {
            let refusal = self.restore(&session.id, may_wait).await.err().map(RestoreRefusal::from);
            attempts.push(RestoreAttempt { session: session.id.clone(), refusal });
        }
        Ok(attempts)
    }

    /// Refuses what has a terminal that could not be set aside: its agent may run, or what it left cannot be told.
    async fn refuse_unless_dead(&self, session: &Session) -> Result<(), AppError> {
        let id = &session.id;
        let (cause, hint) = match self.probe_one(session, &self.terminal_key(session)).await {
            Some(Liveness::Dead(_)) => return Ok(()),
            Some(Liveness::Alive(agent)) => (
                format!("its last agent still runs, as process {}", agent.pid),
                format!("end that process, then: ao restore {id}"),
            ),
            unknown => {
                let why = match unknown {
                    Some(Liveness::Unknown(why)) => format!(": {why}"),
                    _ => String::new(),
                };
                let directory = self.shared.session_dirs.path(id);
                (
                    format!("whether its last agent still runs is not known{why}"),
                    format!(
                        "try again; if it stays so, see that nothing of it runs and remove what its terminal left in {}",
                        directory.display()
                    ),
                )
            }
        };
        let message = format!("{id} cannot be restored: {cause}");
        Err(AppError::new(ErrorKind::Refused, "agent_not_dead", message).hint(hint))
    }

    /// Keeps what the last agent's terminal left of a session that is built again, for the case that it fails.
    pub(super) async fn set_terminal_aside(&self, session: &Session) -> Result<(), AppError> {
        if session.facts.restoring.is_none() {
            return Ok(());
        }
        self.runtime(&session.spec.runtime)?.set_aside(&self.terminal_key(session)).await?;
        Ok(fault::reach(Point::RestoreTerminalSetAside)?)
    }

    /// Gives a session whose restore failed its last agent's terminal back; the new one was stopped.
    pub(super) async fn put_terminal_back(&self, session: &Session) -> Result<(), AppError> {
        self.runtime(&session.spec.runtime)?.put_back(&self.terminal_key(session)).await?;
        Ok(fault::reach(Point::RestoreTerminalPutBack)?)
    }

    /// Lets go of what a restore had set aside: the session is live, or its next restore begins.
    pub(super) async fn forget_terminal_before(&self, session: &Session) -> Result<(), AppError> {
        Ok(self.runtime(&session.spec.runtime)?.forget_aside(&self.terminal_key(session)).await?)
    }

    /// Whether there is a workspace to be reopened. A session that was killed in line, or before its workspace was made, never had one: it is
    /// made as for a spawn.
    pub(super) async fn had_workspace_once(
        &self,
        session: &Session,
        repository: &Repository,
    ) -> Result<bool, AppError> {
        let workspace = &self.shared.workspace;
        // What was made when that was not on record yet was undone, as far as it could be.
        // Saved work is of one: of a restore that failed, where there was none before.
        let had_one = session.facts.preserved.is_some()
            || session.facts.base_commit.is_some()
            || workspace.has_branch_of(&reopening(session, repository)).await?
            // Of what never was there is nothing to say how it would be made.
            || workspace.to_make(&reopening(session, repository)).await.is_ok_and(|to_make| !to_make.workspace);
        if !had_one {
            let to_make = ToMake { workspace: true, branch: Some(session.spec.branch.clone()) };
            self.record_what_is_made(session, &to_make).await?;
        }
        Ok(had_one)
    }

    /// Makes an ended session's workspace usable again. What has to be made for that is on record before it is begun: whatever
    /// of it is there then is the restore's, which is to be set up, and to go again if the restore fails. What was there is not.
    pub(super) async fn reopen_workspace(&self, session: &Session, repository: &Repository) -> Result<(), AppError> {
        let request = reopening(session, repository);
        let to_make = self.shared.workspace.to_make(&request).await?;
        self.record_what_is_made(session, &to_make).await?;
        let reopened = self.shared.workspace.reopen(&request).await?;
        if reopened.made != to_make.workspace {
            // It went, or came back, between the look and that, by somebody's hand.
            self.record_what_is_made(session, &ToMake { workspace: reopened.made, ..to_make }).await?;
        }
        fault::reach(Point::RestoreWorkspaceReopened)?;
        let other = reopened.branch.filter(|branch| *branch != session.spec.branch);
        let other = other.map(|branch| format!("it is on branch {branch}, not on {}", session.spec.branch));
        for note in reopened.notes.iter().chain(&other) {
            self.shared.writer.note(&session.id, note).await?;
        }
        Ok(())
    }

    async fn record_what_is_made(&self, session: &Session, to_make: &ToMake) -> Result<(), AppError> {
        let record = self.shared.writer.change(&session.id, |session, _| {
            if let Some(before) = &mut session.facts.restoring {
                before.had_workspace = !to_make.workspace;
                before.made_branch.clone_from(&to_make.branch);
            }
            Ok(Vec::new())
        });
        record.await.map(drop)
    }
}

fn reopening(session: &Session, repository: &Repository) -> ReopenRequest {
    ReopenRequest {
        session: session.id.clone(),
        repository: repository.clone(),
        path: session.spec.workspace.clone(),
        branch: session.spec.branch.clone(),
        base_commit: session.facts.base_commit.clone(),
        preserved: session.facts.preserved.clone(),
    }
}

/// Whether its agent was ended by something that was not ao and not itself, and nobody gave it up since.
fn was_cut_short(session: &Session) -> bool {
    match session.phase {
        _ if session.facts.kill_requested_at.is_some() => false,
        Phase::Terminated { reason: EndReason::Lost } => true,
        Phase::Terminated { reason: EndReason::Exited(Exit::Signal(signal)) } => FROM_OUTSIDE.contains(&signal),
        // What catches the signal ends with the code that a shell would give.
        Phase::Terminated { reason: EndReason::Exited(Exit::Code(code)) } => FROM_OUTSIDE.contains(&(code - 128)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::session::tests::{at, session};

    #[test]
    fn what_a_shutdown_ended_is_restored_and_what_ended_by_itself_is_not() {
        let cases = [
            (EndReason::Lost, true),
            (EndReason::Exited(Exit::Signal(15)), true),
            (EndReason::Exited(Exit::Code(143)), true),
            (EndReason::Exited(Exit::Code(129)), true),
            (EndReason::Exited(Exit::Signal(11)), false),
            (EndReason::Exited(Exit::Code(0)), false),
            (EndReason::Exited(Exit::Code(1)), false),
            (EndReason::Killed, false),
        ];
        for (reason, expected) in cases {
            let mut session = session();
            session.phase = Phase::Terminated { reason: reason.clone() };
            assert_eq!(was_cut_short(&session), expected, "{reason}");
            session.facts.kill_requested_at = Some(at(9));
            assert!(!was_cut_short(&session), "{reason}, and given up");
        }
    }
}
