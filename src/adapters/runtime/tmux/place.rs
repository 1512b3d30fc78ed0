//! Where one session's tmux server is: a directory of its own for its socket, and the processes that serve there or are
//! about to.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::version::Version;
use crate::adapters::runtime::{launch, multiplexer};
use crate::platform::{file, socket};
use crate::ports::runtime::TerminalKey;

/// The socket's name in the directory.
const SOCKET: &str = "socket";

/// What the name of a session's directory begins with.
const PREFIX: &str = "tmux-";

/// The longest directory that has room for a session's socket, in bytes.
pub(super) const MAX_SOCKET_DIR_BYTES: usize =
    socket::MAX_PATH_BYTES - (1 + PREFIX.len() + multiplexer::HASH_LETTERS + 1 + SOCKET.len());

/// The record, beside those of the launch, of the server that shows it.
const RECORD: &str = "tmux.json";

/// What is on record of a server.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    /// Where it listens.
    pub(super) socket: PathBuf,
    /// The tmux program that started it.
    pub(super) program: PathBuf,
    /// That program's version then, which stays the server's when another one is installed.
    pub(super) version: Version,
}

/// The place of one session's server. It follows from the key alone, so that an adapter made anew finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::adapters::runtime) struct Place {
    /// The directory of its socket.
    pub(super) directory: PathBuf,
    session_dir: PathBuf,
}

impl Place {
    /// The place of a session below the directory for all of them.
    pub(super) fn of(key: &TerminalKey, all: &Path) -> Self {
        let directory = all.join(format!("{PREFIX}{}", multiplexer::hash(&key.session_dir)));
        Self { directory, session_dir: key.session_dir.clone() }
    }

    /// Where its server listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.directory.join(SOCKET)
    }

    /// Puts on record what serves there, for [`Place::recorded`] and [`shown_by`].
    pub(super) fn record(&self, program: &Path, version: Version) -> Result<(), String> {
        let record = Record { socket: self.socket(), program: program.to_owned(), version };
        let record = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
        multiplexer::write(&record_file(&self.session_dir), &record)
    }

    /// What serves there.
    ///
    /// # Errors
    /// When that is not on record.
    pub(super) fn recorded(&self) -> Result<Record, String> {
        let recorded = read_record(&self.session_dir).map_err(|error| error.to_string())?;
        recorded.ok_or_else(|| "there is no record of its server".to_owned())
    }

    /// Started as `tmux -f <configuration> -S <socket> new-session …`, which is what a server's command line stays.
    pub(super) fn is_started_here(&self, cmdline: &[u8]) -> bool {
        let mut args = cmdline.split(|byte| *byte == 0).skip(1);
        let (flag, _config, socket_flag, socket, command) =
            (args.next(), args.next(), args.next(), args.next(), args.next());
        (flag, socket_flag, command) == (Some(b"-f"), Some(b"-S"), Some(b"new-session"))
            && socket == Some(self.socket().as_os_str().as_bytes())
    }
}

/// The server that shows the launch in `session_dir`; `None` when that is not one of tmux.
///
/// # Errors
/// When the record cannot be read.
pub(in crate::adapters::runtime) fn shown_by(session_dir: &Path) -> io::Result<Option<Place>> {
    let Some(Record { socket, .. }) = read_record(session_dir)? else { return Ok(None) };
    let directory = socket.parent().ok_or(io::ErrorKind::InvalidData)?.to_owned();
    Ok(Some(Place { directory, session_dir: session_dir.to_owned() }))
}

fn record_file(session_dir: &Path) -> PathBuf {
    launch::directory(session_dir).join(RECORD)
}

fn read_record(session_dir: &Path) -> io::Result<Option<Record>> {
    let record = file::read_if_there(&record_file(session_dir))?;
    record.map(|record| serde_json::from_slice(&record).map_err(io::Error::from)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SessionId;

    fn key(session_dir: &Path) -> TerminalKey {
        TerminalKey { session: SessionId::new("shop-1").unwrap(), session_dir: session_dir.to_owned(), agent: None }
    }

    #[test]
    fn the_socket_path_fits_at_the_longest_directory() {
        let all = PathBuf::from(format!("/{}", "d".repeat(MAX_SOCKET_DIR_BYTES - 1)));
        let place = Place::of(&key(Path::new("/data/sessions/shop-1")), &all);
        assert_eq!(place.socket().as_os_str().len(), socket::MAX_PATH_BYTES);
    }

    #[test]
    fn the_supervisor_finds_the_same_place_from_the_record() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(shown_by(dir.path()).unwrap(), None);
        file::create_private_dir(&launch::directory(dir.path())).unwrap();
        let place = Place::of(&key(dir.path()), Path::new("/r"));
        place.record(Path::new("/usr/bin/tmux"), Version::OLDEST).unwrap();
        assert_eq!(shown_by(dir.path()).unwrap(), Some(place.clone()));
        assert_eq!(place.recorded().unwrap().version, Version::OLDEST);
    }

    #[test]
    fn only_what_was_started_here_is_taken_for_its_server() {
        let place = Place { directory: "/r/tmux-abc".into(), session_dir: "/s".into() };
        assert!(place.is_started_here(b"/usr/bin/tmux\0-f\0/c\0-S\0/r/tmux-abc/socket\0new-session\0-d\0"));
        assert!(!place.is_started_here(b"/usr/bin/tmux\0-f\0/c\0-S\0/r/tmux-abcd/socket\0new-session\0-d\0"));
        assert!(!place.is_started_here(b"/usr/bin/tmux\0-S\0/r/tmux-abc/socket\0attach-session\0"));
        assert!(!place.is_started_here(b""));
    }
}
