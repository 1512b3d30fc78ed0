//! The stream of events, as many readers and slow ones see it: the real router, listener and store, in the test's own process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test panics when it fails, and takes time"
)]

#[path = "support/application.rs"]
mod application;
#[path = "support/event_server.rs"]
mod event_server;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ao::adapters::http::Patience;
use ao::ports::store::{ChangeLog, SessionStore};
use event_server::{BOUND, Reader, Server};

/// More than the buffers of a connection take.
const MANY: (usize, usize) = (1000, 4000);
const LONG: Duration = Duration::from_secs(600);

fn patient() -> Patience {
    Patience { cut_off: LONG, cut_off_at_stop: LONG, slow: LONG, keep_alive: LONG }
}

#[tokio::test(flavor = "multi_thread")]
async fn i16_two_hundred_followers_each_receive_every_event() {
    let server = Server::start(patient()).await;
    let begin = server.store.last_seq().await.unwrap();
    let mut readers = Vec::new();
    for number in 0..200 {
        // Some begin in the past, some with what happens now.
        let mut reader = server.follow(begin - number % 2).await;
        reader.read_up_to(begin - number % 2).await;
        readers.push(reader);
    }
    let newest = begin + 1000;
    let reading: Vec<_> = readers
        .into_iter()
        .map(|mut reader| {
            tokio::spawn(async move {
                reader.read_up_to(newest).await;
                reader
            })
        })
        .collect();
    assert_eq!(server.grow(1000, 50).await, newest);
    for reader in reading {
        let reader = tokio::time::timeout(BOUND, reader).await.expect("in time").unwrap();
        assert_eq!(reader.ids.last(), Some(&newest));
        assert!(reader.ids[0] <= begin);
        reader.has_no_gap();
    }
    server.stop().await;
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off_for_a_stated_reason_while_others_go_on() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let writer = Arc::new(log.reopen().unwrap());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(writer).finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let server = Server::start(Patience { cut_off: Duration::from_millis(300), ..patient() }).await;
    let begin = server.store.last_seq().await.unwrap();
    let (mut stalled, mut other) = (server.follow(begin).await, server.follow(begin).await);
    stalled.read_up_to(begin).await;
    let (newest, ()) = tokio::join!(server.grow(MANY.0, MANY.1), other.read_up_to(begin + MANY.0 as u64));
    other.has_no_gap();
    let said = || std::fs::read_to_string(log.path()).unwrap();
    let started = Instant::now();
    while !said().contains("takes nothing of what it asked for") {
        assert!(started.elapsed() < BOUND, "it is borne for ever: {}", said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(said().contains(&format!("Process(Some({}))", std::process::id())), "who it was: {}", said());
    stalled.read_to_end().await;
    stalled.has_no_gap();
    assert!(*stalled.ids.last().unwrap() < newest, "it was held in memory as a whole");
    let newest = server.grow(1, 10).await;
    other.read_up_to(newest).await;
    // What it missed is still there.
    let mut again = server.follow(*stalled.ids.last().unwrap()).await;
    again.read_up_to(newest).await;
    again.has_no_gap();
    server.stop().await;
}

#[tokio::test]
async fn who_is_too_slow_is_told_so_when_it_reads_on_and_can_begin_again() {
    let slow = Duration::from_millis(200);
    let server = Server::start(Patience { slow, ..patient() }).await;
    let begin = server.store.last_seq().await.unwrap();
    let mut reader = server.follow(begin).await;
    reader.read_up_to(begin).await;
    let newest = server.grow(MANY.0, MANY.1).await;
    // The longer this takes the slower it is.
    tokio::time::sleep(slow * 10).await;
    reader.read_to_end().await;
    reader.has_no_gap();
    let error = &reader.dropped.as_ref().expect("it is told why")["error"];
    assert_eq!(error["code"], "too_slow", "{error}");
    let last = *reader.ids.last().unwrap();
    assert!(last < newest);
    let mut again = Reader::open(&server, "/api/v1/events?since=0", &format!("last-event-id: {last}\r\n")).await;
    again.read_up_to(newest).await;
    assert_eq!(again.ids[0], last, "the header is newer than the query");
    again.has_no_gap();
    server.stop().await;
}

#[tokio::test]
async fn whom_the_log_has_overtaken_is_told_where_it_begins_now() {
    let server = Server::start(patient()).await;
    let begin = server.store.last_seq().await.unwrap();
    let mut reader = server.follow(begin).await;
    reader.read_up_to(begin).await;
    let newest = server.grow(MANY.0 * 4, MANY.1).await;
    server.store.trim_changes(5, u32::MAX).await.unwrap();
    reader.read_to_end().await;
    reader.has_no_gap();
    let error = &reader.dropped.as_ref().expect("it is told why")["error"];
    assert_eq!((&error["code"], &error["oldest"]), (&"changes_gone".into(), &(newest - 4).into()), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn a_stop_ends_streams_at_once_and_waits_for_nobody_who_takes_nothing() {
    let server = Server::start(Patience { cut_off_at_stop: Duration::from_millis(100), ..patient() }).await;
    let begin = server.store.last_seq().await.unwrap();
    let mut stalled = server.follow(begin).await;
    stalled.read_up_to(begin).await;
    let newest = server.grow(MANY.0, MANY.1).await;
    let mut idle = server.follow(newest).await;
    idle.read_up_to(newest).await;
    tokio::time::timeout(BOUND, server.stop()).await.expect("it stops");
    idle.read_to_end().await;
    assert!(idle.dropped.is_none());
    stalled.read_to_end().await;
    stalled.has_no_gap();
}

#[tokio::test]
async fn silence_is_bounded_and_tells_a_reader_of_one_session_where_the_log_is() {
    let server = Server::start(Patience { keep_alive: Duration::from_millis(50), ..patient() }).await;
    let mut quiet = application::session(9, "command", "none", "/nowhere".into());
    server.store.insert_session(&mut quiet, &[]).await.unwrap();
    let begin = server.store.last_seq().await.unwrap();
    let mut reader = Reader::open(&server, &format!("/api/v1/events?session=app-9&since={begin}"), "").await;
    reader.read_up_to(begin).await;
    let newest = server.grow(300, 10).await;
    reader.read_up_to(newest).await;
    server.store.trim_changes(0, u32::MAX).await.unwrap();
    let mut again =
        Reader::open(&server, "/api/v1/events?session=app-9", &format!("last-event-id: {newest}\r\n")).await;
    again.read_up_to(newest).await;
    server.stop().await;
}
