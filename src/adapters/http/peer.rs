//! Who is at the other end of a connection: its process, as the kernel and `/proc` tell of it.

use std::path::{Path, PathBuf};

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;

use super::listener::OwnerOnly;
use super::patience::ImpatientListener;
use crate::app::caller::{Caller, Claim};
use crate::domain::id::SessionId;
use crate::domain::layout::DataDir;
use crate::domain::session::ProcessIdentity;
use crate::platform::cgroup::place;
use crate::platform::{process, tree};
use crate::ports::runtime::{LAUNCH_ID_VARIABLE, Marks};
use crate::ports::setup::SETUP_VARIABLE;

/// How far up a process is looked for the agent that started it.
const MAX_DEPTH: usize = 64;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its process, where the kernel tells.
    pub pid: Option<u32>,
    /// Whether it is let in for the token alone, so that its process is not asked for.
    pub bears_token: bool,
}

impl Connected<IncomingStream<'_, ImpatientListener<OwnerOnly>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, ImpatientListener<OwnerOnly>>) -> Self {
        *stream.remote_addr()
    }
}

impl Peer {
    /// All that is to be seen of it, for a daemon on this data directory.
    #[must_use]
    pub fn caller(self, data_dir: &Path) -> Caller {
        let ancestry = self.ancestry();
        let launches = ancestry.iter().filter_map(|process| value(process.pid, LAUNCH_ID_VARIABLE)).collect();
        let group = self.pid.and_then(place::agents_group_of);
        let claims = self.pid.and_then(|pid| claim(pid, &DataDir::new(data_dir.to_owned())));
        let bears_token = self.bears_token;
        Caller {
            serves: served(&ancestry),
            ancestry,
            marks: Marks { launches, group },
            claims,
            bears_token,
            is_host: false,
        }
    }

    /// The process and those it descends from, nearest first. One that has ended has none.
    fn ancestry(self) -> Vec<ProcessIdentity> {
        let mut ancestry = Vec::new();
        let mut next = self.pid;
        while let Some(pid) = next.filter(|pid| *pid > 1 && ancestry.len() < MAX_DEPTH) {
            let Ok(Some(stat)) = process::stat(pid) else { break };
            ancestry.push(stat.identity);
            next = Some(stat.parent);
        }
        ancestry
    }
}

/// What the environment says, when it is of this data directory: the agent of another ao's names that one's program, and may ask this daemon
/// for something by `AO_DATA_DIR` as any other program may.
fn claim(pid: u32, data_dir: &DataDir) -> Option<Claim> {
    let is_ours = value(pid, "AO_DATA_DIR").is_some_and(|directory| Path::new(&directory) == data_dir.root())
        && value(pid, "AO_PROGRAM")
            .is_none_or(|program| program.is_empty() || Path::new(&program) == data_dir.program());
    let claim = || {
        let session = value(pid, "AO_SESSION_ID").filter(|name| !name.is_empty()).map(Claim::Session);
        session.or_else(|| value(pid, LAUNCH_ID_VARIABLE).map(|_| Claim::Launch))
    };
    is_ours.then(claim).flatten()
}

/// The session whose command this process started itself, if one of these is that.
fn served(ancestry: &[ProcessIdentity]) -> Option<SessionId> {
    let ours = ancestry.iter().position(|process| process.pid == std::process::id())?;
    let command = ancestry.get(ours.checked_sub(1)?)?;
    let session_dir = PathBuf::from(value(command.pid, SETUP_VARIABLE)?);
    session_dir.file_name()?.to_str()?.parse().ok()
}

/// What a process was given as a variable.
fn value(pid: u32, variable: &str) -> Option<String> {
    let entry = tree::entry_of(pid, variable)?;
    entry.split_once('=').map(|(_, value)| value.to_owned())
}
