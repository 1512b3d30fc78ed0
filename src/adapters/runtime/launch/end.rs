//! Ending a launch, from its records alone.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::{Claim, LaunchSpec, SUPERVISOR_BOUND, record, settle};
use crate::domain::exit::Exit;
use crate::domain::session::ProcessIdentity;
use crate::fault::{self, Point};
use crate::platform::process;
use crate::platform::tree::{Family, Pause};

/// Ends the launch on record with all its processes: the agent is asked, gets `grace`, then all are killed. Gives how it
/// ended; `None` when nothing ran. A launch that nobody took never starts afterwards. What the runtime itself keeps (a pane, a socket) is
/// the caller's.
///
/// # Errors
/// When the records cannot be read or something could not be ended.
pub async fn stop(session_dir: &Path, grace: Duration) -> io::Result<Option<Exit>> {
    let Some(spec) = LaunchSpec::read(session_dir)? else { return Ok(None) };
    if !spec.is_of_this_boot()? {
        spec.forget_environment(session_dir)?;
        return Ok(None);
    }
    // Its supervisor may still be keeping the last screen: then it is waited for, but nothing of the agent was stopped.
    let has_ended = record::exit(session_dir)?.is_some();
    let supervisor = if record::call_off(session_dir)? { None } else { supervisor(session_dir)? };
    let started = match supervisor {
        Some(supervisor) => until_started(session_dir, supervisor).await?,
        None => None,
    };
    let agent = started.as_ref().map(|started| started.agent);
    let mut family = Family { except: supervisor, ..spec.family() };
    let mut ran = false;
    for process in [agent, supervisor].into_iter().flatten() {
        if process::is_running(process)? {
            ran |= started.is_some() && !has_ended;
            // Only a session that one of them leads is theirs: the agent leads its own, or shares the supervisor's.
            family.sessions.extend(process::leads_session(process.pid).then_some(process.pid));
        }
    }
    family.roots.extend(agent);
    let ended = family.end(agent, grace).await;
    fault::reach(Point::LaunchAgentStopped)?;
    if let (Err(error), Some(agent)) = (&ended, agent)
        && process::is_running(agent)?
    {
        // Its supervisor is spared: once somebody else has ended the agent, that is still recorded.
        return Err(io::Error::new(error.kind(), error.to_string()));
    }
    if let Some(supervisor) = supervisor {
        dismiss(supervisor).await?;
    }
    settle(session_dir, &spec).await;
    // When its supervisor was killed before it did this itself.
    spec.forget_environment(session_dir)?;
    // What the agent left behind and this user may not end: all else is done, and that is said.
    ended?;
    if !ran {
        return Ok(None);
    }
    Ok(Some(record::exit(session_dir)?.unwrap_or(Exit::Unknown)))
}

fn supervisor(session_dir: &Path) -> io::Result<Option<ProcessIdentity>> {
    Ok(match record::claimed(session_dir)? {
        Some(Claim::Supervisor(supervisor)) => Some(supervisor),
        Some(Claim::CalledOff) | None => None,
    })
}

/// Waits until the supervisor has recorded a start, failed, or is gone.
async fn until_started(session_dir: &Path, supervisor: ProcessIdentity) -> io::Result<Option<record::Started>> {
    let (deadline, mut pause) = (Instant::now() + SUPERVISOR_BOUND, Pause::default());
    loop {
        let runs = process::is_running(supervisor)?;
        let started = record::started(session_dir)?;
        if started.is_some() || !runs || record::failure(session_dir)?.is_some() || Instant::now() >= deadline {
            return Ok(started);
        }
        pause.wait().await;
    }
}

/// Waits until the supervisor has recorded the end and is gone; one that hangs is killed.
pub(super) async fn dismiss(supervisor: ProcessIdentity) -> io::Result<()> {
    let (deadline, mut pause) = (Instant::now() + SUPERVISOR_BOUND, Pause::default());
    while process::is_running(supervisor)? {
        if Instant::now() >= deadline {
            return Family { roots: vec![supervisor], ..Family::default() }.end(None, Duration::ZERO).await;
        }
        pause.wait().await;
    }
    Ok(())
}
