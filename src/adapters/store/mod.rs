//! Records in one SQLite database: projects, sessions, messages and the change log.
//!
//! One connection writes, a few read. Each write is one `BEGIN IMMEDIATE` transaction that holds the record and its log
//! entries, is synced to disk before it answers, and runs in a task of its own: a caller that goes away in the middle (a
//! dropped request) neither tears it nor keeps the log's waiters from hearing of it.
//!
//! | Module | Holds |
//! | --- | --- |
//! | `schema` | the embedded migrations, and the refusal of a newer ao's database |
//! | `project`, `session`, `message`, `change` | one port each |
//! | `space` | giving back room in the file |
//! | `session_row` | a session as columns, and back |
//! | `column` | single values as columns, and back |

mod answer;
mod change;
mod column;
mod message;
mod project;
mod schema;
mod session;
mod session_row;
mod space;

use std::future::Future;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, Sqlite, Transaction};
use tokio::sync::watch;

use crate::ports::store::StoreError;

/// How long a connection waits for another process's lock on the database, for example a backup's.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the write-ahead log stays once it was folded into the database, in bytes. As a rule it has half of that.
const WAL_BYTES: &str = "8388608";

/// Reading connections: enough for a list, a log reader and a few requests side by side.
const READERS: u32 = 4;

/// The store: [`ProjectStore`](crate::ports::store::ProjectStore), [`SessionStore`](crate::ports::store::SessionStore)
/// and [`ChangeLog`](crate::ports::store::ChangeLog) over one database file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens the database, makes it (readable by its owner only) when it is not there, and brings its schema up to date.
    /// The directory must exist. One daemon at a time: the data directory's lock sees to that.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when it cannot be opened, is no database, or was written by a newer ao.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |cause: &dyn std::fmt::Display| StoreError::Failed {
            action: "open",
            cause: format!("{}: {cause}", path.display()),
        };
        make_private(path).map_err(|error| failed(&error))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode the default syncs only at checkpoints: a power cut could lose what was answered for.
            .synchronous(SqliteSynchronous::Full)
            // A long write leaves a long log, which would keep that length.
            .pragma("journal_size_limit", WAL_BYTES);
        schema::migrate(writing.clone()).await.map_err(|cause| failed(&cause))?;
        space::give_back(writing.clone()).await;
        let writer = pool(1).connect_with(writing).await.map_err(|error| failed(&error))?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await.map_err(|error| failed(&error))?;
        let newest = change::last_seq(&readers).await?;
        Ok(Self { writer: Writer { pool: writer, newest: Arc::new(watch::Sender::new(newest)) }, readers })
    }

    /// Waits for the writes and reads under way and closes the database, which is one complete file then. Whatever is asked
    /// afterwards fails.
    pub async fn close(&self) {
        // Readers first: the last connection to close folds the write-ahead log into the database, and must be able to.
        close(&self.readers).await;
        close(&self.writer.pool).await;
    }
}

async fn close(pool: &SqlitePool) {
    pool.close().await;
    // sqlx 0.8 waits for a connection that is just being given back, and leaves it open; asked again, it closes it.
    pool.close().await;
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        // With a minimum, sqlx keeps opening connections in a task of its own, and `close` does not wait for that one.
        .min_connections(0)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(is_fit_to_go_on(connection)))
}

/// Whether a connection that is given back can be used again; else it is closed, and the next caller gets a new one. SQLite
/// undoes a transaction by itself when the disk is full, and sqlx 0.8, whose rollback fails then, takes it for open for ever.
async fn is_fit_to_go_on(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // The rollback of a dropped transaction is only on its way; this is answered after it.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// SQLite gives its side files the mode of the database, so this one decides for all.
fn make_private(path: &Path) -> std::io::Result<()> {
    let file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}

/// The part of SQLite's codes that says what kind of failure it is.
const PRIMARY_CODE: u32 = 0xff;
/// `SQLITE_READONLY`, `SQLITE_IOERR` and `SQLITE_FULL`.
const UNWRITABLE: [u32; 3] = [8, 10, 13];

/// The one way to write.
#[derive(Debug, Clone)]
struct Writer {
    pool: SqlitePool,
    /// The newest committed entry of the change log.
    newest: Arc<watch::Sender<u64>>,
}

impl Writer {
    async fn begin(&self, action: &'static str) -> Result<Writing, StoreError> {
        let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed(action))?;
        Ok(Writing { transaction, logged: None, newest: Arc::clone(&self.newest), action })
    }
}

/// A transaction that writes; undone when dropped.
struct Writing {
    transaction: Transaction<'static, Sqlite>,
    /// The newest entry this transaction put into the change log.
    logged: Option<u64>,
    newest: Arc<watch::Sender<u64>>,
    action: &'static str,
}

impl Writing {
    async fn commit(self) -> Result<(), StoreError> {
        self.transaction.commit().await.map_err(failed(self.action))?;
        if let Some(seq) = self.logged {
            self.newest.send_if_modified(|newest| std::mem::replace(newest, seq.max(*newest)) < seq);
        }
        Ok(())
    }
}

/// Runs a write to its end also when the caller does not wait for it.
async fn to_its_end<T: Send + 'static>(
    action: &'static str,
    write: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::spawn(write).await.unwrap_or_else(|stopped| Err(StoreError::Failed { action, cause: stopped.to_string() }))
}

fn failed(action: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| {
        let cause = error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
        let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
        match code.map(|code| code & PRIMARY_CODE) {
            Some(code) if UNWRITABLE.contains(&code) => StoreError::Unwritable { action, cause },
            _ => StoreError::Failed { action, cause: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::domain::change::{ChangeKind, NewChange};
    use crate::domain::id::ProjectId;
    use crate::domain::project::Project;
    use crate::ports::store::{ChangeLog as _, ProjectStore as _};

    async fn write_a_change(store: &SqliteStore, bytes: usize) -> Result<(), StoreError> {
        let change = NewChange::new(ChangeKind::ProjectAdded, serde_json::json!({ "note": "n".repeat(bytes) }));
        let mut writing = store.writer.begin("write a change").await?;
        writing.log(Timestamp::UNIX_EPOCH, &ProjectId::new("app").unwrap(), None, &[change]).await?;
        writing.commit().await
    }

    async fn allow_pages(store: &SqliteStore, pages: u32) {
        // SQLite takes the pages there are for anything less.
        sqlx::raw_sql(&format!("PRAGMA max_page_count = {pages}")).execute(&store.writer.pool).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_disk_stops_writes_only_as_long_as_it_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&dir.path().join("ao.db")).await.unwrap();
        let id = ProjectId::new("app").unwrap();
        let app = Project { id, path: "/src/app".into(), created_at: Timestamp::UNIX_EPOCH };
        store.add_project(&app).await.unwrap();
        let before = store.last_seq().await.unwrap();
        for round in 1..=2 {
            allow_pages(&store, 1).await;
            let refused = write_a_change(&store, 1 << 20).await.unwrap_err();
            assert!(refused.to_string().contains("full"), "{refused}");
            allow_pages(&store, u32::MAX - 1).await;
            write_a_change(&store, 1 << 20).await.unwrap();
            assert_eq!(store.last_seq().await.unwrap(), before + round, "nothing is left of what did not fit");
        }
        store.close().await;
    }
}
