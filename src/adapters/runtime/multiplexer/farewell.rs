//! What the supervisor does last.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::end;
use super::server::Server;
use super::shown::Shown;
use crate::adapters::runtime::launch;
use crate::fault::{self, Point};

/// How long the farewell may take: the pane stays for as long.
const FAREWELL_BOUND: Duration = Duration::from_secs(5);
/// How often it asks for what the terminal shows.
const ATTEMPTS: u32 = 3;

/// What the supervisor does last, after the agent's end is on record: keeps what the terminal showed, and ends the server it
/// runs in. So nothing of an ended agent stays in memory, also while no daemon runs. Does nothing when this process is not
/// the one that took the launch.
///
/// # Errors
/// When the records cannot be read or the kept text cannot be written.
pub(in crate::adapters::runtime) fn farewell(session_dir: &Path, server: &impl Server) -> io::Result<()> {
    if !launch::is_claimed_by_this_process(session_dir)? {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kept = tokio::time::timeout(FAREWELL_BOUND, keep(session_dir, server)).await.unwrap_or(Ok(()));
        fault::reach(Point::MultiplexerScreenKept)?;
        // It ends this process's terminal with itself, which the supervisor's signal handling survives. A server that is
        // gone already is what is wanted.
        server.ask_to_end().await;
        kept
    })?;
    fault::reach(Point::MultiplexerFarewell)?;
    end::remove(server.directory())
}

/// Keeps what the terminal shows, as far as there is a server that tells.
async fn keep(session_dir: &Path, server: &impl Server) -> io::Result<()> {
    server.catch_up().await;
    for _ in 0..ATTEMPTS {
        let everything = server.show(Shown::Everything).await;
        let screen = server.show(Shown::Screen).await;
        if let (Ok(everything), Ok(screen)) = (everything, screen) {
            Shown::Everything.keep(session_dir, &everything)?;
            return Shown::Screen.keep(session_dir, &screen);
        }
    }
    Ok(())
}
