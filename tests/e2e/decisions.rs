//! Permissions as other programs see them: what is refused over HTTP and by which code, what the change log has of each, and the tools of `ao mcp`.

use ao::adapters::cli::client::{Client, ClientError};
use serde_json::{Value, json};

use crate::approvals::{answers, asked, asking};
use crate::mcp::Server;
use crate::model_server::{ModelServer, Turn, marker};
use crate::project_file::{trust, write};
use crate::sandbox::{BOUND, Sandbox};
use crate::tools::claude;

fn daemon(sandbox: &Sandbox) -> Client {
    Client::new(&sandbox.path("data/run/daemon.sock"))
}

/// Insists that something is refused; gives the status and the code.
#[track_caller]
fn refusal(answer: Result<Value, ClientError>) -> (u16, String) {
    match answer {
        Err(ClientError::Refused { status, body }) => (status.as_u16(), body.error.code),
        other => panic!("it is not refused in the API's own words: {other:?}"),
    }
}

async fn decided(client: &Client, session: &str, body: Value) -> Result<Value, ClientError> {
    client.post(&format!("/sessions/{session}/decision"), &body).await
}

/// What is answered about a request that was asked at that time.
async fn state(client: &Client, request: &str, asked_at: &str) -> Value {
    let path = format!("/sessions/app-1/requests/{request}?asked_at={asked_at}");
    client.get(&path).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_cannot_be_made_is_refused_by_a_code_that_says_why() {
    let Some((_server, sandbox)) = asking(&["touch one", "touch two"], "pty").await else { return };
    let client = daemon(&sandbox);
    let (one, allow) = (asked(&sandbox, "touch one").await, json!({ "decision": "allow" }));
    let unknown = json!({ "decision": "allow", "request": "0123456789abcdef" });
    for (session, body, code) in [
        ("app-9", allow.clone(), (404, "unknown_session")),
        ("..", allow.clone(), (404, "unknown_session")),
        ("app-1", unknown, (409, "request_not_open")),
        ("app-1", json!({ "decision": "deny", "reason": " " }), (400, "invalid_reason")),
        ("app-1", json!({ "decision": "deny", "reason": "x".repeat(5000) }), (400, "invalid_reason")),
        ("app-1", json!({ "decision": "maybe" }), (400, "invalid_request")),
        ("app-1", json!({ "decision": "allow", "request": "one" }), (400, "invalid_request")),
        ("app-1", json!({ "decision": "allow", "session": "app-2" }), (400, "invalid_request")),
        ("app-1", json!({}), (400, "invalid_request")),
        ("app-1", json!("allow"), (400, "invalid_request")),
    ] {
        let session = if session == ".." { "%2e%2e" } else { session };
        let refused = refusal(decided(&client, session, body.clone()).await);
        assert_eq!((refused.0, refused.1.as_str()), code, "{session} {body}");
    }
    assert_eq!(sandbox.show("app-1").await["pending_request"]["id"], json!(one), "something was decided");

    let mut allow_one = allow.clone();
    allow_one["request"] = json!(one);
    let first = decided(&client, "app-1", allow_one.clone()).await.unwrap();
    assert_eq!(first["request"]["decision"]["verdict"], "allow", "{first:#}");
    asked(&sandbox, "touch two").await;
    // The same again is the same answer; another one comes too late, and is not about what is asked now.
    assert_eq!(decided(&client, "app-1", allow_one).await.unwrap()["request"]["id"], json!(one));
    let late = refusal(decided(&client, "app-1", json!({ "decision": "deny", "request": one })).await);
    assert_eq!(late, (409, "request_not_open".to_owned()));
    assert_eq!(answers(&sandbox).await.len(), 1);

    sandbox.ao(&["kill", "app-1"]).await.ok();
    let over = refusal(decided(&client, "app-1", allow).await);
    assert_eq!(over, (409, "nothing_asked".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_decision_is_told_what_is_known_of_the_request() {
    let Some((_server, sandbox)) = asking(&["touch one", "touch two"], "pty").await else { return };
    let client = daemon(&sandbox);
    let one = asked(&sandbox, "touch one").await;
    let since = sandbox.show("app-1").await["pending_request"]["since"].as_str().unwrap().to_owned();
    let at = format!("asked_at={since}");
    for (session, rest, code) in [
        ("app-9", format!("{one}?{at}"), (404, "unknown_session")),
        ("app-1", format!("one?{at}"), (404, "unknown_request")),
        ("app-1", one.clone(), (400, "invalid_request")),
        ("app-1", format!("{one}?asked_at=then"), (400, "invalid_request")),
        ("app-1", format!("{one}?{at}&timeout_ms=-1"), (400, "invalid_request")),
        ("app-1", format!("{one}?{at}&timeout=1"), (400, "invalid_request")),
    ] {
        let refused = refusal(client.get(&format!("/sessions/{session}/requests/{rest}")).await);
        assert_eq!((refused.0, refused.1.as_str()), code, "{session} {rest}");
    }
    assert_eq!(state(&client, &one, &since).await, json!({ "state": "open" }));
    // One that is not known may be on its way still.
    assert_eq!(state(&client, "0123456789abcdef", &since).await, json!({ "state": "open" }));
    sandbox.ao(&["deny", "app-1", "--reason", "not that"]).await.ok();
    asked(&sandbox, "touch two").await;
    let decision = json!({ "verdict": "deny", "reason": "not that", "by": { "kind": "person" } });
    assert_eq!(state(&client, &one, &since).await, json!({ "state": "decided", "decision": decision }));
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert_eq!(state(&client, "0123456789abcdef", &since).await, json!({ "state": "settled" }), "nobody decides it");
    // What was open has an end too, for whoever follows.
    let log = log_of_requests(&client).await;
    let last = &log.last().unwrap()["data"];
    assert_eq!(log.last().unwrap()["kind"], "session.settled", "{log:#?}");
    assert_eq!((&last["about"], &last["agent_ended"]), (&json!("touch two"), &json!(true)));
    let answered = answers(&sandbox).await;
    assert_eq!(
        (answered.len(), &answered[1]["agent_ended"], &answered[1]["decision"]),
        (2, &json!(true), &Value::Null)
    );
    let shown = sandbox.ao(&["show", "app-1"]).await.ok();
    assert!(shown.contains("Bash: touch two: its agent ended before it was answered"), "{shown}");
}

/// What the change log has of requests, oldest first.
async fn log_of_requests(client: &Client) -> Vec<Value> {
    let log: Value = client.get("/events?since=0&session=app-1").await.unwrap();
    let is_of_one = |change: &&Value| change["data"].get("request").is_some();
    log["changes"].as_array().unwrap().iter().filter(is_of_one).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_change_log_has_each_request_and_who_or_which_rule_decided_it() {
    const RULES: &str = "[[rules]]\ntool = 'Bash'\ninput = 'touch secret*'\ndecide = 'deny'\nreason = 'not these'\n
[[rules]]\ntool = 'Bash'\ninput = 'touch *'\ndecide = 'allow'\n";
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = crate::claude_sandbox::claude_sandbox(&server, &program);
    let commands = ["touch made", "touch secret", "mkdir asked"];
    server.script("ask", commands.map(Turn::bash).into_iter().chain([Turn::text("Done.")]).collect());
    write(&sandbox, RULES);
    let prompt = format!("Begin. {}", marker("ask"));
    sandbox.ao(&["project", "add", "."]).await.ok();
    trust(&sandbox).await;
    sandbox.ao(&["spawn", "--runtime", "pty", &prompt]).await.ok();
    asked(&sandbox, "mkdir asked").await;
    sandbox.ao(&["approve", "app-1"]).await.ok();
    sandbox.wait_for("app-1", "status", "idle").await;

    let log = log_of_requests(&daemon(&sandbox)).await;
    let told: Vec<_> = log.iter().map(|change| (change["kind"].as_str().unwrap(), &change["data"]["about"])).collect();
    let both = |command: &'static str| [("session.asked", command), ("session.decided", command)];
    let expected: Vec<_> = commands.into_iter().flat_map(both).map(|(kind, about)| (kind, json!(about))).collect();
    assert_eq!(told, expected.iter().map(|(kind, about)| (*kind, about)).collect::<Vec<_>>());
    for (pair, answer) in log.chunks(2).zip(answers(&sandbox).await) {
        assert_eq!((&pair[0]["data"]["request"], &pair[0]["data"]["tool"]), (&answer["id"], &json!("Bash")));
        assert_eq!((&pair[1]["data"]["request"], &pair[1]["data"]["decision"]), (&answer["id"], &answer["decision"]));
    }
    let rule = |number: u32, input: &str, decide: &str, reason: Value| {
        let rule = json!({ "tool": "Bash", "input": input, "decide": decide, "reason": reason });
        json!({ "verdict": decide, "reason": reason, "by": { "kind": "rule", "number": number, "rule": rule } })
    };
    assert_eq!(log[1]["data"]["decision"], rule(2, "touch *", "allow", Value::Null));
    assert_eq!(log[3]["data"]["decision"], rule(1, "touch secret*", "deny", json!("not these")));
    assert_eq!(log[5]["data"]["decision"]["by"], json!({ "kind": "person" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_decide_the_request_that_is_meant_and_no_other() {
    let Some((model, sandbox)) = asking(&["touch one", "touch two"], "pty").await else { return };
    let mut server = Server::ready(&sandbox).await;
    let one = asked(&sandbox, "touch one").await;
    assert_eq!(server.call("show", json!({ "session": "app-1" })).await["pending_request"]["id"], json!(one));
    for tool in ["approve", "deny"] {
        let text = server.fail(tool, json!({ "session": "app-1" })).await;
        assert!(text.contains("missing field `request`"), "{tool}: {text}");
        let text = server.fail(tool, json!({ "session": "app-1", "request": "0123456789abcdef" })).await;
        assert!(text.contains("is not open: it is not known") && text.contains("hint: "), "{tool}: {text}");
    }
    assert_eq!(sandbox.show("app-1").await["pending_request"]["id"], json!(one), "something was decided");

    let this = json!({ "session": "app-1", "request": one });
    let allowed = server.call("approve", this.clone()).await;
    let decision = json!({ "verdict": "allow", "reason": null, "by": { "kind": "person" } });
    assert_eq!((&allowed["request"]["id"], &allowed["request"]["decision"]), (&json!(one), &decision));
    assert_eq!(allowed["session"]["status"], "working", "{allowed:#}");
    let two = asked(&sandbox, "touch two").await;
    assert!(sandbox.worktree("app-1").join("one").exists());
    // Who read the first one does not decide the second by it.
    assert_eq!(server.call("approve", this.clone()).await["request"]["id"], json!(one));
    let text = server.fail("deny", this).await;
    assert!(text.contains("is not open: it was allowed by a person"), "{text}");
    assert_eq!(sandbox.show("app-1").await["pending_request"]["id"], json!(two));

    let denied =
        server.call("deny", json!({ "session": "app-1", "request": two, "reason": "not the second one" })).await;
    assert_eq!(denied["request"]["decision"]["verdict"], "deny", "{denied:#}");
    model.wait_for_request(|request| request.tool_results().contains(&"not the second one".to_owned()), BOUND).await;
    sandbox.wait_for("app-1", "status", "idle").await;
    assert!(!sandbox.worktree("app-1").join("two").exists());
}
