//! What the supervisor does in a zellij pane before it starts the agent, and where it finds the server of that pane.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::panes;
use super::place::Place;
use super::server::PANE;
use super::wire::Server;
use crate::adapters::runtime::launch::{self, LaunchSpec};
use crate::adapters::runtime::multiplexer;
use crate::fault::{self, Point};
use crate::platform::file;
use crate::ports::runtime::TerminalSize;

/// How long it may take from the supervisor's start until its pane is listed.
const PANE_BOUND: Duration = Duration::from_secs(8);
/// How long the terminal may take to have the size it was given.
const SIZE_BOUND: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);

/// The record, beside those of the launch, of the server that shows it.
const RECORD: &str = "zellij.json";

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    socket: PathBuf,
    socket_dir: PathBuf,
}

/// Puts on record where the launch in `session_dir` is shown, for [`arrive`] and [`shown_by`].
pub(super) fn record(session_dir: &Path, place: &Place) -> Result<(), String> {
    let record = Record { socket: place.socket(), socket_dir: place.socket_dir.clone() };
    let record = serde_json::to_vec(&record).map_err(|error| error.to_string())?;
    multiplexer::write(&launch::directory(session_dir).join(RECORD), &record)
}

/// The server that shows the launch in `session_dir`; `None` when that is not one of zellij.
///
/// # Errors
/// When the record cannot be read.
pub(in crate::adapters::runtime) fn shown_by(session_dir: &Path) -> io::Result<Option<Place>> {
    let Some(record) = file::read_if_there(&launch::directory(session_dir).join(RECORD))? else { return Ok(None) };
    let Record { socket, socket_dir } = serde_json::from_slice(&record)?;
    let name = socket.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Some(Place { name, socket_dir }))
}

/// What the supervisor does before it starts the agent: waits until zellij lists its pane, and gives the terminal its size.
/// 0.45.1 starts a pane's program before the pane is listed and while the terminal still is 0 × 0. Does nothing when the
/// launch is not shown by zellij.
///
/// # Errors
/// When the pane is not seen in time: such a terminal could not be typed into or read.
pub(in crate::adapters::runtime) async fn arrive(session_dir: &Path, spec: &LaunchSpec) -> io::Result<()> {
    let Some(socket) = shown_by(session_dir)?.map(|place| place.socket()) else { return Ok(()) };
    let unseen = || format!("its pane was not seen within {} s", PANE_BOUND.as_secs());
    let seen =
        async { tokio::time::timeout(PANE_BOUND, see_pane(&socket)).await.unwrap_or_else(|_elapsed| Err(unseen())) };
    let resized = async { seen.await?.resize(spec.size).await };
    resized.await.map_err(|cause| io::Error::other(format!("zellij: {cause}")))?;
    // A size that zellij does not grant (too small to draw) is no reason to refuse the agent.
    let _ = tokio::time::timeout(SIZE_BOUND, until_terminal_is(spec.size)).await;
    Ok(fault::reach(Point::ZellijPaneSeen)?)
}

async fn see_pane(socket: &Path) -> Result<Server, String> {
    let mut server = Server::connect(socket).await?;
    loop {
        match panes::running_terminal(&server.panes().await?) {
            Some(pane) if pane.id == PANE => return Ok(server),
            Some(pane) => return Err(format!("its terminal is number {}, {} was expected", pane.id, PANE)),
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
