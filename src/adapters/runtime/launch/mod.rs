//! One launch of an agent: what is to run, and what became of it. Every runtime leaves the same records, so any later daemon
//! can tell how a session's agent is and end it without asking the terminal it lives in.
//!
//! Files in `<session_dir>/terminal/` (directory 0700, files 0600), each written as a whole:
//!
//! | File | Written by | Says |
//! | --- | --- | --- |
//! | `launch.json` | the daemon | the command, its directory and more ([`LaunchSpec`]), without the environment |
//! | `environment.<id>.json` | the daemon | the complete environment; removed when the launch is taken or called off |
//! | `claim.json` | who is first | a supervisor took the launch, or it was called off; made once, never replaced |
//! | `started.json` | the supervisor | the agent's process and the supervisor's |
//! | `failed.json` | the supervisor | why the agent could not be started |
//! | `exit.json` | the supervisor | how the agent ended; written into the room of `exit.room`, which is made at the start |
//! | `remarks.json` | the supervisor | what a person should know of it, when there is anything |
//!
//! "Supervisor" is whatever process is the agent's parent: [`super::supervisor`] in a multiplexer's pane, the holder of the
//! `pty` runtime. It takes a launch by making `claim.json`; because that can be done once, no launch ever runs twice, and a
//! launch that was called off can never start late.
//!
//! While it is not known whether a restored agent lives, the whole directory of the launch before is `terminal.before/` beside it.
//!
//! An environment holds secrets. Only who takes the launch needs it, so it has a file of its own, which goes when its supervisor has read it,
//! before the agent starts. The file is named after its launch, so that whoever cleans up after a crash never removes another's.

mod aside;
mod confine;
mod end;
mod overdue;
mod push;
mod record;
mod start;
mod unrecorded;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(super) use self::aside::{forget_aside, put_back, set_aside};
pub use self::confine::remarks;
pub(super) use self::confine::{add_remark, settle, start};
pub use self::end::stop;
pub(super) use self::push::ended;
pub use self::record::{
    Claim, Failure, Started, call_off, claim, exit, exit_of, failure, is_claimed_by_this_process, probe, started,
};
pub(crate) use self::record::{record_exit, record_failure, record_start};
pub use self::start::{StartError, await_start};
pub(super) use self::unrecorded::{probe_terminal, refuse_unless_dead, stop_terminal};
use crate::domain::session::ProcessIdentity;
use crate::fault::{self, Point};
use crate::platform::cgroup::Group;
use crate::platform::tree::Family;
use crate::platform::{file, process};
use crate::ports::agent::AgentCommand;
use crate::ports::runtime::{LAUNCH_ID_VARIABLE, Marks, TerminalSize, TerminalSpec};

/// The version of the files' format that this code writes, and the only one it reads.
/// A field that an older ao may do without is added within a version, for it is passed over there; what must not be passed
/// over makes a new version. The files of a version are frozen in `tests/data`.
const FORMAT_VERSION: u32 = 1;

/// How long a supervisor may take from its claim to the record of the start, or from the agent's end to the record of that.
const SUPERVISOR_BOUND: Duration = Duration::from_secs(10);

/// Variables that describe the terminal ao itself runs in, which is not the agent's.
const FOREIGN_TERMINAL: [&str; 12] = [
    "COLUMNS",
    "LINES",
    "STY",
    "TERMCAP",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "TMUX",
    "TMUX_PANE",
    "WINDOWID",
    "ZELLIJ",
    "ZELLIJ_PANE_ID",
    "ZELLIJ_SESSION_NAME",
];

#[derive(Serialize, Deserialize)]
struct Environment {
    version: u32,
    env: BTreeMap<String, String>,
}

/// What is to run, complete: nothing else of the environment or of the daemon's state matters to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSpec {
    version: u32,
    /// Unique to this launch.
    pub id: uuid::Uuid,
    /// The boot it was written in: process numbers mean nothing after the next one.
    pub boot: String,
    /// The process that asked for it.
    pub launcher: ProcessIdentity,
    /// The program, its arguments and its standard input; its environment is in `env`.
    pub command: AgentCommand,
    /// The complete environment. Not in `launch.json`; empty in a launch that was read from there.
    #[serde(skip_serializing, default)]
    pub env: BTreeMap<String, String>,
    /// The working directory.
    pub cwd: PathBuf,
    /// The terminal's first size.
    pub size: TerminalSize,
    /// The control group that is made for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bounds: Option<Bounds>,
}

/// The control group of one launch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Its directory, of this launch alone.
    pub group: PathBuf,
    /// How much memory its processes may use together.
    pub memory_max_bytes: Option<u64>,
}

impl LaunchSpec {
    /// A new launch of what `spec` describes.
    ///
    /// Variables of `base_env` that describe another terminal are left out and `TERM` is what both ours and the multiplexers'
    /// terminals understand; `command.env` wins over all.
    ///
    /// # Errors
    /// When this process cannot look at itself.
    pub fn new(spec: &TerminalSpec) -> io::Result<Self> {
        let id = uuid::Uuid::new_v4();
        let mut env = spec.base_env.clone();
        env.retain(|name, _| !FOREIGN_TERMINAL.contains(&name.as_str()));
        env.insert("TERM".to_owned(), "xterm-256color".to_owned());
        env.insert("COLORTERM".to_owned(), "truecolor".to_owned());
        env.extend(spec.command.env.clone());
        env.insert(LAUNCH_ID_VARIABLE.to_owned(), id.to_string());
        let launcher = process::identity(std::process::id())?.ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            version: FORMAT_VERSION,
            id,
            boot: process::boot_id()?,
            launcher,
            command: AgentCommand { env: BTreeMap::new(), ..spec.command.clone() },
            env,
            cwd: spec.cwd.clone(),
            size: spec.size,
            bounds: spec.confinement.as_ref().map(|confinement| {
                let name = format!("{}-{}", spec.key.session, &id.simple().to_string()[..8]);
                Bounds {
                    group: Group::of_agent(&confinement.parent, &name).path().to_owned(),
                    memory_max_bytes: confinement.memory_max_bytes,
                }
            }),
        })
    }

    /// Puts the launch on record, in place of an earlier one. The caller makes sure that no earlier one still runs
    /// ([`probe`]).
    ///
    /// # Errors
    /// The cause; a half-written launch cannot be taken by anybody.
    pub fn write(&self, session_dir: &Path) -> io::Result<()> {
        discard(session_dir)?;
        file::create_private_dir(&directory(session_dir))?;
        record::write(session_dir, "launch.json", self)?;
        fault::reach(Point::LaunchWritten)?;
        // Second: from now on whoever finds the launch abandoned finds the environment too, and removes it.
        record::write(
            session_dir,
            &self.environment_file(),
            &Environment { version: FORMAT_VERSION, env: self.env.clone() },
        )?;
        Ok(fault::reach(Point::LaunchEnvironmentWritten)?)
    }

    /// The launch on record, without its environment; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read or is of another format version.
    pub fn read(session_dir: &Path) -> io::Result<Option<Self>> {
        record::read(session_dir, "launch.json")
    }

    /// The environment of the launch on record; `None` when it is not there any more.
    pub(super) fn read_environment(&self, session_dir: &Path) -> io::Result<Option<BTreeMap<String, String>>> {
        let environment: Option<Environment> = record::read(session_dir, &self.environment_file())?;
        Ok(environment.map(|environment| environment.env))
    }

    /// Removes the environment from the disk, once nobody will start this launch any more: also what a daemon that was killed
    /// while it wrote it left.
    pub(super) fn forget_environment(&self, session_dir: &Path) -> io::Result<()> {
        let path = directory(session_dir).join(self.environment_file());
        file::remove_staged_of(&path)?;
        file::remove_if_there(&path)
    }

    fn environment_file(&self) -> String {
        format!("environment.{}.json", self.id.simple())
    }

    /// The entry in the environment of every process of this launch.
    fn marker(&self) -> String {
        format!("{LAUNCH_ID_VARIABLE}={}", self.id)
    }

    /// Every process of this launch that can be told by its marks.
    pub(super) fn family(&self) -> Family {
        Family { marker: Some(self.marker()), group: self.group(), ..Family::default() }
    }

    fn group(&self) -> Option<Group> {
        self.bounds.as_ref().map(|bounds| Group::at(&bounds.group))
    }

    /// Whether a process with these marks is of this launch.
    fn is_of(&self, marks: &Marks) -> bool {
        let id = self.id.to_string();
        let is_in_group = self
            .bounds
            .as_ref()
            .zip(marks.group.as_ref())
            .is_some_and(|(bounds, group)| group.starts_with(&bounds.group));
        marks.launches.contains(&id) || is_in_group
    }

    /// Whether the machine still runs as it did when this was written.
    pub(super) fn is_of_this_boot(&self) -> io::Result<bool> {
        Ok(self.boot == process::boot_id()?)
    }
}

/// Whether a process with these marks is of the launch on record.
pub(super) fn has_launched(session_dir: &Path, marks: &Marks) -> bool {
    match LaunchSpec::read(session_dir) {
        Ok(spec) => spec.is_some_and(|spec| spec.is_of(marks)),
        Err(error) => {
            tracing::warn!(%error, "whose a process is cannot be read");
            false
        }
    }
}

/// The directory of a session's terminal files.
#[must_use]
pub fn directory(session_dir: &Path) -> PathBuf {
    session_dir.join("terminal")
}

/// Removes everything on record about the session's terminal, its kept screen and scrollback included. Success when there is nothing. The caller
/// makes sure that nothing of it runs.
///
/// # Errors
/// The cause.
pub fn discard(session_dir: &Path) -> io::Result<()> {
    // The launch goes first: without it nobody can claim, whatever else is left by a crash in between.
    file::remove_if_there(&directory(session_dir).join("launch.json"))?;
    match std::fs::remove_dir_all(directory(session_dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::runtime::{Confinement, TerminalKey};

    #[test]
    fn what_is_in_the_group_of_a_launch_is_of_it_whatever_its_environment_says() {
        let dir = tempfile::tempdir().unwrap();
        let key = TerminalKey { session: "app-1".parse().unwrap(), session_dir: dir.path().to_owned(), agent: None };
        let spec = LaunchSpec::new(&TerminalSpec {
            key,
            command: AgentCommand { program: "sh".into(), args: Vec::new(), env: BTreeMap::new(), stdin: None },
            base_env: BTreeMap::new(),
            cwd: "/".into(),
            size: TerminalSize::default(),
            confinement: Some(Confinement { parent: "/g".into(), memory_max_bytes: None }),
        })
        .unwrap();
        spec.write(dir.path()).unwrap();
        let in_group = |group: PathBuf| has_launched(dir.path(), &Marks { launches: Vec::new(), group: Some(group) });
        let group = spec.bounds.unwrap().group;
        assert!(in_group(group.clone()) && in_group(group.join("below")));
        assert!(!in_group("/g".into()) && !in_group(format!("{}0", group.display()).into()));
    }
}
