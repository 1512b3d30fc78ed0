//! Which hook reports came while no daemon ran?

use std::path::PathBuf;

use async_trait::async_trait;

use crate::domain::report::HookReport;

/// How many reports one call gives: what came in days without a daemon must not all be held in memory at once.
pub const MOST_PENDING: usize = 500;

/// Why the spool could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct SpoolError {
    /// What was attempted.
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub source: std::io::Error,
}

/// A report in the spool.
#[derive(Debug, Clone, PartialEq)]
pub struct Spooled {
    /// Its name in the spool, for [`ReportSpool::remove`].
    pub name: String,
    /// The report; `None` when the file holds no report that this version reads.
    pub report: Option<HookReport>,
}

/// Keeps hook reports until a daemon takes them.
///
/// # Contract
/// - [`put`](ReportSpool::put) leaves a whole report or none.
/// - A report stays until it is removed: a daemon that dies between reading and recording reads it again.
/// - Order is that of the reports' times. Among reports of the same time, those that one process put are in the order in
///   which it did so; between processes none is kept.
/// - Something in the spool that cannot be read never keeps the other reports from being taken.
/// - It is bounded, about: when it is full, [`put`](ReportSpool::put) makes room by dropping reports that are
///   [routine](HookReport::is_routine), the oldest first, but keeps the newest of each session; where that is not enough, the
///   oldest of all. What comes last decides what is known of an agent, so the newest is never refused. How many went is
///   logged by [`pending`](ReportSpool::pending), for the process that put them has nobody to tell.
/// - [`put`](ReportSpool::put) is called at every tool call: what it costs does not grow with what is in the spool, but for the
///   rare call that makes room.
#[async_trait]
pub trait ReportSpool: Send + Sync {
    /// Adds a report.
    ///
    /// # Errors
    /// [`SpoolError`].
    async fn put(&self, report: &HookReport) -> Result<(), SpoolError>;

    /// What is in the spool, oldest first, and at most [`MOST_PENDING`] of it: whoever wants all removes these and asks again.
    ///
    /// # Errors
    /// [`SpoolError`].
    async fn pending(&self) -> Result<Vec<Spooled>, SpoolError>;

    /// Removes a report; success when it is gone already.
    ///
    /// # Errors
    /// [`SpoolError`].
    async fn remove(&self, name: &str) -> Result<(), SpoolError>;
}
