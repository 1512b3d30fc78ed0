//! The records of answers.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::query::Query;
use sqlx::sqlite::{Sqlite, SqliteArguments};

use super::{SqliteStore, failed, to_its_end};
use crate::domain::Timestamp;
use crate::domain::id::SessionId;
use crate::ports::answer_store::{Answer, AnswerKey, AnswerRecord, AnswerStore};
use crate::ports::store::StoreError;

const READ: &str = "read what was answered";
const WRITE: &str = "record what was answered";

type Statement = Query<'static, Sqlite, SqliteArguments<'static>>;

/// A statement with the three columns that make a key.
fn of_key(sql: &'static str, key: &AnswerKey) -> Statement {
    sqlx::query(sql).bind(column(key.asker.as_ref())).bind(key.route.clone()).bind(key.key.clone())
}

/// Who asked, as it is on record.
fn column(asker: Option<&SessionId>) -> String {
    asker.map(ToString::to_string).unwrap_or_default()
}

#[async_trait]
impl AnswerStore for SqliteStore {
    async fn answer(&self, key: &AnswerKey) -> Result<Option<AnswerRecord>, StoreError> {
        let row = of_key("SELECT * FROM answers WHERE asker = ? AND route = ? AND key = ?", key);
        let Some(row) = row.fetch_optional(&self.readers).await.map_err(failed(READ))? else { return Ok(None) };
        let corrupt = |cause: String| StoreError::Corrupt { id: format!("the answer {}", key.key), cause };
        let status: Option<i64> = row.get("status");
        let answer = status.map(|status| {
            let status = u16::try_from(status).map_err(|error| error.to_string())?;
            let body = row.get::<Option<String>, _>("body").unwrap_or_default();
            Ok(Answer { status, location: row.get("location"), body })
        });
        Ok(Some(AnswerRecord {
            digest: row.get("digest"),
            since: u64::try_from(row.get::<i64, _>("since")).map_err(|error| corrupt(error.to_string()))?,
            begun_at: Timestamp::from_millisecond(row.get("begun_at_ms"))
                .map_err(|error| corrupt(error.to_string()))?,
            answer: answer.transpose().map_err(corrupt)?,
        }))
    }

    async fn put_answer(&self, key: &AnswerKey, record: &AnswerRecord) -> Result<(), StoreError> {
        let AnswerRecord { digest, since, begun_at, answer } = record.clone();
        let (status, location, body) = match answer {
            Some(Answer { status, location, body }) => (Some(status), location, Some(body)),
            None => (None, None, None),
        };
        let sql =
            "INSERT OR REPLACE INTO answers (asker, route, key, digest, since, begun_at_ms, status, location, body)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let put = of_key(sql, key).bind(digest).bind(since).bind(begun_at.as_millisecond());
        self.write_answers([put.bind(status).bind(location).bind(body)]).await
    }

    async fn forget_answer(&self, key: &AnswerKey) -> Result<(), StoreError> {
        self.write_answers([of_key("DELETE FROM answers WHERE asker = ? AND route = ? AND key = ?", key)]).await
    }

    async fn bound_answers(&self, asker: Option<&SessionId>, before: Timestamp, newest: u32) -> Result<(), StoreError> {
        let old = sqlx::query("DELETE FROM answers WHERE begun_at_ms < ?").bind(before.as_millisecond());
        let sql = "DELETE FROM answers WHERE asker = ?1 AND (begun_at_ms, rowid) <=
                   (SELECT begun_at_ms, rowid FROM answers WHERE asker = ?1 ORDER BY begun_at_ms DESC, rowid DESC LIMIT 1 OFFSET ?2)";
        self.write_answers([old, sqlx::query(sql).bind(column(asker)).bind(newest)]).await
    }
}

impl SqliteStore {
    async fn write_answers<const N: usize>(&self, statements: [Statement; N]) -> Result<(), StoreError> {
        let writer = self.writer.clone();
        to_its_end(WRITE, async move {
            let mut writing = writer.begin(WRITE).await?;
            for statement in statements {
                statement.execute(&mut *writing.transaction).await.map_err(failed(WRITE))?;
            }
            writing.commit().await
        })
        .await
    }
}
