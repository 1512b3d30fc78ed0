//! A log file that is this process's standard output and error, rotated by size. Whatever is printed reaches it, also what a
//! panic says; and since one descriptor is put in the other's place at once, no line is lost or torn on the way.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::file;

/// How many older files are kept beside the current one.
const OLDER: u32 = 3;

/// Standard error, and the log file it may be. Writing to it never fails: a log that cannot be written, for the disk is full or
/// the pipe's reader gone, must not end what is logged.
#[derive(Debug, Default)]
pub struct LogFile(Mutex<Option<Rotation>>);

#[derive(Debug)]
struct Rotation {
    path: PathBuf,
    /// How long a file may become, in bytes.
    most: u64,
    /// How long the current one is, as far as it went through here.
    length: u64,
}

impl LogFile {
    /// Begins to rotate `path`, when that is what standard error goes to: it and its older files (`<path>.1` and so on) then
    /// take about `most` bytes together. Only one process may do so with a file.
    pub fn rotate(&self, path: &Path, most: u64) {
        let Ok(length) = length_of_stderr(path) else { return };
        *self.rotation() = Some(Rotation { path: path.to_owned(), most: most / u64::from(OLDER + 1), length });
        self.count(0);
    }

    fn count(&self, written: usize) {
        let mut rotation = self.rotation();
        let Some(Rotation { path, most, length }) = rotation.as_mut() else { return };
        *length += written as u64;
        if *length < *most {
            return;
        }
        // There is nobody to tell of a failure; after another file's worth it is tried again.
        *length = 0;
        let _ = replace(path);
    }

    fn rotation(&self) -> MutexGuard<'_, Option<Rotation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for &LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Lost when it cannot be written: there is nobody to tell.
        if io::stderr().write_all(line).is_ok() {
            self.count(line.len());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The length of the file, if standard error goes to it.
fn length_of_stderr(path: &Path) -> io::Result<u64> {
    let (named, open) = (path.metadata()?, rustix::fs::fstat(io::stderr())?);
    let is_it = (named.dev(), named.ino()) == (open.st_dev, open.st_ino);
    if is_it { Ok(named.len()) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn replace(path: &Path) -> io::Result<()> {
    let next = shift(path)?;
    rustix::stdio::dup2_stdout(&next)?;
    rustix::stdio::dup2_stderr(&next)?;
    Ok(())
}

/// Gives the files their next names, the oldest one's to nobody, and makes an empty one.
fn shift(path: &Path) -> io::Result<File> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    // First: without room for a new file everything stays as it is.
    let fresh = numbered(0);
    file::remove_if_there(&fresh)?;
    let next = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&fresh)?;
    for number in (1..OLDER).rev() {
        rename_if_there(&numbered(number), &numbered(number + 1))?;
    }
    rename_if_there(path, &numbered(1))?;
    std::fs::rename(&fresh, path)?;
    Ok(next)
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_newest_files_are_kept_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        std::fs::write(&path, "0").unwrap();
        for number in 1..=6 {
            write!(shift(&path).unwrap(), "{number}").unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let kept = ["daemon.log", "daemon.log.1", "daemon.log.2", "daemon.log.3"].map(read);
        assert_eq!(kept, ["6", "5", "4", "3"]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_standard_error_does_not_go_to_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.log");
        std::fs::write(&path, "theirs").unwrap();
        LogFile::default().rotate(&path, 1);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs");
    }
}
