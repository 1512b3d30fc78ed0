//! The stream of a terminal's lines, as slow readers and those that come back see it: the real router and listener in the test's own process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test panics when it fails, and takes time"
)]
#![allow(dead_code, reason = "the server is that of other tests too")]

#[path = "support/application.rs"]
mod application;
#[path = "support/event_server.rs"]
mod event_server;
#[path = "support/made_up_runtime.rs"]
mod made_up_runtime;

use std::sync::Arc;
use std::time::Duration;

use ao::adapters::http::Patience;
use ao::ports::runtime::Liveness;
use event_server::{BOUND, Server};
use made_up_runtime::Answers;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

const LONG: Duration = Duration::from_secs(600);

fn patient() -> Patience {
    Patience { cut_off: LONG, cut_off_at_stop: Duration::from_millis(100), slow: LONG, keep_alive: LONG }
}

/// One event.
#[derive(Debug, Default)]
struct Event {
    id: Option<String>,
    name: Option<String>,
    data: Value,
}

/// One end of a stream.
struct Reader(BufReader<UnixStream>);

impl Reader {
    async fn open(server: &Server, query: &str, last: Option<&str>) -> Self {
        let mut stream = UnixStream::connect(server.socket()).await.unwrap();
        let last = last.map(|id| format!("last-event-id: {id}\r\n")).unwrap_or_default();
        let path = format!("/api/v1/sessions/app-1/output/stream{query}");
        let request = format!("GET {path} HTTP/1.1\r\nhost: ao\r\nconnection: close\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self(BufReader::new(stream))
    }

    /// The next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let mut line = String::new();
            let read = tokio::time::timeout(BOUND, self.0.read_line(&mut line)).await.expect("something comes");
            if read.unwrap_or(0) == 0 {
                return None;
            }
            match line.trim_end().split_once(": ") {
                Some(("id", id)) => event.id = Some(id.to_owned()),
                Some(("event", name)) => event.name = Some(name.to_owned()),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                None if line.trim().is_empty() && (event.id.is_some() || event.name.is_some()) => return Some(event),
                // Of the head, and of the body's chunks.
                _ => {}
            }
        }
    }

    /// The numbers of the lines that come, as many as these; and the id of the last event.
    async fn numbers(&mut self, count: usize) -> (Vec<u64>, String) {
        let (mut numbers, mut last) = (Vec::new(), String::new());
        while numbers.len() < count {
            let event = self.next().await.expect("it goes on");
            assert_eq!(event.name, None, "{event:?}");
            numbers.extend(numbers_of(&event));
            last = event.id.expect("a place");
        }
        (numbers, last)
    }
}

fn numbers_of(event: &Event) -> Vec<u64> {
    let lines = event.data["lines"].as_array().cloned().unwrap_or_default();
    lines.iter().map(|line| line.as_str().unwrap().split(' ').nth(1).unwrap().parse().unwrap()).collect()
}

async fn server(patience: Patience) -> (Server, Arc<Answers>) {
    let runtime = Answers::new("made-up", Liveness::Unknown(String::new()));
    let runtimes: Vec<Arc<dyn ao::ports::runtime::Runtime>> = vec![runtime.clone()];
    (Server::start_with(patience, runtimes).await, runtime)
}

#[tokio::test]
async fn a_reader_goes_on_at_its_place_and_is_told_how_many_lines_went_by() {
    let (server, runtime) = server(patient()).await;
    runtime.has_lines(0..1_000);
    let mut reader = Reader::open(&server, "?lines=250", None).await;
    let (numbers, place) = reader.numbers(250).await;
    assert!(numbers.into_iter().eq(750..1_000));
    drop(reader);
    runtime.has_lines(0..1_500);
    let mut reader = Reader::open(&server, "?lines=3", Some(&place)).await;
    let (numbers, place) = reader.numbers(500).await;
    assert!(numbers.into_iter().eq(1_000..1_500));
    runtime.has_lines(2_000..3_000);
    let event = reader.next().await.unwrap();
    assert_eq!(event.data["unseen"], serde_json::json!({ "lines": 500 }), "{:?}", event.id);
    assert_eq!(numbers_of(&event).first(), Some(&2_000));
    // So is who was away meanwhile.
    let mut reader = Reader::open(&server, "", Some(&place)).await;
    let event = reader.next().await.unwrap();
    assert_eq!(event.data["unseen"], serde_json::json!({ "lines": 500 }), "{:?}", event.id);
    drop(reader);
    let mut answer = Vec::new();
    Reader::open(&server, "", Some("17")).await.0.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("invalid_request"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn who_is_too_slow_is_told_so_and_nothing_is_queued_for_it() {
    let slow = Duration::from_millis(200);
    let (server, runtime) = server(Patience { slow, ..patient() }).await;
    // More than the buffers of a connection take.
    runtime.has_lines(0..100_000);
    let mut reader = Reader::open(&server, "?lines=100000", None).await;
    let (numbers, _) = reader.numbers(1).await;
    assert_eq!(numbers[0], 0);
    // The longer this takes the slower it is.
    tokio::time::sleep(slow * 10).await;
    let (mut last, mut next) = (String::new(), numbers.len() as u64);
    let dropped = loop {
        let event = reader.next().await.expect("it is told why it ends");
        if event.name.as_deref() == Some("dropped") {
            break event;
        }
        let numbers = numbers_of(&event);
        assert_eq!(numbers.first(), Some(&next));
        next += numbers.len() as u64;
        last = event.id.unwrap();
    };
    assert_eq!(dropped.data["error"]["code"], "too_slow", "{dropped:?}");
    assert!(reader.next().await.is_none());
    assert!(next < 50_000, "{next} lines were held for it");
    let mut again = Reader::open(&server, "", Some(&last)).await;
    let (numbers, _) = again.numbers(1).await;
    assert_eq!(numbers[0], next);
    server.stop().await;
}

#[tokio::test]
async fn who_hears_nothing_is_told_where_it_is_and_a_stop_ends_it() {
    let keep_alive = Duration::from_millis(50);
    let (server, runtime) = server(Patience { keep_alive, ..patient() }).await;
    runtime.has_lines(0..10);
    let mut reader = Reader::open(&server, "?lines=0", None).await;
    let first = reader.next().await.unwrap();
    for _ in 0..3 {
        let event = reader.next().await.unwrap();
        assert_eq!((event.id, event.data), (first.id.clone(), Value::Null));
    }
    let stopping = tokio::spawn(server.stop());
    while let Some(event) = reader.next().await {
        assert_eq!(event.name, None, "the session is not over");
    }
    tokio::time::timeout(BOUND, stopping).await.expect("it stops").unwrap();
}
