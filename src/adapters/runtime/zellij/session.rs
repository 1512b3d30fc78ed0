//! A session's server: what it showed, and its end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::place::{self, Place};
use super::wire::Server;
use crate::adapters::runtime::launch;
use crate::platform::{file, tree};

/// The one terminal pane of a session.
pub(super) const PANE: u32 = 0;

/// How long a server may take to end after it was asked or killed.
const END_BOUND: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);
/// How long the farewell may take: the pane stays for as long.
const FAREWELL_BOUND: Duration = Duration::from_secs(5);

/// The record, beside those of the launch, of the server that shows it.
const RECORD: &str = "zellij.json";

/// What is kept of a terminal that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// What the screen showed.
    Screen,
    /// That and the scrollback.
    Everything,
}

impl Shown {
    fn file(self, session_dir: &Path) -> PathBuf {
        launch::directory(session_dir).join(match self {
            Self::Screen => "screen.txt",
            Self::Everything => "output.txt",
        })
    }

    /// Asks the server.
    pub(super) async fn live(self, server: &mut Server) -> Result<String, String> {
        server.dump(PANE, self == Self::Everything).await
    }

    /// Reads what was kept; `None` when nothing was.
    pub(super) fn kept(self, session_dir: &Path) -> io::Result<Option<String>> {
        let kept = file::read_if_there(&self.file(session_dir))?;
        Ok(kept.map(|text| String::from_utf8_lossy(&text).into_owned()))
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    socket: PathBuf,
    socket_dir: PathBuf,
}

/// Puts on record where the launch in `session_dir` is shown, for [`farewell`].
pub(super) fn record(session_dir: &Path, place: &Place) -> io::Result<()> {
    let record = serde_json::to_vec(&Record { socket: place.socket(), socket_dir: place.socket_dir.clone() })?;
    file::write_atomically(&launch::directory(session_dir).join(RECORD), &record, 0o600)
}

/// What the supervisor does last, after the agent's end is on record: keeps what the terminal showed, and ends the zellij
/// session it runs in. So nothing of an ended agent stays in memory, also while no daemon runs. Does nothing when this
/// process is not the one that took the launch, or the launch is not shown by zellij.
///
/// # Errors
/// When the records cannot be read or the kept text cannot be written.
pub fn farewell(session_dir: &Path) -> io::Result<()> {
    let path = launch::directory(session_dir).join(RECORD);
    let Some(record) = file::read_if_there(&path)? else { return Ok(()) };
    let Record { socket, socket_dir } = serde_json::from_slice(&record)?;
    if !launch::is_claimed_by_this_process(session_dir)? {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // A server that is gone already is what is wanted.
        let Ok(mut server) = Server::connect(&socket).await else { return Ok(()) };
        let kept = tokio::time::timeout(FAREWELL_BOUND, keep(session_dir, &mut server)).await.unwrap_or(Ok(()));
        // It ends this process's terminal with itself, which the supervisor's signal handling survives.
        let _ = server.kill().await;
        kept
    })?;
    place::remove(&socket_dir)
}

/// Keeps what the terminal shows.
async fn keep(session_dir: &Path, server: &mut Server) -> io::Result<()> {
    for shown in [Shown::Everything, Shown::Screen] {
        if let Ok(text) = shown.live(server).await {
            file::write_atomically(&shown.file(session_dir), text.as_bytes(), 0o600)?;
        }
    }
    Ok(())
}

/// Ends the session's server, whatever it shows, and removes its socket directory. Returns when no process of it is left;
/// none to begin with is success.
pub(super) async fn end(place: &Place) -> io::Result<()> {
    if !place.servers()?.is_empty() {
        // One that does not listen yet, or no more, is killed below.
        let asked = match Server::connect(&place.socket()).await {
            Ok(server) => server.kill().await.is_ok(),
            Err(_) => false,
        };
        if !asked || !is_gone(place, END_BOUND).await? {
            kill(place).await?;
        }
    }
    place::remove(&place.socket_dir)
}

async fn kill(place: &Place) -> io::Result<()> {
    let deadline = Instant::now() + END_BOUND;
    loop {
        let left = place.servers()?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let pids: Vec<String> = left.iter().map(|server| server.pid.to_string()).collect();
            return Err(io::Error::other(format!("zellij's server is still there: process {}", pids.join(", "))));
        }
        for server in left {
            tree::send(server, Signal::KILL)?;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until no server is left, for at most `bound`.
async fn is_gone(place: &Place, bound: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + bound;
    while !place.servers()?.is_empty() {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(true)
}
