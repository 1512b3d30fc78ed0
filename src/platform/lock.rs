//! Locking a data directory: a lock on a file, which the kernel gives up when the holder dies, however it dies.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// The lock. Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why a lock was not got.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("it is locked{}", pid.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Held {
        /// Who, as far as the file tells.
        pid: Option<u32>,
    },
    /// The file system refused.
    #[error(transparent)]
    File(#[from] io::Error),
}

impl Lock {
    /// Takes the lock at once or not at all, and writes this process's id into the file, for messages only.
    ///
    /// # Errors
    /// [`LockError::Held`] while somebody else has it.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        // Never truncated on opening: the file tells who holds the lock.
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                return Err(LockError::Held { pid: text.trim().parse().ok() });
            }
            Err(error) => return Err(LockError::File(error.into())),
        }
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

/// Whether somebody holds the lock right now. Takes nothing and makes no file.
#[must_use]
pub fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    matches!(flock(&file, FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_the_second_learns_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!is_locked(&path));
        let lock = Lock::acquire(&path).unwrap();
        assert!(is_locked(&path));
        let Err(LockError::Held { pid }) = Lock::acquire(&path) else { panic!("taken twice") };
        assert_eq!(pid, Some(std::process::id()));
        drop(lock);
        assert!(!is_locked(&path));
        Lock::acquire(&path).unwrap();
    }
}
