//! The records of answers.

use async_trait::async_trait;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Row};

use super::{SqliteStore, failed, to_its_end};
use crate::domain::Timestamp;
use crate::ports::answer_store::{Answer, AnswerRecord, AnswerStore};
use crate::ports::store::StoreError;

const READ: &str = "read what was answered";
const WRITE: &str = "record what was answered";

#[async_trait]
impl AnswerStore for SqliteStore {
    async fn answer(&self, key: &str) -> Result<Option<AnswerRecord>, StoreError> {
        let row = sqlx::query("SELECT * FROM answers WHERE key = ?").bind(key);
        let Some(row) = row.fetch_optional(&self.readers).await.map_err(failed(READ))? else { return Ok(None) };
        let corrupt = |cause: String| StoreError::Corrupt { id: format!("the answer {key}"), cause };
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

    async fn put_answer(&self, key: &str, record: &AnswerRecord) -> Result<(), StoreError> {
        let AnswerRecord { digest, since, begun_at, answer } = record.clone();
        let (status, location, body) = match answer {
            Some(Answer { status, location, body }) => (Some(status), location, Some(body)),
            None => (None, None, None),
        };
        let since = i64::try_from(since).unwrap_or(i64::MAX);
        let columns = (key.to_owned(), digest, since, begun_at.as_millisecond(), status, location, body);
        let sql = "INSERT OR REPLACE INTO answers (key, digest, since, begun_at_ms, status, location, body)
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        self.write_answers(sql, move |arguments| {
            let (key, digest, since, begun_at, status, location, body) = columns;
            arguments.add(key)?;
            arguments.add(digest)?;
            arguments.add(since)?;
            arguments.add(begun_at)?;
            arguments.add(status)?;
            arguments.add(location)?;
            arguments.add(body)
        })
        .await
    }

    async fn forget_answer(&self, key: &str) -> Result<(), StoreError> {
        let key = key.to_owned();
        self.write_answers("DELETE FROM answers WHERE key = ?", move |arguments| arguments.add(key)).await
    }

    async fn forget_answers_before(&self, before: Timestamp) -> Result<(), StoreError> {
        let before = before.as_millisecond();
        let sql = "DELETE FROM answers WHERE begun_at_ms < ?";
        self.write_answers(sql, move |arguments| arguments.add(before)).await
    }
}

impl SqliteStore {
    async fn write_answers(
        &self,
        sql: &'static str,
        bind: impl FnOnce(&mut SqliteArguments<'static>) -> Result<(), sqlx::error::BoxDynError>,
    ) -> Result<(), StoreError> {
        let mut arguments = SqliteArguments::default();
        bind(&mut arguments).map_err(|cause| StoreError::Failed { action: WRITE, cause: cause.to_string() })?;
        let writer = self.writer.clone();
        to_its_end(WRITE, async move {
            let mut writing = writer.begin(WRITE).await?;
            sqlx::query_with(sql, arguments).execute(&mut *writing.transaction).await.map_err(failed(WRITE))?;
            writing.commit().await
        })
        .await
    }
}
