//! How does a session get its isolated checkout, and lose it without losing work?

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::repo::Repository;
use crate::domain::id::SessionId;

/// Why a workspace could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// The program it works with is missing, too old or broken.
    #[error("{0}")]
    ToolUnusable(String),
    /// The branch exists already.
    #[error("branch {branch:?} exists already in {}", repository.display())]
    BranchExists {
        /// The branch.
        branch: String,
        /// The repository.
        repository: PathBuf,
    },
    /// The name is none that git takes for a branch.
    #[error("{branch:?} is not a valid branch name: {cause}")]
    InvalidBranch {
        /// The name.
        branch: String,
        /// Why.
        cause: String,
    },
    /// The base names no commit.
    #[error("{base:?} names no commit in {}", repository.display())]
    UnknownBase {
        /// What was asked for.
        base: String,
        /// The repository.
        repository: PathBuf,
    },
    /// The repository is of a kind that cannot give a workspace.
    #[error("cannot make a workspace from {}: {cause}", repository.display())]
    Unsupported {
        /// The repository.
        repository: PathBuf,
        /// Why, and what to do.
        cause: String,
    },
    /// A directory stands where the workspace would be, or is not one that ao made.
    #[error("{} is not a workspace that ao made: {cause}", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Somebody still works on it, for example a checkout that outlived the daemon that asked for it. Nothing was changed;
    /// trying again later helps.
    #[error("{} is still being worked on: {cause}", path.display())]
    Busy {
        /// The workspace's directory.
        path: PathBuf,
        /// By what.
        cause: String,
    },
    /// Something failed on the way; what was built has been undone as far as the text says.
    #[error("cannot {action} the workspace: {cause}")]
    Failed {
        /// What was attempted, for example `make`.
        action: &'static str,
        /// Why it failed, with git's own words.
        cause: String,
    },
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRequest {
    /// The session it is for; written into the ownership marker.
    pub session: SessionId,
    /// The project's repository.
    pub repository: Repository,
    /// Where the workspace goes. Must not exist yet.
    pub path: PathBuf,
    /// The branch to make. Must not exist yet.
    pub branch: String,
    /// What it starts from; `None` for the remote's default branch, else the repository's current one.
    pub base: Option<String>,
    /// How long a fetch from the remote may take, where there is one; zero for none.
    pub fetch_timeout: Duration,
}

/// A workspace that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// What the branch was started from, as a name.
    pub base: String,
    /// The commit that is.
    pub base_commit: String,
    /// What a person should know, for example that the remote did not answer.
    pub notes: Vec<String>,
}

/// The workspace of a session, as the record knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkspaceRef {
    /// The session.
    pub session: SessionId,
    /// The repository; `None` when it is gone or unusable.
    pub repository: Option<Repository>,
    /// The directory.
    pub path: PathBuf,
    /// The branch that was made for it.
    pub branch: String,
    /// The commit it started from, when that was recorded.
    pub base_commit: Option<String>,
}

/// What became of a workspace that was to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Removal {
    /// The directory is gone, files that git ignores with it.
    Removed {
        /// Whether the branch went with it: no commit went with the branch.
        branch_deleted: bool,
    },
    /// It was kept.
    Kept {
        /// Why, for a person: for example `2 uncommitted changes`.
        reason: String,
    },
    /// There was no directory.
    Missing {
        /// Whether a branch without commits of its own was deleted.
        branch_deleted: bool,
    },
}

/// Makes and removes isolated checkouts.
///
/// # Contract
/// - [`preflight`](Workspace::preflight) changes nothing and finds what would make [`create`](Workspace::create) fail.
/// - [`create`](Workspace::create) gives a clean checkout on a branch of its own, or nothing: on `Err`, and when its future is
///   dropped, neither directory nor branch is left that [`remove`](Workspace::remove) would not take away. It is safe
///   to run any number at once in one repository.
/// - The repository and the workspace look the same to `git status` as without ao: `/.ao/` is in the repository's
///   `info/exclude`.
/// - [`remove`](Workspace::remove) never destroys uncommitted or untracked work (it keeps the workspace), never deletes a
///   branch that holds commits of its own, and removes only what carries this session's ownership marker. It is
///   idempotent: a missing directory, branch or repository is success. Something that cannot be determined is never
///   taken for absence.
/// - Files that the repository tells git to ignore are no work: they go with the workspace, whoever wrote them. What is
///   to survive is committed, or not ignored.
/// - A commit is a branch's own when what the branch was started from does not reach it. Other branches that reach it
///   do not count, nor do remote-tracking ones: they may go next. So a branch that was merged or pushed stays. Without
///   commits of its own it goes, unless nothing else holds what it was started from.
/// - While something started earlier still works in the workspace, [`remove`](Workspace::remove) fails after some
///   seconds and has changed nothing; it can be called again.
#[async_trait]
pub trait Workspace: Send + Sync {
    /// Whether the tools it needs are there; their version.
    ///
    /// # Errors
    /// [`WorkspaceError::ToolUnusable`].
    async fn check_tools(&self) -> Result<String, WorkspaceError>;

    /// Finds out whether a workspace can be made. Changes nothing.
    ///
    /// # Errors
    /// What [`create`](Workspace::create) would say.
    async fn preflight(&self, request: &WorkspaceRequest) -> Result<(), WorkspaceError>;

    /// Whether the repository has a branch of this name.
    ///
    /// # Errors
    /// [`WorkspaceError::Failed`] when that cannot be found out.
    async fn branch_exists(&self, repository: &Repository, branch: &str) -> Result<bool, WorkspaceError>;

    /// Makes the workspace.
    ///
    /// # Errors
    /// [`WorkspaceError`], after what was built was undone.
    async fn create(&self, request: &WorkspaceRequest) -> Result<Checkout, WorkspaceError>;

    /// Removes the workspace unless that would lose work; ignored files are none.
    ///
    /// # Errors
    /// [`WorkspaceError`] when it could not be found out or done; nothing was lost then.
    async fn remove(&self, workspace: &WorkspaceRef) -> Result<Removal, WorkspaceError>;
}
