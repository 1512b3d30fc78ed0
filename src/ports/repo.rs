//! Is this project's repository usable, and where is it?

use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::domain::id::ProjectId;

/// Why a project gives no usable repository.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepoError {
    /// No such project is registered.
    #[error("there is no project {0}")]
    UnknownProject(ProjectId),
    /// The directory is not there any more.
    #[error("{} is not there: it was moved or deleted", path.display())]
    Moved {
        /// Where it was.
        path: PathBuf,
    },
    /// The directory is there and is no git repository.
    #[error("{} is not in a git repository", path.display())]
    NotARepository {
        /// The directory.
        path: PathBuf,
    },
    /// It is a git repository that cannot be read.
    #[error("the git repository at {} cannot be read: {cause}", path.display())]
    Corrupt {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The register could not be read.
    #[error("cannot look up project {project}: {source}")]
    Store {
        /// The project.
        project: ProjectId,
        /// The cause.
        #[source]
        source: super::store::StoreError,
    },
}

impl RepoError {
    /// Whether it may be mended without anybody telling ao: a repository that is away comes back when its disk does.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Moved { .. } | Self::NotARepository { .. } | Self::Corrupt { .. })
    }
}

/// A repository that can be worked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The main checkout's directory, or the git directory when bare. Absolute, links resolved.
    pub path: PathBuf,
    /// The git directory all worktrees share.
    pub common_dir: PathBuf,
    /// Whether it has no checkout of its own.
    pub is_bare: bool,
    /// The branch `HEAD` names, without `refs/heads/`; `None` when detached.
    pub head_branch: Option<String>,
    /// Whether `HEAD` names a branch without a commit.
    pub is_unborn: bool,
}

/// Turns a project, or a directory, into a usable repository. Reads only.
///
/// # Contract
/// - A directory inside a checkout, or inside a worktree of it, resolves to the main checkout.
/// - A submodule is a repository of its own.
/// - Nothing is executed: no hooks, no filters, no configured commands.
#[async_trait]
pub trait RepoResolver: Send + Sync {
    /// A registered project's repository.
    ///
    /// # Errors
    /// [`RepoError`], one kind for each way a project can be unusable.
    async fn resolve(&self, project: &ProjectId) -> Result<Repository, RepoError>;

    /// The repository a directory is in.
    ///
    /// # Errors
    /// [`RepoError`] except [`RepoError::UnknownProject`].
    async fn discover(&self, directory: &Path) -> Result<Repository, RepoError>;
}
