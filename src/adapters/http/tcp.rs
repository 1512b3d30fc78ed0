//! The TCP port: how many may connect, for how long they may be silent, and when they are cut off.
//!
//! Everybody can connect, so connections that have not shown the token have few rights: there are only so many places, and the oldest of those goes when a
//! place is needed. So whoever opens thousands and says nothing keeps nobody out, and takes no descriptors from agents.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::patience::Impatient;
use super::peer::Peer;
use super::router::{Daemon, Door, router};

/// How many connections there are at once.
const PLACES: usize = 256;
/// How long a connection may take to ask for something, again and again.
const SILENCE: Duration = Duration::from_secs(15);
/// How large the head of a request may be, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long accepting rests after it failed, as for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether a connection has shown the token.
#[derive(Debug, Clone, Default)]
pub(super) struct Proof(Arc<AtomicBool>);

impl Proof {
    pub(super) fn give(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

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
    let (connections, places) = (TaskTracker::new(), Places::default());
    let router = router(daemon, Door::Tcp);
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, theirs)) => {
                let Ok(ours) = stream.local_addr() else { continue };
                let Some(place) = places.take() else {
                    tracing::warn!("a connection is turned away: {PLACES} have shown the token and stay");
                    continue;
                };
                let proof = place.proof.clone();
                let stream = Revocable::new(stream, access.replaced(), place);
                let (stop, open) = (stop.clone(), connections.token());
                let stream = Impatient::new(stream, theirs.to_string(), patience, stop.clone(), open);
                let peer = Peer::Tcp { theirs, ours };
                connections.spawn(connection(stream, peer, router.clone(), proof, stop));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
    access.refusals().tell();
}

async fn connection(stream: Impatient<Revocable>, peer: Peer, router: Router, proof: Proof, stop: CancellationToken) {
    let shown = proof.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(proof.clone());
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().call(request);
        async move { Ok::<Response<Body>, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(SILENCE).max_buf_size(MAX_HEAD_BYTES);
    let serving = server.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop.cancelled() => {
            // Nobody who has shown nothing holds a stop up: half a request would, for as long as it may take.
            if !shown.is_given() {
                return;
            }
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// Who has a place, the oldest first.
#[derive(Debug, Clone, Default)]
struct Places(Arc<Mutex<VecDeque<Taken>>>);

#[derive(Debug)]
struct Taken {
    proof: Proof,
    needed: CancellationToken,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
struct Place {
    places: Places,
    proof: Proof,
    /// Cancelled when another one gets it.
    needed: CancellationToken,
}

impl Places {
    /// A free place, else that of the oldest connection that has not shown the token; `None` when all have.
    fn take(&self) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= PLACES {
            let oldest = taken.iter().position(|other| !other.proof.is_given())?;
            taken.remove(oldest)?.needed.cancel();
        }
        let place = Place { places: self.clone(), proof: Proof::default(), needed: CancellationToken::new() };
        taken.push_back(Taken { proof: place.proof.clone(), needed: place.needed.clone() });
        Some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|other| !Arc::ptr_eq(&other.proof.0, &self.proof.0));
    }
}

/// A stream that breaks off when the token is replaced or its place is needed, and keeps its place as long as it is open: both also once it
/// is a WebSocket's.
struct Revocable {
    stream: TcpStream,
    revoked: [Pin<Box<WaitForCancellationFutureOwned>>; 2],
    _place: Place,
}

impl Revocable {
    fn new(stream: TcpStream, replaced: CancellationToken, place: Place) -> Self {
        let _ = stream.set_nodelay(true);
        let revoked = [replaced, place.needed.clone()].map(|token| Box::pin(token.cancelled_owned()));
        Self { stream, revoked, _place: place }
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let is_revoked = self.revoked.iter_mut().any(|revoked| revoked.as_mut().poll(context).is_ready());
        if is_revoked { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Revocable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Revocable {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_shown_nothing_makes_room_the_oldest_first() {
        let places = Places::default();
        let mut taken: Vec<Place> = (0..PLACES).map(|_| places.take().unwrap()).collect();
        taken[0].proof.give();
        let late = places.take().unwrap();
        let gone: Vec<usize> = (0..PLACES).filter(|index| taken[*index].needed.is_cancelled()).collect();
        assert_eq!(gone, [1]);
        late.proof.give();
        for place in &taken {
            place.proof.give();
        }
        assert!(places.take().is_none(), "nobody is cut off who has shown the token");
        taken.truncate(2);
        assert!(places.take().is_some(), "places are given back");
    }

    #[tokio::test]
    async fn what_became_a_websocket_keeps_its_place_until_it_ends() {
        use axum::extract::ws::WebSocketUpgrade;
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let router = Router::new().route(
            "/",
            axum::routing::get(async |upgrade: WebSocketUpgrade| {
                upgrade.on_upgrade(async |mut socket| while let Some(Ok(_)) = socket.recv().await {})
            }),
        );
        let listener = bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, theirs) = listener.accept().await.unwrap();
        let peer = Peer::Tcp { theirs, ours: listener.local_addr().unwrap() };
        let (places, connections, stop) = (Places::default(), TaskTracker::new(), CancellationToken::new());
        let place = places.take().unwrap();
        let proof = place.proof.clone();
        let stream = Revocable::new(stream, CancellationToken::new(), place);
        let patience = super::super::Patience::default();
        let stream = Impatient::new(stream, String::new(), patience, stop.clone(), connections.token());
        let serving = tokio::spawn(connection(stream, peer, router, proof, stop));
        let upgrade = "GET / HTTP/1.1\r\nhost: ao\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: YW8gYXR0YWNoZXMgaGVyZQ==\r\n\r\n";
        client.write_all(upgrade.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
        serving.await.unwrap();
        assert_eq!(places.0.lock().unwrap().len(), 1, "it gave its place back");
        connections.close();
        assert_eq!(connections.len(), 1, "a stop would not wait for it");
        drop(client);
        let ended = tokio::time::timeout(Duration::from_secs(60), connections.wait()).await;
        assert!(ended.is_ok() && places.0.lock().unwrap().is_empty(), "it keeps its place");
    }
}
