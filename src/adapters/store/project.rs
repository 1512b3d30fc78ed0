//! The register of projects.

use async_trait::async_trait;
use serde_json::json;

use super::column::{Columns, path_text};
use super::{SqliteStore, Writing, failed, to_its_end};
use crate::domain::Timestamp;
use crate::domain::change::{ChangeKind, NewChange};
use crate::domain::id::ProjectId;
use crate::domain::project::Project;
use crate::ports::store::{ProjectStore, StoreError};

const READ: &str = "read projects";

#[async_trait]
impl ProjectStore for SqliteStore {
    async fn add_project(&self, project: &Project) -> Result<(), StoreError> {
        const ACTION: &str = "add a project";
        let (writer, project) = (self.writer.clone(), project.clone());
        to_its_end(ACTION, async move {
            let mut writing = writer.begin(ACTION).await?;
            writing.add_project(&project).await?;
            writing.commit().await
        })
        .await
    }

    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, StoreError> {
        let row = sqlx::query("SELECT * FROM projects WHERE id = ? AND removed_at_ms IS NULL")
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed(READ))?;
        row.map(|row| read(Columns(&row))).transpose()
    }

    async fn projects(&self) -> Result<Vec<Project>, StoreError> {
        let rows = sqlx::query("SELECT * FROM projects WHERE removed_at_ms IS NULL ORDER BY id")
            .fetch_all(&self.readers)
            .await
            .map_err(failed(READ))?;
        rows.iter().map(|row| read(Columns(row))).collect()
    }

    async fn remove_project(&self, id: &ProjectId, at: Timestamp) -> Result<(), StoreError> {
        const ACTION: &str = "remove a project";
        let (writer, id) = (self.writer.clone(), id.clone());
        to_its_end(ACTION, async move {
            let mut writing = writer.begin(ACTION).await?;
            writing.remove_project(&id, at).await?;
            writing.commit().await
        })
        .await
    }

    async fn trust(&self, id: &ProjectId, digest: &str, at: Timestamp) -> Result<(), StoreError> {
        const ACTION: &str = "accept a project's file";
        let (writer, id, digest) = (self.writer.clone(), id.clone(), digest.to_owned());
        to_its_end(ACTION, async move {
            let mut writing = writer.begin(ACTION).await?;
            writing.trust(&id, &digest, at).await?;
            writing.commit().await
        })
        .await
    }

    async fn is_trusted(&self, id: &ProjectId, digest: &str) -> Result<bool, StoreError> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM trusted_files WHERE project_id = ? AND digest = ?)")
            .bind(id.as_str())
            .bind(digest)
            .fetch_one(&self.readers)
            .await
            .map_err(failed(READ))
    }

    async fn reserve_session_number(&self, id: &ProjectId) -> Result<u32, StoreError> {
        const ACTION: &str = "reserve a session number";
        let (writer, id) = (self.writer.clone(), id.clone());
        to_its_end(ACTION, async move {
            let mut writing = writer.begin(ACTION).await?;
            let number = writing.reserve_session_number(&id).await?;
            writing.commit().await?;
            Ok(number)
        })
        .await
    }
}

fn read(row: Columns<'_>) -> Result<Project, StoreError> {
    let project = || {
        Ok(Project {
            id: row.word("id")?,
            path: row.get::<String>("path")?.into(),
            created_at: row.time("created_at_ms")?,
        })
    };
    project().map_err(|cause| {
        let id = row.get::<String>("id").unwrap_or_default();
        StoreError::Corrupt { id: format!("project {id}"), cause }
    })
}

pub(super) fn missing(id: &ProjectId) -> StoreError {
    StoreError::Missing { what: "project", id: id.to_string() }
}

impl Writing {
    async fn add_project(&mut self, project: &Project) -> Result<(), StoreError> {
        let path = path_text(&project.path, self.action)?;
        let in_the_way: Option<String> =
            sqlx::query_scalar("SELECT id FROM projects WHERE (id = ? OR path = ?) AND removed_at_ms IS NULL")
                .bind(project.id.as_str())
                .bind(path)
                .fetch_optional(&mut *self.transaction)
                .await
                .map_err(failed(self.action))?;
        if let Some(id) = in_the_way {
            return Err(StoreError::Exists { what: "project", id });
        }
        // A project of this id that was removed left its row, with the numbers it gave out.
        sqlx::query(
            "INSERT INTO projects (id, path, created_at_ms) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE
             SET path = excluded.path, created_at_ms = excluded.created_at_ms, removed_at_ms = NULL",
        )
        .bind(project.id.as_str())
        .bind(path)
        .bind(project.created_at.as_millisecond())
        .execute(&mut *self.transaction)
        .await
        .map_err(failed(self.action))?;
        let added = NewChange::new(ChangeKind::ProjectAdded, json!({ "path": path }));
        self.log(project.created_at, &project.id, None, &[added]).await
    }

    async fn remove_project(&mut self, id: &ProjectId, at: Timestamp) -> Result<(), StoreError> {
        let in_use: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM sessions WHERE project_id = ? AND phase <> 'terminated')")
                .bind(id.as_str())
                .fetch_one(&mut *self.transaction)
                .await
                .map_err(failed(self.action))?;
        if in_use {
            return Err(StoreError::InUse(id.clone()));
        }
        let done = sqlx::query("UPDATE projects SET removed_at_ms = ? WHERE id = ? AND removed_at_ms IS NULL")
            .bind(at.as_millisecond())
            .bind(id.as_str())
            .execute(&mut *self.transaction)
            .await
            .map_err(failed(self.action))?;
        if done.rows_affected() == 0 {
            return Err(missing(id));
        }
        // Another repository may be registered under this id, and nobody has looked at that one's file.
        sqlx::query("DELETE FROM trusted_files WHERE project_id = ?")
            .bind(id.as_str())
            .execute(&mut *self.transaction)
            .await
            .map_err(failed(self.action))?;
        self.log(at, id, None, &[NewChange::new(ChangeKind::ProjectRemoved, json!({}))]).await
    }

    async fn trust(&mut self, id: &ProjectId, digest: &str, at: Timestamp) -> Result<(), StoreError> {
        self.insist_on_project(id).await?;
        let done = sqlx::query(
            "INSERT INTO trusted_files (project_id, digest, accepted_at_ms) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(id.as_str())
        .bind(digest)
        .bind(at.as_millisecond())
        .execute(&mut *self.transaction)
        .await
        .map_err(failed(self.action))?;
        if done.rows_affected() == 0 {
            return Ok(());
        }
        self.log(at, id, None, &[NewChange::new(ChangeKind::ProjectTrusted, json!({ "digest": digest }))]).await
    }

    /// Refuses a project that is not registered.
    pub(super) async fn insist_on_project(&mut self, id: &ProjectId) -> Result<(), StoreError> {
        let registered: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM projects WHERE id = ? AND removed_at_ms IS NULL)")
                .bind(id.as_str())
                .fetch_one(&mut *self.transaction)
                .await
                .map_err(failed(self.action))?;
        if registered { Ok(()) } else { Err(missing(id)) }
    }

    async fn reserve_session_number(&mut self, id: &ProjectId) -> Result<u32, StoreError> {
        sqlx::query_scalar(
            "UPDATE projects SET last_session_number = last_session_number + 1
             WHERE id = ? AND removed_at_ms IS NULL RETURNING last_session_number",
        )
        .bind(id.as_str())
        .fetch_optional(&mut *self.transaction)
        .await
        .map_err(failed(self.action))?
        .ok_or_else(|| missing(id))
    }

    /// Keeps a number that came with a session from being reserved for a later one. Refuses an unknown project.
    pub(super) async fn note_session_number(&mut self, id: &ProjectId, number: u32) -> Result<(), StoreError> {
        let done = sqlx::query(
            "UPDATE projects SET last_session_number = max(last_session_number, ?)
             WHERE id = ? AND removed_at_ms IS NULL",
        )
        .bind(number)
        .bind(id.as_str())
        .execute(&mut *self.transaction)
        .await
        .map_err(failed(self.action))?;
        if done.rows_affected() == 0 { Err(missing(id)) } else { Ok(()) }
    }
}
