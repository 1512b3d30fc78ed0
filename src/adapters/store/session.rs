//! The records of sessions.

use async_trait::async_trait;
use serde_json::json;
use sqlx::QueryBuilder;

use super::column::{Columns, integer};
use super::session_row::{insert, read, update};
use super::{SqliteStore, Writing, failed, to_its_end};
use crate::domain::Timestamp;
use crate::domain::change::{ChangeKind, NewChange};
use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::ports::store::{SessionFilter, SessionStore, StoreError};

const READ: &str = "read sessions";

#[async_trait]
impl SessionStore for SqliteStore {
    async fn insert_session(&self, session: &mut Session, changes: &[NewChange]) -> Result<(), StoreError> {
        const ACTION: &str = "record a session";
        let (writer, changes) = (self.writer.clone(), changes.to_vec());
        let new = Session { version: 1, ..session.clone() };
        to_its_end(ACTION, async move {
            let mut writing = writer.begin(ACTION).await?;
            writing.insert_session(&new, &changes).await?;
            writing.commit().await
        })
        .await?;
        session.version = 1;
        Ok(())
    }

    async fn session(&self, id: &SessionId) -> Result<Option<Session>, StoreError> {
        let row = sqlx::query("SELECT * FROM sessions WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed(READ))?;
        row.map(|row| read(Columns(&row))).transpose()
    }

    async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM sessions WHERE TRUE");
        if let Some(project) = &filter.project {
            query.push(" AND project_id = ").push_bind(project.as_str());
        }
        if !filter.include_terminated {
            query.push(" AND phase <> 'terminated'");
        }
        if let Some(after) = &filter.after {
            query.push(" AND (project_id, number) > (").push_bind(after.project().as_str().to_owned());
            query.push(", ").push_bind(after.number()).push(")");
        }
        query.push(" ORDER BY project_id, number");
        if let Some(limit) = filter.limit {
            query.push(" LIMIT ").push_bind(limit);
        }
        let rows = query.build().fetch_all(&self.readers).await.map_err(failed(READ))?;
        rows.iter().map(|row| read(Columns(row))).collect()
    }

    async fn update_session(&self, session: &mut Session, changes: &[NewChange]) -> Result<(), StoreError> {
        const ACTION: &str = "update a session";
        let (writer, changes) = (self.writer.clone(), changes.to_vec());
        let (expected, new) = (session.version, Session { version: session.version + 1, ..session.clone() });
        to_its_end(ACTION, async move {
            let mut writing = writer.begin(ACTION).await?;
            writing.update_session(expected, &new, &changes).await?;
            writing.commit().await
        })
        .await?;
        session.version += 1;
        Ok(())
    }

    async fn over_since(&self, before: Timestamp) -> Result<Vec<SessionId>, StoreError> {
        let ended = "SELECT id FROM sessions WHERE phase = 'terminated' AND updated_at_ms < ?
                     ORDER BY updated_at_ms, project_id, number";
        let rows = sqlx::query(ended).bind(before.as_millisecond()).fetch_all(&self.readers).await;
        let id = |row| Columns(row).word("id");
        let ids: Result<_, String> = rows.map_err(failed(READ))?.iter().map(id).collect();
        ids.map_err(|cause| StoreError::Corrupt { id: "a session".to_owned(), cause })
    }

    async fn remove_session(&self, id: &SessionId, version: u64, at: Timestamp) -> Result<(), StoreError> {
        const ACTION: &str = "remove a session";
        let (writer, id) = (self.writer.clone(), id.clone());
        to_its_end(ACTION, async move {
            let mut writing = writer.begin(ACTION).await?;
            writing.remove_session(&id, version, at).await?;
            writing.commit().await
        })
        .await
    }
}

impl Writing {
    async fn insert_session(&mut self, session: &Session, changes: &[NewChange]) -> Result<(), StoreError> {
        let (id, project) = (&session.id, session.id.project());
        if self.version(id).await?.is_some() {
            return Err(StoreError::Exists { what: "session", id: id.to_string() });
        }
        self.note_session_number(&project, id.number()).await?;
        insert(session, self.action)?.execute(&mut *self.transaction).await.map_err(failed(self.action))?;
        self.log(session.updated_at, &project, Some(id), changes).await
    }

    async fn update_session(
        &mut self,
        expected: u64,
        session: &Session,
        changes: &[NewChange],
    ) -> Result<(), StoreError> {
        let id = &session.id;
        self.expect_version(id, expected).await?;
        if !session.phase.is_terminated() {
            // An ended session that is built again: its project may have been removed since that was checked.
            self.insist_on_project(&id.project()).await?;
        }
        update(session, self.action)?.execute(&mut *self.transaction).await.map_err(failed(self.action))?;
        self.log(session.updated_at, &id.project(), Some(id), changes).await
    }

    async fn remove_session(&mut self, id: &SessionId, expected: u64, at: Timestamp) -> Result<(), StoreError> {
        self.expect_version(id, expected).await?;
        let removed = sqlx::query("DELETE FROM sessions WHERE id = ? AND phase = 'terminated'")
            .bind(id.as_str())
            .execute(&mut *self.transaction)
            .await
            .map_err(failed(self.action))?;
        if removed.rows_affected() == 0 {
            return Err(StoreError::NotOver(id.clone()));
        }
        let removed = NewChange::new(ChangeKind::SessionRemoved, json!({}));
        self.log(at, &id.project(), Some(id), &[removed]).await
    }

    async fn expect_version(&mut self, id: &SessionId, expected: u64) -> Result<(), StoreError> {
        match self.version(id).await? {
            None => Err(StoreError::Missing { what: "session", id: id.to_string() }),
            Some(version) if version != integer(expected, self.action)? => Err(StoreError::Conflict(id.clone())),
            Some(_) => Ok(()),
        }
    }

    pub(super) async fn version(&mut self, id: &SessionId) -> Result<Option<i64>, StoreError> {
        sqlx::query_scalar("SELECT version FROM sessions WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&mut *self.transaction)
            .await
            .map_err(failed(self.action))
    }
}
