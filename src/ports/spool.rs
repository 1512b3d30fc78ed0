//! Which hook reports came while no daemon ran?

use std::path::PathBuf;

use async_trait::async_trait;

use crate::domain::report::HookReport;

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
#[async_trait]
pub trait ReportSpool: Send + Sync {
    /// Adds a report.
    ///
    /// # Errors
    /// [`SpoolError`].
    async fn put(&self, report: &HookReport) -> Result<(), SpoolError>;

    /// What is in the spool, oldest first.
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
