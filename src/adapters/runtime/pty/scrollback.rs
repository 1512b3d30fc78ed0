//! The raw output on disk, bounded: two segments, of which the older is dropped when the newer is full.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::platform::file;

/// How much is kept on disk of each terminal when nothing else is asked for, in bytes.
pub const SCROLLBACK_BYTES: u64 = 4 * 1024 * 1024;

/// The scrollback of one terminal, being written.
pub(super) struct Scrollback {
    current: PathBuf,
    older: PathBuf,
    file: File,
    /// The newer segment is full at this size, in bytes.
    segment: u64,
    /// Bytes in the newer segment.
    length: u64,
}

impl Scrollback {
    /// An empty one in a terminal's directory, in place of any other. At most `most` bytes are kept, and at least half of
    /// them when there was so much.
    pub(super) fn create(directory: &Path, most: u64) -> io::Result<Self> {
        let (older, current) = paths(directory);
        file::remove_if_there(&older)?;
        let file = open(&current)?;
        Ok(Self { current, older, file, segment: (most / 2).max(1), length: 0 })
    }

    /// Adds output at the end.
    pub(super) fn append(&mut self, mut output: &[u8]) -> io::Result<()> {
        while !output.is_empty() {
            if self.length >= self.segment {
                std::fs::rename(&self.current, &self.older)?;
                self.file = open(&self.current)?;
                self.length = 0;
            }
            let room = usize::try_from(self.segment - self.length).unwrap_or(usize::MAX);
            let (now, later) = output.split_at(room.min(output.len()));
            self.file.write_all(now)?;
            self.length += now.len() as u64;
            output = later;
        }
        Ok(())
    }
}

/// The last `most` bytes kept of a terminal's output; empty when there is none. They may begin in the middle of an escape sequence.
pub(super) fn read_last(directory: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (older, current) = paths(directory);
    let newer = read_end(&current, most)?;
    let mut output = read_end(&older, most - newer.len() as u64)?;
    output.extend(newer);
    Ok(output)
}

fn read_end(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let from = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    // It may be growing.
    file.take(most).read_to_end(&mut end)?;
    Ok(end)
}

fn paths(directory: &Path) -> (PathBuf, PathBuf) {
    (directory.join("scrollback.old.log"), directory.join("scrollback.log"))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(directory: &Path) -> Vec<u8> {
        read_last(directory, u64::MAX).unwrap()
    }

    #[test]
    fn the_end_is_kept_and_the_size_bounded() {
        for most in [SCROLLBACK_BYTES, SCROLLBACK_BYTES / 4] {
            let dir = tempfile::tempdir().unwrap();
            let mut scrollback = Scrollback::create(dir.path(), most).unwrap();
            let mut written = Vec::new();
            for n in 0..1_400_u32 {
                let chunk = n.to_be_bytes().repeat(1_021);
                scrollback.append(&chunk).unwrap();
                written.extend(chunk);
                let (older, current) = paths(dir.path());
                let size: u64 =
                    [older, current].iter().filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum();
                assert!(size <= most, "{size} bytes on disk");
            }
            let kept = read(dir.path());
            assert!(kept.len() as u64 > most / 2, "only {} bytes kept", kept.len());
            assert!(written.ends_with(&kept));
        }
    }

    #[test]
    fn one_huge_write_is_bounded_too() {
        let dir = tempfile::tempdir().unwrap();
        let written: Vec<u8> = (0..10_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        Scrollback::create(dir.path(), SCROLLBACK_BYTES).unwrap().append(&written).unwrap();
        let kept = read(dir.path());
        assert!(kept.len() as u64 <= SCROLLBACK_BYTES && written.ends_with(&kept));
    }

    #[test]
    fn the_end_is_read_across_both_segments() {
        let dir = tempfile::tempdir().unwrap();
        Scrollback::create(dir.path(), 20).unwrap().append(b"0123456789abcde").unwrap();
        for (most, end) in [(0, ""), (3, "cde"), (5, "abcde"), (7, "89abcde"), (99, "0123456789abcde")] {
            assert_eq!(read_last(dir.path(), most).unwrap(), end.as_bytes());
        }
    }

    #[test]
    fn a_new_one_starts_empty() {
        let dir = tempfile::tempdir().unwrap();
        Scrollback::create(dir.path(), SCROLLBACK_BYTES).unwrap().append(&vec![7; 3_000_000]).unwrap();
        Scrollback::create(dir.path(), SCROLLBACK_BYTES).unwrap();
        assert_eq!(read(dir.path()), b"");
    }
}
