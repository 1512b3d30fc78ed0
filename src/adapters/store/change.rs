//! The change log.

use async_trait::async_trait;
use sqlx::sqlite::SqlitePool;
use sqlx::{QueryBuilder, Row};

use super::column::{Columns, integer, json_text};
use super::{SqliteStore, Writing, failed};
use crate::domain::Timestamp;
use crate::domain::change::{Change, NewChange};
use crate::domain::id::{ProjectId, SessionId};
use crate::ports::store::{ChangeFilter, ChangeLog, StoreError};

const READ: &str = "read the change log";

#[async_trait]
impl ChangeLog for SqliteStore {
    async fn changes(&self, filter: &ChangeFilter) -> Result<Vec<Change>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM changes WHERE seq > ");
        query.push_bind(integer(filter.since, READ)?);
        if let Some(session) = &filter.session {
            query.push(" AND session_id = ").push_bind(session.as_str());
        }
        query.push(" ORDER BY seq LIMIT ").push_bind(filter.limit);
        let rows = query.build().fetch_all(&self.readers).await.map_err(failed(READ))?;
        rows.iter().map(|row| read(Columns(row))).collect()
    }

    async fn last_seq(&self) -> Result<u64, StoreError> {
        last_seq(&self.readers).await
    }

    async fn wait_beyond(&self, seq: u64) {
        // It fails only when the sender is gone, which this store holds.
        let _ = self.writer.newest.subscribe().wait_for(|newest| *newest > seq).await;
    }
}

pub(super) async fn last_seq(readers: &SqlitePool) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT coalesce(max(seq), 0) AS seq FROM changes").fetch_one(readers).await;
    let seq: i64 = row.and_then(|row| row.try_get("seq")).map_err(failed(READ))?;
    u64::try_from(seq).map_err(|error| corrupt(seq, error.to_string()))
}

fn read(row: Columns<'_>) -> Result<Change, StoreError> {
    let seq: i64 = row.get("seq").map_err(|cause| corrupt(0, cause))?;
    let change = || {
        Ok(Change {
            seq: row.number("seq")?,
            at: row.time("at_ms")?,
            kind: row.word("kind")?,
            project: row.word("project_id")?,
            session: row.optional_word("session_id")?,
            data: row.json("data_json")?,
        })
    };
    change().map_err(|cause| corrupt(seq, cause))
}

fn corrupt(seq: i64, cause: String) -> StoreError {
    StoreError::Corrupt { id: format!("change {seq}"), cause }
}

impl Writing {
    /// Logs changes in this transaction.
    pub(super) async fn log(
        &mut self,
        at: Timestamp,
        project: &ProjectId,
        session: Option<&SessionId>,
        changes: &[NewChange],
    ) -> Result<(), StoreError> {
        for NewChange { kind, data } in changes {
            let done = sqlx::query(
                "INSERT INTO changes (at_ms, kind, project_id, session_id, data_json) VALUES (?, ?, ?, ?, ?)",
            )
            .bind(at.as_millisecond())
            .bind(kind.as_str())
            .bind(project.as_str())
            .bind(session.map(SessionId::as_str))
            .bind(json_text(data, self.action)?)
            .execute(&mut *self.transaction)
            .await
            .map_err(failed(self.action))?;
            self.logged = u64::try_from(done.last_insert_rowid()).ok();
        }
        Ok(())
    }
}
