//! Repositories, read with gix.
//!
//! # Theory of operation
//!
//! From the directory upwards, the first `.git`, or bare repository, is the one; it must be readable. A broken one is not
//! passed over in favour of another further up: that would be a repository the person did not mean. Its configuration is
//! read alone: no system or user configuration, no includes, no environment, and nothing is run.
//!
//! A repository of another user is read like any other, since reading runs nothing. Whether it is to be trusted is
//! git's question (`safe.directory`), which the workspace adapter lets git ask before it makes anything.

mod read;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::id::ProjectId;
use crate::ports::repo::{RepoError, RepoResolver, Repository};
use crate::ports::store::ProjectStore;

/// Resolves projects of a register, and directories, with gix.
pub struct GixRepoResolver {
    projects: Arc<dyn ProjectStore>,
}

impl GixRepoResolver {
    /// Over a register of projects: the one that all of ao uses.
    #[must_use]
    pub fn new(projects: Arc<dyn ProjectStore>) -> Self {
        Self { projects }
    }
}

#[async_trait]
impl RepoResolver for GixRepoResolver {
    async fn resolve(&self, project: &ProjectId) -> Result<Repository, RepoError> {
        let found = self.projects.project(project).await;
        let found = found.map_err(|source| RepoError::Store { project: project.clone(), source })?;
        let Some(found) = found else { return Err(RepoError::UnknownProject(project.clone())) };
        let repository = off_thread(found.path.clone()).await?;
        // The registered one is gone, and the directory happens to lie in another.
        if repository.path == found.path { Ok(repository) } else { Err(RepoError::NotARepository { path: found.path }) }
    }

    async fn discover(&self, directory: &Path) -> Result<Repository, RepoError> {
        off_thread(directory.to_owned()).await
    }
}

/// gix blocks.
async fn off_thread(directory: PathBuf) -> Result<Repository, RepoError> {
    let read = tokio::task::spawn_blocking({
        let directory = directory.clone();
        move || read::discover(&directory)
    });
    match read.await {
        Ok(outcome) => outcome,
        Err(error) => Err(RepoError::Corrupt { path: directory, cause: format!("reading it ended abruptly: {error}") }),
    }
}
