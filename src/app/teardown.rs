//! Taking things away, the same for a failed spawn, a kill and an end. Every part is idempotent.

use serde_json::json;

use super::Application;
use super::error::AppError;
use crate::domain::change::{ChangeKind, NewChange};
use crate::domain::exit::Exit;
use crate::domain::phase::{Phase, Step};
use crate::domain::preserved::PreservedWork;
use crate::domain::session::Session;
use crate::fault::{self, Point};
use crate::ports::repo::{RepoError, Repository};
use crate::ports::workspace::{Head, OnWork, Removal, WorkspaceRef};

/// How many lines of an ended agent's output are kept on record.
const TAIL_LINES: usize = 40;

impl Application {
    /// Ends the terminal and everything in it. Gives the agent's exit, when there was a terminal and it is known.
    pub(super) async fn stop_terminal(&self, session: &Session) -> Result<Option<Exit>, AppError> {
        if !may_have_terminal(session) {
            return Ok(None);
        }
        let runtime = self.runtime(&session.spec.runtime)?;
        let stopped = runtime.stop(&self.terminal_key(session), self.shared.settings.stop_grace).await;
        self.note_remarks(session).await?;
        Ok(stopped?)
    }

    /// Records what the runtime remarks on how the agent ran.
    pub(super) async fn note_remarks(&self, session: &Session) -> Result<(), AppError> {
        let runtime = self.runtime(&session.spec.runtime)?;
        for remark in runtime.remarks(&self.terminal_key(session)).await {
            self.shared.writer.note(&session.id, &remark).await?;
        }
        Ok(())
    }

    /// The end of what the agent printed, or before there was one the project's setup; `None` when there is nothing.
    pub(super) async fn output_tail(&self, session: &Session) -> Option<String> {
        if !may_have_terminal(session) {
            return self.setup_tail(session, TAIL_LINES).await;
        }
        let runtime = self.runtime(&session.spec.runtime).ok()?;
        let output = runtime.output(&self.terminal_key(session), TAIL_LINES).await.ok()?;
        let tail = output.trim_end();
        (!tail.is_empty()).then(|| tail.to_owned())
    }

    /// Removes the workspace unless that would lose work, and records what became of it.
    /// Nothing is there of a session whose workspace was never begun.
    pub(super) async fn take_workspace_away(&self, session: &Session, on_work: OnWork) -> Result<Removal, AppError> {
        if matches!(session.phase, Phase::Provisioning { step: Step::Recorded }) && session.facts.restoring.is_none() {
            return Ok(Removal::Missing { branch_deleted: false, preserved: None, would_save: None, left: None });
        }
        let workspace = self.workspace_ref(session).await?;
        self.tear_down(session, &workspace, on_work).await?;
        let removal = self.shared.workspace.remove(&workspace, on_work).await?;
        fault::reach(Point::TeardownWorkspaceRemoved)?;
        // Without its repository it is not known what is saved.
        let knows_what_is_saved = workspace.repository.is_some();
        self.record_removal(session, &removal, knows_what_is_saved).await?;
        Ok(removal)
    }

    /// The workspace as the record knows it, in its repository if that can be found.
    pub(super) async fn workspace_ref(&self, session: &Session) -> Result<WorkspaceRef, AppError> {
        let mut resolved = self.shared.repos.resolve(&session.id.project()).await;
        if let Err(RepoError::UnknownProject(_)) = resolved {
            // Forgetting a project does not take its repository away: the workspace still knows it.
            resolved = self.shared.repos.discover(&session.spec.workspace).await;
        }
        let repository = match resolved {
            Ok(repository) => Some(repository),
            Err(RepoError::Store { project, source }) => return Err(RepoError::Store { project, source }.into()),
            Err(error) => {
                tracing::warn!(session = %session.id, %error, "the repository cannot be used while taking a workspace away");
                None
            }
        };
        Ok(workspace_of(session, repository))
    }

    async fn record_removal(
        &self,
        session: &Session,
        removal: &Removal,
        knows_what_is_saved: bool,
    ) -> Result<(), AppError> {
        let note = removal_note(session, removal);
        self.shared
            .writer
            .change(&session.id, |session, _| {
                // What was put back and then discarded is not to come back: the repository says what there is.
                if knows_what_is_saved && !matches!(removal, Removal::Kept { .. }) {
                    session.facts.preserved = saved(removal).cloned();
                }
                let Some(note) = &note else { return Ok(Vec::new()) };
                if session.facts.notes.last() == Some(note) {
                    return Ok(Vec::new());
                }
                session.facts.notes.push(note.clone());
                Ok(vec![NewChange::new(ChangeKind::SessionWorkspace, json!({ "removal": removal, "note": note }))])
            })
            .await?;
        Ok(())
    }
}

/// The workspace as the record knows it, in this repository.
pub(super) fn workspace_of(session: &Session, repository: Option<Repository>) -> WorkspaceRef {
    WorkspaceRef {
        session: session.id.clone(),
        repository,
        path: session.spec.workspace.clone(),
        branch: session.spec.branch.clone(),
        base_commit: session.facts.base_commit.clone(),
        made_branch: session.facts.restoring.as_ref().and_then(|before| before.made_branch.clone()),
    }
}

/// The session's saved work, as its repository holds it after the removal.
#[must_use]
pub fn saved(removal: &Removal) -> Option<&PreservedWork> {
    match removal {
        Removal::Removed { preserved, .. } | Removal::Missing { preserved, .. } => preserved.as_ref(),
        Removal::Kept { .. } => None,
    }
}

/// Where what a workspace held is once it is gone, for a person, and as true of one that would go; `None` where it stays.
/// `branch` is the one that was made for it, empty where none is known.
#[must_use]
pub fn where_its_work_is(removal: &Removal, branch: &str) -> Option<String> {
    let (Removal::Removed { branch_deleted, preserved, would_save, left }
    | Removal::Missing { branch_deleted, preserved, would_save, left }) = removal
    else {
        return None;
    };
    let saved_in = preserved.as_ref().map(|saved| &saved.reference).or(would_save.as_ref());
    let saved = saved_in.map(|reference| format!("its uncommitted work is saved in {reference}"));
    let has_own = !*branch_deleted && !branch.is_empty();
    let (was_on, own) = match left {
        Some(Head::Branch(other)) => (Some(format!("what it committed is on branch {other}")), has_own),
        Some(Head::Commit(commit)) => (Some(format!("it was on no branch, at {commit}")), has_own),
        // Of one that went earlier it is not known whether its branch stayed.
        None if has_own && matches!(removal, Removal::Missing { .. }) => (None, true),
        None if has_own => (Some(format!("what it committed is on branch {branch}")), false),
        None if saved.is_some() => (None, false),
        None if *branch_deleted => {
            (Some(format!("nothing new was in it, and its branch {branch} went with it")), false)
        }
        None => (Some("it was on no branch, and nothing was in it alone".to_owned()), false),
    };
    // It may have been given another name, or be gone: that is not known here.
    let own = own.then(|| format!("commits of its own may be on branch {branch} too"));
    Some([saved, was_on, own].into_iter().flatten().collect::<Vec<_>>().join("; "))
}

/// What a person should know of a removal.
pub(super) fn removal_note(session: &Session, removal: &Removal) -> Option<String> {
    let what_happened = match removal {
        Removal::Kept { reason } => {
            return Some(format!("the workspace {} was kept: {reason}", session.spec.workspace.display()));
        }
        Removal::Removed { .. } => "removed",
        Removal::Missing { .. } if saves_more(session, removal) => "gone",
        Removal::Missing { .. } => return None,
    };
    where_its_work_is(removal, &session.spec.branch).map(|work| format!("the workspace was {what_happened}; {work}"))
}

/// Whether a removal tells of saved work that is not on record: news, other than what one that is repeated finds again.
pub(super) fn saves_more(session: &Session, removal: &Removal) -> bool {
    matches!(removal, Removal::Missing { would_save: Some(_), .. } | Removal::Removed { would_save: Some(_), .. })
        || saved(removal).is_some_and(|saved| session.facts.preserved.as_ref() != Some(saved))
}

/// Whether the record allows for a terminal: from the step that makes it on.
fn may_have_terminal(session: &Session) -> bool {
    !matches!(
        session.phase,
        Phase::Provisioning { step: Step::Recorded | Step::Workspace | Step::Setup | Step::Prepared }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i05_all_places_of_what_a_workspace_held_are_told() {
        let told = |saved: bool, left: Option<Head>, branch_deleted: bool, branch: &str| {
            let would_save = saved.then(|| "refs/ao/preserved/app-1".to_owned());
            where_its_work_is(&Removal::Removed { branch_deleted, preserved: None, would_save, left }, branch).unwrap()
        };
        let side = || Some(Head::Branch("side".to_owned()));
        for (saved, left, branch_deleted, branch, expected) in [
            (false, None, true, "own", "nothing new was in it, and its branch own went with it"),
            (false, None, false, "own", "what it committed is on branch own"),
            (false, None, false, "", "it was on no branch, and nothing was in it alone"),
            (true, None, true, "own", "its uncommitted work is saved in refs/ao/preserved/app-1"),
            (true, None, false, "", "its uncommitted work is saved in refs/ao/preserved/app-1"),
            (
                true,
                None,
                false,
                "own",
                "its uncommitted work is saved in refs/ao/preserved/app-1; what it committed is on branch own",
            ),
            (
                true,
                side(),
                true,
                "own",
                "its uncommitted work is saved in refs/ao/preserved/app-1; what it committed is on branch side",
            ),
            (
                false,
                side(),
                false,
                "own",
                "what it committed is on branch side; commits of its own may be on branch own too",
            ),
            (
                false,
                Some(Head::Commit("c0ffee".to_owned())),
                false,
                "own",
                "it was on no branch, at c0ffee; commits of its own may be on branch own too",
            ),
        ] {
            assert_eq!(told(saved, left, branch_deleted, branch), expected);
        }
    }

    #[test]
    fn of_a_workspace_that_went_earlier_no_branch_is_said_to_be_there() {
        let would_save = Some("refs/ao/preserved/app-1".to_owned());
        let removal = Removal::Missing { branch_deleted: false, preserved: None, would_save, left: None };
        let told = where_its_work_is(&removal, "own").unwrap();
        let expected =
            "its uncommitted work is saved in refs/ao/preserved/app-1; commits of its own may be on branch own too";
        assert_eq!(told, expected);
    }
}
