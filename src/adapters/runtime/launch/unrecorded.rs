//! An agent whose records are gone, because somebody deleted them: what is left of it is its process, as the caller knows it.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::end::{dismiss, stop};
use super::{LaunchSpec, record};
use crate::domain::exit::Exit;
use crate::domain::session::ProcessIdentity;
use crate::platform::process;
use crate::platform::tree::{self, Family};
use crate::ports::runtime::{LAUNCH_ID_VARIABLE, Liveness, TerminalKey};

/// Like [`record::probe`], but no agent that the key names is taken for dead while it runs.
pub(in super::super) fn probe_terminal(key: &TerminalKey) -> Liveness {
    let on_record = record::probe(&key.session_dir);
    if on_record != Liveness::Dead(Exit::Unknown) {
        return on_record;
    }
    match unrecorded(key) {
        Ok(None) => on_record,
        Ok(Some(agent)) => Liveness::Unknown(format!(
            "the records of its terminal are gone, and its agent runs as process {}",
            agent.pid
        )),
        Err(error) => Liveness::Unknown(error.to_string()),
    }
}

/// Refuses, with the cause, where the terminal's agent runs or may run.
pub(in super::super) fn refuse_unless_dead(key: &TerminalKey) -> Result<(), String> {
    match probe_terminal(key) {
        Liveness::Dead(_) => Ok(()),
        Liveness::Alive(agent) => Err(format!("its agent still runs, as process {}", agent.pid)),
        Liveness::Unknown(why) => Err(format!("whether its agent still runs is not known: {why}")),
    }
}

/// Like [`stop`], but the agent that the key names ends also when it is on no record.
pub(in super::super) async fn stop_terminal(key: &TerminalKey, grace: Duration) -> io::Result<Option<Exit>> {
    let stopped = stop(&key.session_dir, grace).await?;
    match unrecorded(key)? {
        None => Ok(stopped),
        Some(agent) => end(&key.session_dir, agent, grace).await.map(Some),
    }
}

/// The agent that the key names, if it runs.
fn unrecorded(key: &TerminalKey) -> io::Result<Option<ProcessIdentity>> {
    let Some(agent) = key.agent else { return Ok(None) };
    // What is known since an earlier boot is another process by now.
    let may_run = LaunchSpec::read(&key.session_dir)?.map_or(Ok(true), |spec| spec.is_of_this_boot())?;
    Ok((may_run && process::is_running(agent)?).then_some(agent))
}

async fn end(session_dir: &Path, agent: ProcessIdentity, grace: Duration) -> io::Result<Exit> {
    // Asked before the end, after which neither the parent nor the environment can be seen.
    let supervisor = supervisor(session_dir, agent)?;
    let family = Family {
        roots: vec![agent],
        sessions: [Some(agent), supervisor]
            .into_iter()
            .flatten()
            .map(|known| known.pid)
            .filter(|pid| process::leads_session(*pid))
            .collect(),
        marker: tree::entry_of(agent.pid, LAUNCH_ID_VARIABLE),
        except: supervisor,
        ..Family::default()
    };
    family.end(Some(agent), grace).await?;
    if let Some(supervisor) = supervisor {
        dismiss(supervisor).await?;
    }
    Ok(record::exit(session_dir)?.unwrap_or(Exit::Unknown))
}

/// The agent's parent, if that is its supervisor: one that outlived its supervisor has some other parent.
fn supervisor(session_dir: &Path, agent: ProcessIdentity) -> io::Result<Option<ProcessIdentity>> {
    let Some(agent) = process::stat(agent.pid)? else { return Ok(None) };
    let session_dir = std::path::absolute(session_dir)?;
    let supervises = process::has_arguments(agent.parent, &[b"--session-dir", session_dir.as_os_str().as_bytes()]);
    if supervises { process::identity(agent.parent) } else { Ok(None) }
}
