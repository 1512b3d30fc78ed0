//! A terminal as a WebSocket, as viewers of all kinds see it: the real router and listener, and a runtime that shows what a test wants.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    dead_code,
    unreachable_pub,
    reason = "a test panics when it fails, takes time, and uses a part of what tests share"
)]

#[path = "support/application.rs"]
mod application;
#[path = "support/event_server.rs"]
mod event_server;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ao::adapters::http::Patience;
use ao::domain::exit::Exit;
use ao::domain::id::{RuntimeKind, SessionId};
use ao::domain::session::ProcessIdentity;
use ao::ports::runtime::{Liveness, Marks, Runtime, RuntimeError, TerminalKey, TerminalSize, TerminalSpec};
use ao::ports::terminal_view::{Attached, Newcomer, Seen, TerminalKeys, TerminalView};
use async_trait::async_trait;
use event_server::{BOUND, Server};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

const LONG: Duration = Duration::from_secs(600);
/// More than the buffers of a connection take.
const PICTURE: usize = 256 * 1024;

fn patient() -> Patience {
    Patience { cut_off: LONG, cut_off_at_stop: LONG, slow: LONG, keep_alive: LONG }
}

/// What viewers did, and what each is shown next.
#[derive(Debug, Default)]
struct Stage {
    done: Mutex<Vec<String>>,
    /// Those who are there.
    viewers: Mutex<Vec<mpsc::Sender<Seen>>>,
    /// Without end.
    pictures: AtomicUsize,
    shows_without_end: bool,
}

#[derive(Debug)]
struct Theatre {
    kind: RuntimeKind,
    stage: Arc<Stage>,
}

struct View {
    next: mpsc::Receiver<Seen>,
    stage: Arc<Stage>,
}

struct Keys(Arc<Stage>);

#[async_trait]
impl TerminalView for View {
    async fn next(&mut self) -> Result<Seen, RuntimeError> {
        if self.stage.shows_without_end {
            self.stage.pictures.fetch_add(1, Ordering::SeqCst);
            return Ok(Seen::Picture(vec![b'x'; PICTURE]));
        }
        let failed = || RuntimeError::Failed {
            runtime: RuntimeKind::new("stage").unwrap(),
            action: "show the terminal",
            cause: "ü".repeat(200),
        };
        self.next.recv().await.ok_or_else(failed)
    }
}

#[async_trait]
impl TerminalKeys for Keys {
    async fn type_bytes(&mut self, bytes: &[u8]) -> Result<(), RuntimeError> {
        self.0.done.lock().unwrap().push(format!("typed {}", bytes.escape_ascii()));
        Ok(())
    }

    async fn resize(&mut self, size: TerminalSize) -> Result<(), RuntimeError> {
        self.0.done.lock().unwrap().push(format!("{}x{}", size.rows, size.cols));
        Ok(())
    }
}

#[async_trait]
impl Runtime for Theatre {
    fn kind(&self) -> &RuntimeKind {
        &self.kind
    }

    async fn attach(&self, key: &TerminalKey, newcomer: Newcomer) -> Result<Attached, RuntimeError> {
        let Newcomer { size, is_watching } = newcomer;
        if size.rows == 4 {
            return Err(RuntimeError::NoTerminal { runtime: self.kind.clone(), session: key.session.clone() });
        }
        let how = if is_watching { "watches" } else { "came" };
        self.stage.done.lock().unwrap().push(format!("{how} with {}x{}", size.rows, size.cols));
        let (show, next) = mpsc::channel(9);
        self.stage.viewers.lock().unwrap().push(show);
        let view = View { next, stage: self.stage.clone() };
        Ok(Attached { view: Box::new(view), keys: Box::new(Keys(self.stage.clone())) })
    }

    async fn preflight(&self) -> Result<Option<String>, RuntimeError> {
        Ok(None)
    }

    async fn create(&self, _: &TerminalSpec) -> Result<ProcessIdentity, RuntimeError> {
        unreachable!("nothing is spawned")
    }

    async fn probe(&self, _: &[TerminalKey]) -> HashMap<SessionId, Liveness> {
        HashMap::new()
    }

    async fn screen(&self, _: &TerminalKey) -> Result<String, RuntimeError> {
        Ok(String::new())
    }

    async fn output(&self, _: &TerminalKey, _: usize) -> Result<String, RuntimeError> {
        Ok(String::new())
    }

    async fn input(&self, _: &TerminalKey, _: &[u8]) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn remarks(&self, _: &TerminalKey) -> Vec<String> {
        Vec::new()
    }

    async fn has_launched(&self, _: &TerminalKey, _: &Marks) -> bool {
        false
    }

    async fn set_aside(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn put_back(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn forget_aside(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn stop(&self, _: &TerminalKey, _: Duration) -> Result<Option<Exit>, RuntimeError> {
        Ok(None)
    }
}

async fn serve(stage: Stage, patience: Patience) -> (Server, Arc<Stage>) {
    let (stage, kind) = (Arc::new(stage), RuntimeKind::new("stage").unwrap());
    let theatre = Theatre { kind, stage: stage.clone() };
    (Server::start_with(patience, vec![Arc::new(theatre)]).await, stage)
}

/// Asks for an upgrade; gives the connection and the head of the answer.
async fn ask(server: &Server, path: &str, headers: &str) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(server.socket()).await.unwrap();
    let request = format!("GET /api/v1/sessions/{path} HTTP/1.1\r\nhost: ao\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: YW8gYXR0YWNoZXMgaGVyZQ==\r\n";

struct Viewer(WebSocketStream<UnixStream>);

impl Viewer {
    async fn come(server: &Server, query: &str) -> Self {
        let (stream, head) = ask(server, &format!("app-1/terminal{query}"), UPGRADE).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
    }

    async fn next(&mut self) -> Message {
        tokio::time::timeout(BOUND, self.0.next()).await.expect("something comes").expect("it goes on").unwrap()
    }

    /// Reads up to the end, and gives why.
    async fn end(&mut self) -> CloseFrame {
        let end = async {
            loop {
                if let Message::Close(frame) = self.next().await {
                    return frame.expect("a reason");
                }
            }
        };
        tokio::time::timeout(BOUND, end).await.expect("it ends")
    }

    async fn say(&mut self, message: impl Into<Message>) {
        self.0.send(message.into()).await.unwrap();
    }

    /// Sends what is no message of the protocol's: the bytes of a frame.
    async fn say_raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.unwrap();
    }

    /// Reads up to the end of the connection, which comes.
    async fn hung_up(&mut self) {
        let hung_up = async { while let Some(Ok(_)) = self.0.next().await {} };
        tokio::time::timeout(BOUND, hung_up).await.expect("it is hung up");
    }
}

/// The head of a frame of a client's, and no mask to speak of.
fn frame_head(opcode: u8, length: u64) -> Vec<u8> {
    [&[0x80 | opcode, 0x80 | 127][..], &length.to_be_bytes(), &[0; 4]].concat()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < BOUND, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn bytes_are_binary_and_sizes_and_the_end_are_json() {
    let (server, stage) = serve(Stage::default(), patient()).await;
    let mut viewer = Viewer::come(&server, "?rows=20&cols=70").await;
    let show = stage.viewers.lock().unwrap()[0].clone();
    show.send(Seen::Size(TerminalSize { rows: 10, cols: 60 })).await.unwrap();
    assert_eq!(viewer.next().await, Message::text(r#"{"type":"resize","rows":10,"cols":60}"#));
    show.send(Seen::Picture(b"\x1b[2Jbytes \xff".to_vec())).await.unwrap();
    assert_eq!(viewer.next().await, Message::binary(&b"\x1b[2Jbytes \xff"[..]));
    viewer.say(&b"key\x03"[..]).await;
    viewer.say(r#"{"type":"resize","rows":30,"cols":90}"#).await;
    viewer.say(&b"more"[..]).await;
    until("it is heard", || stage.done.lock().unwrap().len() == 4).await;
    assert_eq!(*stage.done.lock().unwrap(), ["came with 20x70", "typed key\\x03", "30x90", "typed more"]);
    show.send(Seen::Ended(Exit::Code(3))).await.unwrap();
    assert_eq!(viewer.next().await, Message::text(r#"{"type":"exit","exit":{"code":3}}"#));
    assert_eq!(u16::from(viewer.end().await.code), 1000);
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_the_apis_own_words_and_what_makes_no_sense_ends_it() {
    let (server, stage) = serve(Stage::default(), patient()).await;
    for (path, headers, code) in [
        ("app-9/terminal", UPGRADE, "404"),
        ("app-1/terminal?rows=4", UPGRADE, "409"),
        ("app-1/terminal", "", "400"),
        ("app-1/terminal?rows=-1", UPGRADE, "400"),
    ] {
        let (_, head) = ask(&server, path, headers).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {code} ")) && head.contains("application/json"), "{path}: {head}");
    }
    assert!(stage.done.lock().unwrap().is_empty());
    for nonsense in ["resize", r#"{"type":"resize","rows":1}"#, r#"{"type":"dance"}"#] {
        let mut viewer = Viewer::come(&server, "").await;
        viewer.say(nonsense).await;
        let end = viewer.end().await;
        assert!(u16::from(end.code) == 1003 && end.reason.starts_with("not understood"), "{end:?}");
    }
    assert_eq!(*stage.done.lock().unwrap(), ["came with 40x120"; 3], "the usual size");
    // Why it cannot be shown any more is told as far as a frame has room for it.
    let mut viewer = Viewer::come(&server, "").await;
    stage.viewers.lock().unwrap().clear();
    let end = viewer.end().await;
    assert!(u16::from(end.code) == 1011 && end.reason.contains("failed to show the terminal: üü"), "{end:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_farewell_is_answered_before_the_connection_ends() {
    let (server, stage) = serve(Stage::default(), patient()).await;
    let mut viewer = Viewer::come(&server, "").await;
    viewer.say(&b"last"[..]).await;
    let farewell = CloseFrame { code: 1000.into(), reason: "seen enough".into() };
    viewer.say(Message::Close(Some(farewell.clone()))).await;
    assert_eq!(viewer.end().await, farewell);
    viewer.hung_up().await;
    until("what was typed before it was heard", || stage.done.lock().unwrap().len() == 2).await;
    // And one that hangs up without a word is gone all the same.
    until("nobody is left", || stage.viewers.lock().unwrap()[0].is_closed()).await;
    drop(Viewer::come(&server, "").await);
    until("nobody is left", || stage.viewers.lock().unwrap()[1].is_closed()).await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_too_large_or_no_message_ends_it_with_the_reason() {
    let (server, stage) = serve(Stage::default(), patient()).await;
    let limit = 1024 * 1024;
    let mut viewer = Viewer::come(&server, "").await;
    viewer.say(vec![b'x'; limit]).await;
    until("the largest is taken", || stage.done.lock().unwrap().len() == 2).await;
    for (bytes, code) in [
        // Told beforehand, so that not a byte of it is waited for.
        (frame_head(2, 1 << 40), 1009),
        (frame_head(2, u64::try_from(limit).unwrap() + 1), 1009),
        // In two parts, each of which might pass: the first has no end mark.
        ([&frame_head(2, 900_000)[..], &vec![0; 900_000], &frame_head(0, 900_000), &vec![0; 900_000]].concat(), 1009),
        ([frame_head(1, 2), vec![0xff, 0xff]].concat(), 1007),
        (frame_head(5, 0), 1002),
    ] {
        let mut bytes = bytes;
        if bytes.len() > 1_000_000 {
            bytes[0] &= 0x7f;
        }
        let mut viewer = Viewer::come(&server, "").await;
        viewer.say_raw(&bytes).await;
        let end = viewer.end().await;
        assert_eq!(u16::from(end.code), code, "{end:?}");
        viewer.hung_up().await;
    }
    assert_eq!(stage.done.lock().unwrap().iter().filter(|done| done.starts_with("typed")).count(), 1);
    server.stop().await;
}

#[tokio::test]
async fn one_who_only_watches_is_told_so_when_it_types() {
    let (server, stage) = serve(Stage::default(), patient()).await;
    let mut viewer = Viewer::come(&server, "?rows=9&cols=30&read_only=true").await;
    viewer.say(r#"{"type":"resize","rows":30,"cols":90}"#).await;
    viewer.say(&b"key"[..]).await;
    let end = viewer.end().await;
    assert!(u16::from(end.code) == 1008 && end.reason.starts_with("read_only: "), "{end:?}");
    assert_eq!(*stage.done.lock().unwrap(), ["watches with 9x30", "30x90"]);
    server.stop().await;
}

#[tokio::test]
async fn there_are_so_many_viewers_whatever_the_runtime() {
    let (server, stage) = serve(Stage::default(), patient()).await;
    let mut viewers = Vec::new();
    for _ in 0..32 {
        viewers.push(Viewer::come(&server, "").await);
    }
    for query in ["", "?read_only=true"] {
        let (mut stream, head) = ask(&server, &format!("app-1/terminal{query}"), UPGRADE).await;
        assert!(head.starts_with("HTTP/1.1 409 "), "{head}");
        let mut body = vec![0; 60];
        stream.read_exact(&mut body).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("too_many_viewers"), "{body:?}");
    }
    assert_eq!(stage.done.lock().unwrap().len(), 32);
    viewers.pop();
    until("one has left", || stage.viewers.lock().unwrap()[31].is_closed()).await;
    viewers.push(Viewer::come(&server, "").await);
    server.stop().await;
}

#[tokio::test]
async fn nothing_queues_up_for_a_slow_viewer_who_is_told_why_it_is_dropped() {
    let stage = Stage { shows_without_end: true, ..Stage::default() };
    let slow = Duration::from_millis(300);
    let (server, stage) = serve(stage, Patience { slow, ..patient() }).await;
    let mut viewer = Viewer::come(&server, "").await;
    let asked = || stage.pictures.load(Ordering::SeqCst);
    until("it is shown something", || asked() > 0).await;
    let mut before = usize::MAX;
    // Once a picture is not taken, none is asked for.
    while asked() != before {
        before = asked();
        tokio::time::sleep(slow * 2).await;
    }
    assert!(before < 20, "{before} pictures were made for one who takes none");
    let end = viewer.end().await;
    assert!(u16::from(end.code) == 1008 && end.reason.starts_with("too_slow: "), "{end:?}");
    assert_eq!(asked(), before);
    // And one who reads goes on.
    let mut other = Viewer::come(&server, "").await;
    for _ in 0..50 {
        assert_eq!(other.next().await.len(), PICTURE);
    }
    drop(other);
    server.stop().await;
}

#[tokio::test]
async fn a_stop_says_so_and_silence_is_bounded() {
    let keep_alive = Duration::from_millis(30);
    let (server, _) = serve(Stage::default(), Patience { keep_alive, ..patient() }).await;
    let mut viewer = Viewer::come(&server, "").await;
    for _ in 0..2 {
        assert!(matches!(viewer.next().await, Message::Ping(_)));
    }
    let mut stopped = tokio::spawn(server.stop());
    // Not before it was answered: a process that ends takes with it what it has not said.
    let too_early = tokio::time::timeout(Duration::from_millis(300), &mut stopped).await;
    assert!(too_early.is_err(), "it has stopped, and waited for nobody");
    assert_eq!(u16::from(viewer.end().await.code), 1001);
    viewer.hung_up().await;
    tokio::time::timeout(BOUND, stopped).await.expect("it stops").unwrap();
}
