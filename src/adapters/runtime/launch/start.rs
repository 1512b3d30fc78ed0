//! Waiting until a launch has visibly started.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::record;
use crate::domain::exit::Exit;
use crate::domain::session::ProcessIdentity;
use crate::platform::process;

/// How often the records are looked at. Files, not processes: one look costs microseconds.
const POLL: Duration = Duration::from_millis(5);

/// Why a launch has not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The supervisor said why.
    #[error("{0}")]
    Failed(String),
    /// Nobody will say anything any more.
    #[error("its supervisor ended while it started the agent")]
    Abandoned,
    /// Nothing was heard in time.
    #[error("the agent was not seen running within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The records cannot be read.
    #[error("cannot read the terminal's records: {0}")]
    Records(#[from] io::Error),
}

/// Waits until the agent was seen running, for at most `bound`, and gives its identity. One that ran and ended is given too.
///
/// # Errors
/// [`StartError`]; whatever was started still runs, and is the caller's to end.
pub async fn await_start(session_dir: &Path, bound: Duration) -> Result<ProcessIdentity, StartError> {
    let wait = async {
        loop {
            if let Some(agent) = look(session_dir)? {
                return Ok(agent);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(bound, wait).await.unwrap_or(Err(StartError::TimedOut(bound)))
}

fn look(session_dir: &Path) -> Result<Option<ProcessIdentity>, StartError> {
    // First: what its supervisor recorded before it ended is found below.
    let abandoned = record::is_abandoned(session_dir)?;
    if let Some(failure) = record::failure(session_dir)? {
        return Err(StartError::Failed(failure.cause));
    }
    let Some(started) = record::started(session_dir)? else {
        return if abandoned { Err(StartError::Abandoned) } else { Ok(None) };
    };
    if process::is_running(started.agent)? || record::exit(session_dir)?.is_some_and(|exit| exit != Exit::Unknown) {
        return Ok(Some(started.agent));
    }
    // It ended and its supervisor is about to say how; without a supervisor nobody ever will.
    Ok((!process::is_running(started.supervisor)?).then_some(started.agent))
}
