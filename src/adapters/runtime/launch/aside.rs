//! The records of an ended launch, out of the way of the next one until it is known whether that lives.

use std::io;
use std::path::{Path, PathBuf};

use super::unrecorded::refuse_unless_dead;
use super::{directory, discard};
use crate::domain::id::RuntimeKind;
use crate::fault::{self, Point};
use crate::platform::file;
use crate::ports::runtime::{RuntimeError, TerminalKey};

/// Beside `terminal/`. Empty, it stands for a session that had no terminal.
fn aside(session_dir: &Path) -> PathBuf {
    session_dir.join("terminal.before")
}

/// [`Runtime::set_aside`](crate::ports::runtime::Runtime::set_aside). `end_rest` ends what there may still be of a terminal whose agent is dead.
pub(in super::super) async fn set_aside(
    runtime: &RuntimeKind,
    key: &TerminalKey,
    end_rest: impl Future<Output = io::Result<()>> + Send,
) -> Result<(), RuntimeError> {
    let moved = with_nothing_left(key, end_rest, move_aside).await;
    moved.map_err(|cause| failed(runtime, "set the ended terminal aside", cause))
}

/// [`Runtime::put_back`](crate::ports::runtime::Runtime::put_back), with the same `end_rest` for the later terminal.
pub(in super::super) async fn put_back(
    runtime: &RuntimeKind,
    key: &TerminalKey,
    end_rest: impl Future<Output = io::Result<()>> + Send,
) -> Result<(), RuntimeError> {
    // Asked first: a terminal that could not be set aside is not to be touched, and need not even be readable.
    let put_back = match aside(&key.session_dir).try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => with_nothing_left(key, end_rest, move_back).await,
        Err(error) => Err(error.to_string()),
    };
    put_back.map_err(|cause| failed(runtime, "put the earlier terminal back", cause))
}

/// [`Runtime::forget_aside`](crate::ports::runtime::Runtime::forget_aside).
pub(in super::super) fn forget_aside(runtime: &RuntimeKind, key: &TerminalKey) -> Result<(), RuntimeError> {
    match std::fs::remove_dir_all(aside(&key.session_dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(runtime, "forget the earlier terminal", error.to_string()))
        }
        _ => Ok(()),
    }
}

fn failed(runtime: &RuntimeKind, action: &'static str, cause: String) -> RuntimeError {
    RuntimeError::Failed { runtime: runtime.clone(), action, cause }
}

/// Moves a dead agent's records once nothing is left of its terminal.
async fn with_nothing_left(
    key: &TerminalKey,
    end_rest: impl Future<Output = io::Result<()>> + Send,
    moves: fn(&Path) -> io::Result<()>,
) -> Result<(), String> {
    refuse_unless_dead(key)?;
    let ended = end_rest.await;
    ended.and_then(|()| moves(&key.session_dir)).map_err(|error| error.to_string())
}

/// Moves everything on record about the session's terminal out of the way. Nothing that is still wanted was set aside before.
fn move_aside(session_dir: &Path) -> io::Result<()> {
    match std::fs::rename(directory(session_dir), aside(session_dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => file::create_private_dir(&aside(session_dir)),
        moved => moved,
    }
}

/// Puts what was set aside in the place of what a later launch left. After an error it is there, here or in its place, and to do it again
/// is to go on.
fn move_back(session_dir: &Path) -> io::Result<()> {
    discard(session_dir)?;
    fault::reach(Point::LaunchLaterDiscarded)?;
    match std::fs::remove_dir(aside(session_dir)) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
            std::fs::rename(aside(session_dir), directory(session_dir))
        }
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_read_is_not_set_aside_and_in_nobodys_way_when_that_is_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let session_dir = root.path().to_owned();
        let key = TerminalKey { session: "app-1".parse().unwrap(), session_dir, agent: None };
        let runtime = RuntimeKind::new("pty").unwrap();
        let exit = directory(root.path()).join("exit.json");
        file::create_private_dir(&directory(root.path())).unwrap();
        std::fs::write(&exit, "").unwrap();
        let untouched = || async { panic!("nothing is known to be dead") };
        assert!(set_aside(&runtime, &key, untouched()).await.is_err());
        put_back(&runtime, &key, untouched()).await.unwrap();
        assert!(exit.exists());
        // Where something is set aside it is as it was: only what is dead is replaced.
        file::create_private_dir(&aside(root.path())).unwrap();
        assert!(put_back(&runtime, &key, untouched()).await.is_err());
        assert!(exit.exists() && aside(root.path()).exists());
    }
}
