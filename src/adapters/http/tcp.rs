//! The TCP port. Everybody on this machine can connect to it.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connections::{Connections, rest};
use super::peer::Peer;
use super::router::{Daemon, Door, router};

/// How many connections there are at once.
const PLACES: usize = 256;

/// Listens on a loopback address.
///
/// # Errors
/// When it is another one, for the token must not leave the machine in the clear; or the system's refusal.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no loopback address"));
    }
    TcpListener::bind(address).await
}

/// Serves the API until `stop` is cancelled, the requests under way are answered, and what became a WebSocket was told.
pub async fn serve(listener: TcpListener, daemon: Daemon, stop: CancellationToken) {
    let (access, patience) = (daemon.access.clone(), daemon.patience);
    let connections = Connections::new(router(daemon, Door::Tcp), Door::Tcp, PLACES, patience, stop.clone());
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, theirs)) => {
                let Ok(ours) = stream.local_addr() else { continue };
                let _ = stream.set_nodelay(true);
                connections.take_in(stream, Peer::Tcp { theirs, ours }, access.replaced());
            }
            Err(error) => rest(error).await,
        }
    }
    // Who comes now is to find nobody, and not to wait for one that ends.
    drop(listener);
    connections.end().await;
    access.refusals().tell();
}
