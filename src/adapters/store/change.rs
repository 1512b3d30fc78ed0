//! The change log.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{QueryBuilder, Row};

use super::column::{Columns, integer, json_text};
use super::{SqliteStore, Writing, failed, to_its_end};
use crate::domain::Timestamp;
use crate::domain::change::{Change, NewChange};
use crate::domain::id::{ProjectId, SessionId};
use crate::ports::store::{ChangeFilter, ChangeLog, StoreError};

const READ: &str = "read the change log";

#[async_trait]
impl ChangeLog for SqliteStore {
    async fn changes(&self, filter: &ChangeFilter) -> Result<Vec<Change>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM changes WHERE seq > ");
        // No number is as large.
        query.push_bind(i64::try_from(filter.since).unwrap_or(i64::MAX));
        if let Some(session) = &filter.session {
            query.push(" AND session_id = ").push_bind(session.as_str());
        }
        query.push(" ORDER BY seq LIMIT ").push_bind(filter.limit);
        // One snapshot for both: what is trimmed between two reads would be a silent gap.
        let mut snapshot = self.readers.begin().await.map_err(failed(READ))?;
        let Extent { oldest, .. } = extent(&mut snapshot, READ).await?;
        if filter.since < oldest - 1 {
            return Err(StoreError::ChangesGone { since: filter.since, oldest });
        }
        let rows = query.build().fetch_all(&mut *snapshot).await.map_err(failed(READ))?;
        rows.iter().map(|row| read(Columns(row))).collect()
    }

    async fn trim_changes(&self, keep: u64, at_most: u32) -> Result<u64, StoreError> {
        const ACTION: &str = "trim the change log";
        let writer = self.writer.clone();
        to_its_end(ACTION, async move {
            let mut writing = writer.begin(ACTION).await?;
            let Extent { oldest, newest } = extent(&mut writing.transaction, ACTION).await?;
            let surplus = (newest + 1 - oldest).saturating_sub(keep).min(at_most.into());
            if surplus > 0 {
                sqlx::query("DELETE FROM changes WHERE seq < ?")
                    .bind(integer(oldest + surplus, ACTION)?)
                    .execute(&mut *writing.transaction)
                    .await
                    .map_err(failed(ACTION))?;
            }
            writing.commit().await.map(|()| surplus)
        })
        .await
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
    let mut connection = readers.acquire().await.map_err(failed(READ))?;
    Ok(extent(&mut connection, READ).await?.newest)
}

/// Which numbers the log holds.
struct Extent {
    /// The oldest entry on record; one more than `newest` when there is none.
    oldest: u64,
    /// The newest entry there ever was.
    newest: u64,
}

async fn extent(connection: &mut SqliteConnection, action: &'static str) -> Result<Extent, StoreError> {
    // SQLite keeps the greatest number that an AUTOINCREMENT column ever held, also when that row is gone.
    let numbers = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0) AS newest,
                         (SELECT min(seq) FROM changes) AS oldest";
    let row = sqlx::query(numbers).fetch_one(connection).await.map_err(failed(action))?;
    let newest: i64 = row.try_get("newest").map_err(failed(action))?;
    let oldest: Option<i64> = row.try_get("oldest").map_err(failed(action))?;
    let number = |seq: i64| u64::try_from(seq).map_err(|error| corrupt(seq, error.to_string()));
    let newest = number(newest)?;
    Ok(Extent { oldest: oldest.map(number).transpose()?.unwrap_or(newest + 1), newest })
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
