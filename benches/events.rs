//! What it takes to tell two hundred followers of ten thousand events each. Prints figures;
//! run it with `make bench`.
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
#[path = "../tests/support/event_server.rs"]
mod event_server;

use std::time::Instant;

use ao::adapters::http::Patience;
use ao::ports::store::ChangeLog;
use event_server::Server;

const FOLLOWERS: usize = 200;
const EVENTS: usize = 10_000;

#[tokio::main]
async fn main() {
    // `cargo test` runs benchmarks too, for a moment each: this one is for `cargo bench` alone.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let server = Server::start(Patience::default()).await;
    let begin = server.store.last_seq().await.unwrap();
    let newest = begin + EVENTS as u64;
    let started = Instant::now();
    let reading = follow(&server, begin, newest).await;
    server.grow(EVENTS, 50).await;
    println!("{EVENTS} events written  {:7.2} s", started.elapsed().as_secs_f64());
    finish(reading).await;
    println!("{FOLLOWERS} told as they come  {:7.2} s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    finish(follow(&server, begin, newest).await).await;
    println!("{FOLLOWERS} told from the log  {:7.2} s", started.elapsed().as_secs_f64());
    server.stop().await;
}

type Reading = Vec<tokio::task::JoinHandle<()>>;

/// Readers that insist on every event from `begin` to `newest`.
async fn follow(server: &Server, begin: u64, newest: u64) -> Reading {
    let mut reading = Vec::new();
    for _ in 0..FOLLOWERS {
        let mut reader = server.follow(begin).await;
        reading.push(tokio::spawn(async move {
            reader.read_up_to(newest).await;
            assert_eq!((reader.ids[0], reader.ids.last()), (begin, Some(&newest)));
            reader.has_no_gap();
        }));
    }
    reading
}

async fn finish(reading: Reading) {
    for reader in reading {
        reader.await.unwrap();
    }
}
