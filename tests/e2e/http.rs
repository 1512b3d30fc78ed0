//! The API over TCP, as scripts use it.

use std::collections::BTreeSet;

use ao::adapters::cli::client::Client;
use serde_json::{Value, json};

use crate::http_client::Port;
use crate::sandbox::Sandbox;

fn a_sleep(project: &str) -> Value {
    json!({ "project": project, "agent": "command", "runtime": "pty", "agent_args": ["sleep", "3600"] })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_spawned_followed_and_ended_over_http_alone() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    let added = port.post("/api/v1/projects", &json!({ "path": sandbox.repo() })).await;
    assert_eq!((added.status, &added.json()["added"]), (200, &json!(true)), "{added:#?}");

    let spawned = port.post("/api/v1/sessions", &a_sleep("app")).await;
    assert_eq!((spawned.status, spawned.header("location")), (202, Some("/api/v1/sessions/app-1")), "{spawned:#?}");
    let seq = spawned.json()["seq"].as_u64().unwrap();
    let ready = port.get("/api/v1/sessions/app-1/wait?for=ready&timeout_ms=30000").await.json();
    assert_eq!(ready["outcome"], "reached", "{ready:#}");
    let changes = port.get(&format!("/api/v1/events?since={seq}&session=app-1")).await.json();
    let kinds: Vec<&str> =
        changes["changes"].as_array().unwrap().iter().map(|change| change["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"session.recorded") && kinds.contains(&"session.live"), "{kinds:?}");

    let killed = port.post("/api/v1/sessions/app-1/kill", &json!({})).await;
    assert_eq!((killed.status, &killed.json()["session"]["status"]), (200, &json!("terminated")), "{killed:#?}");
    assert!(port.get("/api/v1/doctor").await.json().as_array().is_some_and(|checks| checks.len() > 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages_that_follow_one_another() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    for name in ["one", "two", "three", "four", "five"] {
        sandbox.make_repository(name);
        sandbox.ao(&["project", "add", sandbox.path(name).to_str().unwrap()]).await.ok();
        sandbox.ao(&["spawn", "-p", name, "--agent", "command", "--runtime", "pty", "--", "sleep", "3600"]).await.ok();
    }
    for (list, key) in [("projects", "id"), ("sessions", "id")] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = port.get(&format!("/api/v1/{list}?limit=2{cursor}")).await.json();
            let items = page["items"].as_array().unwrap().iter();
            seen.extend(items.map(|item| item[key].as_str().unwrap().to_owned()));
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let mut sorted: Vec<String> = seen.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect();
        sorted.sort();
        assert_eq!((seen.len(), pages), (5, 3), "{list}: {seen:?}");
        assert_eq!(seen, sorted, "{list}");
    }
    for list in ["projects", "sessions"] {
        for wrong in ["cursor=zz", "cursor=", "limit=0", "limit=1001", "limit=x", "cursor=00ff", "cursor=3f"] {
            let refused = port.get(&format!("/api/v1/{list}?{wrong}")).await.refusal();
            assert_eq!(refused, (400, "invalid_request".to_owned()), "{list} {wrong}");
        }
    }
    for name in ["one", "two", "three", "four", "five"] {
        sandbox.ao(&["kill", &format!("{name}-1")]).await.ok();
    }
    // The last one of a page is gone when the next one is asked for.
    let first = port.get("/api/v1/projects?limit=2").await.json();
    sandbox.ao(&["project", "rm", first["items"][1]["id"].as_str().unwrap()]).await.ok();
    let second = port.get(&format!("/api/v1/projects?limit=2&cursor={}", first["next"].as_str().unwrap())).await;
    let ids: Vec<Value> = second.json()["items"].as_array().unwrap().iter().map(|item| item["id"].clone()).collect();
    assert_eq!(ids, ["one", "three"], "{second:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_refused_is_refused_in_the_same_shape_and_with_the_requests_id() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    let json_type = "Content-Type: application/json\r\n";
    let with = |more: &str, body: &str| format!("{more}Content-Length: {}\r\n\r\n{body}", body.len());
    for (line, rest, code) in [
        ("GET /nowhere", "\r\n".to_owned(), (404, "no_such_path")),
        ("GET /api/v1/nowhere", "\r\n".to_owned(), (404, "no_such_path")),
        ("PUT /api/v1/sessions", "\r\n".to_owned(), (405, "method_not_allowed")),
        ("DELETE /healthz", "\r\n".to_owned(), (405, "method_not_allowed")),
        ("GET /api/v1/sessions/app-1", "\r\n".to_owned(), (404, "unknown_session")),
        ("GET /api/v1/sessions/%ff", "\r\n".to_owned(), (400, "invalid_request")),
        ("GET /api/v1/sessions?all=maybe", "\r\n".to_owned(), (400, "invalid_request")),
        ("GET /api/v1/events?since=99&wait_ms=no", "\r\n".to_owned(), (400, "invalid_request")),
        ("POST /api/v1/cleanup", with(json_type, "{"), (400, "invalid_request")),
        ("POST /api/v1/cleanup", with(json_type, "{\"everything\":true}"), (400, "invalid_request")),
        ("POST /api/v1/cleanup", with("Content-Type: text/plain\r\n", "{}"), (415, "unsupported_media_type")),
        ("POST /api/v1/cleanup", with("", "{}"), (415, "unsupported_media_type")),
    ] {
        let answer = port.say(&format!("{line} HTTP/1.1\r\n{}X-Request-Id: mine-1\r\n{rest}", port.headers())).await;
        assert_eq!(answer.refusal(), (code.0, code.1.to_owned()), "{line}: {answer:#?}");
        assert_eq!(answer.json()["error"]["request_id"], "mine-1", "{line}");
        assert_eq!(answer.header("x-request-id"), Some("mine-1"), "{line}");
    }
    // Only what is no request has neither, as docs/http.md says.
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X-Y: z\r\n".repeat(200));
    for (text, status) in [("GARBAGE\r\n\r\n", 400), (&long, 414), (&many, 431)] {
        let answer = port.say(text).await;
        assert_eq!((answer.status, answer.body.as_str(), answer.header("x-request-id")), (status, "", None));
    }
    // What could forge a line of the log is not taken.
    let made = port.ask("GET", "/nowhere", "X-Request-Id: a b\r\n", None).await;
    assert_eq!(made.json()["error"]["request_id"].as_str(), made.header("x-request-id"));
    assert_eq!(made.header("x-request-id").unwrap().len(), 36);
    assert!(sandbox.log().contains("mine-1"), "the log does not have the request's id");

    let document = port.get("/api/v1/openapi.json").await;
    let committed = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json")).unwrap();
    assert!(document.json() == serde_json::from_str::<Value>(&committed).unwrap(), "another document is served");
    assert_eq!((port.get("/readyz").await.status, port.get("/healthz").await.status), (200, 200));
}

/// A name that is mistyped must not mean that nothing was said: who lists the sessions of `projct=web` would end those of all projects.
#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_an_operation_does_not_have_is_refused_on_every_path() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    let document = port.get("/api/v1/openapi.json").await.json();
    let described = document["paths"].as_object().unwrap().iter();
    let described = described.flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |key| (key, path)));
    let mut asked: Vec<(String, String)> =
        described.map(|(method, path)| (method.to_uppercase(), path.replace(['{', '}'], ""))).collect();
    assert!(asked.len() >= 25, "operations are missing: {asked:?}");
    asked.extend(["/healthz", "/readyz", "/api/v1/openapi.json"].map(|path| ("GET".to_owned(), path.to_owned())));
    // One is for the Unix socket alone.
    let is_for_the_socket = |path: &str| path == "/api/v1/daemon/token";
    let socket = Client::new(&sandbox.path("data/run/daemon.sock"));
    let refused = socket.post::<Value>("/daemon/token?nonsense=1", &json!({})).await.unwrap_err();
    assert!(refused.to_string().contains("has no parameter \"nonsense\""), "{refused}");
    for (method, path) in asked.into_iter().filter(|(_, path)| !is_for_the_socket(path)) {
        let refused = port.ask(&method, &format!("{path}?nonsense=1"), "", None).await;
        assert_eq!(refused.refusal(), (400, "invalid_request".to_owned()), "{method} {path}: {refused:#?}");
        assert!(refused.body.contains("has no parameter \\\"nonsense\\\""), "{method} {path}: {refused:#?}");
    }
    assert_eq!(port.ask("HEAD", "/api/v1/sessions?nonsense=1", "", None).await.status, 400);
    assert_eq!(port.ask("HEAD", "/api/v1/sessions?all=true", "", None).await.status, 200);
    let refused = port.get("/api/v1/sessions?limit=1&projct=app&all=true").await.json();
    assert_eq!(refused["error"]["hint"], "it takes project, all, cursor, limit");
    // Nor does an empty query say anything.
    assert_eq!(port.get("/api/v1/sessions?").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_whose_fields_all_have_defaults_can_be_left_out() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    port.post("/api/v1/projects", &json!({ "path": sandbox.repo() })).await;
    assert_eq!(port.post("/api/v1/sessions", &a_sleep("app")).await.status, 202);
    port.get("/api/v1/sessions/app-1/wait?for=ready&timeout_ms=30000").await;
    let document = port.get("/api/v1/openapi.json").await.json();
    let mut left_out = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let about = &item["post"]["requestBody"];
        let here = path.replace("{id}", "app-1");
        match about["required"].as_bool() {
            Some(true) => {
                let refused = port.ask("POST", &here, "", None).await;
                assert_eq!(refused.refusal(), (400, "invalid_request".to_owned()), "{path}: {refused:#?}");
            }
            Some(false) => {
                let done = port.ask("POST", &here, "", None).await;
                assert!((200..300).contains(&done.status), "{path}: {done:#?}");
                left_out.push(path.trim_start_matches("/api/v1"));
            }
            None => {}
        }
    }
    assert_eq!(left_out, ["/cleanup", "/restore", "/sessions/{id}/kill", "/sessions/{id}/restore"]);
    let said = format!("\"http\":\"{}\"", port.address);
    assert!(sandbox.log().contains(&said), "where it serves is not in the log as it is: {said}");
    sandbox.ao(&["kill", "app-1"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_to_the_terminal_of_a_session_that_is_over_is_told_so_and_what_is_left() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    sandbox
        .ao(&["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--", "sh", "-c", "sleep 2; exit 3"])
        .await
        .fails(1, &["exit code 3"]);
    let upgrade = "Connection: close, upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let headers = port.headers().replace("Connection: close\r\n", upgrade);
    let answer = port.say(&format!("GET /api/v1/sessions/app-1/terminal HTTP/1.1\r\n{headers}\r\n")).await;
    assert_eq!(answer.refusal(), (409, "no_terminal".to_owned()), "{answer:#?}");
    let error = &answer.json()["error"];
    assert_eq!(error["message"], "app-1 is over (exited with code 3), so it has no terminal any more");
    assert_eq!(error["hint"], "see what it showed with: ao output app-1; bring it back with: ao restore app-1");
}

/// Nothing ever happens to it, so who mistyped its id would wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_session_that_never_was_are_refused_as_a_page_and_as_a_stream() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    port.post("/api/v1/projects", &json!({ "path": sandbox.repo() })).await;
    for query in ["", "&since=0", "&since=0&wait_ms=30000", "&since=99"] {
        for accepts in ["", "Accept: text/event-stream\r\n"] {
            let path = format!("/api/v1/events?session=app-9{query}");
            let refused = port.ask("GET", &path, accepts, None).await;
            assert_eq!(refused.refusal(), (404, "unknown_session".to_owned()), "{path} {accepts}: {refused:#?}");
        }
    }
}

/// Damages a record.
async fn execute(sandbox: &Sandbox, statement: &str) {
    use sqlx::Connection;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(sandbox.path("data/ao.db"));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unexpected_is_told_to_the_log_in_full_and_to_the_client_by_its_id_alone() {
    let sandbox = Sandbox::new();
    let port = Port::of(&sandbox).await;
    let body = json!({ "path": sandbox.repo() });
    let key = "Idempotency-Key: k\r\nX-Request-Id: mine-1\r\n";
    assert_eq!(port.ask("POST", "/api/v1/projects", key, Some(&body)).await.status, 200);
    sandbox.ao(&["stop"]).await.ok();
    execute(&sandbox, "UPDATE answers SET status = 70000").await;
    let port = Port::of(&sandbox).await;
    let broken = port.ask("POST", "/api/v1/projects", key, Some(&body)).await;
    assert_eq!(broken.refusal(), (500, "internal".to_owned()), "{broken:#?}");
    let log = sandbox.log();
    let told = log.lines().find(|line| line.contains("internal error")).expect("the log tells of it");
    for word in ["mine-1", "the answer k", "out of range"] {
        assert!(told.contains(word), "{word}: {told}");
        assert!(word == "mine-1" || !broken.body.contains(word), "{word}: {broken:#?}");
    }
    assert_eq!(broken.json()["error"]["request_id"], "mine-1");
}
