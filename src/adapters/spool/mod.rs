//! A directory of report files, one JSON file each. Names begin with the report's time in nanoseconds, so that name order
//! is time order.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::domain::report::HookReport;
use crate::platform::file;
use crate::ports::spool::{ReportSpool, SpoolError, Spooled};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Keeps reports in a directory.
#[derive(Debug, Clone)]
pub struct FileSpool {
    directory: PathBuf,
}

impl FileSpool {
    /// Keeps them in `directory`, which is made when needed.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }
}

fn error(action: &'static str, path: &Path, source: io::Error) -> SpoolError {
    SpoolError { action, path: path.to_owned(), source }
}

#[async_trait]
impl ReportSpool for FileSpool {
    async fn put(&self, report: &HookReport) -> Result<(), SpoolError> {
        file::create_private_dir(&self.directory).map_err(|source| error("make", &self.directory, source))?;
        let name = format!(
            "{:020}_{}_{}.json",
            report.at.as_nanosecond(),
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = self.directory.join(name);
        let content = serde_json::to_vec(report).map_err(|source| error("write", &path, source.into()))?;
        file::write_atomically(&path, &content, 0o600).map_err(|source| error("write", &path, source))
    }

    async fn pending(&self) -> Result<Vec<Spooled>, SpoolError> {
        let mut names = Vec::new();
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(error("list", &self.directory, source)),
        };
        for entry in entries {
            let entry = entry.map_err(|source| error("list", &self.directory, source))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if Path::new(&name).extension().is_some_and(|extension| extension == "json") {
                names.push(name);
            }
        }
        names.sort_unstable();
        let mut spooled = Vec::with_capacity(names.len());
        for name in names {
            let path = self.directory.join(&name);
            let Some(content) = file::read_if_there(&path).map_err(|source| error("read", &path, source))? else {
                continue;
            };
            spooled.push(Spooled { name, report: serde_json::from_slice(&content).ok() });
        }
        Ok(spooled)
    }

    async fn remove(&self, name: &str) -> Result<(), SpoolError> {
        let path = self.directory.join(name);
        file::remove_if_there(&path).map_err(|source| error("remove", &path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    fn report(second: i64, event: &str) -> HookReport {
        HookReport {
            session: "app-1".parse().unwrap(),
            agent: "claude-code".parse().unwrap(),
            event: event.into(),
            at: Timestamp::from_second(second).unwrap(),
            payload: serde_json::json!({"a": 1}),
        }
    }

    #[tokio::test]
    async fn reports_come_back_in_order_of_time_until_removed() {
        let dir = tempfile::tempdir().unwrap();
        let spool = FileSpool::new(dir.path().join("spool"));
        assert!(spool.pending().await.unwrap().is_empty());
        spool.put(&report(20, "Stop")).await.unwrap();
        spool.put(&report(3, "SessionStart")).await.unwrap();
        let pending = spool.pending().await.unwrap();
        let events: Vec<_> = pending.iter().map(|s| s.report.clone().unwrap().event).collect();
        assert_eq!(events, ["SessionStart", "Stop"]);
        for spooled in &pending {
            spool.remove(&spooled.name).await.unwrap();
            spool.remove(&spooled.name).await.unwrap();
        }
        assert!(spool.pending().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_no_report_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("1.json"), "{").unwrap();
        let spool = FileSpool::new(dir.path().to_owned());
        assert_eq!(spool.pending().await.unwrap(), [Spooled { name: "1.json".into(), report: None }]);
    }
}
