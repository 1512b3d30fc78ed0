//! What it takes to list sessions over TCP where there are a thousand, and where there is one. Prints figures; run it with `make bench`.
//!
//! A page as it is given when nobody asks for a number is there in less than ten milliseconds in 99 of 100 cases, or this fails. A thousand at once
//! take as much longer as they are more.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a benchmark prints, takes time, may panic, and uses a part of what tests share"
)]

#[path = "../tests/support/application.rs"]
mod application;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ao::adapters::clock::SystemClock;
use ao::adapters::http::access::Access;
use ao::adapters::http::token::Token;
use ao::adapters::http::wire::DaemonInfo;
use ao::adapters::http::{Daemon, Patience, tcp};
use ao::domain::approval::Subject;
use ao::domain::observation::Signal;
use ao::domain::session::{Session, ToolUse};
use ao::ports::clock::Clock;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

const SESSIONS: u32 = 1000;
const REQUESTS: usize = 1000;
const MOST: Duration = Duration::from_millis(10);

#[tokio::main]
async fn main() {
    // `cargo test` runs benchmarks too, for a moment each: this one is for `cargo bench` alone.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let one = page(1, "").await;
    let usual = page(SESSIONS, "").await;
    let whole = page(SESSIONS, "?limit=1000").await;
    let p99 = |times: &[Duration]| times[times.len() * 99 / 100];
    let slow = p99(&one).max(p99(&usual));
    for (what, times) in [("1 session", one), ("1000, a page", usual), ("1000, all at once", whole)] {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        println!("{what:18} median {:7.2} ms  p99 {:7.2} ms", ms(times[times.len() / 2]), ms(p99(&times)));
    }
    assert!(slow < MOST, "a p99 of {slow:?} is not below {MOST:?}");
}

/// How long each request for a list took, the shortest first.
async fn page(sessions: u32, query: &str) -> Vec<Duration> {
    let scratch = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let address = serve(&scratch, sessions, &stop).await;
    let token = Token::load_or_make(&scratch.path().join("token")).unwrap();
    let mut client = connect(address).await;
    let mut times = Vec::new();
    for _ in 0..REQUESTS {
        let request = Request::get(format!("/api/v1/sessions{query}"))
            .header("host", address.to_string())
            .header("authorization", format!("Bearer {}", token.secret()));
        client.ready().await.unwrap();
        let begun = Instant::now();
        let answer = client.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        times.push(begun.elapsed());
        if times.len() == 1 {
            let list: Value = serde_json::from_slice(&body).unwrap();
            let expected = sessions.min(if query.is_empty() { 100 } else { 1000 });
            assert_eq!(list["items"].as_array().unwrap().len(), expected as usize);
        }
    }
    stop.cancel();
    times.sort_unstable();
    times
}

async fn serve(scratch: &tempfile::TempDir, sessions: u32, stop: &CancellationToken) -> SocketAddr {
    let records = (1..=sessions).map(|number| {
        let workspace = scratch.path().join(format!("worktrees/app/app-{number}"));
        let mut session = application::session(number, "command", "none", workspace);
        fill(&mut session);
        session
    });
    let (application, _store) = application::application(scratch, Vec::new(), Vec::new(), records.collect()).await;
    let listener = tcp::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    let info = DaemonInfo {
        pid: std::process::id(),
        version: String::new(),
        program: None,
        data_dir: scratch.path().to_owned(),
        socket: PathBuf::new(),
        http: Some(address),
        ready: true,
        started_at: SystemClock.now(),
        bounds: None,
    };
    let access = Arc::new(Access::load(scratch.path().join("token")).unwrap());
    let (patience, ready) = (Patience::default(), CancellationToken::new());
    let daemon = Daemon { application, info, stop: stop.clone(), ready, patience, access };
    tokio::spawn(tcp::serve(listener, daemon, stop.clone()));
    address
}

/// As after some hours of work: a task in words, and permissions that were asked for and given.
fn fill(session: &mut Session) {
    session.spec.prompt = Some("Make it so, and mind the rest. ".repeat(64));
    for command in ["make test", "git push origin HEAD"] {
        let input = serde_json::json!({ "command": command, "description": "As was asked for." });
        let tool_use = ToolUse { tool: "Bash".to_owned(), input, subagent: None, is_cut: false };
        let now = SystemClock.now();
        session.observe(&Signal::Blocked { tool_use: tool_use.clone(), subject: Subject::default() }, now, now);
        session.observe(&Signal::Called(tool_use), now, now);
    }
    assert_eq!(session.facts.requests.answers().len(), 2);
}

async fn connect(address: SocketAddr) -> SendRequest<Empty<Bytes>> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    client
}
