//! Workspaces as git worktrees.
//!
//! # Theory of operation
//!
//! Only the `git` program makes worktrees (gix cannot); `git` runs it. Everything ao makes bears a mark that was
//! written with it, in one step: the branch in its reflog (`branch`), the worktree in the first file of its
//! administrative directory (`entry`). So after a `kill -9` at any moment `remove` knows what is ao's and what is
//! half-made, and what is not marked is never touched; `place` tells a directory that was deleted from one out of reach. Before a complete workspace goes, `keep` looks for work that
//! would be lost, and `preserve` saves it where that is asked for, as `snapshot` sees it; `left` keeps what it was on, and `reopen` has
//! `put_back` bring all that back. Deletion itself is ours, not `git worktree remove`, for that drops the administrative directory, the
//! mark with it, also when it could not delete the checkout.
//!
//! In one process, changes to a repository take turns; the fetch before them is shared (`fetch`). Other processes'
//! locks are waited out (`locks`).

mod base;
mod branch;
mod bring;
mod checkout;
mod create;
mod entry;
mod exclude;
mod fetch;
mod git;
mod keep;
mod left;
mod locks;
mod orphan;
mod owned;
mod owner;
mod place;
mod preserve;
mod put_back;
mod remove;
mod reopen;
mod snapshot;
mod tree;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as Lock, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use git::GitSettings;

use crate::ports::repo::Repository;
use crate::ports::workspace::{
    Checkout, OnWork, OwnedWorkspace, Removal, ReopenRequest, Reopened, ToMake, Workspace, WorkspaceError,
    WorkspaceRef, WorkspaceRequest,
};

/// The right to change a repository, until the last copy is dropped.
type Turn = Arc<OwnedMutexGuard<()>>;

/// Makes and removes git worktrees.
#[derive(Debug)]
pub struct GitWorkspace {
    git: git::Git,
    fetches: fetch::Fetches,
    turns: Lock<HashMap<PathBuf, Arc<Mutex<()>>>>,
}

impl GitWorkspace {
    /// With the git that the settings name; it is looked for at the first call.
    #[must_use]
    pub fn new(settings: GitSettings) -> Self {
        Self { git: git::Git::new(settings), fetches: fetch::Fetches::default(), turns: Lock::default() }
    }

    /// Waits until no other change of the repository is under way in this process.
    async fn turn(&self, repository: &Repository) -> Turn {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(repository.common_dir.clone()).or_default())
        };
        Arc::new(turn.lock_owned().await)
    }

    async fn version(&self) -> Result<String, WorkspaceError> {
        self.git.version().await.map_err(|error| WorkspaceError::ToolUnusable(error.to_string()))
    }
}

#[async_trait]
impl Workspace for GitWorkspace {
    async fn check_tools(&self) -> Result<String, WorkspaceError> {
        self.version().await
    }

    async fn preflight(&self, request: &WorkspaceRequest) -> Result<(), WorkspaceError> {
        create::check(self, request).await?;
        base::preflight(&self.git, &request.repository, request.base.as_deref(), request.fetch_timeout).await
    }

    async fn branch_exists(&self, repository: &Repository, branch: &str) -> Result<bool, WorkspaceError> {
        branch::exists(&self.git, repository, branch).await.map_err(|error| failed("look at the branches for", &error))
    }

    async fn has_branch_of(&self, request: &ReopenRequest) -> Result<bool, WorkspaceError> {
        let owner = owner::Owner::new(&request.session, &request.path);
        let made = branch::made_for(&self.git, &request.repository, &owner).await;
        made.map(|made| !made.is_empty()).map_err(|error| failed("look at the branches for", &error))
    }

    async fn create(&self, request: &WorkspaceRequest) -> Result<Checkout, WorkspaceError> {
        create::create(self, request).await
    }

    async fn remove(&self, workspace: &WorkspaceRef, on_work: OnWork) -> Result<Removal, WorkspaceError> {
        remove::remove(self, workspace, on_work).await
    }

    async fn assess(&self, workspace: &WorkspaceRef, on_work: OnWork) -> Result<Removal, WorkspaceError> {
        remove::assess(self, workspace, on_work).await
    }

    async fn to_make(&self, request: &ReopenRequest) -> Result<ToMake, WorkspaceError> {
        reopen::to_make(self, request).await
    }

    async fn forget(&self, workspace: &WorkspaceRef) -> Result<bool, WorkspaceError> {
        let Some(repository) = &workspace.repository else { return Ok(true) };
        let store = preserve::Store { git: &self.git, repository, session: &workspace.session, path: &workspace.path };
        let turn = self.turn(repository).await;
        store.release_left(&turn).await.map_err(|error| failed("forget", &error))
    }

    async fn reopen(&self, request: &ReopenRequest) -> Result<Reopened, WorkspaceError> {
        reopen::reopen(self, request).await
    }

    async fn commits_since(&self, workspace: &Path, base_commit: &str) -> Result<usize, WorkspaceError> {
        const ACTION: &str = "count the commits of a workspace";
        let range = format!("{base_commit}..HEAD");
        let count = self.git.at(workspace).args(["rev-list", "--count", range.as_str(), "--"]).text().await;
        let count = count.map_err(|error| failed(ACTION, &error))?;
        count
            .trim()
            .parse()
            .map_err(|error| WorkspaceError::Failed { action: ACTION, cause: format!("{error}: {count:?}") })
    }

    async fn owned(&self, repository: &Repository, root: &Path) -> Result<Vec<OwnedWorkspace>, WorkspaceError> {
        owned::owned(self, repository, root).await
    }

    async fn bring(
        &self,
        workspace: &Path,
        repository: &Repository,
        copy: &[PathBuf],
        link: &[PathBuf],
    ) -> Result<Vec<String>, WorkspaceError> {
        bring::bring(&self.git, workspace, repository, copy, link).await
    }
}

fn failed(action: &'static str, error: &git::GitError) -> WorkspaceError {
    match error {
        git::GitError::Unusable(cause) => WorkspaceError::ToolUnusable(cause.clone()),
        other => WorkspaceError::Failed { action, cause: other.to_string() },
    }
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
