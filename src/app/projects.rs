//! Projects: the register of repositories.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Application;
use super::error::{AppError, ErrorKind};
use crate::domain::id::ProjectId;
use crate::domain::project::Project;
use crate::ports::repo::RepoError;
use crate::ports::store::StoreError;

/// How many ids are tried for a repository whose directory's name is taken.
const MAX_SAME_NAMES: u32 = 100;

/// What registering a repository came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Registered {
    /// The project.
    pub project: Project,
    /// Whether it was registered just now.
    pub added: bool,
}

impl Application {
    /// Registers the repository a directory is in. One that is registered already is given as it is, unless another id was
    /// asked for.
    ///
    /// # Errors
    /// When the directory is in no usable repository; `exists` when the id is taken.
    pub async fn add_project(&self, directory: &Path, id: Option<ProjectId>) -> Result<Registered, AppError> {
        let found = self.shared.repos.discover(directory).await.map_err(|error| match error {
            // Nothing is registered that could have been moved.
            RepoError::Moved { path } => AppError::new(
                ErrorKind::Failed,
                "not_a_repository",
                format!("there is no directory {}", path.display()),
            )
            .hint("name the directory of a git repository"),
            error => error.into(),
        })?;
        let path = found.path;
        if let Some(id) = id {
            return match self.project_at(&path).await? {
                Some(project) if project.id == id => Ok(Registered { project, added: false }),
                Some(project) => Err(AppError::new(
                    ErrorKind::Refused,
                    "exists",
                    format!("{} is registered already, as project {}", path.display(), project.id),
                )
                .hint(format!("use {0}, or forget it first: ao project rm {0}", project.id))),
                None => Ok(self.register(id, path).await?),
            };
        }
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let base = ProjectId::from_name(&name);
        for n in 1..=MAX_SAME_NAMES {
            if let Some(project) = self.project_at(&path).await? {
                return Ok(Registered { project, added: false });
            }
            let id = if n == 1 { base.clone() } else { ProjectId::from_name(&format!("{base}-{n}")) };
            match self.register(id, path.clone()).await {
                // The name is another repository's, or somebody registered this one a moment ago.
                Err(StoreError::Exists { .. }) => {}
                registered => return Ok(registered?),
            }
        }
        Err(AppError::new(
            ErrorKind::Refused,
            "exists",
            format!("the names {base} to {base}-{MAX_SAME_NAMES} are taken"),
        )
        .hint("name the project with --id"))
    }

    async fn project_at(&self, path: &Path) -> Result<Option<Project>, AppError> {
        Ok(self.shared.projects.projects().await?.into_iter().find(|project| project.path == path))
    }

    async fn register(&self, id: ProjectId, path: PathBuf) -> Result<Registered, StoreError> {
        let project = Project { id, path, created_at: self.shared.clock.now() };
        self.shared.projects.add_project(&project).await?;
        tracing::info!(project = %project.id, path = %project.path.display(), "registered");
        Ok(Registered { project, added: true })
    }

    /// Every project, by id.
    ///
    /// # Errors
    /// The store's failure.
    pub async fn projects(&self) -> Result<Vec<Project>, AppError> {
        Ok(self.shared.projects.projects().await?)
    }

    /// One project.
    ///
    /// # Errors
    /// `not_found`, or the store's failure.
    pub async fn project(&self, id: &ProjectId) -> Result<Project, AppError> {
        let project = self.shared.projects.project(id).await?;
        project.ok_or_else(|| StoreError::Missing { what: "project", id: id.to_string() }.into())
    }

    /// Takes a project off the register. The repository is not touched.
    ///
    /// # Errors
    /// `not_found`; `in_use` while a session of it is not over.
    pub async fn remove_project(&self, id: &ProjectId) -> Result<(), AppError> {
        Ok(self.shared.projects.remove_project(id, self.shared.clock.now()).await?)
    }
}
