//! What a repository's own file says, and whether a person has accepted it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Application;
use super::caller::Caller;
use super::error::{AppError, ErrorKind};
use crate::domain::id::ProjectId;
use crate::domain::project::Project;
use crate::domain::project_file::ProjectSettings;
use crate::ports::project_file::ProjectFile;
use crate::ports::repo::Repository;

/// Whether a file takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Acceptance {
    /// It does: nothing in it can do harm.
    NotNeeded,
    /// It does: a person accepted this very content.
    Accepted,
    /// It does not, and spawns are refused: no person has accepted this content yet.
    Needed,
}

/// A project's file, as far as it matters for a spawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProjectFileStatus {
    /// Where it is.
    pub path: PathBuf,
    /// The SHA-256 of its content, in hexadecimal.
    pub digest: String,
    /// Whether it takes effect.
    pub acceptance: Acceptance,
}

/// A project's file with its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProjectFileView {
    /// Which file, and whether it takes effect.
    #[serde(flatten)]
    pub status: ProjectFileStatus,
    /// Its whole content.
    pub content: String,
    /// What it sets.
    pub settings: ProjectSettings,
}

/// A project with what is known of its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProjectView {
    /// The project.
    #[serde(flatten)]
    pub project: Project,
    /// Its file, if it has one that can be read.
    pub file: Option<ProjectFileStatus>,
    /// Why its file cannot be read.
    pub file_problem: Option<String>,
}

impl Application {
    /// Shows a project, also when its repository or its file cannot be read.
    ///
    /// # Errors
    /// `not_found`, or the store's failure.
    pub async fn show_project(&self, id: &ProjectId) -> Result<ProjectView, AppError> {
        let project = self.project(id).await?;
        Ok(match self.project_file(id).await {
            Ok(file) => ProjectView { project, file: file.map(|file| file.status), file_problem: None },
            Err(error) => ProjectView { project, file: None, file_problem: Some(error.message) },
        })
    }

    /// A project's file; `None` when its repository has none.
    ///
    /// # Errors
    /// When the project is unknown, or its repository or the file cannot be read.
    pub async fn project_file(&self, id: &ProjectId) -> Result<Option<ProjectFileView>, AppError> {
        let repository = self.shared.repos.resolve(id).await?;
        let Some(file) = self.shared.project_files.read(&repository).await? else { return Ok(None) };
        let status = self.status(id, &file).await?;
        Ok(Some(ProjectFileView { status, content: file.content, settings: file.settings }))
    }

    /// Accepts a project's file for a person who has seen the content of this digest.
    ///
    /// # Errors
    /// `not_a_person` for an agent; `no_project_file`; `project_file_changed` when it holds something else by now; as [`Self::project_file`].
    pub async fn trust_project_file(
        &self,
        id: &ProjectId,
        digest: &str,
        caller: &Caller,
    ) -> Result<ProjectFileStatus, AppError> {
        let elsewhere = format!("nothing was accepted; in a terminal of your own: ao project trust {id}");
        self.insist_on_person(caller, &format!("accepts the ao.toml of {id}"), elsewhere).await?;
        let Some(ProjectFileView { status, .. }) = self.project_file(id).await? else {
            let message = format!("the repository of project {id} has no ao.toml");
            return Err(AppError::new(ErrorKind::NotFound, "no_project_file", message));
        };
        if status.digest != digest {
            let message = format!("{} was changed since it was looked at", status.path.display());
            return Err(AppError::new(ErrorKind::Refused, "project_file_changed", message).hint(look(id)));
        }
        if status.acceptance != Acceptance::Needed {
            return Ok(status);
        }
        self.shared.projects.trust(id, digest, self.shared.clock.now()).await?;
        tracing::info!(project = %id, digest, "a project's file was accepted");
        Ok(ProjectFileStatus { acceptance: Acceptance::Accepted, ..status })
    }

    /// What a project's file sets, for a spawn; nothing when it has none.
    ///
    /// # Errors
    /// `untrusted_project_file` until a person has accepted it, if that is needed; when the file cannot be read.
    pub(super) async fn project_settings(
        &self,
        id: &ProjectId,
        repository: &Repository,
    ) -> Result<ProjectSettings, AppError> {
        let Some(file) = self.shared.project_files.read(repository).await? else {
            return Ok(ProjectSettings::default());
        };
        if self.status(id, &file).await?.acceptance == Acceptance::Needed {
            let message = format!(
                "{} says what runs on your machine and how, and nobody has accepted it as it is now",
                file.path.display()
            );
            return Err(AppError::new(ErrorKind::Refused, "untrusted_project_file", message).hint(look(id)));
        }
        Ok(file.settings)
    }

    async fn status(&self, id: &ProjectId, file: &ProjectFile) -> Result<ProjectFileStatus, AppError> {
        let acceptance = if !file.settings.needs_acceptance() {
            Acceptance::NotNeeded
        } else if self.shared.projects.is_trusted(id, &file.digest).await? {
            Acceptance::Accepted
        } else {
            Acceptance::Needed
        };
        Ok(ProjectFileStatus { path: file.path.clone(), digest: file.digest.clone(), acceptance })
    }
}

fn look(id: &ProjectId) -> String {
    format!("look at it and accept it with: ao project trust {id}")
}
