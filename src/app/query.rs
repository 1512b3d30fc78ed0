//! Query: what is shown of sessions and of what happened.

use std::time::Duration;

use super::Application;
use super::error::{AppError, ErrorKind};
use super::events::ahead;
use super::view::SessionView;
use super::writer::unknown_session;
use crate::domain::change::Change;
use crate::domain::id::{ProjectId, SessionId};
use crate::domain::phase::Phase;
use crate::domain::session::Session;
use crate::domain::status::Status;
use crate::ports::repo::RepoError;
use crate::ports::runtime::RuntimeError;
use crate::ports::store::{ChangeFilter, SessionFilter, StoreError};

impl Application {
    /// Shows one session.
    ///
    /// # Errors
    /// `unknown_session`, or the store's failure.
    pub async fn show(&self, id: &SessionId) -> Result<SessionView, AppError> {
        let mut view = self.view(&self.session(id).await?);
        self.tell_places(std::slice::from_mut(&mut view)).await?;
        Ok(view)
    }

    /// Shows sessions, by project and number.
    ///
    /// # Errors
    /// `unknown_project` where there is no such project and never was a session of it that is on record; the store's failure.
    pub async fn list(&self, filter: &SessionFilter) -> Result<Vec<SessionView>, AppError> {
        let sessions = self.shared.sessions.sessions(filter).await?;
        if let (Some(project), true) = (&filter.project, sessions.is_empty()) {
            self.insist_on_project(project).await?;
        }
        let mut views: Vec<SessionView> = sessions.iter().map(|session| self.view(session)).collect();
        self.tell_places(&mut views).await?;
        Ok(views)
    }

    /// Insists that there is such a project, or that sessions are left of it.
    pub(super) async fn insist_on_project(&self, project: &ProjectId) -> Result<(), AppError> {
        if self.shared.projects.projects().await?.iter().any(|known| known.id == *project) {
            return Ok(());
        }
        let any = SessionFilter {
            project: Some(project.clone()),
            include_terminated: true,
            limit: Some(1),
            ..SessionFilter::default()
        };
        let is_known = !self.shared.sessions.sessions(&any).await?.is_empty();
        if is_known { Ok(()) } else { Err(RepoError::UnknownProject(project.clone()).into()) }
    }

    /// Adds their places to those that wait in line.
    async fn tell_places(&self, views: &mut [SessionView]) -> Result<(), AppError> {
        if views.iter().all(|view| view.status != Status::Queued) {
            return Ok(());
        }
        let line = self.line().await?;
        for view in views {
            view.place_in_line = line.iter().position(|id| *id == view.id).map(|ahead| ahead + 1);
        }
        Ok(())
    }

    /// The last `lines` lines of what a session's terminal showed, or while its workspace is set up what that printed, as plain text.
    /// Empty when nothing was printed or kept.
    ///
    /// # Errors
    /// `unknown_session`, or the runtime's failure.
    pub async fn output(&self, id: &SessionId, lines: usize) -> Result<String, AppError> {
        let session = self.session(id).await?;
        if let Some(output) = self.setup_tail(&session, lines).await {
            return Ok(output);
        }
        let runtime = self.runtime(&session.spec.runtime)?;
        match runtime.output(&self.terminal_key(&session), lines).await {
            Err(RuntimeError::NoTerminal { .. }) => Ok(session.facts.output_tail.unwrap_or_default()),
            output => Ok(output?),
        }
    }

    /// The screen of a session's terminal, as plain text.
    ///
    /// # Errors
    /// `unknown_session`; `no_terminal`; or the runtime's failure.
    pub async fn screen(&self, id: &SessionId) -> Result<String, AppError> {
        let session = self.session(id).await?;
        match self.runtime(&session.spec.runtime)?.screen(&self.terminal_key(&session)).await {
            Ok(screen) => Ok(screen),
            Err(error) => Err(self.no_screen(id, error).await),
        }
    }

    /// Why a terminal is not to be seen. Of a session that is over it is said what is left of it.
    pub(super) async fn no_screen(&self, id: &SessionId, error: RuntimeError) -> AppError {
        if let (RuntimeError::NoTerminal { .. }, Ok(session)) = (&error, self.session(id).await)
            && let Phase::Terminated { reason } = &session.phase
        {
            let message = format!("{id} is over ({reason}), so it has no terminal any more");
            return AppError::new(ErrorKind::Refused, "no_terminal", message)
                .hint(format!("see what it showed with: ao output {id}; bring it back with: ao restore {id}"));
        }
        error.into()
    }

    /// Changes after a sequence number; when there are none, waits up to `wait` for one, or until the daemon stops.
    ///
    /// # Errors
    /// `unknown_session` where there is no such session and the log tells of none; `changes_gone` when the next one was trimmed; `changes_ahead`
    /// for a number that no change has yet, of another log: who waits with it would miss what happens until this one has come so far; or the store's
    /// failure.
    pub async fn changes(&self, filter: &ChangeFilter, wait: Duration) -> Result<Vec<Change>, AppError> {
        if let Some(session) = &filter.session {
            self.insist_on_session(session).await?;
        }
        // Only waiting is bounded: what is there is given also to those who do not wait.
        let time_is_up = tokio::time::sleep(wait);
        tokio::pin!(time_is_up);
        loop {
            let seq = self.shared.changes.last_seq().await?;
            if filter.since > seq {
                return Err(ahead(filter.since, seq));
            }
            let changes = self.shared.changes.changes(filter).await?;
            if !changes.is_empty() {
                return Ok(changes);
            }
            tokio::select! {
                () = self.shared.changes.wait_beyond(seq) => {}
                () = &mut time_is_up => return Ok(changes),
                () = self.shared.stop.cancelled() => return Ok(changes),
            }
        }
    }

    /// Insists that there is such a session, or that the log still tells of it: of any other one nothing ever happens.
    ///
    /// # Errors
    /// `unknown_session`, or the store's failure.
    pub(crate) async fn insist_on_session(&self, id: &SessionId) -> Result<(), AppError> {
        if self.shared.sessions.session(id).await?.is_some() {
            return Ok(());
        }
        let mut any = ChangeFilter { since: 0, session: Some(id.clone()), limit: 1 };
        let told = loop {
            match self.shared.changes.changes(&any).await {
                Err(StoreError::ChangesGone { oldest, .. }) => any.since = oldest - 1,
                told => break told?,
            }
        };
        if told.is_empty() { Err(unknown_session(id)) } else { Ok(()) }
    }

    /// The newest change's sequence number.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn last_seq(&self) -> Result<u64, AppError> {
        Ok(self.shared.changes.last_seq().await?)
    }

    /// A session in the shape it is shown in, as of now.
    #[must_use]
    pub fn view(&self, session: &Session) -> SessionView {
        SessionView::of(session, self.shared.clock.now())
    }

    pub(super) async fn session(&self, id: &SessionId) -> Result<Session, AppError> {
        self.shared.sessions.session(id).await?.ok_or_else(|| unknown_session(id))
    }
}
