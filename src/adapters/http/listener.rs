//! The Unix socket, and who may connect to it: processes of the daemon's own user.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::connections::{Connections, rest};
use super::peer::Peer;
use super::router::{Daemon, Door, router};

/// How many connections there are at once, at least and at most.
const PLACES: (usize, usize) = (64, 4096);
/// How many open files are for the rest of the daemon, however few there may be.
const OTHER_FILES: usize = 256;

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

    /// The next connection; `None` when another user came.
    async fn accept(&self) -> io::Result<Option<(UnixStream, Peer)>> {
        let (stream, _) = self.listener.accept().await?;
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == self.uid => {
                let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
                return Ok(Some((stream, Peer::Process(pid))));
            }
            Ok(peer) => tracing::warn!(uid = peer.uid(), "a connection of another user was refused"),
            Err(error) => tracing::warn!(%error, "a connection of an unknown user was refused"),
        }
        Ok(None)
    }
}

/// Serves the API until `stop` is cancelled, the requests under way are answered, and what became a WebSocket was told.
pub async fn serve(listener: OwnerOnly, daemon: Daemon, stop: CancellationToken) {
    let patience = daemon.patience;
    let router = router(daemon, Door::Socket);
    let connections = Connections::new(router, Door::Socket, places(), patience, stop.clone());
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok(None) => {}
            Ok(Some((stream, peer))) => connections.take_in(stream, peer, CancellationToken::new()),
            Err(error) => rest(error).await,
        }
    }
    // Who comes now is to find nobody, and not to wait for one that ends.
    drop(listener);
    connections.end().await;
}

/// How many connections there is room for: half of the files that this process may have open, so that agents can be started whoever connects.
fn places() -> usize {
    let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    places_of(limit.unwrap_or(usize::MAX))
}

fn places_of(open_files: usize) -> usize {
    (open_files.saturating_sub(OTHER_FILES) / 2).clamp(PLACES.0, PLACES.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_to_everything_else() {
        let places = [100, 1024, 4096, usize::MAX].map(places_of);
        assert_eq!(places, [64, 384, 1920, 4096]);
    }
}
