//! A server's processes, and their end.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::server::Server;
use crate::domain::session::ProcessIdentity;
use crate::fault::{self, Point};
use crate::platform::process;
use crate::platform::tree::{self, Pause};

/// How long a server may take to end after it was asked or killed.
const END_BOUND: Duration = Duration::from_secs(5);

/// Ends a session's server, whatever it shows, and who is about to start one, and removes its directory. Returns when no process
/// of it is left; none to begin with is success. Nobody else may be making the session meanwhile.
pub(super) async fn end(server: &impl Server) -> io::Result<()> {
    if !processes(server).await?.is_empty() {
        // One that does not listen yet, or no more, is killed below.
        let asked = server.ask_to_end().await;
        if !asked || !is_gone(server, END_BOUND).await? {
            kill(server).await?;
        }
    }
    fault::reach(Point::MultiplexerServerEnded)?;
    remove(server.directory())
}

/// Removes a server's directory.
///
/// # Errors
/// The cause; a directory that is not there is success.
pub(super) fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn kill(server: &impl Server) -> io::Result<()> {
    let (deadline, mut pause) = (Instant::now() + END_BOUND, Pause::default());
    loop {
        let left = processes(server).await?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let pids: Vec<String> = left.iter().map(|process| process.pid.to_string()).collect();
            return Err(io::Error::other(format!("its server is still there: process {}", pids.join(", "))));
        }
        for process in left {
            tree::send(process, Signal::KILL)?;
        }
        pause.wait().await;
    }
}

/// Waits until no process is left, for at most `bound`.
async fn is_gone(server: &impl Server, bound: Duration) -> io::Result<bool> {
    let (deadline, mut pause) = (Instant::now() + bound, Pause::default());
    while !processes(server).await?.is_empty() {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        pause.wait().await;
    }
    Ok(true)
}

/// Its processes: those that serve, and those that are about to. Of servers there is more than one only while one is
/// starting, which forks itself into the background.
///
/// # Errors
/// When `/proc` cannot be listed.
async fn processes(server: &impl Server) -> io::Result<Vec<ProcessIdentity>> {
    let server = server.clone();
    // Reads all of `/proc`.
    tokio::task::spawn_blocking(move || look(&server)).await.map_err(io::Error::other)?
}

fn look(server: &impl Server) -> io::Result<Vec<ProcessIdentity>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ends while it is looked at is none.
        let Ok(cmdline) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let environ = || std::fs::read(entry.path().join("environ")).unwrap_or_default();
        let is_ours = || entry.metadata().is_ok_and(|meta| meta.uid() == rustix::process::getuid().as_raw());
        if server.is_process(&cmdline, &environ) && is_ours() {
            found.extend(process::identity(pid)?);
        }
    }
    Ok(found)
}
