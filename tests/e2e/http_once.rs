//! `Idempotency-Key`: what is asked again is answered again, and not done again.

use ao::adapters::store::SqliteStore;
use ao::ports::answer_store::{AnswerKey, AnswerRecord, AnswerStore};
use serde_json::{Value, json};

use crate::http_client::{Port, Response};
use crate::sandbox::{Sandbox, signal};

fn a_sleep() -> Value {
    json!({ "project": "app", "agent": "command", "runtime": "pty", "agent_args": ["sleep", "3600"] })
}

async fn post(port: &Port, path: &str, key: &str, body: &Value) -> Response {
    port.ask("POST", path, &format!("Idempotency-Key: {key}\r\n"), Some(body)).await
}

async fn registered(sandbox: &Sandbox) -> Port {
    let port = Port::of(sandbox).await;
    sandbox.ao(&["project", "add", "."]).await.ok();
    port
}

async fn sessions(port: &Port) -> usize {
    port.get("/api/v1/sessions?all=true").await.json()["items"].as_array().unwrap().len()
}

fn a_persons(route: &str, key: &str) -> AnswerKey {
    AnswerKey { asker: None, route: route.to_owned(), key: key.to_owned() }
}

async fn store(sandbox: &Sandbox) -> SqliteStore {
    SqliteStore::open(&sandbox.path("data/ao.db")).await.unwrap()
}

/// What a daemon leaves that ends between the deed and the answer's record.
async fn lose_answers(sandbox: &Sandbox, keys: &[AnswerKey]) {
    let store = store(sandbox).await;
    for key in keys {
        let record = store.answer(key).await.unwrap().expect("the key is on record");
        assert!(record.answer.is_some());
        store.put_answer(key, &AnswerRecord { answer: None, ..record }).await.unwrap();
    }
    store.close().await;
}

/// Has messages typed to it.
const ASKS: &str = "[agents.asks]\nkind = 'command'\nprompt = 'ask>'\n\
    command = ['sh', '-c', \"printf 'ask> '; while read -r line; do printf 'ask> '; done\"]\n";

async fn with_one_that_asks() -> (Sandbox, Port) {
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("XDG_CONFIG_HOME".into(), sandbox.path("config").to_str().unwrap().into());
    std::fs::create_dir_all(sandbox.path("config/ao")).unwrap();
    std::fs::write(sandbox.path("config/ao/config.toml"), ASKS).unwrap();
    let port = registered(&sandbox).await;
    (sandbox, port)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spawn_that_is_asked_again_with_its_key_is_answered_again_and_not_done_again() {
    let sandbox = Sandbox::new();
    let port = registered(&sandbox).await;
    let first = post(&port, "/api/v1/sessions", "k-1", &a_sleep()).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (202, None), "{first:#?}");
    let again = post(&port, "/api/v1/sessions", "k-1", &a_sleep()).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (202, Some("true")), "{again:#?}");
    assert_eq!((again.json(), again.header("location")), (first.json(), Some("/api/v1/sessions/app-1")));
    assert_eq!(sessions(&port).await, 1);

    let mut other = a_sleep();
    other["name"] = json!("other");
    let reused = post(&port, "/api/v1/sessions", "k-1", &other).await;
    assert_eq!(reused.refusal(), (409, "idempotency_key_reused".to_owned()));
    for wrong in [String::new(), "x".repeat(256), "a b".to_owned(), "\u{e9}".to_owned()] {
        let denied = post(&port, "/api/v1/sessions", &wrong, &a_sleep()).await;
        assert_eq!(denied.refusal(), (400, "invalid_idempotency_key".to_owned()), "{wrong:?}");
    }
    // Two who ask at once are one.
    let (body, path) = (a_sleep(), "/api/v1/sessions");
    let (one, two) = tokio::join!(post(&port, path, "k-2", &body), post(&port, path, "k-2", &body));
    assert_eq!((one.status, two.status), (202, 202));
    assert_eq!(one.json(), two.json());
    assert_eq!(sessions(&port).await, 2);
    for session in ["app-1", "app-2"] {
        sandbox.ao(&["kill", session]).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_may_be_tried_again_under_its_key() {
    let sandbox = Sandbox::new();
    let port = registered(&sandbox).await;
    let place = sandbox.path("later");
    std::fs::create_dir(&place).unwrap();
    let body = json!({ "path": place });
    let refused = post(&port, "/api/v1/projects", "k", &body).await;
    assert_eq!(refused.refusal(), (422, "not_a_repository".to_owned()));
    sandbox.make_repository("later");
    let added = post(&port, "/api/v1/projects", "k", &body).await;
    assert_eq!((added.status, &added.json()["added"]), (200, &json!(true)), "{added:#?}");
    let again = post(&port, "/api/v1/projects", "k", &body).await;
    assert_eq!((again.status, &again.json()["added"]), (200, &json!(true)), "the answer there was");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_outlive_a_daemon_that_is_killed_also_before_it_kept_its_answer() {
    let (sandbox, port) = with_one_that_asks().await;
    let asks = json!({ "project": "app", "agent": "asks", "runtime": "pty" });
    let spawned = post(&port, "/api/v1/sessions", "spawn", &asks).await;
    assert_eq!(spawned.status, 202, "{spawned:#?}");
    port.get("/api/v1/sessions/app-1/wait?for=ready&timeout_ms=30000").await;
    let messages = "/api/v1/sessions/app-1/messages";
    let sent = post(&port, messages, "send", &json!({ "body": "hello" })).await;
    assert_eq!(sent.status, 202, "{sent:#?}");

    signal(sandbox.daemon_pid().await, rustix::process::Signal::KILL);
    let port = Port::of(&sandbox).await;
    let again = post(&port, "/api/v1/sessions", "spawn", &asks).await;
    assert_eq!((again.json(), again.header("idempotent-replayed")), (spawned.json(), Some("true")));

    signal(sandbox.daemon_pid().await, rustix::process::Signal::KILL);
    let lost = [a_persons("POST /api/v1/sessions", "spawn"), a_persons("POST /api/v1/sessions/app-1/messages", "send")];
    lose_answers(&sandbox, &lost).await;
    let port = Port::of(&sandbox).await;
    let again = post(&port, "/api/v1/sessions", "spawn", &asks).await;
    assert_eq!((again.status, &again.json()["session"]["id"]), (202, &json!("app-1")), "{again:#?}");
    assert_eq!(again.header("location"), Some("/api/v1/sessions/app-1"));
    let again = post(&port, messages, "send", &json!({ "body": "hello" })).await;
    assert_eq!((again.status, &again.json()["id"]), (202, &sent.json()["id"]), "{again:#?}");
    assert_eq!(sessions(&port).await, 1);
    assert_eq!(port.get(messages).await.json()["items"].as_array().unwrap().len(), 1);
    sandbox.ao(&["kill", "app-1"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_after_a_day_and_when_a_thousand_newer_ones_are_there() {
    let (sandbox, port) = with_one_that_asks().await;
    post(&port, "/api/v1/sessions", "spawn", &json!({ "project": "app", "agent": "asks", "runtime": "pty" })).await;
    // A stop undoes a spawn that is under way.
    port.get("/api/v1/sessions/app-1/wait?for=ready&timeout_ms=30000").await;
    let messages = "/api/v1/sessions/app-1/messages";
    let hello = json!({ "body": "hello" });
    let mut ids = Vec::new();
    for key in ["aged", "outnumbered", "kept"] {
        let sent = post(&port, messages, key, &hello).await;
        assert_eq!(sent.status, 202, "{sent:#?}");
        ids.push(sent.json()["id"].clone());
    }
    sandbox.ao(&["stop"]).await.ok();
    let route = format!("POST {messages}");
    let store = store(&sandbox).await;
    let [aged, outnumbered, kept] = ["aged", "outnumbered", "kept"].map(|key| a_persons(&route, key));
    for (key, hours) in [(&aged, 25), (&outnumbered, 2), (&kept, 1)] {
        let record = store.answer(key).await.unwrap().unwrap();
        let begun_at = record.begun_at - jiff::SignedDuration::from_hours(hours);
        store.put_answer(key, &AnswerRecord { begun_at, ..record }).await.unwrap();
    }
    let record = store.answer(&kept).await.unwrap().unwrap();
    // With the spawn's and the one that is kept a thousand; those of an agent take nobody's place.
    for number in 0..998 {
        store.put_answer(&a_persons(&route, &format!("more-{number}")), &record).await.unwrap();
    }
    let of_an_agent = AnswerKey { asker: Some("app-1".parse().unwrap()), ..a_persons(&route, "its") };
    store.put_answer(&of_an_agent, &record).await.unwrap();
    store.close().await;

    let port = Port::of(&sandbox).await;
    let again = post(&port, messages, "kept", &hello).await;
    assert_eq!((&again.json()["id"], again.header("idempotent-replayed")), (&ids[2], Some("true")));
    for (key, id) in [("outnumbered", &ids[1]), ("aged", &ids[0])] {
        let anew = post(&port, messages, key, &hello).await;
        assert_eq!((anew.status, anew.header("idempotent-replayed")), (202, None), "{key}");
        assert_ne!(anew.json()["id"], *id, "{key}: a key that was forgotten finds the message of then");
    }
    sandbox.ao(&["kill", "app-1"]).await.ok();
}

/// Says to the daemon on the Unix socket what the second argument is.
const SAY: &str = "#!/usr/bin/perl\nuse IO::Socket::UNIX;\n\
    my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!;\nprint $socket $ARGV[1];\nprint while <$socket>;\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_of_a_person_are_not_those_of_an_agent() {
    let mut sandbox = Sandbox::new();
    sandbox.install("say", SAY);
    let port = registered(&sandbox).await;
    sandbox.make_repository("later");
    let body = json!({ "path": sandbox.path("later") });
    let persons = post(&port, "/api/v1/projects", "k", &body).await;
    assert_eq!((persons.status, &persons.json()["added"]), (200, &json!(true)), "{persons:#?}");

    let text = body.to_string();
    let said = format!(
        "POST /api/v1/projects HTTP/1.1\r\nHost: ao\r\nIdempotency-Key: k\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    std::fs::write(sandbox.path("said"), said).unwrap();
    let (socket, words) = (sandbox.path("data/run/daemon.sock"), sandbox.path("said"));
    let script = format!(
        "say {} \"$(cat {})\" > answer.part; mv answer.part answer; sleep 600",
        socket.display(),
        words.display()
    );
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", &script]).await.ok();
    let answer = sandbox.worktree("app-1").join("answer");
    sandbox.until("the agent has its answer", || answer.exists()).await;
    let answer = std::fs::read_to_string(&answer).unwrap();
    assert!(answer.contains("200 OK") && !answer.contains("idempotent-replayed"), "it has a person's answer: {answer}");
    assert!(answer.contains(r#""added":false"#), "{answer}");
    let again = post(&port, "/api/v1/projects", "k", &body).await;
    assert_eq!((&again.json()["added"], again.header("idempotent-replayed")), (&json!(true), Some("true")));
    sandbox.ao(&["kill", "app-1"]).await.ok();
}
