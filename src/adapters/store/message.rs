//! The records of messages.

use async_trait::async_trait;
use sqlx::QueryBuilder;

use super::column::Columns;
use super::{SqliteStore, Writing, failed, to_its_end};
use crate::domain::Timestamp;
use crate::domain::change::NewChange;
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::{Message, MessageRecord, Route};
use crate::domain::sender::Sender;
use crate::ports::message_store::MessageStore;
use crate::ports::store::StoreError;

const READ: &str = "read messages";
const UNSETTLED: &str = "state NOT IN ('acknowledged', 'failed')";

#[async_trait]
impl MessageStore for SqliteStore {
    async fn insert_message(&self, record: &MessageRecord, changes: &[NewChange]) -> Result<(), StoreError> {
        const ACTION: &str = "record a message";
        let (writer, record, changes) = (self.writer.clone(), record.clone(), changes.to_vec());
        to_its_end(ACTION, async move {
            let mut writing = writer.begin(ACTION).await?;
            writing.insert_message(&record, &changes).await?;
            writing.commit().await
        })
        .await
    }

    async fn message(&self, id: &MessageId) -> Result<Option<MessageRecord>, StoreError> {
        let row = sqlx::query("SELECT * FROM messages WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed(READ))?;
        row.map(|row| read(Columns(&row))).transpose()
    }

    async fn messages(&self, session: &SessionId, unsettled: bool) -> Result<Vec<MessageRecord>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM messages WHERE session_id = ");
        query.push_bind(session.as_str());
        if unsettled {
            query.push(" AND ").push(UNSETTLED);
        }
        query.push(" ORDER BY number");
        let rows = query.build().fetch_all(&self.readers).await.map_err(failed(READ))?;
        rows.iter().map(|row| read(Columns(row))).collect()
    }

    async fn has_unsettled_of_ao(&self, session: &SessionId) -> Result<bool, StoreError> {
        let mut query = QueryBuilder::new("SELECT 1 FROM messages WHERE from_ao AND session_id = ");
        query.push_bind(session.as_str()).push(" AND ").push(UNSETTLED).push(" LIMIT 1");
        let row = query.build().fetch_optional(&self.readers).await.map_err(failed(READ))?;
        Ok(row.is_some())
    }

    async fn depth_handed(&self, session: &SessionId) -> Result<u32, StoreError> {
        let row = sqlx::query(
            "WITH handed AS (SELECT number, depth, from_ao FROM messages WHERE session_id = ? AND injected_at_ms IS NOT NULL)
             SELECT COALESCE(MAX(depth), 0) AS depth FROM handed
             WHERE number >= COALESCE((SELECT number FROM handed WHERE NOT from_ao ORDER BY number DESC LIMIT 1), 0)",
        )
        .bind(session.as_str())
        .fetch_one(&self.readers)
        .await
        .map_err(failed(READ))?;
        let depth = Columns(&row).number("depth");
        depth.map_err(|cause| StoreError::Corrupt { id: format!("a message to {session}"), cause })
    }

    async fn newest_between(&self, from: &SessionId, to: &SessionId, limit: u32) -> Result<Vec<Timestamp>, StoreError> {
        let rows = sqlx::query(
            "SELECT created_at_ms FROM messages WHERE session_id = ? AND from_session = ? ORDER BY number DESC LIMIT ?",
        )
        .bind(to.as_str())
        .bind(from.as_str())
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(failed(READ))?;
        let times: Result<_, String> = rows.iter().map(|row| Columns(row).time("created_at_ms")).collect();
        times.map_err(|cause| StoreError::Corrupt { id: format!("a message to {to}"), cause })
    }

    async fn sessions_with_unsettled(&self) -> Result<Vec<SessionId>, StoreError> {
        let mut query = QueryBuilder::new("SELECT DISTINCT session_id FROM messages WHERE ");
        query.push(UNSETTLED);
        let rows = query.build().fetch_all(&self.readers).await.map_err(failed(READ))?;
        let id = |row| Columns(row).word("session_id");
        let ids: Result<_, String> = rows.iter().map(id).collect();
        ids.map_err(|cause| StoreError::Corrupt { id: "a message".to_owned(), cause })
    }

    async fn update_message(
        &self,
        record: &MessageRecord,
        changes: &[NewChange],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        const ACTION: &str = "update a message";
        let (writer, record, changes) = (self.writer.clone(), record.clone(), changes.to_vec());
        to_its_end(ACTION, async move {
            let mut writing = writer.begin(ACTION).await?;
            writing.update_message(&record, &changes, at).await?;
            writing.commit().await
        })
        .await
    }
}

impl Writing {
    async fn insert_message(&mut self, record: &MessageRecord, changes: &[NewChange]) -> Result<(), StoreError> {
        let MessageRecord { message, .. } = record;
        let is_there = sqlx::query("SELECT 1 FROM messages WHERE id = ?").bind(message.id.as_str());
        if is_there.fetch_optional(&mut *self.transaction).await.map_err(failed(self.action))?.is_some() {
            return Err(StoreError::Exists { what: "message", id: message.id.to_string() });
        }
        if self.version(&message.session).await?.is_none() {
            return Err(StoreError::Missing { what: "session", id: message.session.to_string() });
        }
        sqlx::query(
            "INSERT INTO messages (id, session_id, from_session, from_ao, body, created_at_ms, state, via, injected_at_ms,
                acknowledged_at_ms, error, depth) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(message.id.as_str())
        .bind(message.session.as_str())
        .bind(message.from.session().map(SessionId::as_str))
        .bind(message.from == Sender::Ao)
        .bind(&message.body)
        .bind(message.created_at.as_millisecond())
        .bind(record.state.as_str())
        .bind(record.via.map(Route::as_str))
        .bind(record.injected_at.map(Timestamp::as_millisecond))
        .bind(record.acknowledged_at.map(Timestamp::as_millisecond))
        .bind(record.error.as_deref())
        .bind(record.depth)
        .execute(&mut *self.transaction)
        .await
        .map_err(failed(self.action))?;
        self.log(message.created_at, &message.session.project(), Some(&message.session), changes).await
    }

    async fn update_message(
        &mut self,
        record: &MessageRecord,
        changes: &[NewChange],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let MessageRecord { message, .. } = record;
        let updated = sqlx::query(
            "UPDATE messages SET state = ?, via = ?, injected_at_ms = ?, acknowledged_at_ms = ?, error = ? WHERE id = ?",
        )
        .bind(record.state.as_str())
        .bind(record.via.map(Route::as_str))
        .bind(record.injected_at.map(Timestamp::as_millisecond))
        .bind(record.acknowledged_at.map(Timestamp::as_millisecond))
        .bind(record.error.as_deref())
        .bind(message.id.as_str())
        .execute(&mut *self.transaction)
        .await
        .map_err(failed(self.action))?;
        if updated.rows_affected() == 0 {
            return Err(StoreError::Missing { what: "message", id: message.id.to_string() });
        }
        self.log(at, &message.session.project(), Some(&message.session), changes).await
    }
}

fn read(row: Columns<'_>) -> Result<MessageRecord, StoreError> {
    let id: String = row.get("id").map_err(|cause| StoreError::Corrupt { id: "a message".to_owned(), cause })?;
    let record = || {
        Ok(MessageRecord {
            message: Message {
                id: row.word("id")?,
                session: row.word("session_id")?,
                from: sender(row)?,
                body: row.get("body")?,
                created_at: row.time("created_at_ms")?,
            },
            state: row.word("state")?,
            via: row.optional_word("via")?,
            injected_at: row.optional_time("injected_at_ms")?,
            acknowledged_at: row.optional_time("acknowledged_at_ms")?,
            error: row.get("error")?,
            depth: row.number("depth")?,
        })
    };
    record().map_err(|cause| StoreError::Corrupt { id: format!("message {id}"), cause })
}

fn sender(row: Columns<'_>) -> Result<Sender, String> {
    Ok(match (row.optional_word("from_session")?, row.get("from_ao")?) {
        (Some(session), _) => Sender::Session(session),
        (None, true) => Sender::Ao,
        (None, false) => Sender::Person,
    })
}
