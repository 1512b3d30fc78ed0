//! The records of sessions.

use async_trait::async_trait;
use sqlx::QueryBuilder;

use super::column::{Columns, integer};
use super::session_row::{insert, read, update};
use super::{SqliteStore, Writing, failed, to_its_end};
use crate::domain::change::NewChange;
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
        query.push(" ORDER BY project_id, number");
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
        match self.version(id).await? {
            None => return Err(StoreError::Missing { what: "session", id: id.to_string() }),
            Some(version) if version != integer(expected, self.action)? => {
                return Err(StoreError::Conflict(id.clone()));
            }
            Some(_) => {}
        }
        if !session.phase.is_terminated() {
            // An ended session that is built again: its project may have been removed since that was checked.
            self.insist_on_project(&id.project()).await?;
        }
        update(session, self.action)?.execute(&mut *self.transaction).await.map_err(failed(self.action))?;
        self.log(session.updated_at, &id.project(), Some(id), changes).await
    }

    async fn version(&mut self, id: &SessionId) -> Result<Option<i64>, StoreError> {
        sqlx::query_scalar("SELECT version FROM sessions WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&mut *self.transaction)
            .await
            .map_err(failed(self.action))
    }
}
