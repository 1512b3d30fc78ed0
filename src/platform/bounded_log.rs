//! Output on disk, bounded: two segments, of which the older is dropped when the newer is full.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::file;

/// A log in a directory: `<name>.log`, and `<name>.old.log` with what came before it.
#[derive(Debug, Clone, Copy)]
pub struct BoundedLog {
    /// The name, for example `scrollback`.
    pub name: &'static str,
    /// The most that is kept on disk, in bytes; at least half of it is.
    pub max_bytes: u64,
}

/// A log being written.
#[derive(Debug)]
pub struct LogWriter {
    current: PathBuf,
    older: PathBuf,
    file: File,
    segment_bytes: u64,
    /// Bytes in the newer segment.
    length: u64,
}

impl BoundedLog {
    /// Starts an empty one, in place of any other.
    ///
    /// # Errors
    /// The cause.
    pub fn create(&self, directory: &Path) -> io::Result<LogWriter> {
        let (older, current) = self.paths(directory);
        file::remove_if_there(&older)?;
        file::remove_if_there(&current)?;
        self.go_on(directory)
    }

    /// Goes on with the one there is, or starts one.
    ///
    /// # Errors
    /// The cause.
    pub fn go_on(&self, directory: &Path) -> io::Result<LogWriter> {
        let (older, current) = self.paths(directory);
        let file = open(&current)?;
        let length = file.metadata()?.len();
        Ok(LogWriter { current, older, file, segment_bytes: (self.max_bytes / 2).max(1), length })
    }

    /// Everything that is kept, oldest first; empty when there is none. It may begin in the middle of a line.
    ///
    /// # Errors
    /// The cause.
    pub fn read(&self, directory: &Path) -> io::Result<Vec<u8>> {
        self.read_last(directory, u64::MAX)
    }

    /// The last `max_bytes` of what is kept. They may begin in the middle of a line.
    ///
    /// # Errors
    /// The cause.
    pub fn read_last(&self, directory: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let (older, current) = self.paths(directory);
        let newer = read_end(&current, max_bytes)?;
        let mut output = read_end(&older, max_bytes - newer.len() as u64)?;
        output.extend(newer);
        Ok(output)
    }

    /// The names of its files: of the older segment and of the newer.
    #[must_use]
    pub fn files(&self) -> [String; 2] {
        [format!("{}.old.log", self.name), format!("{}.log", self.name)]
    }

    fn paths(&self, directory: &Path) -> (PathBuf, PathBuf) {
        let [older, current] = self.files();
        (directory.join(older), directory.join(current))
    }
}

fn read_end(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let from = file.metadata()?.len().saturating_sub(max_bytes);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    // It may be growing.
    file.take(max_bytes).read_to_end(&mut end)?;
    Ok(end)
}

/// For adding at the end, whatever is there.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

impl LogWriter {
    /// Adds output at the end.
    ///
    /// # Errors
    /// The cause; a beginning of the output may have been added.
    pub fn append(&mut self, mut output: &[u8]) -> io::Result<()> {
        while !output.is_empty() {
            if self.length >= self.segment_bytes {
                std::fs::rename(&self.current, &self.older)?;
                self.file = open(&self.current)?;
                self.length = 0;
            }
            let room = usize::try_from(self.segment_bytes - self.length).unwrap_or(usize::MAX);
            let (now, later) = output.split_at(room.min(output.len()));
            self.file.write_all(now)?;
            self.length += now.len() as u64;
            output = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: BoundedLog = BoundedLog { name: "scrollback", max_bytes: 4 * 1024 * 1024 };

    #[test]
    fn the_end_is_kept_and_the_size_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = LOG.create(dir.path()).unwrap();
        let mut written = Vec::new();
        for n in 0..1_400_u32 {
            let chunk = n.to_be_bytes().repeat(1_021);
            writer.append(&chunk).unwrap();
            written.extend(chunk);
            let (older, current) = LOG.paths(dir.path());
            let size: u64 =
                [older, current].iter().filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum();
            assert!(size <= LOG.max_bytes, "{size} bytes on disk");
        }
        let kept = LOG.read(dir.path()).unwrap();
        assert!(kept.len() as u64 > LOG.max_bytes / 2, "only {} bytes kept", kept.len());
        assert!(written.ends_with(&kept));
    }

    #[test]
    fn the_end_is_read_across_both_segments() {
        let dir = tempfile::tempdir().unwrap();
        let small = BoundedLog { max_bytes: 20, ..LOG };
        small.create(dir.path()).unwrap().append(b"0123456789abcde").unwrap();
        for (max_bytes, end) in [(0, ""), (3, "cde"), (5, "abcde"), (7, "89abcde"), (99, "0123456789abcde")] {
            assert_eq!(small.read_last(dir.path(), max_bytes).unwrap(), end.as_bytes());
        }
    }

    #[test]
    fn one_huge_write_is_bounded_too() {
        let dir = tempfile::tempdir().unwrap();
        let written: Vec<u8> = (0..10_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        LOG.create(dir.path()).unwrap().append(&written).unwrap();
        let kept = LOG.read(dir.path()).unwrap();
        assert!(kept.len() as u64 <= LOG.max_bytes && written.ends_with(&kept));
    }

    #[test]
    fn a_new_one_starts_empty_and_one_that_goes_on_keeps_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        LOG.go_on(dir.path()).unwrap().append(&vec![7; 3_000_000]).unwrap();
        LOG.go_on(dir.path()).unwrap().append(&vec![8; 2_000_000]).unwrap();
        let kept = LOG.read(dir.path()).unwrap();
        assert!(kept.len() as u64 <= LOG.max_bytes && kept.ends_with(&vec![8; 2_000_000]) && kept[0] == 7);
        LOG.create(dir.path()).unwrap();
        assert_eq!(LOG.read(dir.path()).unwrap(), b"");
    }
}
