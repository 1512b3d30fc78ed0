//! The contract of [`Workspace`].
//!
//! Implement [`WorkspaceFixture`] for your adapter, then let [`workspace_contract!`](crate::workspace_contract) make one test of
//! each function here.

mod bring;
mod create;
mod remove;
mod reopen;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::id::SessionId;
use crate::domain::preserved::PreservedWork;
use crate::ports::repo::Repository;
use crate::ports::workspace::{OnWork, Removal, ReopenRequest, Reopened, Workspace, WorkspaceRef, WorkspaceRequest};
use async_trait::async_trait;

pub use bring::*;
pub use create::*;
pub use remove::*;
pub use reopen::*;

/// What the suite needs of an adapter. One fixture is made for each test; it is a place of its own.
#[async_trait]
pub trait WorkspaceFixture: Send + Sync {
    /// The adapter; each call gives an instance that shares nothing with the others, as another process's would.
    fn workspace(&self) -> Arc<dyn Workspace>;

    /// The repository: one commit, with a file `file.txt`, no remote. The same one at each call.
    async fn repository(&self) -> Repository;

    /// A path for a workspace, which is not there yet.
    fn place(&self, name: &str) -> PathBuf;

    /// Writes a file in a checkout and commits it.
    async fn commit(&self, checkout: &Path, file: &str);

    /// What `git status` lists in a checkout, a line an item: empty when it is clean.
    async fn status(&self, checkout: &Path) -> String;

    /// The branch a checkout is on.
    async fn branch_of(&self, checkout: &Path) -> String;

    /// Every branch of the repository.
    async fn branches(&self) -> Vec<String>;

    /// Has the repository ignore these patterns, in a commit.
    async fn ignore(&self, patterns: &[&str]);

    /// Puts a commit on a branch that no checkout is on; `place` is free for a checkout to do it in. Gives the branch.
    async fn move_branch_on(&self, branch: &str, place: &Path) -> String;

    /// Whether saved work holds a commit.
    async fn holds(&self, work: &PreservedWork, commit: &str) -> bool;

    /// Text that is another when anything in the repository's storage changed.
    async fn fingerprint(&self) -> String;
}

/// Makes one `#[tokio::test]` of each function of the suite. Takes an expression that makes a fixture.
#[macro_export]
macro_rules! workspace_contract {
    ($fixture:expr) => {
        $crate::workspace_contract!(@tests $fixture;
            a_created_workspace_is_a_clean_checkout_on_its_branch
            i15_status_is_the_same_as_without
            preflight_finds_what_create_would_and_changes_nothing
            an_existing_branch_is_never_taken_over
            i01_a_failed_create_leaves_nothing
            i01_a_dropped_create_leaves_nothing_that_remove_does_not_take
            i05_uncommitted_and_untracked_work_is_kept
            i05_a_branch_with_commits_of_its_own_survives
            i06_what_is_not_the_sessions_is_untouched
            remove_can_be_repeated
            what_is_missing_is_success
            i05_a_directory_that_is_out_of_reach_is_not_gone
            i05_saved_work_comes_back_as_it_was
            i05_work_that_was_saved_before_is_never_dropped
            i05_a_dropped_removal_loses_no_work
            assess_says_what_remove_would_do_and_changes_nothing
            every_owned_workspace_is_listed_or_the_listing_fails
            a_workspace_that_is_there_is_reopened_as_it_is
            a_removed_workspace_is_made_again_on_its_branch
            i05_a_dropped_reopen_loses_nothing
            i06_reopen_takes_nothing_that_is_not_the_sessions
            files_are_brought_that_git_ignores_and_nothing_is_overwritten
            nothing_is_brought_that_would_pass_for_work_or_leads_out
            i13_twenty_at_once_from_two_processes_all_succeed
        );
    };
    (@tests $fixture:expr; $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::testing::workspace::$name(&$fixture).await;
            }
        )+
    };
}

async fn request(fixture: &impl WorkspaceFixture, number: u32) -> WorkspaceRequest {
    let session: SessionId = format!("app-{number}").parse().expect("a session id");
    WorkspaceRequest {
        repository: fixture.repository().await,
        path: fixture.place(session.as_str()),
        branch: format!("ao/{session}"),
        session,
        base: None,
        fetch_timeout: Duration::ZERO,
    }
}

/// The workspace of a request, as the record would know it.
#[must_use]
pub fn recorded(request: &WorkspaceRequest, base_commit: Option<String>) -> WorkspaceRef {
    WorkspaceRef {
        session: request.session.clone(),
        repository: Some(request.repository.clone()),
        path: request.path.clone(),
        branch: request.branch.clone(),
        base_commit,
        made_branch: None,
    }
}

/// The directory went, and there was no work to save.
#[must_use]
pub fn removed(branch_deleted: bool) -> Removal {
    Removal::Removed { branch_deleted, preserved: None, would_save: None, left: None }
}

/// There was no directory, and there is no saved work.
#[must_use]
pub fn missing(branch_deleted: bool) -> Removal {
    Removal::Missing { branch_deleted, preserved: None, would_save: None, left: None }
}

async fn create(fixture: &impl WorkspaceFixture, request: &WorkspaceRequest) -> WorkspaceRef {
    let made = fixture.workspace().create(request).await.unwrap_or_else(|error| panic!("{error}"));
    recorded(request, Some(made.base_commit))
}

async fn remove(fixture: &impl WorkspaceFixture, workspace: &WorkspaceRef) -> Removal {
    fixture.workspace().remove(workspace, OnWork::Keep).await.unwrap_or_else(|error| panic!("{error}"))
}

async fn save(fixture: &impl WorkspaceFixture, workspace: &WorkspaceRef) -> Removal {
    let removal = fixture.workspace().remove(workspace, OnWork::Preserve).await;
    removal.unwrap_or_else(|error| panic!("{error}"))
}

/// What the record of an ended session asks for.
#[must_use]
pub fn again(workspace: &WorkspaceRef) -> ReopenRequest {
    ReopenRequest {
        session: workspace.session.clone(),
        repository: workspace.repository.clone().expect("it has one"),
        path: workspace.path.clone(),
        branch: workspace.branch.clone(),
        base_commit: workspace.base_commit.clone(),
        preserved: None,
    }
}

async fn reopen(fixture: &impl WorkspaceFixture, workspace: &WorkspaceRef) -> Reopened {
    fixture.workspace().reopen(&again(workspace)).await.unwrap_or_else(|error| panic!("{error}"))
}
