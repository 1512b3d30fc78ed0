//! The raw output on disk. It may begin in the middle of an escape sequence.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::platform::bounded_log::{BoundedLog, LogWriter};

/// How much is kept on disk of each terminal when nothing else is asked for, in bytes.
pub const SCROLLBACK_BYTES: u64 = 4 * 1024 * 1024;

/// How long output is let go by after some could not be written, as on a full disk, before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The scrollback in a terminal's directory, of which at most so much is kept.
pub(super) const fn scrollback(max_bytes: u64) -> BoundedLog {
    BoundedLog { name: "scrollback", max_bytes }
}

/// The scrollback being written. It never fails: an agent must not end, nor its screen stop, for a disk that is full. What is
/// printed meanwhile is missing in it.
#[derive(Debug)]
pub(super) struct Scrollback {
    log: BoundedLog,
    directory: PathBuf,
    writing: Writing,
}

#[derive(Debug)]
enum Writing {
    Works(LogWriter),
    Broken { retry_at: Instant },
}

impl Scrollback {
    /// Starts an empty one in a terminal's directory, in place of any other.
    ///
    /// # Errors
    /// The cause.
    pub(super) fn create(max_bytes: u64, directory: &Path) -> io::Result<Self> {
        let log = scrollback(max_bytes);
        let writing = Writing::Works(log.create(directory)?);
        Ok(Self { log, directory: directory.to_owned(), writing })
    }

    /// Adds output at the end, `now`.
    pub(super) fn append(&mut self, output: &[u8], now: Instant) {
        let added = match &mut self.writing {
            Writing::Works(writer) => writer.append(output),
            Writing::Broken { retry_at } if now < *retry_at => return,
            // Anew, and not with the writer that failed: how much of that output it added is not known.
            Writing::Broken { .. } => self.log.go_on(&self.directory).and_then(|mut writer| {
                writer.append(output)?;
                tracing::info!("the scrollback can be written again");
                self.writing = Writing::Works(writer);
                Ok(())
            }),
        };
        let Err(error) = added else { return };
        if matches!(self.writing, Writing::Works(_)) {
            tracing::warn!(%error, "the scrollback cannot be written; tried again from time to time");
        }
        self.writing = Writing::Broken { retry_at: now + RETRY_AFTER };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_when_the_disk_has_room_again_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("terminal");
        std::fs::create_dir(&directory).unwrap();
        let start = Instant::now();
        let mut scrollback = Scrollback::create(8, &directory).unwrap();
        scrollback.append(b"full", start);
        // The next segment cannot be made where there is no directory.
        std::fs::remove_dir_all(&directory).unwrap();
        scrollback.append(b"lost", start);
        std::fs::create_dir(&directory).unwrap();
        scrollback.append(b"lost too", start + RETRY_AFTER / 2);
        scrollback.append(b"kept", start + RETRY_AFTER);
        scrollback.append(b"..", start + RETRY_AFTER);
        assert_eq!(scrollback.log.read(&directory).unwrap(), b"kept..");
    }
}
