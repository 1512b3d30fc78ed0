//! What happened, as `ao events` and the stream tell it: all of it, once, in order, whatever becomes of the daemon.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use ao::adapters::cli::client::Client;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::sandbox::{BOUND, Sandbox, signal};

/// `ao events` in the background, printing into a file.
struct Follower {
    child: tokio::process::Child,
    printed: PathBuf,
}

impl Follower {
    fn start(sandbox: &Sandbox, name: &str, args: &[&str]) -> Self {
        let printed = sandbox.path(name);
        let file = std::fs::File::create(&printed).unwrap();
        let mut command = tokio::process::Command::from(sandbox.command(&[&["events", "-f"], args].concat()));
        Self { child: command.stdout(file).kill_on_drop(true).spawn().unwrap(), printed }
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(&self.printed).unwrap()
    }

    /// Interrupts it, which is how it is left.
    async fn leave(mut self) {
        signal(self.child.id().unwrap(), Signal::INT);
        let ended = tokio::time::timeout(BOUND, self.child.wait()).await.expect("it ends");
        assert_eq!(ended.unwrap().code(), Some(0));
    }
}

async fn socket(sandbox: &Sandbox) -> PathBuf {
    let run = sandbox.ao(&["status", "--json"]).await;
    run.ok();
    run.json()["socket"].as_str().unwrap().into()
}

/// Makes changes until it is told to end, as far as a daemon is there.
async fn keep_changing(sandbox: &Sandbox, client: &Client, shall_end: &AtomicBool) {
    while !shall_end.load(Ordering::Relaxed) {
        let _ = client.post::<Value>("/projects", &json!({ "path": sandbox.repo() })).await;
        if client.delete::<Value>("/projects/app").await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

fn seqs(lines: &str) -> Vec<u64> {
    lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn i16_a_follower_misses_nothing_and_is_told_nothing_twice_while_daemons_are_killed() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    let client = Client::new(&socket(&sandbox).await);
    let follower = Follower::start(&sandbox, "json", &["--json"]);
    let shall_end = AtomicBool::new(false);
    let storm = async {
        for round in 1..=5 {
            let before = seqs(&follower.printed()).len();
            sandbox.until("it is told what happens", || seqs(&follower.printed()).len() > before + 20).await;
            let daemon = sandbox.daemon_pid().await;
            if round == 5 {
                sandbox.ao(&["stop"]).await.ok();
            } else {
                signal(daemon, Signal::KILL);
                sandbox.until("the daemon is dead", || !Sandbox::is_running(daemon)).await;
            }
            sandbox.ao(&["start"]).await.ok();
        }
        shall_end.store(true, Ordering::Relaxed);
    };
    tokio::join!(storm, keep_changing(&sandbox, &client, &shall_end));
    let all = sandbox.ao(&["events", "--json"]).await;
    let expected = seqs(&all.ok());
    assert_eq!(expected, (1..=expected.len() as u64).collect::<Vec<_>>());
    sandbox.until("it is told the last", || follower.printed().len() >= all.stdout.len()).await;
    assert_eq!(follower.printed(), all.stdout, "the same lines, and each once");
    follower.leave().await;
}

#[tokio::test]
async fn what_became_of_a_session_is_told_in_words_and_local_time() {
    let zone = BTreeMap::from([("TZ".to_owned(), "<+0545>-5:45".to_owned())]);
    let sandbox = Sandbox::with_env(zone);
    sandbox.ao(&["start"]).await.ok();
    let follower = Follower::start(&sandbox, "words", &[]);
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--"];
    sandbox.ao(&[&args[..], &["sh", "-c", "sleep 2; exit 3"]].concat()).await.fails(1, &["exit code 3"]);
    sandbox.ao(&[&args[..], &["true"]].concat()).await.ok();
    let told = sandbox.ao(&["events", "app-1"]).await.ok();
    let first = told.lines().next().unwrap();
    assert!(first.contains("  app-1       recorded, branch ao/app-1"), "{told}");
    assert!(told.lines().last().unwrap().ends_with("app-1       over: exited with code 3"), "{told}");
    assert!(told.lines().all(|line| line.contains("  app-1  ")), "{told}");
    let recorded: Value =
        sandbox.ao(&["events", "app-1", "--json"]).await.ok().lines().next().unwrap().parse().unwrap();
    let at: ao::domain::Timestamp = recorded["at"].as_str().unwrap().parse().unwrap();
    let local = at.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::Offset::from_seconds(20_700).unwrap()));
    assert!(first.contains(&local.strftime("%F %T").to_string()), "{first} is not {local}");
    // After a number, and of all.
    let second = sandbox.ao(&["events", "--since", &recorded["seq"].to_string()]).await.ok();
    assert_eq!(second.lines().next().unwrap(), told.lines().nth(1).unwrap());
    assert!(second.contains("app-2  "), "{second}");
    assert_eq!(sandbox.ao(&["events", "--since", "now"]).await.ok(), "");
    sandbox.ao(&["events", "app-9"]).await.fails(4, &["there is no session app-9"]);
    sandbox.ao(&["events", "-f", "app-9"]).await.fails(4, &["there is no session app-9"]);
    for follows in [&[][..], &["-f"]] {
        let args = [&["events", "--since", "9999"], follows].concat();
        sandbox.ao(&args).await.fails(2, &["there is no change 9999 yet"]);
    }
    let all = sandbox.ao(&["events"]).await.stdout;
    sandbox.until("it is told as it happens", || follower.printed() == all).await;
    follower.leave().await;
    sandbox.ao(&["stop"]).await.ok();
    sandbox.ao(&["events", "-f"]).await.fails(3, &["no daemon answers", "ao start"]);
}

/// As with `ao events -f | head -1`, also where nothing happens any more.
#[tokio::test]
async fn a_reader_that_goes_away_ends_it_quietly() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    sandbox.ao(&["project", "add", "."]).await.ok();
    let mut command = tokio::process::Command::from(sandbox.command(&["events", "-f"]));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut events = command.spawn().unwrap();
    let mut reader = events.stdout.take().unwrap();
    reader.read_u8().await.unwrap();
    assert!(events.try_wait().unwrap().is_none(), "it goes on while somebody reads");
    drop(reader);
    let output = tokio::time::timeout(BOUND, events.wait_with_output()).await.expect("it ends").unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

/// Sends a request for the stream; gives what comes until there is `enough` of it, or the connection ends.
async fn raw(sandbox: &Sandbox, path: &str, headers: &str, enough: &str) -> String {
    let mut stream = UnixStream::connect(socket(sandbox).await).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: ao\r\nconnection: close\r\naccept: text/event-stream\r\n");
    stream.write_all(format!("{head}{headers}\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let whole = async {
        while stream.read_buf(&mut answer).await.unwrap() > 0 {
            if String::from_utf8_lossy(&answer).contains(enough) {
                break;
            }
        }
    };
    let in_time = tokio::time::timeout(BOUND, whole).await;
    let answer = String::from_utf8(answer).unwrap();
    in_time.unwrap_or_else(|_| panic!("{enough:?} does not come: {answer}"));
    answer
}

#[tokio::test]
async fn a_stream_begins_where_the_header_or_the_query_says_or_says_why_not() {
    let keep = BTreeMap::from([("AO_KEEP_CHANGES".to_owned(), "20".to_owned())]);
    let sandbox = Sandbox::with_env(keep);
    sandbox.ao(&["start"]).await.ok();
    let client = Client::new(&socket(&sandbox).await);
    for _ in 0..40 {
        client.post::<Value>("/projects", &json!({ "path": sandbox.repo() })).await.unwrap();
        client.delete::<Value>("/projects/app").await.unwrap();
    }
    let answer = raw(&sandbox, "/api/v1/events?since=78", "", "\"seq\":80").await;
    assert!(answer.contains("content-type: text/event-stream\r\n"), "{answer}");
    assert!(answer.contains("id: 78\n\n") && answer.contains("id: 79\n") && answer.contains("id: 80\n"), "{answer}");
    let answer = raw(&sandbox, "/api/v1/events?since=78", "Last-Event-ID: 79\r\n", "\"seq\":80").await;
    assert!(!answer.contains("id: 78\n") && !answer.contains("\"seq\":79"), "{answer}");
    let answer = raw(&sandbox, "/api/v1/events", "", "\nid: ").await;
    assert!(answer.contains("id: 80\n\n") && !answer.contains("data:"), "only where it begins: {answer}");
    let answer = raw(&sandbox, "/api/v1/events?since=81", "", "}}").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("changes_ahead"), "{answer}");
    let answer = raw(&sandbox, "/api/v1/events", "Last-Event-ID: abc\r\n", "}}").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("invalid_request"), "{answer}");
    // Trimmed: the same answer as a page, by which it can be gone on.
    let begun = std::time::Instant::now();
    let oldest = loop {
        let answer = raw(&sandbox, "/api/v1/events", "Last-Event-ID: 1\r\n", "}}").await;
        if answer.starts_with("HTTP/1.1 410 ") {
            let body: Value = answer.split("\r\n\r\n").nth(1).unwrap().parse().unwrap();
            assert_eq!(body["error"]["code"], "changes_gone");
            let oldest = body["error"]["oldest"].as_u64().unwrap();
            if oldest >= 59 {
                break oldest;
            }
        }
        assert!(begun.elapsed() < BOUND, "it was never trimmed\n{}", sandbox.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let hint = format!("ao events --since {}", oldest - 1);
    for follow in [&["events", "--since", "1"][..], &["events", "-f", "--since", "1"]] {
        sandbox.ao(follow).await.fails(1, &["are not on record any more", &hint]);
    }
    // Who asks for everything is given all there is.
    let all = seqs(&sandbox.ao(&["events", "--json"]).await.ok());
    assert_eq!(all, (oldest..=80).collect::<Vec<_>>());
    let follower = Follower::start(&sandbox, "json", &["--json"]);
    sandbox.until("it is told what there is", || seqs(&follower.printed()) == all).await;
    follower.leave().await;
}
