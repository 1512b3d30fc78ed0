//! A session's server: what it showed, and its end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use super::place::{self, Place};
use super::wire::Server;
use crate::adapters::runtime::launch;
use crate::platform::file;
use crate::platform::tree::{self, Pause};

/// The one terminal pane of a session.
pub(super) const PANE: u32 = 0;

/// How long a server may take to end after it was asked or killed.
const END_BOUND: Duration = Duration::from_secs(5);

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

/// Ends the session's server, whatever it shows, and who is about to start one, and removes its socket directory. Returns when no process
/// of it is left; none to begin with is success. Nobody else may be making the session meanwhile.
pub(super) async fn end(place: &Place) -> io::Result<()> {
    if !place.processes().await?.is_empty() {
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
    let (deadline, mut pause) = (Instant::now() + END_BOUND, Pause::default());
    loop {
        let left = place.processes().await?;
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let pids: Vec<String> = left.iter().map(|process| process.pid.to_string()).collect();
            return Err(io::Error::other(format!("zellij is still there: process {}", pids.join(", "))));
        }
        for process in left {
            tree::send(process, Signal::KILL)?;
        }
        pause.wait().await;
    }
}

/// Waits until no server is left, for at most `bound`.
async fn is_gone(place: &Place, bound: Duration) -> io::Result<bool> {
    let (deadline, mut pause) = (Instant::now() + bound, Pause::default());
    while !place.processes().await?.is_empty() {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        pause.wait().await;
    }
    Ok(true)
}
