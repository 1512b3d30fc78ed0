//! The embedded migrations. A migration that was released is never edited: the next one changes the schema.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use sqlx::error::BoxDynError;
use sqlx::migrate::{MigrateError, Migration, MigrationSource, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnectOptions;

/// Every migration: number, what it does, its statements. Listed, and not gathered from the directory by sqlx's macro,
/// because that macro brings its own compiled SQLite into the build and does not notice a new file.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "init", include_str!("../../../migrations/0001_init.sql")),
    (2, "lifecycle", include_str!("../../../migrations/0002_lifecycle.sql")),
    (3, "messages", include_str!("../../../migrations/0003_messages.sql")),
    (4, "requests", include_str!("../../../migrations/0004_requests.sql")),
    (5, "senders", include_str!("../../../migrations/0005_senders.sql")),
    (6, "answers", include_str!("../../../migrations/0006_answers.sql")),
    (7, "turn_failures", include_str!("../../../migrations/0007_turn_failures.sql")),
    (8, "answer_keys", include_str!("../../../migrations/0008_answer_keys.sql")),
];

#[derive(Debug)]
struct Embedded;

impl MigrationSource<'static> for Embedded {
    fn resolve(self) -> Pin<Box<dyn Future<Output = Result<Vec<Migration>, BoxDynError>> + Send + 'static>> {
        let migration = |&(version, what, sql): &(i64, &'static str, &'static str)| {
            Migration::new(version, Cow::Borrowed(what), MigrationType::Simple, Cow::Borrowed(sql), false)
        };
        Box::pin(async move { Ok(MIGRATIONS.iter().map(migration).collect()) })
    }
}

/// Brings the schema up to date; says for a person why it cannot. On a connection of its own, with foreign keys off: a
/// table that others refer to can be rebuilt only so. Each migration is one transaction.
pub(super) async fn migrate(options: SqliteConnectOptions) -> Result<(), String> {
    let migrator = Migrator::new(Embedded).await.map_err(|error| error.to_string())?;
    let pool = super::pool(1).connect_with(options.foreign_keys(false)).await.map_err(|error| error.to_string())?;
    let migrated = migrator.run(&pool).await.map_err(|error| explain(&error));
    let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_all(&pool).await;
    super::close(&pool).await;
    migrated?;
    let dangling = dangling.map_err(|error| error.to_string())?.len();
    if dangling == 0 { Ok(()) } else { Err(format!("{dangling} of its rows refer to rows that are not there")) }
}

fn explain(error: &MigrateError) -> String {
    let known = MIGRATIONS.last().map_or(0, |(version, ..)| *version);
    match error {
        MigrateError::VersionMissing(version) if *version > known => format!(
            "a newer ao wrote it (its schema has version {version}, this ao knows {known}); use that ao, or another data directory"
        ),
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => {
            format!("another build of ao made version {version} of its schema; use that ao, or another data directory")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_in_the_directory_is_embedded() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        let mut files: Vec<String> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let embedded: Vec<String> =
            MIGRATIONS.iter().map(|(version, what, _)| format!("{version:04}_{what}.sql")).collect();
        assert_eq!(files, embedded);
    }
}
