//! How does a session get its isolated checkout, and lose it without losing work?

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::repo::Repository;
use crate::domain::id::SessionId;
use crate::domain::preserved::PreservedWork;

/// Why a workspace could not be made or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    /// The branch is checked out somewhere else, and two checkouts must not share one.
    #[error("branch {branch:?} is checked out in {}", checkout.display())]
    BranchInUse {
        /// The branch.
        branch: String,
        /// Where it is checked out.
        checkout: PathBuf,
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
    /// The branch that was made for it; empty when its session is on no record and that is not known.
    pub branch: String,
    /// The commit it started from, when that was recorded.
    pub base_commit: Option<String>,
    /// The branch that a restore made which is to be taken back ([`OnWork::PreserveAll`]): that goes with it, unless
    /// anything became of it.
    pub made_branch: Option<String>,
}

/// What to do with work that a removal would destroy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnWork {
    /// Keep the workspace.
    #[default]
    Keep,
    /// Save the work as commits that `refs/ao/preserved/<session>` holds, then remove the workspace. What cannot be saved
    /// whole keeps the workspace all the same.
    Preserve,
    /// As `Preserve`, and saved work that was put back into the workspace goes on being held, whatever became of it there:
    /// for a restore that is taken back. Nobody outside may ask for it.
    #[serde(skip)]
    PreserveAll,
}

/// What a workspace is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// A branch.
    Branch(String),
    /// A commit, and no branch.
    Commit(String),
}

/// What became of a workspace that was to be removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Removal {
    /// The directory is gone, files that git ignores with it.
    Removed {
        /// Whether the branch went with it: no commit went with the branch.
        branch_deleted: bool,
        /// The session's saved work, as the repository holds it now: what this removal saved, or an earlier one did and
        /// nobody put back since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preserved: Option<PreservedWork>,
        /// In an answer of [`Workspace::assess`] alone: the reference that would hold work which is in no commit yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        would_save: Option<String>,
        /// What it was on, where that was not the branch that was made for it: there is what was committed last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<Head>,
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
        /// As in `Removed`: a removal that was cut off tells of it when it is repeated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        preserved: Option<PreservedWork>,
        /// As in `Removed`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        would_save: Option<String>,
        /// As in `Removed`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<Head>,
    },
}

/// A workspace that is to be there again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReopenRequest {
    /// The session it is for.
    pub session: SessionId,
    /// The project's repository.
    pub repository: Repository,
    /// Where the workspace was, and is to be.
    pub path: PathBuf,
    /// The branch that was made for it.
    pub branch: String,
    /// The commit that branch started from, when that was recorded.
    pub base_commit: Option<String>,
    /// The work that was saved when it was removed, when that was recorded; work that the repository holds for the session
    /// is found without.
    pub preserved: Option<PreservedWork>,
}

/// What is not there of a workspace that is to be there again, and would be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToMake {
    /// Whether there is no whole workspace. What a removal or a making left that was cut off is none; one that is out of
    /// reach is.
    pub workspace: bool,
    /// The branch it would be on, if that would be made too.
    pub branch: Option<String>,
}

/// A workspace that is there again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reopened {
    /// What a person should know.
    pub notes: Vec<String>,
    /// Whether it was made anew; `false` where the session's own was still there, which is left as it is.
    pub made: bool,
    /// The branch it is on, which may be another one than was made for it; `None` when it is on none.
    pub branch: Option<String>,
}

/// A workspace that bears ao's mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedWorkspace {
    /// The session the mark names.
    pub session: SessionId,
    /// Where its directory is, or was: it may have been deleted by hand.
    pub path: PathBuf,
    /// The branch it is on; `None` when on none, or git cannot read that any more.
    pub branch: Option<String>,
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
/// - [`remove`](Workspace::remove) never destroys uncommitted or untracked work: it keeps the workspace, or saves the work
///   first, as asked ([`OnWork`]), and never deletes anything before what was saved is held and was read back. It never
///   deletes a branch that holds commits of its own, and removes only what carries this session's ownership marker. It is
///   idempotent: a missing directory, branch or repository is success, and what was saved is told again. Something that
///   cannot be determined is never taken for absence.
/// - A directory that is out of reach, on a disk that is not mounted or moved away with what held it, is not gone: it is kept
///   like one that is there, and [`reopen`](Workspace::reopen) refuses.
/// - Where the directory is gone there is nothing to keep work in: what the repository still has of it is saved, whatever
///   was asked.
/// - Saved work is held until it is in a workspace again, exactly, and that workspace is removed in turn otherwise than with
///   [`OnWork::PreserveAll`]; work that was saved before and not put back is held by what is saved later.
/// - [`reopen`](Workspace::reopen) gives what [`create`](Workspace::create) gives, on what the session was on
///   (its branch, renamed or not, or another one it had gone to), with the saved work in it; on `Err`, and when its future is dropped, nothing of it is lost. It never
///   takes a branch that somebody else is on, nor puts work onto another commit than it was made on.
/// - Files that the repository tells git to ignore are no work: they go with the workspace, whoever wrote them. What is
///   to survive is committed, or not ignored.
/// - A commit is a branch's own when what the branch was started from does not reach it. Other branches that reach it
///   do not count, nor do remote-tracking ones: they may go next. So a branch that was merged or pushed stays. Without
///   commits of its own it goes, unless nothing else holds what it was started from.
/// - What was started earlier and still makes the workspace, be it by an ao that died, holds [`remove`](Workspace::remove) and
///   [`reopen`](Workspace::reopen) up for some seconds, and is ended then. Where it does not end, they fail and have changed
///   nothing; they can be called again.
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

    /// Whether a branch that was made for this session is there, under whatever name: one of its name may be somebody else's.
    ///
    /// # Errors
    /// [`WorkspaceError::Failed`] when that cannot be found out.
    async fn has_branch_of(&self, request: &ReopenRequest) -> Result<bool, WorkspaceError>;

    /// Makes the workspace.
    ///
    /// # Errors
    /// [`WorkspaceError`], after what was built was undone.
    async fn create(&self, request: &WorkspaceRequest) -> Result<Checkout, WorkspaceError>;

    /// Removes the workspace; work it holds keeps it, or is saved first, as asked. Ignored files are no work.
    ///
    /// # Errors
    /// [`WorkspaceError`] when it could not be found out or done; nothing was lost then.
    async fn remove(&self, workspace: &WorkspaceRef, on_work: OnWork) -> Result<Removal, WorkspaceError>;

    /// What [`remove`](Workspace::remove) would answer now. Changes nothing at all; work that would be saved has no
    /// commit yet, so it only tells the reference that would hold it.
    ///
    /// # Errors
    /// What [`remove`](Workspace::remove) would say.
    async fn assess(&self, workspace: &WorkspaceRef, on_work: OnWork) -> Result<Removal, WorkspaceError>;

    /// What [`reopen`](Workspace::reopen) would have to make now. Changes nothing.
    ///
    /// # Errors
    /// What [`remove`](Workspace::remove) or [`reopen`](Workspace::reopen) would say.
    async fn to_make(&self, request: &ReopenRequest) -> Result<ToMake, WorkspaceError>;

    /// Lets go of what the repository was told of a workspace that is gone, when its session is to be forgotten too. Gives
    /// `false` where that alone still holds commits: then it stays.
    ///
    /// # Errors
    /// [`WorkspaceError::Failed`] when that cannot be found out or done; it can be repeated.
    async fn forget(&self, workspace: &WorkspaceRef) -> Result<bool, WorkspaceError>;

    /// Gives an ended session its workspace again: the one that is still there, or a new one on its branch with the
    /// work that was saved put back, staged and unstaged as it was.
    ///
    /// # Errors
    /// [`WorkspaceError`], after what was built was undone: directory and branch are as before. Of a directory that was
    /// deleted by hand the repository may have no entry any more: what that held is saved, and what it was on told.
    async fn reopen(&self, request: &ReopenRequest) -> Result<Reopened, WorkspaceError>;

    /// How many commits the checkout in this directory is ahead of one that it started from.
    ///
    /// # Errors
    /// [`WorkspaceError::Failed`] when that cannot be found out.
    async fn commits_since(&self, workspace: &Path, base_commit: &str) -> Result<usize, WorkspaceError>;

    /// Every workspace of the repository that bears ao's mark and is, or was, below `root`.
    ///
    /// # Errors
    /// [`WorkspaceError::Failed`] when that cannot be found out; never an answer that leaves some out.
    async fn owned(&self, repository: &Repository, root: &Path) -> Result<Vec<OwnedWorkspace>, WorkspaceError>;

    /// Brings files or directories of the project's checkout into a workspace, copied or as symbolic links to them. The
    /// paths are relative to both. Gives notes about what was not brought: what is not there, what the workspace has
    /// already (nothing is overwritten), and what git would list there as untracked, for that would pass for work. Dropping
    /// the future stops it soon.
    ///
    /// # Errors
    /// [`WorkspaceError::Failed`] for a path that is absolute or leads out, before anything is brought, and when
    /// something could not be done; it can be repeated then.
    async fn bring(
        &self,
        workspace: &Path,
        repository: &Repository,
        copy: &[PathBuf],
        link: &[PathBuf],
    ) -> Result<Vec<String>, WorkspaceError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i17_removals_recorded_before_work_could_be_saved_are_read() {
        let old = r#"{"outcome":"removed","branch_deleted":true}"#;
        let read: Removal = serde_json::from_str(old).unwrap();
        assert_eq!(read, Removal::Removed { branch_deleted: true, preserved: None, would_save: None, left: None });
        assert_eq!(serde_json::to_string(&read).unwrap(), old);
        let read: Removal = serde_json::from_str(r#"{"outcome":"missing","branch_deleted":false}"#).unwrap();
        assert_eq!(read, Removal::Missing { branch_deleted: false, preserved: None, would_save: None, left: None });
    }
}
