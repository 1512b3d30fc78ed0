//! What a multiplexer has to be able to do, and one of its servers.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use async_trait::async_trait;

use super::Shown;
use super::view::Client;
use crate::ports::runtime::{TerminalKey, TerminalSpec};

/// Why a multiplexer cannot be used on this machine as it is, and what to do about it.
#[derive(Debug)]
pub(in crate::adapters::runtime) struct Unusable {
    pub(in crate::adapters::runtime) cause: String,
    pub(in crate::adapters::runtime) hint: String,
}

/// Refuses a socket directory after whose path a socket's name does not fit any more.
pub(in crate::adapters::runtime) fn leaves_room(socket_dir: &Path, max_bytes: usize) -> Result<(), Unusable> {
    let length = socket_dir.as_os_str().as_bytes().len();
    if length <= max_bytes {
        return Ok(());
    }
    let dir = socket_dir.display();
    let cause = format!("its socket directory has {length} bytes, at most {max_bytes} fit a socket's path: {dir}");
    Err(Unusable { cause, hint: "set AO_DATA_DIR to a shorter path".to_owned() })
}

/// A terminal multiplexer, with what ao's servers of it are made with.
#[async_trait]
pub(in crate::adapters::runtime) trait Multiplexer:
    std::fmt::Debug + Send + Sync + 'static
{
    /// Its name, which is the runtime's.
    const NAME: &'static str;

    /// A session's server.
    type Server: Server;

    /// Its program, found and new enough.
    type Program: Send + Sync;

    /// The server of a session. It follows from the key alone, so that a runtime made anew finds it.
    fn server(&self, key: &TerminalKey) -> Self::Server;

    /// Its program and that one's version. Changes nothing.
    ///
    /// # Errors
    /// [`Unusable`].
    async fn installed(&self) -> Result<(Self::Program, String), Unusable>;

    /// Writes what a start reads, and beside the launch, which is on record by now, what its supervisor needs to find the
    /// server it runs in. The server's directory is there.
    ///
    /// # Errors
    /// The cause, with the path.
    fn prepare(&self, program: &Self::Program, server: &Self::Server, spec: &TerminalSpec) -> Result<(), String>;

    /// Starts the server in the background, with `ao supervise` in its only pane. Success says nothing about the pane.
    ///
    /// # Errors
    /// The cause.
    async fn start(&self, program: &Self::Program, server: &Self::Server, spec: &TerminalSpec) -> Result<(), String>;

    /// What shows a server's terminal to a person, and gives it what they type.
    ///
    /// # Errors
    /// The cause, when there is no such program any more.
    async fn client(&self, server: &Self::Server) -> Result<Client, String>;
}

/// A session's own server, which may run or not.
#[async_trait]
pub(in crate::adapters::runtime) trait Server:
    Clone + std::fmt::Debug + Send + Sync + 'static
{
    /// The directory of its own that holds its socket. A server whose directory is not there does not exist.
    fn directory(&self) -> &Path;

    /// Whether a process of the user's with this command line (and environment, which is read when it is asked for) is the
    /// server's: it serves, or is about to start the server.
    fn is_process(&self, cmdline: &[u8], environ: &dyn Fn() -> Vec<u8>) -> bool;

    /// Asks it to end, with everything that runs in its panes, and does not wait for that. False when nobody was there to be asked.
    async fn ask_to_end(&self) -> bool;

    /// Waits until it shows everything that was printed in the terminal of this process, as far as that can be found out.
    async fn catch_up(&self) {}

    /// What its terminal shows.
    ///
    /// # Errors
    /// When it does not answer in time.
    async fn show(&self, shown: Shown) -> Result<String, String>;

    /// Types bytes into its terminal, exactly as they are.
    ///
    /// # Errors
    /// When it does not take them in time; a part may have been typed then.
    async fn type_bytes(&self, bytes: &[u8]) -> Result<(), String>;
}
