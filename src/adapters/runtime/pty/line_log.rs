//! The lines that scrolled off a terminal's screen, on disk. They are numbered from 0 on by their order. Each file of the directory is named by
//! the number of its first line, so whoever reads it needs to know nothing else; the oldest goes when there is too much.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

/// Its name in a terminal's directory.
const NAME: &str = "lines";
/// A file is a sixteenth of all, and small enough to be read through for one line.
const SEGMENTS: u64 = 16;
const MAX_SEGMENT_BYTES: u64 = 1024 * 1024;
/// How long lines are let go by after some could not be written, as on a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The log being written. It never fails: what cannot be written is missing in it, and whoever reads it sees so by the numbers.
#[derive(Debug)]
pub(super) struct LineLog {
    directory: PathBuf,
    max_bytes: u64,
    next: u64,
    writing: Writing,
}

#[derive(Debug)]
enum Writing {
    Segment {
        file: File,
        bytes: u64,
    },
    /// The next line begins a segment, but not before this.
    Nothing {
        until: Option<Instant>,
    },
}

/// Some of the lines, one after the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// The number of the first one.
    pub(super) first: u64,
    pub(super) lines: Vec<String>,
}

impl Page {
    /// The number of the line after it.
    pub(super) fn next(&self) -> u64 {
        self.first + self.lines.len() as u64
    }
}

impl LineLog {
    /// Starts an empty one in a terminal's directory, in place of any other, of which about so much is kept.
    ///
    /// # Errors
    /// The cause.
    pub(super) fn create(max_bytes: u64, terminal: &Path) -> io::Result<Self> {
        let directory = terminal.join(NAME);
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => DirBuilder::new().mode(0o700).create(&directory)?,
        }
        Ok(Self { directory, max_bytes, next: 0, writing: Writing::Nothing { until: None } })
    }

    /// The number that the next line gets.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Adds lines at the end, `now`.
    pub(super) fn append(&mut self, lines: &[String], now: Instant) {
        if lines.is_empty() {
            return;
        }
        let first = self.next;
        self.next += lines.len() as u64;
        if matches!(self.writing, Writing::Nothing { until: Some(until) } if now < until) {
            return;
        }
        if let Err(error) = self.write(first, &(lines.join("\n") + "\n")) {
            tracing::warn!(%error, "lines that scrolled away cannot be written; tried again from time to time");
            self.writing = Writing::Nothing { until: Some(now + RETRY_AFTER) };
        }
    }

    fn write(&mut self, first: u64, text: &str) -> io::Result<()> {
        let segment_bytes = (self.max_bytes / SEGMENTS).clamp(1, MAX_SEGMENT_BYTES);
        let is_full = !matches!(self.writing, Writing::Segment { bytes, .. } if bytes < segment_bytes);
        if is_full {
            // Room is made first, also on a disk that is full.
            self.drop_oldest(self.max_bytes.saturating_sub(segment_bytes))?;
            let path = self.directory.join(format!("{first:020}"));
            let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)?;
            self.writing = Writing::Segment { file, bytes: 0 };
        }
        if let Writing::Segment { file, bytes } = &mut self.writing {
            file.write_all(text.as_bytes())?;
            *bytes += text.len() as u64;
        }
        Ok(())
    }

    fn drop_oldest(&self, max_bytes: u64) -> io::Result<()> {
        let mut kept = 0;
        for (_, path) in segments(&self.directory)?.into_iter().rev() {
            kept += path.metadata()?.len();
            if kept > max_bytes {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

/// Whether a terminal has such a log. Those of older ao have none.
pub(super) fn exists(terminal: &Path) -> bool {
    terminal.join(NAME).is_dir()
}

/// The number after the last line in the log.
///
/// # Errors
/// The cause.
pub(super) fn end(terminal: &Path) -> io::Result<u64> {
    let Some((first, path)) = segments(&terminal.join(NAME))?.pop() else { return Ok(0) };
    let mut end = first;
    for_each_line(&path, |_| {
        end += 1;
        true
    })?;
    Ok(end)
}

/// The lines from number `from` on, up to but without `to`, about `max_bytes` of them at most. It begins later where `from` is not kept any more, and
/// ends where lines are missing.
///
/// # Errors
/// The cause.
pub(super) fn read(terminal: &Path, from: u64, to: u64, max_bytes: usize) -> io::Result<Page> {
    let all = segments(&terminal.join(NAME))?;
    let begin = all.partition_point(|(first, _)| *first <= from).saturating_sub(1);
    let mut page = Page { first: to, lines: Vec::new() };
    let mut bytes = 0;
    for (first, path) in &all[begin..] {
        if !page.lines.is_empty() && *first != page.next() {
            break;
        }
        let mut number = *first;
        for_each_line(path, |line| {
            let is_wanted = number >= from && number < to && bytes < max_bytes;
            if is_wanted {
                if page.lines.is_empty() {
                    page.first = number;
                }
                bytes += line.len() + 1;
                page.lines.push(String::from_utf8_lossy(line).into_owned());
            }
            number += 1;
            number <= from || is_wanted
        })?;
        if bytes >= max_bytes || number >= to {
            break;
        }
    }
    Ok(page)
}

/// The files, oldest first, with the numbers of their first lines.
fn segments(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(first) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            all.push((first, entry.path()));
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// Hands over each whole line, as long as another one is wanted. A file that went meanwhile has none.
fn for_each_line(path: &Path, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let mut reader = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => BufReader::with_capacity(64 * 1024, file?),
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.read_until(b'\n', &mut line)?;
        // What is left without an end was cut off by a full disk.
        let Some(whole) = line.strip_suffix(b"\n") else { return Ok(()) };
        if !take(whole) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(from: u64, to: u64) -> Vec<String> {
        (from..to).map(|n| format!("line {n}")).collect()
    }

    #[test]
    fn lines_are_found_by_their_numbers_wherever_files_begin() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LineLog::create(16 * 100, dir.path()).unwrap();
        for n in 0..1_000 {
            log.append(&numbered(n, n + 1), Instant::now());
        }
        assert_eq!((log.next(), end(dir.path()).unwrap()), (1_000, 1_000));
        let kept = read(dir.path(), 0, u64::MAX, usize::MAX).unwrap();
        assert!(kept.first > 700 && kept.first < 900, "{} is the first of 1600 bytes", kept.first);
        assert_eq!(kept.lines, numbered(kept.first, 1_000));
        for from in [kept.first, kept.first + 1, 900, 907, 999] {
            let page = read(dir.path(), from, 1_000, usize::MAX).unwrap();
            assert_eq!(page, Page { first: from, lines: numbered(from, 1_000) });
        }
        assert_eq!(read(dir.path(), 950, 960, usize::MAX).unwrap().lines, numbered(950, 960));
        assert_eq!(read(dir.path(), 950, 1_000, 20).unwrap().lines, numbered(950, 953), "no more than asked for");
        assert_eq!(read(dir.path(), 1_000, 1_000, usize::MAX).unwrap(), Page { first: 1_000, lines: Vec::new() });
    }

    #[test]
    fn what_could_not_be_written_is_missing_by_its_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let start = Instant::now();
        let mut log = LineLog::create(16, dir.path()).unwrap();
        log.append(&numbered(0, 1), start);
        // The next file cannot be made where there is no directory.
        let directory = dir.path().join(NAME);
        std::fs::rename(&directory, dir.path().join("away")).unwrap();
        log.append(&numbered(1, 2), start);
        std::fs::rename(dir.path().join("away"), &directory).unwrap();
        log.append(&numbered(2, 4), start + RETRY_AFTER / 2);
        log.max_bytes = 1_000;
        log.append(&numbered(4, 6), start + RETRY_AFTER);
        assert_eq!(read(dir.path(), 0, 6, usize::MAX).unwrap(), Page { first: 0, lines: numbered(0, 1) });
        assert_eq!(read(dir.path(), 1, 6, usize::MAX).unwrap(), Page { first: 4, lines: numbered(4, 6) });
    }
}
