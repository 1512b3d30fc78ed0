//! The records of an ended launch, out of the way of the next one until it is known whether that lives.

use std::io;
use std::path::{Path, PathBuf};

use super::{directory, discard};
use crate::fault::{self, Point};
use crate::platform::file;

/// Beside `terminal/`. Empty, it stands for a session that had no terminal.
fn aside(session_dir: &Path) -> PathBuf {
    session_dir.join("terminal.before")
}

/// Moves everything on record about the session's terminal out of the way. The caller makes sure that nothing of it runs, and that nothing
/// that is still wanted was set aside before.
///
/// # Errors
/// The cause; nothing was moved then.
pub(in super::super) fn set_aside(session_dir: &Path) -> io::Result<()> {
    match std::fs::rename(directory(session_dir), aside(session_dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => file::create_private_dir(&aside(session_dir)),
        moved => moved,
    }
}

/// Puts what was set aside in the place of what a later launch left; nothing changes when nothing was. The caller makes sure that nothing
/// of the later one runs.
///
/// # Errors
/// The cause; what was set aside is there, here or in its place, and to do it again is to go on.
pub(in super::super) fn put_back(session_dir: &Path) -> io::Result<()> {
    if !aside(session_dir).try_exists()? {
        return Ok(());
    }
    discard(session_dir)?;
    fault::reach(Point::LaunchLaterDiscarded)?;
    match std::fs::remove_dir(aside(session_dir)) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            std::fs::rename(aside(session_dir), directory(session_dir))
        }
        removed => removed,
    }
}

/// Removes what was set aside. Success when nothing was.
///
/// # Errors
/// The cause.
pub(in super::super) fn forget_aside(session_dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(aside(session_dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
