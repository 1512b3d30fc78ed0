//! A scripted model server on loopback that speaks enough of the Anthropic Messages API for the real Claude Code.
//!
//! A conversation picks its script by a marker in what the user says, `[[script:NAME]]` (see [`marker`]); the last marker in
//! the conversation wins. Which turn of the script is due is counted from the request alone, as the number of answers the
//! conversation already holds after the marker, so any number of agents may follow one script at once and a retried request
//! gets the same answer. A conversation without a marker takes its turns from the queue. When the turns are used up the
//! answer is [`AFTER_THE_SCRIPT`].
#![allow(dead_code, unreachable_pub, reason = "each test target uses its own part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[path = "model_reply.rs"]
mod model_reply;

/// What is answered when a script has no turn left.
pub const AFTER_THE_SCRIPT: &str = "Nothing more to do.";

/// An invented key; only its form matters.
pub const API_KEY: &str = "sk-ant-test-0123456789-abcdefghijklmnop";

/// The text that makes a conversation follow the script of that name.
pub fn marker(name: &str) -> String {
    format!("[[script:{name}]]")
}

/// One piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// The model says something.
    Text(String),
    /// The model calls a tool.
    ToolUse { name: String, input: Value },
}

/// One answer of the model.
#[derive(Debug, Clone)]
pub struct Turn {
    blocks: Vec<Block>,
    gate: Option<Gate>,
    delay: Duration,
    refusal: Option<u16>,
}

impl Turn {
    /// An answer of several pieces.
    pub fn of(blocks: Vec<Block>) -> Self {
        Self { blocks, gate: None, delay: Duration::ZERO, refusal: None }
    }

    /// The model says something and ends its turn.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(vec![Block::Text(text.into())])
    }

    /// The model calls a tool and waits for its result.
    pub fn tool(name: impl Into<String>, input: Value) -> Self {
        Self::of(vec![Block::ToolUse { name: name.into(), input }])
    }

    /// The model runs a shell command.
    pub fn bash(command: &str) -> Self {
        Self::tool("Bash", json!({ "command": command, "description": "scripted" }))
    }

    /// The server refuses with an HTTP status, for example 400.
    pub fn refusal(status: u16) -> Self {
        Self { refusal: Some(status), ..Self::of(Vec::new()) }
    }

    /// Answers only once the gate is open.
    pub fn gated(mut self, gate: &Gate) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// Answers only after this long, as a model that thinks.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// Holds an answer back until the test opens it.
#[derive(Debug, Clone)]
pub struct Gate {
    open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { open: watch::Sender::new(false), waiting: watch::Sender::new(0) }
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets every answer through, those that wait and later ones.
    pub fn release(&self) {
        self.open.send_replace(true);
    }

    /// Waits until at least `count` answers have come to the gate; panics after `timeout`.
    pub async fn reached(&self, count: usize, timeout: Duration) {
        let mut waiting = self.waiting.subscribe();
        let reached = tokio::time::timeout(timeout, waiting.wait_for(|waiting| *waiting >= count)).await;
        assert!(reached.is_ok(), "only {} of {count} answers came to the gate in {timeout:?}", *self.waiting.borrow());
    }

    async fn pass(&self) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        let mut open = self.open.subscribe();
        // An error means that the test dropped the gate: nobody will open it, so it holds nothing back.
        let _ = open.wait_for(|open| *open).await;
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Request {
    /// For example `/v1/messages`.
    pub path: String,
    /// The body as it came.
    pub raw: Bytes,
    /// The body read as JSON; null when it is none.
    pub body: Value,
}

impl Request {
    /// Whether it asks for the next turn of an agent, and not for a title or a count.
    pub fn is_turn(&self) -> bool {
        self.path == "/v1/messages" && self.body["tools"].as_array().is_some_and(|tools| !tools.is_empty())
    }

    /// Every text the user's side of the conversation holds, oldest first, each exactly as it came. Reminders that the
    /// agent adds are texts of their own.
    pub fn user_texts(&self) -> Vec<&str> {
        self.messages().iter().filter(|message| message["role"] == "user").flat_map(texts).collect()
    }

    /// The text of every tool result, oldest first.
    pub fn tool_results(&self) -> Vec<String> {
        let blocks = self.messages().iter().filter_map(|message| message["content"].as_array()).flatten();
        blocks
            .filter(|block| block["type"] == "tool_result")
            .map(|block| match &block["content"] {
                Value::String(text) => text.clone(),
                parts => parts.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str()).collect(),
            })
            .collect()
    }

    /// Whether it asks for the conversation's summary, as Claude Code does to make it shorter.
    fn asks_for_summary(&self) -> bool {
        self.user_texts().last().is_some_and(|text| text.contains("<summary> block"))
    }

    /// Whether a text of the user's side is exactly this one.
    pub fn has_user_text(&self, text: &str) -> bool {
        self.user_texts().contains(&text)
    }

    /// Everything the model is told in the conversation and does not say itself: texts, reminders and tool results.
    pub fn told(&self) -> Vec<String> {
        let others = self.messages().iter().filter(|message| message["role"] != "assistant").flat_map(texts);
        others.map(str::to_owned).chain(self.tool_results()).collect()
    }

    /// Whether the model is told this.
    pub fn mentions(&self, text: &str) -> bool {
        self.told().iter().any(|said| said.contains(text))
    }

    /// The system prompt, its parts joined.
    pub fn system(&self) -> String {
        match &self.body["system"] {
            Value::String(text) => text.clone(),
            parts => parts.as_array().into_iter().flatten().filter_map(|part| part["text"].as_str()).collect(),
        }
    }

    fn messages(&self) -> &[Value] {
        self.body["messages"].as_array().map_or(&[], Vec::as_slice)
    }

    /// What a request without tools gets. Claude Code 2.1.197 asks in one whether an action is safe in `auto` mode (and stops
    /// the answer at the verdict's end), and in others for a conversation's title.
    fn side_answer(&self) -> &'static str {
        let asks_for_verdict =
            self.body["stop_sequences"].as_array().is_some_and(|stops| stops.contains(&json!("</block>")));
        if asks_for_verdict { "<block>no" } else { r#"{"title": "Scripted"}"# }
    }

    /// The script the conversation follows, and how many answers it holds since.
    fn place_in_script(&self) -> Option<(String, usize)> {
        let messages = self.messages();
        let (at, name) = messages.iter().enumerate().rev().find_map(|(at, message)| {
            let said = if message["role"] == "user" { texts(message) } else { Vec::new() };
            said.iter().rev().find_map(|text| marked(text)).map(|name| (at, name.to_owned()))
        })?;
        let answers = messages[at..].iter().filter(|message| message["role"] == "assistant").count();
        Some((name, answers))
    }
}

fn texts(message: &Value) -> Vec<&str> {
    match &message["content"] {
        Value::String(text) => vec![text],
        blocks => blocks
            .as_array()
            .into_iter()
            .flatten()
            .filter(|block| block["type"] == "text")
            .filter_map(|block| block["text"].as_str())
            .collect(),
    }
}

fn marked(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once("[[script:")?;
    rest.split_once("]]").map(|(name, _)| name)
}

#[derive(Debug, Default)]
struct Shared {
    scripts: Mutex<BTreeMap<String, Vec<Turn>>>,
    summary: Mutex<Option<Turn>>,
    queue: Mutex<VecDeque<Turn>>,
    requests: Mutex<Vec<Request>>,
    arrivals: watch::Sender<usize>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The server; it stops when dropped.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ModelServer {
    /// Listens on a free loopback port.
    pub async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let router = Router::new()
            .route("/", get(|| async { StatusCode::OK }))
            .route("/v1/messages", post(messages))
            .route("/v1/messages/count_tokens", post(count_tokens))
            .fallback(unknown)
            .layer(DefaultBodyLimit::max(64 * 1024 * 1024))
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a loopback port");
        let address = listener.local_addr().expect("a bound address");
        let task = tokio::spawn(async move { axum::serve(listener, router).await.expect("the server runs") });
        Self { address, shared, task }
    }

    /// Its address, for `ANTHROPIC_BASE_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the script that conversations marked with [`marker`]`(name)` follow.
    pub fn script(&self, name: &str, turns: Vec<Turn>) -> &Self {
        lock(&self.shared.scripts).insert(name.to_owned(), turns);
        self
    }

    /// Sets what is answered to who asks for a conversation's summary, to go on with that in its place.
    pub fn summarizes(&self, turn: Turn) -> &Self {
        *lock(&self.shared.summary) = Some(turn);
        self
    }

    /// Adds turns for conversations without a marker, in the order their requests come.
    pub fn queue(&self, turns: Vec<Turn>) -> &Self {
        lock(&self.shared.queue).extend(turns);
        self
    }

    /// Every request so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.requests).clone()
    }

    /// The requests for an agent's turn so far, oldest first.
    pub fn turns(&self) -> Vec<Request> {
        self.requests().into_iter().filter(Request::is_turn).collect()
    }

    /// The first request, past or future, that the predicate accepts; panics after `timeout` and says what came instead.
    pub async fn wait_for_request(&self, accepts: impl Fn(&Request) -> bool, timeout: Duration) -> Request {
        let mut arrivals = self.shared.arrivals.subscribe();
        let find = async {
            loop {
                arrivals.mark_unchanged();
                if let Some(found) = self.requests().into_iter().find(&accepts) {
                    return found;
                }
                if arrivals.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let found = tokio::time::timeout(timeout, find).await;
        found.unwrap_or_else(|_elapsed| panic!("no such request in {timeout:?}; these came: {}", self.summary()))
    }

    fn summary(&self) -> String {
        let shown = |request: &Request| {
            let last: String = request.user_texts().last().unwrap_or(&"").chars().take(200).collect();
            format!("{} turn={} last={last:?}", request.path, request.is_turn())
        };
        self.requests().iter().map(shown).collect::<Vec<_>>().join("; ")
    }
}

impl Shared {
    fn record(&self, path: &str, raw: Bytes) -> Request {
        let body = serde_json::from_slice(&raw).unwrap_or(Value::Null);
        let request = Request { path: path.to_owned(), raw, body };
        lock(&self.requests).push(request.clone());
        self.arrivals.send_modify(|arrivals| *arrivals += 1);
        request
    }

    fn turn_for(&self, request: &Request) -> Turn {
        if let Some(summary) = lock(&self.summary).clone().filter(|_| request.asks_for_summary()) {
            return summary;
        }
        let due = match request.place_in_script() {
            Some((name, answers)) => match lock(&self.scripts).get(&name) {
                Some(turns) => turns.get(answers).cloned(),
                None => Some(Turn::text(format!("There is no script named {name:?}."))),
            },
            None => lock(&self.queue).pop_front(),
        };
        due.unwrap_or_else(|| Turn::text(AFTER_THE_SCRIPT))
    }
}

async fn messages(State(shared): State<Arc<Shared>>, raw: Bytes) -> Response {
    let request = shared.record("/v1/messages", raw);
    let turn = if request.is_turn() { shared.turn_for(&request) } else { Turn::text(request.side_answer()) };
    if let Some(gate) = &turn.gate {
        gate.pass().await;
    }
    tokio::time::sleep(turn.delay).await;
    if let Some(status) = turn.refusal {
        return refuse(status, "scripted refusal");
    }
    let message = model_reply::message(&request.body["model"], &turn.blocks);
    if request.body["stream"] == true {
        let body = Body::new(model_reply::Events::of(&message));
        ([("content-type", "text/event-stream"), ("cache-control", "no-cache")], body).into_response()
    } else {
        axum::Json(message).into_response()
    }
}

async fn count_tokens(State(shared): State<Arc<Shared>>, raw: Bytes) -> Response {
    let request = shared.record("/v1/messages/count_tokens", raw);
    axum::Json(json!({ "input_tokens": request.raw.len() / 4 })).into_response()
}

async fn unknown(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, raw: Bytes) -> Response {
    shared.record(&format!("{method} {uri}"), raw);
    refuse(404, "not scripted")
}

fn refuse(status: u16, message: &str) -> Response {
    let kind = if status == 404 { "not_found_error" } else { "invalid_request_error" };
    let body = json!({ "type": "error", "error": { "type": kind, "message": message } });
    (StatusCode::from_u16(status).expect("a status"), axum::Json(body)).into_response()
}

/// Sets up a private home in which Claude Code starts without its first-run questions, with nothing trusted, and gives
/// the environment that points it at the server. `PATH` and `AO_TEST_RUN` are for the caller to add.
pub fn claude_home(home: &Path, url: &str) -> BTreeMap<String, String> {
    std::fs::create_dir_all(home).expect("the private home is made");
    let approved = &API_KEY[API_KEY.len() - 20..];
    let config = json!({
        "hasCompletedOnboarding": true,
        "theme": "dark",
        "customApiKeyResponses": { "approved": [approved], "rejected": [] },
    });
    std::fs::write(home.join(".claude.json"), config.to_string()).expect("the configuration is written");
    let home = home.to_str().expect("a UTF-8 path");
    [
        ("HOME", home),
        ("ANTHROPIC_BASE_URL", url),
        ("ANTHROPIC_API_KEY", API_KEY),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("TERM", "xterm-256color"),
        ("LANG", "C.UTF-8"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}
