//! Clean-up: take away the workspaces that ended sessions left and nobody needs any more; tell of each that stays why.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Application;
use super::error::AppError;
use super::teardown::{saved, saves_more, where_its_work_is};
use crate::domain::id::{ProjectId, SessionId};
use crate::domain::phase::{EndReason, Phase};
use crate::domain::preserved::PreservedWork;
use crate::domain::session::Session;
use crate::fault::{self, Point};
use crate::ports::store::SessionFilter;
use crate::ports::workspace::{OnWork, Removal, WorkspaceRef};

/// How many workspaces are looked at, or taken away, at once.
const AT_ONCE: usize = 8;

/// What to clean up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanupRequest {
    /// Only this project's.
    #[serde(default)]
    pub project: Option<ProjectId>,
    /// Only tell what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// What becomes of workspaces that hold uncommitted work.
    #[serde(default)]
    pub on_work: OnWork,
}

/// What became, or would become, of one workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CleanupItem {
    /// Whose it is.
    pub session: SessionId,
    /// Its directory.
    pub workspace: PathBuf,
    /// What happens to it.
    pub action: CleanupAction,
    /// Why, for a person.
    pub reason: String,
    /// Where its uncommitted work was saved, if it held any; not yet where nothing was done.
    pub preserved: Option<PreservedWork>,
}

/// What happens to a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CleanupAction {
    /// It goes.
    Remove,
    /// It stays.
    Keep,
    /// It should go and could not be taken away, or it could not be found out whether it may.
    Fail,
}

/// Everything that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cleanup {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// The workspaces there are, by session.
    pub items: Vec<CleanupItem>,
    /// What could not be looked at: nothing of it was touched.
    pub problems: Vec<String>,
}

impl Application {
    /// Takes away the workspaces of ended sessions, and those that bear ao's mark and whose session is on no record, unless
    /// that would lose work. Sessions that are not over, that were lost and may be restored, or that somebody works on
    /// keep theirs.
    ///
    /// # Errors
    /// `unknown_project`; the store's failure. What goes wrong with one workspace is told for that one.
    pub async fn clean_up(&self, request: &CleanupRequest) -> Result<Cleanup, AppError> {
        let (application, request) = (self.clone(), request.clone());
        self.to_its_end("a clean-up", async move { application.clean_up_now(&request).await }).await
    }

    async fn clean_up_now(&self, request: &CleanupRequest) -> Result<Cleanup, AppError> {
        if let Some(project) = &request.project {
            self.insist_on_project(project).await?;
        }
        let all =
            SessionFilter { project: request.project.clone(), include_terminated: true, ..SessionFilter::default() };
        let sessions = self.shared.sessions.sessions(&all).await?;
        let mut cleanup = Cleanup { dry_run: request.dry_run, items: Vec::new(), problems: Vec::new() };
        // Side by side, for a project's teardown may take its time.
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut looks = JoinSet::new();
        for session in sessions {
            let (application, request, places) = (self.clone(), request.clone(), places.clone());
            looks.spawn(async move {
                let _place = places.acquire_owned().await;
                application.clean_up_session(&session, &request).await
            });
        }
        while let Some(look) = looks.join_next().await {
            match look {
                Ok(item) => cleanup.items.extend(item),
                Err(error) => cleanup.problems.push(format!("a look broke off: {error}")),
            }
        }
        self.clean_up_strays(request, &mut cleanup).await?;
        cleanup.items.sort_by_key(|item| (item.session.project(), item.session.number()));
        Ok(cleanup)
    }

    /// `None` when it has no workspace any more. What is known of the session may be old.
    async fn clean_up_session(&self, known: &Session, request: &CleanupRequest) -> Option<CleanupItem> {
        let item = |action, reason: &str| CleanupItem {
            session: known.id.clone(),
            workspace: known.spec.workspace.clone(),
            action,
            reason: reason.to_owned(),
            preserved: None,
        };
        if !known.phase.is_terminated() {
            return Some(item(CleanupAction::Keep, "it is not over"));
        }
        let Some(_exclusive) = self.shared.running.try_exclusive(&known.id) else {
            return Some(item(CleanupAction::Keep, "somebody works on it just now"));
        };
        // It may have been restored since, and be lost by now: only what it is under this right counts.
        let session = &match self.shared.sessions.session(&known.id).await {
            Ok(Some(current)) if current.phase.is_terminated() => current,
            Ok(_) => return Some(item(CleanupAction::Keep, "it is not over")),
            Err(error) => return Some(item(CleanupAction::Fail, &error.to_string())),
        };
        let is_lost = session.phase == Phase::Terminated { reason: EndReason::Lost };
        if is_lost && session.facts.kill_requested_at.is_none() {
            let answer = self.assess(session, request.on_work).await;
            return (!matches!(answer, Ok(Removal::Missing { .. }))).then(|| {
                item(CleanupAction::Keep, "its agent was lost; ao restore brings it back, ao kill gives it up")
            });
        }
        let answer = if request.dry_run {
            self.assess(session, request.on_work).await
        } else {
            self.take_workspace_away(session, request.on_work).await
        };
        let answer = answer.and_then(|removal| Ok(fault::reach(Point::CleanupWorkspaceRemoved).map(|()| removal)?));
        if let Ok(removal @ Removal::Missing { .. }) = &answer
            && !saves_more(session, removal)
        {
            return None;
        }
        Some(answered(answer, &session.spec.branch, item(CleanupAction::Fail, "")))
    }

    async fn assess(&self, session: &Session, on_work: OnWork) -> Result<Removal, AppError> {
        Ok(self.shared.workspace.assess(&self.workspace_ref(session).await?, on_work).await?)
    }

    /// Workspaces that ao made for sessions that are on no record: of a data directory that was restored from a backup, or
    /// of a session whose record was removed.
    async fn clean_up_strays(&self, request: &CleanupRequest, cleanup: &mut Cleanup) -> Result<(), AppError> {
        let root = self.shared.settings.data_dir.worktrees();
        let projects = self.shared.projects.projects().await?;
        for project in projects.iter().filter(|project| request.project.as_ref().is_none_or(|id| *id == project.id)) {
            let repository = match self.shared.repos.resolve(&project.id).await {
                Ok(repository) => repository,
                Err(error) => {
                    cleanup.problems.push(format!("project {}: {error}", project.id));
                    continue;
                }
            };
            let owned = match self.shared.workspace.owned(&repository, &root).await {
                Ok(owned) => owned,
                Err(error) => {
                    cleanup.problems.push(format!("project {}: {error}", project.id));
                    continue;
                }
            };
            for stray in owned {
                let Some(_exclusive) = self.shared.running.try_exclusive(&stray.session) else { continue };
                if self.shared.sessions.session(&stray.session).await?.is_some() {
                    continue;
                }
                let workspace = WorkspaceRef {
                    session: stray.session.clone(),
                    repository: Some(repository.clone()),
                    path: stray.path.clone(),
                    branch: stray.branch.clone().unwrap_or_default(),
                    base_commit: None,
                    made_branch: None,
                };
                let answer = if request.dry_run {
                    self.shared.workspace.assess(&workspace, request.on_work).await
                } else {
                    self.shared.workspace.remove(&workspace, request.on_work).await
                };
                fault::reach(Point::CleanupStrayRemoved)?;
                let item = CleanupItem {
                    session: stray.session,
                    workspace: stray.path,
                    action: CleanupAction::Fail,
                    reason: String::new(),
                    preserved: None,
                };
                if !matches!(answer, Ok(Removal::Missing { preserved: None, would_save: None, .. })) {
                    cleanup.items.push(answered(answer.map_err(AppError::from), &workspace.branch, item));
                }
            }
        }
        Ok(())
    }
}

/// What the remover's answer means for a person.
fn answered(answer: Result<Removal, AppError>, branch: &str, item: CleanupItem) -> CleanupItem {
    let (action, reason, preserved) = match answer {
        Ok(Removal::Kept { reason }) => (CleanupAction::Keep, reason, None),
        Ok(removal) => {
            let work = where_its_work_is(&removal, branch).unwrap_or_default();
            let was_there = matches!(removal, Removal::Removed { .. });
            let reason = if was_there { work } else { format!("it was gone; {work}") };
            (CleanupAction::Remove, reason, saved(&removal).cloned())
        }
        Err(error) => (CleanupAction::Fail, error.full(), None),
    };
    CleanupItem { action, reason, preserved, ..item }
}
