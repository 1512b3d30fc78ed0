//! The Unix socket, who may connect to it (processes of the daemon's own user), and serving it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::patience::ImpatientListener;
use super::router::{Daemon, Door, router};
use crate::domain::id::SessionId;
use crate::domain::session::ProcessIdentity;
use crate::platform::{process, tree};

/// How far up a process is looked for the agent that started it.
const MAX_DEPTH: usize = 64;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its process, where the kernel tells.
    pub pid: Option<u32>,
}

impl Connected<IncomingStream<'_, ImpatientListener<OwnerOnly>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, ImpatientListener<OwnerOnly>>) -> Self {
        *stream.remote_addr()
    }
}

impl Peer {
    /// The session that the process's environment names, when its data directory is this one.
    #[must_use]
    pub fn claims(self, data_dir: &Path) -> Option<SessionId> {
        let value = |name: &str| {
            let entry = tree::entry_of(self.pid?, name)?;
            Some(entry.split_once('=').map_or(entry.clone(), |(_, value)| value.to_owned()))
        };
        let is_ours = value("AO_DATA_DIR").is_some_and(|directory| Path::new(&directory) == data_dir);
        value("AO_SESSION_ID").filter(|_| is_ours)?.parse().ok()
    }

    /// The process and those it descends from, nearest first. One that has ended has none.
    #[must_use]
    pub fn ancestry(self) -> Vec<ProcessIdentity> {
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

/// Accepts connections of one user only.
#[derive(Debug)]
pub struct OwnerOnly {
    listener: UnixListener,
    uid: u32,
}

impl OwnerOnly {
    /// Listens on `path` with mode 0600. What an earlier daemon left there is replaced: the caller holds the data
    /// directory's lock, so nobody else serves it.
    ///
    /// # Errors
    /// The cause.
    pub fn bind(path: &Path) -> io::Result<Self> {
        crate::platform::file::remove_if_there(path)?;
        let listener = UnixListener::bind(path)?;
        // The directory is private, so nobody else can connect before the mode is set.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, uid: rustix::process::geteuid().as_raw() })
    }
}

impl Listener for OwnerOnly {
    type Io = UnixStream;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, _) = Listener::accept(&mut self.listener).await;
            match stream.peer_cred() {
                Ok(peer) if peer.uid() == self.uid => {
                    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
                    return (stream, Peer { pid });
                }
                Ok(peer) => tracing::warn!(uid = peer.uid(), "a connection of another user was refused"),
                Err(error) => tracing::warn!(%error, "a connection of an unknown user was refused"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr().map(|_| Peer { pid: None })
    }
}

/// Serves the API until `stop` is cancelled and the requests under way are answered.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: OwnerOnly, daemon: Daemon, stop: CancellationToken) -> io::Result<()> {
    let listener = ImpatientListener::new(listener, daemon.patience, stop.clone());
    let service = router(daemon, Door::Socket).into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await
}
