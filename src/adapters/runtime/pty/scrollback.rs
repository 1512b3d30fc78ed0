//! The raw output on disk, bounded: two segments, of which the older is dropped when the newer is full.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::platform::file;

/// The most that is kept on disk, in bytes.
pub const MAX_SCROLLBACK_BYTES: u64 = 4 * 1024 * 1024;

/// The newer segment is full at this size.
const SEGMENT_BYTES: u64 = MAX_SCROLLBACK_BYTES / 2;

/// The scrollback of one terminal, being written.
pub(super) struct Scrollback {
    current: PathBuf,
    older: PathBuf,
    file: File,
    /// Bytes in the newer segment.
    length: u64,
}

impl Scrollback {
    /// An empty one in a terminal's directory, in place of any other.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        let (older, current) = paths(directory);
        file::remove_if_there(&older)?;
        let file = open(&current)?;
        Ok(Self { current, older, file, length: 0 })
    }

    /// Adds output at the end.
    pub(super) fn append(&mut self, mut output: &[u8]) -> io::Result<()> {
        while !output.is_empty() {
            if self.length >= SEGMENT_BYTES {
                std::fs::rename(&self.current, &self.older)?;
                self.file = open(&self.current)?;
                self.length = 0;
            }
            let room = usize::try_from(SEGMENT_BYTES - self.length).unwrap_or(usize::MAX);
            let (now, later) = output.split_at(room.min(output.len()));
            self.file.write_all(now)?;
            self.length += now.len() as u64;
            output = later;
        }
        Ok(())
    }
}

/// Everything kept of a terminal's output, oldest first; empty when there is none. It may begin in the middle of an escape sequence.
pub(super) fn read(directory: &Path) -> io::Result<Vec<u8>> {
    let (older, current) = paths(directory);
    let mut output = file::read_if_there(&older)?.unwrap_or_default();
    output.extend(file::read_if_there(&current)?.unwrap_or_default());
    Ok(output)
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

    #[test]
    fn the_end_is_kept_and_the_size_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut scrollback = Scrollback::create(dir.path()).unwrap();
        let mut written = Vec::new();
        for n in 0..1_400_u32 {
            let chunk = n.to_be_bytes().repeat(1_021);
            scrollback.append(&chunk).unwrap();
            written.extend(chunk);
            let (older, current) = paths(dir.path());
            let size: u64 =
                [older, current].iter().filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum();
            assert!(size <= MAX_SCROLLBACK_BYTES, "{size} bytes on disk");
        }
        let kept = read(dir.path()).unwrap();
        assert!(kept.len() as u64 > SEGMENT_BYTES, "only {} bytes kept", kept.len());
        assert!(written.ends_with(&kept));
    }

    #[test]
    fn one_huge_write_is_bounded_too() {
        let dir = tempfile::tempdir().unwrap();
        let written: Vec<u8> = (0..10_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        Scrollback::create(dir.path()).unwrap().append(&written).unwrap();
        let kept = read(dir.path()).unwrap();
        assert!(kept.len() as u64 <= MAX_SCROLLBACK_BYTES && written.ends_with(&kept));
    }

    #[test]
    fn a_new_one_starts_empty() {
        let dir = tempfile::tempdir().unwrap();
        Scrollback::create(dir.path()).unwrap().append(&vec![7; 3_000_000]).unwrap();
        Scrollback::create(dir.path()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), b"");
    }
}
