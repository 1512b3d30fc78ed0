//! Connections, at whichever door they came in: how many there are, for how long they may be silent, and when they are cut off.
//!
//! One that has not asked for anything yet (at the TCP port: not shown the token) has few rights: there are only so many places, and the oldest of
//! those goes when a place is needed. So whoever opens thousands and says nothing keeps nobody out, and takes no descriptors from agents.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
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
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::patience::{Impatient, Patience};
use super::peer::Peer;
use super::router::Door;

/// How long a connection may take to ask for something, again and again.
const SILENCE: Duration = Duration::from_secs(15);
/// How long one may be about half a request once the daemon stops.
const SILENCE_AT_STOP: Duration = Duration::from_secs(1);
/// How large the head of a request may be, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long accepting rests after it failed, as for want of descriptors.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether a connection has shown that it may ask: by a request on the Unix socket, by the token at the TCP port.
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

/// The connections at one door.
pub(super) struct Connections {
    router: Router,
    door: Door,
    patience: Patience,
    stop: CancellationToken,
    places: Places,
    open: TaskTracker,
}

impl Connections {
    /// Has the router answer `places` connections at once, until `stop` is cancelled.
    pub(super) fn new(router: Router, door: Door, places: usize, patience: Patience, stop: CancellationToken) -> Self {
        Self { router, door, patience, stop, places: Places::of(places), open: TaskTracker::new() }
    }

    /// Takes one in, if there is a place for it, until it ends or `revoked` is cancelled.
    pub(super) fn take_in<S>(&self, stream: S, peer: Peer, revoked: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(place) = self.places.take() else {
            tracing::warn!(
                ?peer,
                "a connection is turned away: all {} have asked for something and stay",
                self.places.count
            );
            return;
        };
        let proof = place.proof.clone();
        let stream = Revocable::new(stream, revoked, place);
        let stream = Impatient::new(stream, format!("{peer:?}"), self.patience, self.stop.clone(), self.open.token());
        let is_proven_by_asking = self.door == Door::Socket;
        self.open.spawn(connection(stream, peer, self.router.clone(), proof, is_proven_by_asking, self.stop.clone()));
    }

    /// Waits until the requests under way are answered, and what became a WebSocket was told.
    pub(super) async fn end(self) {
        self.open.close();
        self.open.wait().await;
    }
}

/// After accepting failed.
pub(super) async fn rest(error: io::Error) {
    tracing::warn!(%error, "a connection cannot be accepted");
    tokio::time::sleep(PAUSE).await;
}

async fn connection<S>(
    stream: Impatient<Revocable<S>>,
    peer: Peer,
    router: Router,
    proof: Proof,
    is_proven_by_asking: bool,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (shown, under_way) = (proof.clone(), UnderWay::default());
    let asked = under_way.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        if is_proven_by_asking {
            proof.give();
        }
        let being_answered = asked.begin();
        request.extensions_mut().insert(proof.clone());
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = router.clone().call(request);
        async move {
            let answer = answer.await.unwrap_or_else(|never| match never {});
            drop(being_answered);
            Ok::<Response<Body>, Infallible>(answer)
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(SILENCE).max_buf_size(MAX_HEAD_BYTES);
    let serving = server.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop.cancelled() => {
            // Nobody who has asked for nothing holds a stop up: half a request would, for as long as it may take.
            if !shown.is_given() {
                return;
            }
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = &mut serving => ended,
                () = under_way.none_for(SILENCE_AT_STOP) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// The requests of a connection to which there is no answer yet.
#[derive(Debug, Clone, Default)]
struct UnderWay(watch::Sender<usize>);

/// One of them, until it is dropped.
struct BeingAnswered(UnderWay);

impl UnderWay {
    fn begin(&self) -> BeingAnswered {
        self.0.send_modify(|count| *count += 1);
        BeingAnswered(self.clone())
    }

    /// Waits until there was none for so long.
    async fn none_for(&self, time: Duration) {
        let mut count = self.0.subscribe();
        loop {
            let none = count.wait_for(|count| *count == 0).await.is_ok();
            if none && timeout(time, count.wait_for(|count| *count > 0)).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for BeingAnswered {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// Who has a place, the oldest first.
#[derive(Debug, Clone)]
struct Places {
    count: usize,
    taken: Arc<Mutex<VecDeque<Taken>>>,
}

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
    fn of(count: usize) -> Self {
        Self { count, taken: Arc::default() }
    }

    /// A free place, else that of the oldest connection that has shown nothing; `None` when all have.
    fn take(&self) -> Option<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= self.count {
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
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|other| !Arc::ptr_eq(&other.proof.0, &self.proof.0));
    }
}

/// A stream that breaks off when it is revoked or its place is needed, and keeps its place as long as it is open: both also once it
/// is a WebSocket's.
struct Revocable<S> {
    stream: S,
    revoked: [Pin<Box<WaitForCancellationFutureOwned>>; 2],
    _place: Place,
}

impl<S> Revocable<S> {
    fn new(stream: S, revoked: CancellationToken, place: Place) -> Self {
        let revoked = [revoked, place.needed.clone()].map(|token| Box::pin(token.cancelled_owned()));
        Self { stream, revoked, _place: place }
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let is_revoked = self.revoked.iter_mut().any(|revoked| revoked.as_mut().poll(context).is_ready());
        if is_revoked { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Revocable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Revocable<S> {
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
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const PLACES: usize = 8;

    #[test]
    fn who_has_shown_nothing_makes_room_the_oldest_first() {
        let places = Places::of(PLACES);
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
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, theirs) = listener.accept().await.unwrap();
        let peer = Peer::Tcp { theirs, ours: listener.local_addr().unwrap() };
        let (places, connections, stop) = (Places::of(PLACES), TaskTracker::new(), CancellationToken::new());
        let place = places.take().unwrap();
        let proof = place.proof.clone();
        let stream = Revocable::new(stream, CancellationToken::new(), place);
        let patience = Patience::default();
        let stream = Impatient::new(stream, String::new(), patience, stop.clone(), connections.token());
        let serving = tokio::spawn(connection(stream, peer, router, proof, false, stop));
        let upgrade = "GET / HTTP/1.1\r\nhost: ao\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                       sec-websocket-version: 13\r\nsec-websocket-key: YW8gYXR0YWNoZXMgaGVyZQ==\r\n\r\n";
        client.write_all(upgrade.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 101");
        serving.await.unwrap();
        assert_eq!(places.taken.lock().unwrap().len(), 1, "it gave its place back");
        connections.close();
        assert_eq!(connections.len(), 1, "a stop would not wait for it");
        drop(client);
        let ended = tokio::time::timeout(Duration::from_secs(60), connections.wait()).await;
        assert!(ended.is_ok() && places.taken.lock().unwrap().is_empty(), "it keeps its place");
    }
}
