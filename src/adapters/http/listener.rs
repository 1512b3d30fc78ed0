//! The Unix socket, who may connect to it (processes of the daemon's own user), and serving it.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use axum::serve::Listener;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::patience::ImpatientListener;
use super::peer::Peer;
use super::router::{Daemon, Door, router};

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
                    return (stream, Peer::Process(pid));
                }
                Ok(peer) => tracing::warn!(uid = peer.uid(), "a connection of another user was refused"),
                Err(error) => tracing::warn!(%error, "a connection of an unknown user was refused"),
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr().map(|_| Peer::Process(None))
    }
}

/// Serves the API until `stop` is cancelled, the requests under way are answered, and what became a WebSocket was told.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: OwnerOnly, daemon: Daemon, stop: CancellationToken) -> io::Result<()> {
    let connections = TaskTracker::new();
    let listener = ImpatientListener::new(listener, daemon.patience, stop.clone(), connections.clone());
    let service = router(daemon, Door::Socket).into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await?;
    connections.close();
    connections.wait().await;
    Ok(())
}
