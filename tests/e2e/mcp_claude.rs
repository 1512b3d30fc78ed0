//! ao's tools in the hands of the real Claude Code: an orchestrator has them, may look and talk unasked, and is known for who it is.

use serde_json::{Value, json};

use crate::claude::claude_sandbox;
use crate::model_server::{Gate, ModelServer, Request, Turn, marker};
use crate::sandbox::{BOUND, Sandbox};
use crate::tools::claude;

/// Spawns a session that follows the script of that name, and waits until it is ready.
async fn spawn(sandbox: &Sandbox, script: &str, args: &[&str]) {
    let prompt = format!("Begin. {}", marker(script));
    sandbox.ao(&[&["spawn", "--runtime", "pty", &prompt], args].concat()).await.ok();
}

/// The names of ao's tools that the model is offered.
fn tools(request: &Request) -> Vec<&str> {
    let tools = request.body["tools"].as_array().map_or(&[][..], Vec::as_slice);
    tools.iter().filter_map(|tool| tool["name"].as_str()).filter(|name| name.starts_with("mcp__")).collect()
}

/// The first request of a conversation that follows this script.
async fn first_request(server: &ModelServer, script: &str) -> Request {
    server.wait_for_request(|request| request.is_turn() && request.mentions(&marker(script)), BOUND).await
}

fn servers(sandbox: &Sandbox) -> Vec<u32> {
    sandbox
        .processes()
        .into_iter()
        .filter(|(_, command)| command.contains(" mcp --told-file "))
        .map(|(pid, _)| pid)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_looks_and_talks_with_tools_and_is_not_asked() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    server.script("work", vec![Turn::text("Done.")]);
    server.script(
        "lead",
        vec![
            Turn::tool("mcp__ao__ls", json!({})),
            Turn::tool("mcp__ao__send", json!({ "session": "app-1", "message": "MSG-by-tool", "wait_s": 60 })),
            Turn::tool("mcp__ao__show", json!({ "session": "app-9" })),
            Turn::text("Led."),
        ],
    );
    spawn(&sandbox, "work", &["--wait", "idle"]).await;
    spawn(&sandbox, "lead", &["--kind", "orchestrator", "--permission-mode", "default", "--wait", "idle"]).await;

    let told = server.wait_for_request(|request| request.tool_results().len() == 3, BOUND).await;
    let [listed, sent, failed] = <[String; 3]>::try_from(told.tool_results()).unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap_or_else(|error| panic!("{error}: {listed}"));
    assert_eq!(listed["sessions"][0]["id"], "app-1", "{listed:#}");
    let sent: Value = serde_json::from_str(&sent).unwrap_or_else(|error| panic!("{error}: {sent}"));
    assert_eq!((&sent["state"], &sent["from"]), (&json!("acknowledged"), &json!("app-2")), "{sent:#}");
    assert!(failed.contains("there is no session app-9") && failed.contains("ao ls -a"), "{failed}");
    assert!(server.turns().iter().any(|request| request.mentions("MSG-by-tool") && request.mentions("[from app-2]")));

    // The first turn has them all, and a worker has none.
    let first = tools(&first_request(&server, "lead").await).len();
    assert_eq!(first, 10);
    assert_eq!(tools(&first_request(&server, "work").await), Vec::<&str>::new());
    assert_eq!(sandbox.git(&sandbox.worktree("app-2"), &["status", "--porcelain", "--ignored"]), "!! .ao/");

    assert_eq!(servers(&sandbox).len(), 1);
    sandbox.ao(&["kill", "app-2"]).await.ok();
    sandbox.until("no server outlives its agent", || servers(&sandbox).is_empty()).await;
    sandbox.ao(&["restore", "app-2"]).await.ok();
    sandbox.ao(&["send", "app-2", "--wait", "--timeout", "60s", "MSG-again"]).await.ok();
    let again = server.wait_for_request(|request| request.mentions("MSG-again"), BOUND).await;
    assert_eq!(tools(&again).len(), first, "a restored one has them too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_starts_and_ends_agents_and_what_decides_for_them_stays_asked() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    server.script("asks", vec![Turn::bash("touch asked"), Turn::text("Done.")]);
    spawn(&sandbox, "asks", &["--permission-mode", "default"]).await;
    let request = sandbox.wait_for("app-1", "status", "blocked").await["pending_request"]["id"].clone();
    let decision = json!({ "session": "app-1", "request": request });
    for (number, (tool, input)) in [
        ("spawn", json!({ "prompt": "x" })),
        ("kill", json!({ "session": "app-1" })),
        ("approve", decision.clone()),
        ("deny", decision),
    ]
    .into_iter()
    .enumerate()
    {
        let (session, tool) = (format!("app-{}", number + 2), format!("mcp__ao__{tool}"));
        server.script(&tool, vec![Turn::tool(&tool, input), Turn::text("done")]);
        spawn(&sandbox, &tool, &["--kind", "orchestrator", "--permission-mode", "accept-edits"]).await;
        let shown = sandbox.wait_for(&session, "status", "blocked").await;
        assert_eq!(shown["pending_request"]["tool"], tool.as_str(), "{shown:#}");
    }
    assert_eq!(sandbox.ao(&["ls", "--json"]).await.json().as_array().unwrap().len(), 5);
    assert_eq!(sandbox.show("app-1").await["pending_request"]["id"], request, "it was decided");
    // Once a person lets it, it decides.
    sandbox.ao(&["approve", "app-4"]).await.ok();
    sandbox.wait_for("app-1", "status", "idle").await;
    let answers = sandbox.show("app-1").await["answered_requests"].clone();
    assert_eq!(answers[0]["decision"]["by"], json!({ "kind": "session", "session": "app-4" }), "{answers:#}");
    assert!(sandbox.worktree("app-1").join("asked").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orchestrator_spawns_a_worker_in_its_own_project_beside_the_users_servers() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let mut sandbox = claude_sandbox(&server, &program);
    sandbox.env.insert("AO_RUNTIME".into(), "pty".into());
    let gate = Gate::new();
    server.script("work", vec![Turn::text("Done.").gated(&gate)]);
    let worker = json!({ "prompt": format!("Work. {}", marker("work")), "name": "helper" });
    let wait = json!({ "sessions": ["app-2"], "for": "idle" });
    let lead = vec![Turn::tool("mcp__ao__spawn", worker), Turn::tool("mcp__ao__wait", wait), Turn::text("Led.")];
    server.script("lead", lead);
    let own = sandbox.path("own.json");
    let mine = json!({ "mcpServers": { "mine": { "command": env!("CARGO_BIN_EXE_ao"), "args": ["mcp"], "alwaysLoad": true } } });
    std::fs::write(&own, mine.to_string()).unwrap();
    let args = [
        "--kind",
        "orchestrator",
        "--permission-mode",
        "bypass-permissions",
        "--",
        "--mcp-config",
        own.to_str().unwrap(),
    ];
    spawn(&sandbox, "lead", &args).await;
    gate.reached(1, BOUND).await;
    gate.release();
    sandbox.wait_for("app-1", "status", "idle").await;
    let results = server.wait_for_request(|request| request.tool_results().len() == 2, BOUND).await.tool_results();
    let waits: Value = serde_json::from_str(&results[1]).unwrap_or_else(|error| panic!("{error}: {results:#?}"));
    assert_eq!(
        (&waits["waits"][0]["outcome"], &waits["waits"][0]["session"]["name"]),
        (&json!("reached"), &json!("helper"))
    );
    assert_eq!(sandbox.show("app-2").await["project"], "app");
    let offered = first_request(&server, "lead").await;
    let names = tools(&offered);
    assert!(names.contains(&"mcp__mine__ls") && names.contains(&"mcp__ao__ls"), "{names:?}");
}
