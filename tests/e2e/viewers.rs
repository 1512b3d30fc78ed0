//! Viewers of a terminal over its WebSocket: how large they are told it is, and those who only watch.

use std::sync::{Arc, Mutex};

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::task::AbortOnDropHandle;

use crate::glass::Glass;
use crate::sandbox::Sandbox;
use crate::tools::{RUNTIMES, has_runtime};

/// Says how large its terminal is whenever that changes.
const AGENT: &str = "echo_size() { stty size | tr ' ' x > size; }; trap echo_size WINCH; echo_size; \
                     printf 'agent 1 ready\\n'; while :; do read -r line && echo \"got $line\" >> got; done";

async fn spawn(sandbox: &Sandbox, runtime: &str) {
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", runtime, "--", "sh", "-c", AGENT]).await.ok();
    sandbox.until_output("app-1", "agent 1 ready").await;
}

fn size_of_agents(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.worktree("app-1").join("size")).unwrap_or_default().trim().to_owned()
}

/// One who reads all the time.
struct Viewer {
    to: SplitSink<WebSocketStream<UnixStream>, Message>,
    told: Arc<Mutex<Told>>,
    _reading: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Told {
    sizes: Vec<String>,
    shown: Vec<u8>,
    closed: Option<u16>,
}

impl Viewer {
    async fn come(sandbox: &Sandbox, query: &str) -> Self {
        let mut stream = UnixStream::connect(sandbox.path("data/run/daemon.sock")).await.unwrap();
        let request = format!(
            "GET /api/v1/sessions/app-1/terminal?{query} HTTP/1.1\r\nhost: ao\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: YW8gYXR0YWNoZXMgaGVyZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        let (to, mut from) = WebSocketStream::from_raw_socket(stream, Role::Client, None).await.split();
        let told = Arc::new(Mutex::new(Told::default()));
        let kept = Arc::clone(&told);
        let reading = tokio::spawn(async move {
            while let Some(Ok(message)) = from.next().await {
                let mut told = kept.lock().unwrap();
                match message {
                    Message::Binary(picture) => told.shown.extend_from_slice(&picture),
                    Message::Text(text) => {
                        let news: Value = serde_json::from_str(&text).unwrap();
                        if news["type"] == "resize" {
                            told.sizes.push(format!("{}x{}", news["rows"], news["cols"]));
                        }
                    }
                    Message::Close(frame) => told.closed = frame.map(|frame| frame.code.into()),
                    _ => {}
                }
            }
        });
        Self { to, told, _reading: AbortOnDropHandle::new(reading) }
    }

    async fn say(&mut self, message: impl Into<Message>) {
        self.to.send(message.into()).await.unwrap();
    }

    fn size(&self) -> String {
        self.told.lock().unwrap().sizes.last().cloned().unwrap_or_default()
    }
}

async fn all_are_told(sandbox: &Sandbox, viewers: &[&Viewer], size: &str, when: &str) {
    let is_it = || viewers.iter().all(|viewer| viewer.size() == size) && size_of_agents(sandbox) == size;
    sandbox.until(&format!("the terminal is {size} and all are told so, {when}"), is_it).await;
}

async fn everybody_is_told_the_terminals_own_size(runtime: &str) {
    if !has_runtime(runtime) {
        return;
    }
    let sandbox = Sandbox::new();
    spawn(&sandbox, runtime).await;
    let large = Viewer::come(&sandbox, "rows=30&cols=100").await;
    all_are_told(&sandbox, &[&large], "30x100", "by the only one").await;
    let mut low = Viewer::come(&sandbox, "rows=12&cols=110").await;
    all_are_told(&sandbox, &[&large, &low], "12x100", "when a lower one comes").await;
    low.say(r#"{"type":"resize","rows":20,"cols":60}"#).await;
    all_are_told(&sandbox, &[&large, &low], "20x60", "when it changes").await;

    // One who only watches changes nothing, by coming, by another size of its own, or by going.
    let mut watching = Viewer::come(&sandbox, "rows=5&cols=30&read_only=true").await;
    all_are_told(&sandbox, &[&large, &low, &watching], "20x60", "when one comes who watches").await;
    sandbox.until("it sees something", || !watching.told.lock().unwrap().shown.is_empty()).await;
    watching.say(r#"{"type":"resize","rows":4,"cols":25}"#).await;
    drop(low);
    all_are_told(&sandbox, &[&large, &watching], "30x100", "when it is large again").await;
    drop(large);
    let alone = Viewer::come(&sandbox, "rows=8&cols=40&read_only=true").await;
    all_are_told(&sandbox, &[&watching, &alone], "30x100", "when only those are left").await;
    let back = Viewer::come(&sandbox, "rows=40&cols=120").await;
    all_are_told(&sandbox, &[&watching, &alone, &back], "40x120", "when somebody sits down again").await;

    // And types nothing.
    watching.say(&b"no\r"[..]).await;
    let closed = || watching.told.lock().unwrap().closed;
    sandbox.until("it is told so", || closed().is_some()).await;
    assert_eq!(closed(), Some(1008));
    let mut back = back;
    back.say(&b"yes\r"[..]).await;
    let got = || std::fs::read_to_string(sandbox.worktree("app-1").join("got")).unwrap_or_default();
    sandbox.until("somebody who sits there types", || got().contains("yes")).await;
    assert_eq!(got(), "got yes\n");
}

#[tokio::test]
async fn everybody_is_told_the_size_of_a_terminal_of_the_built_in_runtime() {
    everybody_is_told_the_terminals_own_size("pty").await;
}

#[tokio::test]
async fn everybody_is_told_the_size_of_a_terminal_of_tmux() {
    everybody_is_told_the_terminals_own_size("tmux").await;
}

#[tokio::test]
async fn everybody_is_told_the_size_of_a_terminal_of_zellij() {
    everybody_is_told_the_terminals_own_size("zellij").await;
}

#[tokio::test]
async fn one_who_only_watches_sees_where_the_cursor_is_and_types_nothing() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let script = "stty raw -echo; printf '\\033[2J\\033[1;1Htop left\\033[40;100Hat the cursor'; exec cat > got";
        sandbox.ao(&["spawn", "--agent", "command", "--runtime", runtime, "--", "sh", "-c", script]).await.ok();
        let mut glass = Glass::attach(&sandbox, (40, 10), &["--read-only"], "at the cursor").await;
        assert!(!glass.screen().contains("top left"), "{runtime}: {}", glass.screen());
        glass.type_bytes(b"nothing of this").await;
        glass.type_bytes(b"\x1c").await;
        assert_eq!(glass.ended().await, 0);
        glass.is_given_back("detached from app-1").await;
        let mut sitting = Glass::attach(&sandbox, (120, 40), &[], "top left").await;
        sitting.type_bytes(b"typed").await;
        let got = || std::fs::read(sandbox.worktree("app-1").join("got")).unwrap_or_default();
        sandbox.until("one who sits there types", || got().ends_with(b"typed")).await;
        assert_eq!(got(), b"typed", "{runtime}");
    }
}

#[tokio::test]
async fn what_is_typed_at_once_reaches_the_agent_as_it_was_typed_also_of_one_who_leaves_at_once() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let script = "stty raw -echo; printf 'agent 1 ready'; exec cat > got";
        sandbox.ao(&["spawn", "--agent", "command", "--runtime", runtime, "--", "sh", "-c", script]).await.ok();
        sandbox.until_output("app-1", "agent 1 ready").await;
        let got = || std::fs::read(sandbox.worktree("app-1").join("got")).unwrap_or_default();
        let mut all = Vec::new();
        // What a terminal that is not raw makes something else of: a line's end, signals, the end of the input, and what takes back.
        for typed in [&b"a\r"[..], b"b\n", b"\x03", b"c\x04", b"d\x7f\x15", b"\x1a\x13\x11\x16"] {
            let mut viewer = Viewer::come(&sandbox, "rows=30&cols=100").await;
            viewer.say(typed).await;
            drop(viewer);
            all.extend_from_slice(typed);
            sandbox.until(&format!("{typed:?} arrives in {runtime}: {:?}", got()), || got().len() >= all.len()).await;
            assert_eq!(got().escape_ascii().to_string(), all.escape_ascii().to_string(), "{runtime}");
        }
    }
}
