//! A directory of report files, one JSON file each: `<nanoseconds>_<number>_<process>.json`, with `_routine-<session>` before
//! the extension for a report that is routine.
//!
//! Names in alphabetical order are the order of [`ReportSpool`]: the report's time first (times are whole milliseconds, so
//! several reports may share one), then how many the process had put before.
//!
//! | Module | Holds |
//! | --- | --- |
//! | `fill` | how full it is, and making room |

mod fill;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::domain::report::HookReport;
use crate::platform::file;
use crate::ports::spool::{MOST_PENDING, ReportSpool, SpoolError, Spooled};

static NEXT: AtomicU64 = AtomicU64::new(0);

/// How much the reports may take when nothing else is asked for, in bytes.
pub const SPOOL_BYTES: u64 = 64 * 1024 * 1024;
/// How many of the files that could not be read are kept.
const MOST_SET_ASIDE: usize = 20;

/// Keeps reports in a directory.
#[derive(Debug, Clone)]
pub struct FileSpool {
    directory: PathBuf,
    most_bytes: u64,
}

impl FileSpool {
    /// Keeps them in `directory`, which is made when needed.
    #[must_use]
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, most_bytes: SPOOL_BYTES }
    }

    /// Lets the reports take about so many bytes of the disk, instead of [`SPOOL_BYTES`].
    #[must_use]
    pub fn keeping(self, most_bytes: u64) -> Self {
        Self { most_bytes, ..self }
    }
}

/// The reports' names, in order.
fn names(directory: &Path) -> io::Result<Vec<String>> {
    names_with(directory, "json")
}

fn names_with(directory: &Path, extension: &str) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(directory) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if Path::new(&name).extension().is_some_and(|found| found == extension) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Reads a regular file; `None` when nothing is there. To open a named pipe would be to wait for its writer.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => file::read_if_there(path),
        Ok(_) => Err(io::Error::other("not a regular file")),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// Gives what cannot be read a name that is no report's: kept for a person to look at, and out of the way. The oldest go.
fn set_aside(directory: &Path, name: &str, cause: &io::Error) {
    let path = directory.join(name);
    let renamed = std::fs::rename(&path, path.with_extension("json.bad"));
    tracing::warn!(path = %path.display(), %cause, aside = renamed.is_ok(), "a spooled report cannot be read");
    let aside = names_with(directory, "bad").unwrap_or_default();
    for oldest in aside.iter().take(aside.len().saturating_sub(MOST_SET_ASIDE)) {
        let _ = std::fs::remove_file(directory.join(oldest));
    }
}

fn error(action: &'static str, path: &Path, source: io::Error) -> SpoolError {
    SpoolError { action, path: path.to_owned(), source }
}

#[async_trait]
impl ReportSpool for FileSpool {
    async fn put(&self, report: &HookReport) -> Result<(), SpoolError> {
        file::create_private_dir(&self.directory).map_err(|source| error("make", &self.directory, source))?;
        let routine = if report.is_routine() { fill::routine_of(report.session.as_str()) } else { String::new() };
        let name = format!(
            "{:020}_{:010}_{}{routine}.json",
            report.at.as_nanosecond(),
            NEXT.fetch_add(1, Ordering::Relaxed),
            std::process::id(),
        );
        let path = self.directory.join(name);
        let content = serde_json::to_vec(report).map_err(|source| error("write", &path, source.into()))?;
        file::write_atomically(&path, &content, 0o600).map_err(|source| error("write", &path, source))?;
        let counted = fill::count(&self.directory, content.len() as u64, self.most_bytes);
        counted.map_err(|source| error("make room in", &self.directory, source))
    }

    async fn pending(&self) -> Result<Vec<Spooled>, SpoolError> {
        file::sweep_staged(&self.directory);
        fill::tell_dropped(&self.directory, |dropped| {
            tracing::warn!(reports = dropped, "the spool of hook reports was full, and the oldest were dropped");
        });
        let names = names(&self.directory).map_err(|source| error("list", &self.directory, source))?;
        if names.is_empty() {
            fill::forget(&self.directory);
        }
        let mut spooled = Vec::new();
        for name in names {
            if spooled.len() == MOST_PENDING {
                break;
            }
            let path = self.directory.join(&name);
            match read(&path) {
                Ok(Some(content)) => spooled.push(Spooled { name, report: serde_json::from_slice(&content).ok() }),
                Ok(None) => {}
                Err(cause) => set_aside(&self.directory, &name, &cause),
            }
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
    async fn what_is_no_report_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("1.json"), "{").unwrap();
        let spool = FileSpool::new(dir.path().to_owned());
        assert_eq!(spool.pending().await.unwrap(), [Spooled { name: "1.json".into(), report: None }]);
    }

    #[tokio::test]
    async fn of_what_cannot_be_read_only_so_much_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        for number in 10..50 {
            std::os::unix::fs::symlink("/nowhere", dir.path().join(format!("{number}.json"))).unwrap();
        }
        FileSpool::new(dir.path().to_owned()).pending().await.unwrap();
        let left = names_with(dir.path(), "bad").unwrap();
        assert_eq!((left.len(), left[0].as_str()), (MOST_SET_ASIDE, "30.json.bad"));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_set_aside_and_blocks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::create_dir(path("1.json")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("2.json")).unwrap();
        std::os::unix::net::UnixListener::bind(path("3.json")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, path("4.json"), rustix::fs::Mode::RWXU).unwrap();
        let spool = FileSpool::new(dir.path().to_owned());
        spool.put(&report(5, "Stop")).await.unwrap();
        for _ in 0..2 {
            let pending = spool.pending().await.unwrap();
            assert_eq!(pending.iter().map(|s| s.report.clone().unwrap().event).collect::<Vec<_>>(), ["Stop"]);
        }
        assert!((1..=4).all(|number| path(&format!("{number}.json.bad")).symlink_metadata().is_ok()));
    }

    #[tokio::test]
    async fn the_temporary_file_of_a_killed_hook_is_swept_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        for (name, age) in
            [(".1.json.7.0.tmp", file::ABANDONED_AFTER * 2), (".2.json.7.0.tmp", file::ABANDONED_AFTER / 2)]
        {
            let file = std::fs::File::create(dir.path().join(name)).unwrap();
            let written = file.metadata().unwrap().modified().unwrap();
            file.set_modified(written - age).unwrap();
        }
        assert!(FileSpool::new(dir.path().to_owned()).pending().await.unwrap().is_empty());
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [".2.json.7.0.tmp"]);
    }
}
