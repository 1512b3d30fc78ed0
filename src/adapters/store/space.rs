//! Giving room back. The pages of rows that are gone are used again, so a database whose rows are bounded does not grow, and is
//! as large as it ever was. One that has become far too large, because its bounds were wider or it is of an ao without any, is
//! written anew when it is opened, when nobody waits for it. (Giving back page by page, `auto_vacuum`, would have to be decided
//! before the first table is made, and costs every write.)

use sqlx::sqlite::SqliteConnectOptions;

/// How much must be unused before a database is written anew, in bytes, and which part of it at the least: one in so many.
const UNUSED_BYTES: i64 = 16 * 1024 * 1024;
const UNUSED_PART: i64 = 2;

/// Writes the database anew when that makes it much smaller. What goes wrong is logged: it works as well as it is.
pub(super) async fn give_back(options: SqliteConnectOptions) {
    if let Err(error) = try_to_give_back(options).await {
        tracing::warn!(%error, "the database could not be made smaller");
    }
}

async fn try_to_give_back(options: SqliteConnectOptions) -> Result<(), sqlx::Error> {
    let pool = super::pool(1).connect_with(options).await?;
    let number = async |pragma: &str| sqlx::query_scalar::<_, i64>(pragma).fetch_one(&pool).await;
    let looked = async {
        let (pages, unused) = (number("PRAGMA page_count").await?, number("PRAGMA freelist_count").await?);
        let unused_bytes = unused * number("PRAGMA page_size").await?;
        if unused_bytes >= UNUSED_BYTES && unused >= pages / UNUSED_PART {
            tracing::info!(unused_bytes, "the database is written anew without its unused pages");
            sqlx::raw_sql("VACUUM").execute(&pool).await?;
        }
        Ok(())
    };
    let outcome = looked.await;
    super::close(&pool).await;
    outcome
}
