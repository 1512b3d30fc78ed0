//! A session's server: what it showed, and its end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
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
/// What is kept of a terminal that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// What the screen showed.
    Screen,
    /// That and the scrollback.
    Everything,
}

impl Shown {
    pub(super) fn file(self, session_dir: &Path) -> PathBuf {
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
