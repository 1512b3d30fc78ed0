//! The records of a launch, and what they and the process table together tell.

use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::overdue::UNRECORDED;
use super::{FORMAT_VERSION, LaunchSpec, SUPERVISOR_BOUND, directory};
use crate::domain::exit::Exit;
use crate::domain::session::ProcessIdentity;
use crate::fault::{self, Point};
use crate::platform::{file, process};
use crate::ports::runtime::Liveness;

/// The agent's process was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    version: u32,
    /// The agent.
    pub agent: ProcessIdentity,
    /// The agent's parent, which records its end.
    pub supervisor: ProcessIdentity,
}

/// Who decided about a launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claim {
    /// This process runs the agent.
    Supervisor(ProcessIdentity),
    /// Nobody ever will.
    CalledOff,
}

/// The agent's process could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    version: u32,
    /// Why, for a person.
    pub cause: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Ended {
    version: u32,
    exit: Exit,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Replaces one record.
pub(super) fn write(session_dir: &Path, name: &str, record: &impl Serialize) -> io::Result<()> {
    file::write_atomically(&directory(session_dir).join(name), &serde_json::to_vec(record)?, 0o600)
}

/// Reads one record; `None` when it is not there.
pub(super) fn read<T: DeserializeOwned>(session_dir: &Path, name: &str) -> io::Result<Option<T>> {
    let path = directory(session_dir).join(name);
    let Some(content) = file::read_if_there(&path)? else { return Ok(None) };
    let complain = |cause: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {cause}", path.display()));
    if name != CLAIM {
        let Versioned { version } = serde_json::from_slice(&content).map_err(|error| complain(error.to_string()))?;
        if version != FORMAT_VERSION {
            return Err(complain(format!("format version {version}, this ao reads {FORMAT_VERSION}")));
        }
    }
    serde_json::from_slice(&content).map(Some).map_err(|error| complain(error.to_string()))
}

const CLAIM: &str = "claim.json";
const EXIT: &str = "exit.json";

/// Takes the launch: true for exactly one caller, ever.
///
/// # Errors
/// When it cannot be written.
pub fn claim(session_dir: &Path, claim: &Claim) -> io::Result<bool> {
    let directory = directory(session_dir);
    let temporary = directory.join(format!(".claim.{}.tmp", uuid::Uuid::new_v4()));
    file::write_atomically(&temporary, &serde_json::to_vec(claim)?, 0o600)?;
    // A link, other than a rename, fails when the name is taken.
    let linked = std::fs::hard_link(&temporary, directory.join(CLAIM));
    std::fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes sure that a launch nobody took is never taken. True when that is so now; false when a supervisor has it.
///
/// # Errors
/// When it cannot be written.
pub fn call_off(session_dir: &Path) -> io::Result<bool> {
    let Some(spec) = LaunchSpec::read(session_dir)? else { return Ok(true) };
    let is_called_off = claimed(session_dir)?.is_none() && claim(session_dir, &Claim::CalledOff)?
        || claimed(session_dir)? == Some(Claim::CalledOff);
    if is_called_off {
        fault::reach(Point::LaunchCalledOff)?;
        spec.forget_environment(session_dir)?;
    }
    Ok(is_called_off)
}

/// Who decided about the launch; `None` when nobody has.
pub(super) fn claimed(session_dir: &Path) -> io::Result<Option<Claim>> {
    read(session_dir, CLAIM)
}

/// Whether this process took the launch, as its supervisor.
///
/// # Errors
/// When the records cannot be read.
pub fn is_claimed_by_this_process(session_dir: &Path) -> io::Result<bool> {
    let me = process::identity(std::process::id())?.ok_or(io::ErrorKind::NotFound)?;
    Ok(claimed(session_dir)? == Some(Claim::Supervisor(me)))
}

/// Whether a supervisor took the launch and is gone.
pub(super) fn is_abandoned(session_dir: &Path) -> io::Result<bool> {
    match claimed(session_dir)? {
        Some(Claim::Supervisor(supervisor)) => Ok(!process::is_running(supervisor)?),
        Some(Claim::CalledOff) | None => Ok(false),
    }
}

/// The record of the start; `None` when there is none.
///
/// # Errors
/// When it cannot be read.
pub fn started(session_dir: &Path) -> io::Result<Option<Started>> {
    read(session_dir, "started.json")
}

/// The record of a failed start; `None` when there is none.
///
/// # Errors
/// When it cannot be read.
pub fn failure(session_dir: &Path) -> io::Result<Option<Failure>> {
    read(session_dir, "failed.json")
}

/// The record of the end; `None` when there is none.
///
/// # Errors
/// When it cannot be read.
pub fn exit(session_dir: &Path) -> io::Result<Option<Exit>> {
    Ok(read::<Ended>(session_dir, EXIT)?.map(|ended| ended.exit))
}

/// What holds room for the record of the end, from the start on: the disk may be full by then.
const EXIT_ROOM: &str = "exit.room";
const EXIT_ROOM_BYTES: usize = 512;
/// How long, and how often, it is tried to record the end on a full disk that nevertheless has no room for it.
const FULL_DISK_BOUND: Duration = Duration::from_secs(600);
const FULL_DISK_PAUSE: Duration = Duration::from_millis(500);

/// Records the start.
pub(crate) fn record_start(session_dir: &Path, agent: ProcessIdentity, supervisor: ProcessIdentity) -> io::Result<()> {
    file::write_atomically(&directory(session_dir).join(EXIT_ROOM), &[b' '; EXIT_ROOM_BYTES], 0o600)?;
    write(session_dir, "started.json", &Started { version: FORMAT_VERSION, agent, supervisor })
}

/// Records that the start failed.
pub(crate) fn record_failure(session_dir: &Path, cause: &str) -> io::Result<()> {
    write(session_dir, "failed.json", &Failure { version: FORMAT_VERSION, cause: cause.to_owned() })
}

/// Records the end. Where the disk is full and room could not be kept, it is tried again for as long as somebody may make some.
pub(crate) async fn record_exit(session_dir: &Path, exit: Exit) -> io::Result<()> {
    let deadline = Instant::now() + FULL_DISK_BOUND;
    loop {
        match write_exit(session_dir, exit) {
            Err(error) if is_full(&error) && Instant::now() < deadline => tokio::time::sleep(FULL_DISK_PAUSE).await,
            written => return written,
        }
    }
}

fn write_exit(session_dir: &Path, exit: Exit) -> io::Result<()> {
    let record = Ended { version: FORMAT_VERSION, exit };
    let directory = directory(session_dir);
    match file::write_into(&directory.join(EXIT_ROOM), &directory.join(EXIT), &serde_json::to_vec(&record)?) {
        Ok(()) => Ok(()),
        // The file system writes elsewhere than over what is there, or somebody removed the file.
        Err(_) => write(session_dir, EXIT, &record),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A process's end in our words.
#[must_use]
pub fn exit_of(status: ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Unknown,
    }
}

/// How the launch on record is. Starts no process, and never blocks.
///
/// | On record | In the process table | Answer |
/// | --- | --- | --- |
/// | no launch | | dead: nothing of it is left |
/// | the end | | dead, with its exit |
/// | the start | the agent runs | alive |
/// | the start | only the supervisor runs | unknown: it is about to record the end, which is worth waiting for |
/// | the start | only the supervisor runs, and 10 s after that was first seen it still does | it hangs: dead, exit unknown |
/// | the start | neither runs | dead, exit unknown |
/// | a failed start, or called off | | dead, exit unknown |
/// | taken by a supervisor | it runs | unknown: it is starting the agent |
/// | taken by a supervisor | it is gone | dead, unless a process of the launch is found: then unknown |
/// | a launch nobody took | the launcher runs | unknown: it is being started |
/// | a launch nobody took | the launcher is gone | the launch is called off, so that the answer stays true: dead |
/// | a launch of an earlier boot | | dead |
#[must_use]
pub fn probe(session_dir: &Path) -> Liveness {
    look(session_dir).unwrap_or_else(|error| Liveness::Unknown(error.to_string()))
}

fn look(session_dir: &Path) -> io::Result<Liveness> {
    if let Some(exit) = exit(session_dir)? {
        return Ok(Liveness::Dead(exit));
    }
    let Some(spec) = LaunchSpec::read(session_dir)? else { return Ok(Liveness::Dead(Exit::Unknown)) };
    if !spec.is_of_this_boot()? || failure(session_dir)?.is_some() {
        spec.forget_environment(session_dir)?;
        return Ok(Liveness::Dead(Exit::Unknown));
    }
    if let Some(started) = started(session_dir)? {
        return look_at_started(session_dir, &started);
    }
    match claimed(session_dir)? {
        Some(Claim::Supervisor(supervisor)) if process::is_running(supervisor)? => {
            Ok(Liveness::Unknown("the agent is being started".to_owned()))
        }
        Some(Claim::Supervisor(_)) => look_at_abandoned(session_dir, &spec),
        Some(Claim::CalledOff) => {
            spec.forget_environment(session_dir)?;
            Ok(Liveness::Dead(Exit::Unknown))
        }
        None if process::is_running(spec.launcher)? => Ok(Liveness::Unknown("the terminal is being made".to_owned())),
        None if call_off(session_dir)? => Ok(Liveness::Dead(Exit::Unknown)),
        None => Ok(Liveness::Unknown("the agent is being started".to_owned())),
    }
}

fn look_at_started(session_dir: &Path, started: &Started) -> io::Result<Liveness> {
    if process::is_running(started.agent)? {
        return Ok(Liveness::Alive(started.agent));
    }
    let supervised = process::is_running(started.supervisor)?;
    // Its end may have been recorded since the record was first looked for.
    let exit = exit(session_dir)?;
    if exit.is_none() && supervised && !UNRECORDED.are_over(started.agent, SUPERVISOR_BOUND, Instant::now()) {
        return Ok(Liveness::Unknown("the agent ended, and its end is being recorded".to_owned()));
    }
    Ok(Liveness::Dead(exit.unwrap_or(Exit::Unknown)))
}

/// The supervisor took the launch and is gone. It may have died between starting the agent and recording that.
fn look_at_abandoned(session_dir: &Path, spec: &LaunchSpec) -> io::Result<Liveness> {
    // It may have died before it did this itself.
    spec.forget_environment(session_dir)?;
    if let Some(exit) = exit(session_dir)? {
        return Ok(Liveness::Dead(exit));
    }
    if let Some(started) = started(session_dir)? {
        return look_at_started(session_dir, &started);
    }
    let left = spec.family().members()?;
    Ok(match left.first() {
        None => Liveness::Dead(Exit::Unknown),
        Some(process) => Liveness::Unknown(format!(
            "its supervisor died while it started the agent, and process {} of it runs",
            process.pid
        )),
    })
}
