//! What the supervisor does in a zellij pane before it starts the agent and after the agent has ended.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::panes;
use super::place::{self, Place};
use super::session::{self, Shown};
use super::wire::Server;
use crate::adapters::runtime::launch::{self, LaunchSpec};
use crate::platform::file;
use crate::ports::runtime::TerminalSize;

/// How long it may take from the supervisor's start until its pane is listed.
const PANE_BOUND: Duration = Duration::from_secs(8);
/// How long the terminal may take to have the size it was given.
const SIZE_BOUND: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);
/// How long the farewell may take: the pane stays for as long.
const FAREWELL_BOUND: Duration = Duration::from_secs(5);
/// How often the farewell asks for what the terminal shows.
const FAREWELL_ATTEMPTS: u32 = 3;

/// The record, beside those of the launch, of the server that shows it.
const RECORD: &str = "zellij.json";

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    socket: PathBuf,
    socket_dir: PathBuf,
}

/// Puts on record where the launch in `session_dir` is shown, for [`arrive`] and [`farewell`].
pub(super) fn record(session_dir: &Path, place: &Place) -> io::Result<()> {
    let record = serde_json::to_vec(&Record { socket: place.socket(), socket_dir: place.socket_dir.clone() })?;
    file::write_atomically(&launch::directory(session_dir).join(RECORD), &record, 0o600)
}

fn read_record(session_dir: &Path) -> io::Result<Option<Record>> {
    let record = file::read_if_there(&launch::directory(session_dir).join(RECORD))?;
    record.map(|record| serde_json::from_slice(&record).map_err(io::Error::from)).transpose()
}

/// What the supervisor does before it starts the agent: waits until zellij lists its pane, and gives the terminal its size.
/// 0.45.1 starts a pane's program before the pane is listed and while the terminal still is 0 × 0. Does nothing when the
/// launch is not shown by zellij.
///
/// # Errors
/// When the pane is not seen in time: such a terminal could not be typed into or read.
pub(crate) async fn arrive(session_dir: &Path, spec: &LaunchSpec) -> io::Result<()> {
    let Some(Record { socket, .. }) = read_record(session_dir)? else { return Ok(()) };
    let unseen = || format!("its pane was not seen within {} s", PANE_BOUND.as_secs());
    let seen =
        async { tokio::time::timeout(PANE_BOUND, see_pane(&socket)).await.unwrap_or_else(|_elapsed| Err(unseen())) };
    let resized = async { seen.await?.resize(spec.size).await };
    resized.await.map_err(|cause| io::Error::other(format!("zellij: {cause}")))?;
    // A size that zellij does not grant (too small to draw) is no reason to refuse the agent.
    let _ = tokio::time::timeout(SIZE_BOUND, until_terminal_is(spec.size)).await;
    Ok(())
}

async fn see_pane(socket: &Path) -> Result<Server, String> {
    let mut server = Server::connect(socket).await?;
    loop {
        match panes::running_terminal(&server.panes().await?) {
            Some(pane) if pane.id == session::PANE => return Ok(server),
            Some(pane) => return Err(format!("its terminal is number {}, {} was expected", pane.id, session::PANE)),
            None => tokio::time::sleep(POLL).await,
        }
    }
}

/// Waits until this process's terminal has the size.
async fn until_terminal_is(size: TerminalSize) {
    while !rustix::termios::tcgetwinsize(rustix::stdio::stdin())
        .is_ok_and(|now| (now.ws_row, now.ws_col) == (size.rows, size.cols))
    {
        tokio::time::sleep(POLL).await;
    }
}

/// What the supervisor does last, after the agent's end is on record: keeps what the terminal showed, and ends the zellij
/// session it runs in. So nothing of an ended agent stays in memory, also while no daemon runs. Does nothing when this
/// process is not the one that took the launch, or the launch is not shown by zellij.
///
/// # Errors
/// When the records cannot be read or the kept text cannot be written.
pub fn farewell(session_dir: &Path) -> io::Result<()> {
    let Some(Record { socket, socket_dir }) = read_record(session_dir)? else { return Ok(()) };
    if !launch::is_claimed_by_this_process(session_dir)? {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kept = tokio::time::timeout(FAREWELL_BOUND, keep(session_dir, &socket)).await.unwrap_or(Ok(()));
        // It ends this process's terminal with itself, which the supervisor's signal handling survives. A server that is
        // gone already is what is wanted.
        if let Ok(server) = Server::connect(&socket).await {
            let _ = server.kill().await;
        }
        kept
    })?;
    place::remove(&socket_dir)
}

/// Keeps what the terminal shows, as far as there is a server that tells.
async fn keep(session_dir: &Path, socket: &Path) -> io::Result<()> {
    for _ in 0..FAREWELL_ATTEMPTS {
        let Ok(mut server) = Server::connect(socket).await else { return Ok(()) };
        let everything = Shown::Everything.live(&mut server).await;
        let screen = Shown::Screen.live(&mut server).await;
        if let (Ok(everything), Ok(screen)) = (everything, screen) {
            file::write_atomically(&Shown::Everything.file(session_dir), everything.as_bytes(), 0o600)?;
            return file::write_atomically(&Shown::Screen.file(session_dir), screen.as_bytes(), 0o600);
        }
    }
    Ok(())
}
