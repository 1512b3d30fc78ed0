//! `Idempotency-Key`: what is asked again is answered again, and not done again.

use ao::adapters::store::SqliteStore;
use ao::ports::answer_store::{AnswerRecord, AnswerStore};
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

/// What a daemon leaves that ends between the deed and the answer's record.
async fn lose_answers(sandbox: &Sandbox, keys: &[&str]) {
    let store = SqliteStore::open(&sandbox.path("data/ao.db")).await.unwrap();
    for key in keys {
        let record = store.answer(key).await.unwrap().expect("the key is on record");
        assert!(record.answer.is_some());
        store.put_answer(key, &AnswerRecord { answer: None, ..record }).await.unwrap();
    }
    store.close().await;
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
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("XDG_CONFIG_HOME".into(), sandbox.path("config").to_str().unwrap().into());
    std::fs::create_dir_all(sandbox.path("config/ao")).unwrap();
    let typed_to = "[agents.asks]\nkind = 'command'\ncommand = ['sh', '-c', \"printf 'ask> '; while read -r line; do printf 'ask> '; done\"]\nprompt = 'ask>'\n";
    std::fs::write(sandbox.path("config/ao/config.toml"), typed_to).unwrap();
    let port = registered(&sandbox).await;
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
    lose_answers(&sandbox, &["POST /api/v1/sessions spawn", "POST /api/v1/sessions/app-1/messages send"]).await;
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
