//! Messages, with the real Claude Code: each route seen in the request that reaches the model, and what the sender is told of it.

use serde_json::{Value, json};

use crate::claude::claude_sandbox;
use crate::model_server::{Gate, ModelServer, Request, Turn, marker};
use crate::sandbox::{BOUND, Sandbox};
use crate::tools::claude;

/// Spawns an agent that follows the script of that name.
async fn spawn(sandbox: &Sandbox, script: &str, wait: &str) {
    let prompt = format!("Begin. {}", marker(script));
    let args = ["spawn", "--runtime", "pty", "--permission-mode", "bypass-permissions", "--wait", wait, &prompt];
    sandbox.ao(&args).await.ok();
}

/// Sends a message and waits until the agent has taken it; the message as it is shown then.
async fn send_and_wait(sandbox: &Sandbox, text: &str) -> Value {
    let run = sandbox.ao(&["send", "app-1", "--wait", "--timeout", "60s", "--json", text]).await;
    run.ok();
    run.json()
}

/// How often a text stands in what reached the model, in the request that holds it most often.
fn times(server: &ModelServer, text: &str) -> usize {
    let count = |request: &Request| request.told().iter().map(|said| said.matches(text).count()).sum();
    server.turns().iter().map(count).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn i07_an_agent_is_handed_messages_between_tools_and_at_the_end_of_its_turn() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let (first, second, third) = (Gate::new(), Gate::new(), Gate::new());
    server.script(
        "job",
        vec![
            Turn::bash("echo one").gated(&first),
            Turn::bash("echo two").gated(&second),
            Turn::text("Done.").gated(&third),
            Turn::text("Done with that too."),
        ],
    );
    spawn(&sandbox, "job", "ready").await;
    first.reached(1, BOUND).await;
    let early = sandbox.ao(&["send", "app-1", "MSG-between-tools"]).await.ok();
    assert_eq!(sandbox.ao(&["messages", "app-1", "--json"]).await.json()[0]["state"], "queued");
    first.release();
    second.reached(1, BOUND).await;
    server.wait_for_request(|request| request.mentions("MSG-between-tools"), BOUND).await;
    let state = || async { sandbox.ao(&["messages", "app-1", "--json"]).await.json() };
    second.release();
    third.reached(1, BOUND).await;
    let late = sandbox.ao(&["send", "app-1", "MSG-end-of-turn"]).await.ok();
    third.release();
    let feedback = server.wait_for_request(|request| request.mentions("MSG-end-of-turn"), BOUND).await;
    assert!(feedback.mentions("Stop hook feedback"), "{:?}", feedback.user_texts());
    sandbox.wait_for("app-1", "status", "idle").await;
    let told = sandbox.ao(&["send", "app-1", "--wait", "MSG-last"]).await;
    told.ok();
    let messages = state().await;
    for (message, (id, via)) in
        messages.as_array().unwrap().iter().zip([(early, "between_tools"), (late, "end_of_turn")])
    {
        assert_eq!((&message["id"], &message["via"]), (&json!(id), &json!(via)), "{messages:#}");
        assert_eq!((&message["state"], &message["from"]), (&json!("acknowledged"), &Value::Null), "{messages:#}");
    }
    assert_eq!(times(&server, "MSG-between-tools"), 1);
    assert_eq!(times(&server, "MSG-end-of-turn"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn i07_an_idle_agent_is_woken_and_what_does_not_fit_comes_with_the_prompt() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    server.script("job", vec![Turn::text("Done.")]);
    spawn(&sandbox, "job", "idle").await;
    let woken = send_and_wait(&sandbox, "MSG-wake").await;
    assert_eq!((&woken["state"], &woken["via"]), (&json!("acknowledged"), &json!("wake")), "{woken:#}");
    server.wait_for_request(|request| request.mentions("MSG-wake"), BOUND).await;
    sandbox.wait_for("app-1", "status", "idle").await;

    // One fills the answer.
    let fill = "f".repeat(5000);
    sandbox.ao(&["send", "app-1", &format!("MSG-first {fill}")]).await.ok();
    let second = send_and_wait(&sandbox, &format!("MSG-second {fill}")).await;
    assert_eq!(second["state"], "acknowledged", "{second:#}");
    for text in ["MSG-wake", "MSG-first", "MSG-second"] {
        server.wait_for_request(|request| request.mentions(text), BOUND).await;
        assert_eq!(times(&server, text), 1, "{text}");
    }
}
