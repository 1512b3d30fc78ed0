//! Where one session's zellij server is: a socket directory of its own, and the processes that serve from it or are about to.
//!
//! Every session has its own directory because zellij 0.45.1 loses sessions otherwise: each of its commands first asks every
//! socket in the directory for its status, and a server that is asked before its first client has introduced itself ends
//! with a panic (`Option::unwrap()` on `None` when that client leaves). With twenty commands at once that ended one to four
//! servers; with a directory each, none.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::adapters::runtime::multiplexer;
use crate::platform::socket;
use crate::ports::runtime::TerminalKey;

/// What zellij appends to its socket directory. Part of the protocol's version: sockets of another are elsewhere.
const CONTRACT: &str = "contract_version_1";

/// The variable that leads zellij to a socket directory.
pub(super) const SOCKET_DIR_VARIABLE: &str = "ZELLIJ_SOCKET_DIR";

/// The session name when the ao session's id would make the path too long.
const SHORT_NAME: &str = "ao";

/// The longest socket directory that has room for a session, in bytes.
pub(super) const MAX_SOCKET_DIR_BYTES: usize =
    socket::MAX_PATH_BYTES - (1 + multiplexer::HASH_LETTERS + 1 + CONTRACT.len() + 1 + SHORT_NAME.len());

/// The place of one session. It follows from the key alone, so that an adapter made anew finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::adapters::runtime) struct Place {
    /// The session's name in zellij.
    pub(super) name: String,
    /// Its own `ZELLIJ_SOCKET_DIR`.
    pub(super) socket_dir: PathBuf,
}

impl Place {
    /// The place of a session below the directory for all of them.
    pub(super) fn of(key: &TerminalKey, all: &Path) -> Self {
        let socket_dir = all.join(multiplexer::hash(&key.session_dir));
        let with_id = socket_dir.join(CONTRACT).join(key.session.as_str());
        let fits = with_id.as_os_str().len() <= socket::MAX_PATH_BYTES;
        Self { name: if fits { key.session.to_string() } else { SHORT_NAME.to_owned() }, socket_dir }
    }

    /// Where its server listens.
    pub(super) fn socket(&self) -> PathBuf {
        self.socket_dir.join(CONTRACT).join(&self.name)
    }

    /// Started as `zellij --server <a socket in the directory>`.
    pub(super) fn is_server(&self, cmdline: &[u8]) -> bool {
        let mut args = cmdline.split(|byte| *byte == 0);
        let (_program, flag, socket) = (args.next(), args.next(), args.next());
        flag == Some(b"--server")
            && socket.is_some_and(|socket| Path::new(std::ffi::OsStr::from_bytes(socket)).starts_with(&self.socket_dir))
    }

    /// Whether an environment leads zellij to the directory.
    pub(super) fn is_for_here(&self, environ: &[u8]) -> bool {
        let entry = [SOCKET_DIR_VARIABLE.as_bytes(), b"=", self.socket_dir.as_os_str().as_bytes()].concat();
        environ.split(|byte| *byte == 0).any(|given| given == entry)
    }
}

/// Whether this is a client as [`super::commands`] starts it to make a session. One whose daemon was killed goes on, and makes a socket
/// directory that was removed meanwhile again.
pub(super) fn is_starter(cmdline: &[u8]) -> bool {
    let mut args = cmdline.split(|byte| *byte == 0).skip(1);
    (args.next(), args.next()) == (Some(b"attach"), Some(b"--create-background"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::SessionId;

    fn key(session: &str) -> TerminalKey {
        TerminalKey {
            session: SessionId::new(session).unwrap(),
            session_dir: Path::new("/data/sessions").join(session),
            agent: None,
        }
    }

    #[test]
    fn every_session_has_a_directory_and_a_name_of_its_own() {
        let (one, two) = (Place::of(&key("shop-1"), Path::new("/r")), Place::of(&key("shop-2"), Path::new("/r")));
        assert_ne!(one.socket_dir, two.socket_dir);
        assert_eq!(one.name, "shop-1");
        assert_eq!(one, Place::of(&key("shop-1"), Path::new("/r")));
    }

    #[test]
    fn the_socket_path_fits_at_the_longest_directory_and_the_longest_id() {
        let all = PathBuf::from(format!("/{}", "d".repeat(MAX_SOCKET_DIR_BYTES - 1)));
        let place = Place::of(&key(&format!("{}-4294967295", "p".repeat(64))), &all);
        assert_eq!(place.name, SHORT_NAME);
        assert_eq!(place.socket().as_os_str().len(), socket::MAX_PATH_BYTES);
    }

    #[test]
    fn only_a_server_of_this_directory_is_taken_for_its_server() {
        let place = Place { name: "shop-1".into(), socket_dir: "/r/abc".into() };
        assert!(place.is_server(b"/usr/bin/zellij\0--server\0/r/abc/contract_version_1/shop-1\0"));
        assert!(!place.is_server(b"/usr/bin/zellij\0--server\0/r/abcd/contract_version_1/shop-1\0"));
        assert!(!place.is_server(b"/usr/bin/zellij\0attach\0shop-1\0"));
        assert!(!place.is_server(b""));
    }

    #[test]
    fn only_a_client_that_makes_a_session_here_is_taken_for_one() {
        assert!(is_starter(b"/usr/bin/zellij\0attach\0--create-background\0shop-1\0options\0"));
        assert!(!is_starter(b"/usr/bin/zellij\0attach\0shop-1\0"));
        assert!(!is_starter(b""));
        let place = Place { name: "shop-1".into(), socket_dir: "/r/abc".into() };
        assert!(place.is_for_here(b"A=1\0ZELLIJ_SOCKET_DIR=/r/abc\0"));
        assert!(!place.is_for_here(b"ZELLIJ_SOCKET_DIR=/r/abcd\0"));
        assert!(!place.is_for_here(b""));
    }
}
