//! Who is at the other end of a connection: its process, as the kernel and `/proc` tell of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::extract::FromRequestParts;
use axum::extract::connect_info::ConnectInfo;
use axum::http::request::Parts;

use super::error::ApiError;
use super::router::Daemon;
use crate::app::caller::{Caller, Claim};
use crate::domain::id::SessionId;
use crate::domain::layout::DataDir;
use crate::domain::session::ProcessIdentity;
use crate::platform::cgroup::place;
use crate::platform::loopback::{self, Holders};
use crate::platform::{process, tree};
use crate::ports::runtime::LAUNCH_ID_VARIABLE;
use crate::ports::setup::SETUP_VARIABLE;

/// How far up a process is looked for the agent that started it.
const MAX_DEPTH: usize = 64;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub enum Peer {
    /// A process that the kernel names, unless it cannot.
    Process(Option<u32>),
    /// Whoever holds the other end of a TCP connection, and has shown the token.
    Tcp {
        /// The address there.
        theirs: SocketAddr,
        /// The address here.
        ours: SocketAddr,
    },
}

/// Who asks, found out once for each request, and only where it decides something: over TCP it takes milliseconds.
pub(super) struct Asking(pub(super) Caller);

impl FromRequestParts<Daemon> for Asking {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, daemon: &Daemon) -> Result<Self, ApiError> {
        if let Some(found) = parts.extensions.get::<Caller>() {
            return Ok(Self(found.clone()));
        }
        let peer = parts.extensions.get::<ConnectInfo<Peer>>().copied();
        let ConnectInfo(peer) = peer.ok_or_else(|| ApiError::internal("nothing is known of who connected"))?;
        let caller = peer.caller(&daemon.info.data_dir).await;
        parts.extensions.insert(caller.clone());
        Ok(Self(caller))
    }
}

impl Peer {
    /// All that is to be seen of it, for a daemon on this data directory.
    pub async fn caller(self, data_dir: &Path) -> Caller {
        match self {
            Self::Process(pid) => seen(pid, data_dir),
            Self::Tcp { theirs, ours } => {
                let data_dir = data_dir.to_owned();
                let look = tokio::task::spawn_blocking(move || match loopback::holders(theirs, ours) {
                    Ok(Holders::Processes(processes)) => seen(processes, &data_dir),
                    Ok(Holders::Hidden) => Caller { bears_token: true, ..Caller::default() },
                    Ok(Holders::Gone) => Caller::default(),
                    // It may be anybody.
                    Err(error) => {
                        tracing::warn!(%error, "who asks over TCP cannot be found out");
                        Caller::default()
                    }
                });
                look.await.unwrap_or_default()
            }
        }
    }
}

/// What is to be seen of processes that ask as one: a connection may have been handed down.
fn seen(processes: impl IntoIterator<Item = u32>, data_dir: &Path) -> Caller {
    let mut caller = Caller::default();
    let data_dir = DataDir::new(data_dir.to_owned());
    for pid in processes {
        let ancestry = ancestry(pid);
        let launches = ancestry.iter().filter_map(|process| value(process.pid, LAUNCH_ID_VARIABLE));
        caller.marks.launches.extend(launches);
        caller.marks.group = caller.marks.group.or_else(|| place::agents_group_of(pid));
        caller.serves = caller.serves.or_else(|| served(&ancestry));
        caller.claims = caller.claims.or_else(|| claim(pid, &data_dir));
        caller.ancestry.extend(ancestry);
    }
    caller
}

/// A process and those it descends from, nearest first. One that has ended has none.
fn ancestry(pid: u32) -> Vec<ProcessIdentity> {
    let mut ancestry = Vec::new();
    let mut next = Some(pid);
    while let Some(pid) = next.filter(|pid| *pid > 1 && ancestry.len() < MAX_DEPTH) {
        let Ok(Some(stat)) = process::stat(pid) else { break };
        ancestry.push(stat.identity);
        next = Some(stat.parent);
    }
    ancestry
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
