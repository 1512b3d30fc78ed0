//! Short words for the tests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ao::ports::workspace::{Checkout, Head, OnWork, Removal, Reopened, WorkspaceError, WorkspaceRef, WorkspaceRequest};
use ao::testing::git::GitScratch;
use ao::testing::workspace::{WorkspaceFixture, again, recorded, removed};

use crate::git_fixture::GitFixture;

pub(crate) struct Place {
    pub(crate) fixture: GitFixture,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { fixture: GitFixture::new() }
    }

    pub(crate) fn scratch(&self) -> &GitScratch {
        &self.fixture.0
    }

    pub(crate) async fn git(&self, directory: &Path, args: &[&str]) -> String {
        self.scratch().git(directory, args).await
    }

    pub(crate) async fn request(&self, repository: &Path) -> WorkspaceRequest {
        WorkspaceRequest {
            session: "app-1".parse().unwrap(),
            repository: self.scratch().describe(repository).await,
            path: self.fixture.place("app-1"),
            branch: "ao/app-1".to_owned(),
            base: None,
            fetch_timeout: Duration::from_secs(10),
        }
    }

    pub(crate) async fn try_create(&self, request: &WorkspaceRequest) -> Result<Checkout, WorkspaceError> {
        self.fixture.workspace().create(request).await
    }

    pub(crate) async fn create(&self, repository: &Path) -> (WorkspaceRef, Checkout) {
        let request = self.request(repository).await;
        let made = self.try_create(&request).await.unwrap_or_else(|error| panic!("{error}"));
        (recorded(&request, Some(made.base_commit.clone())), made)
    }

    pub(crate) async fn remove(&self, workspace: &WorkspaceRef) -> Removal {
        self.fixture.workspace().remove(workspace, OnWork::Keep).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Removes it, saving its work.
    pub(crate) async fn save(&self, workspace: &WorkspaceRef) -> Removal {
        let removal = self.fixture.workspace().remove(workspace, OnWork::Preserve).await;
        removal.unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) async fn reopen(&self, workspace: &WorkspaceRef) -> Reopened {
        self.fixture.workspace().reopen(&again(workspace)).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Reopens it as a restore does; gives what is to be taken back with [`OnWork::PreserveAll`] if that fails.
    pub(crate) async fn restore(&self, workspace: &WorkspaceRef) -> (WorkspaceRef, Reopened) {
        let to_make =
            self.fixture.workspace().to_make(&again(workspace)).await.unwrap_or_else(|error| panic!("{error}"));
        let reopened = self.reopen(workspace).await;
        assert_eq!(to_make.workspace, reopened.made, "{to_make:?}, {reopened:?}");
        (WorkspaceRef { made_branch: to_make.branch, ..workspace.clone() }, reopened)
    }

    /// Takes that back.
    pub(crate) async fn take_back(&self, workspace: &WorkspaceRef) -> Removal {
        let removal = self.fixture.workspace().remove(workspace, OnWork::PreserveAll).await;
        removal.unwrap_or_else(|error| panic!("{error}"))
    }

    /// A workspace is made, is clean, and goes again with its branch.
    pub(crate) async fn round_trip(&self, repository: &Path) -> Checkout {
        let (workspace, made) = self.create(repository).await;
        assert_eq!(self.fixture.status(&workspace.path).await, "");
        assert_eq!(self.remove(&workspace).await, removed(true));
        self.assert_nothing_left(repository).await;
        made
    }

    pub(crate) async fn assert_nothing_left(&self, repository: &Path) {
        assert!(!self.fixture.place("app-1").exists());
        assert_eq!(self.git(repository, &["for-each-ref", "--format=%(refname)", "refs/heads/ao/"]).await, "");
        let common = self.scratch().describe(repository).await.common_dir;
        let entries = std::fs::read_dir(common.join("worktrees")).map_or(0, Iterator::count);
        assert_eq!(entries, 0, "an administrative directory is left");
    }

    pub(crate) async fn assert_kept(&self, workspace: &WorkspaceRef, why: &str) {
        match self.remove(workspace).await {
            Removal::Kept { reason } => assert!(reason.contains(why), "{reason:?} does not tell of {why:?}"),
            other => panic!("{other:?}, and it should have been kept for {why:?}"),
        }
        assert!(workspace.path.exists());
    }

    /// A repository, and a clone of it.
    pub(crate) async fn clone(&self) -> (PathBuf, PathBuf) {
        let upstream = self.scratch().init("upstream").await;
        let clone = self.scratch().path("app");
        self.git(&upstream, &["clone", "-q", ".", text(&clone)]).await;
        self.git(&clone, &["remote", "set-url", "origin", text(&upstream)]).await;
        (upstream, clone)
    }
}

/// The directory went, and it was not on the branch that was made for it.
pub(crate) fn removed_on(head: Head, branch_deleted: bool) -> Removal {
    Removal::Removed { branch_deleted, preserved: None, would_save: None, left: Some(head) }
}

pub(crate) fn script(path: &Path, content: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    crate::executable::write(path, content);
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
