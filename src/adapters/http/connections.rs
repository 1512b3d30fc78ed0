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
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::response::Response;
use hyper::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::patience::{Impatient, Patience};
use super::peer::Peer;
use super::router::Door;

/// How long a connection may take to ask for something, again and again.
const SILENCE: Duration = Duration::from_secs(15);
/// How long half a request is waited for once the daemon stops.
const SILENCE_AT_STOP: Duration = Duration::from_secs(1);
/// How often the log is told that connections are turned away.
const PERIOD: Duration = Duration::from_secs(60);
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
    /// When it was told last that one was turned away.
    told_at: Mutex<Option<Instant>>,
}

impl Connections {
    /// Has the router answer `places` connections at once, until `stop` is cancelled.
    pub(super) fn new(router: Router, door: Door, places: usize, patience: Patience, stop: CancellationToken) -> Self {
        let (places, open, told_at) = (Places::of(places), TaskTracker::new(), Mutex::default());
        Self { router, door, patience, stop, places, open, told_at }
    }

    /// Takes one in, if there is a place for it, until it ends or `revoked` is cancelled.
    pub(super) fn take_in<S>(&self, stream: S, peer: Peer, revoked: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(place) = self.places.take() else {
            let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
            // Once a minute: who is turned away comes again.
            if told_at.is_none_or(|told_at| told_at.elapsed() >= PERIOD) {
                *told_at = Some(Instant::now());
                tracing::warn!(
                    ?peer,
                    "connections are turned away: all {} that there may be have asked for something and stay",
                    self.places.count
                );
            }
            return;
        };
        let proof = place.proof.clone();
        let under_way = UnderWay::default();
        let stream = Revocable::new(stream, revoked, place, under_way.clone());
        let stream = Impatient::new(stream, format!("{peer:?}"), self.patience, self.stop.clone(), self.open.token());
        let is_proven_by_asking = self.door == Door::Socket;
        let answers = Answers { router: self.router.clone(), peer, proof, is_proven_by_asking, under_way };
        self.open.spawn(connection(stream, answers, self.stop.clone()));
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

/// Who answers the requests of a connection.
struct Answers {
    router: Router,
    peer: Peer,
    proof: Proof,
    is_proven_by_asking: bool,
    under_way: UnderWay,
}

async fn connection<S>(stream: Impatient<Revocable<S>>, answers: Answers, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Answers { router, peer, proof, is_proven_by_asking, under_way } = answers;
    let (shown, asked, stopping) = (proof.clone(), under_way.clone(), stop.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        if is_proven_by_asking {
            proof.give();
        }
        let being_answered = asked.begin();
        request.extensions_mut().insert(proof.clone());
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(Stopping(stopping.clone()));
        let answer = router.clone().call(request);
        async move {
            let answer = answer.await.unwrap_or_else(|never| match never {});
            let until_sent = |body| Body::new(Answering { body, _being_answered: being_answered });
            Ok::<Response<Body>, Infallible>(answer.map(until_sent))
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

/// The body of an answer, which is under way until all of it was handed on.
struct Answering {
    body: Body,
    _being_answered: BeingAnswered,
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// That the daemon stops, for who waits for the rest of a request.
#[derive(Clone)]
pub(super) struct Stopping(CancellationToken);

impl Stopping {
    /// When a request that did not come as a whole is not waited for any more.
    pub(super) async fn gives_up(self) {
        self.0.cancelled().await;
        tokio::time::sleep(SILENCE_AT_STOP).await;
    }
}

/// The requests of a connection to which there is no whole answer yet, and whether what there is of answers is on its way.
#[derive(Debug, Clone, Default)]
struct UnderWay(watch::Sender<Work>);

#[derive(Debug, Default)]
struct Work {
    requests: usize,
    /// How often something was written.
    writes: u64,
}

/// One of them, until it is dropped.
struct BeingAnswered(UnderWay);

impl UnderWay {
    fn begin(&self) -> BeingAnswered {
        self.0.send_modify(|work| work.requests += 1);
        BeingAnswered(self.clone())
    }

    fn note_write(&self) {
        self.0.send_modify(|work| work.writes += 1);
    }

    /// Waits until there was none for so long, and nothing was written.
    async fn none_for(&self, time: Duration) {
        let mut work = self.0.subscribe();
        loop {
            let none = work.wait_for(|work| work.requests == 0).await.is_ok();
            if none && timeout(time, work.changed()).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for BeingAnswered {
    fn drop(&mut self) {
        self.0.0.send_modify(|work| work.requests -= 1);
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
    under_way: UnderWay,
    _place: Place,
}

impl<S> Revocable<S> {
    fn new(stream: S, revoked: CancellationToken, place: Place, under_way: UnderWay) -> Self {
        let revoked = [revoked, place.needed.clone()].map(|token| Box::pin(token.cancelled_owned()));
        Self { stream, revoked, under_way, _place: place }
    }

    fn noted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(1..)) = written {
            self.under_way.note_write();
        }
        written
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
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.noted(written)
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
        let under_way = UnderWay::default();
        let stream = Revocable::new(stream, CancellationToken::new(), place, under_way.clone());
        let patience = Patience::default();
        let stream = Impatient::new(stream, String::new(), patience, stop.clone(), connections.token());
        let serving = tokio::spawn(connection(
            stream,
            Answers { router, peer, proof, is_proven_by_asking: false, under_way },
            stop,
        ));
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
