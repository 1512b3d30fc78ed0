//! `ao mcp`, as a client of any kind sees it: the real binary on two pipes, and a real daemon.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout};

use crate::sandbox::{BOUND, Sandbox};

/// A running `ao mcp`.
pub(crate) struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    asked: u64,
    /// Everything it printed.
    printed: Vec<String>,
}

impl Server {
    fn start(sandbox: &Sandbox) -> Self {
        let mut command = tokio::process::Command::from(sandbox.command(&["mcp"]));
        command.kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take(), child, output, asked: 0, printed: Vec::new() }
    }

    /// One that knows its client.
    pub(crate) async fn ready(sandbox: &Sandbox) -> Self {
        let mut server = Self::start(sandbox);
        let client = json!({
            "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
        });
        let answer = server.ask("initialize", client).await;
        assert_eq!(answer["result"]["serverInfo"], json!({ "name": "ao", "version": env!("CARGO_PKG_VERSION") }));
        server.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        server
    }

    async fn write(&mut self, line: &str) {
        let input = self.input.as_mut().expect("the input is open");
        input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    /// Sends a request without waiting for the answer; gives its id.
    async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.asked += 1;
        let request = json!({ "jsonrpc": "2.0", "id": self.asked, "method": method, "params": params });
        self.write(&request.to_string()).await;
        self.asked
    }

    /// The next thing it says; `None` when it has ended.
    async fn next(&mut self) -> Option<Value> {
        let line = tokio::time::timeout(BOUND, self.output.next_line()).await.expect("it answers").unwrap()?;
        self.printed.push(line.clone());
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    async fn answer_to(&mut self, id: u64) -> Value {
        loop {
            let said = self.next().await.expect("it still runs");
            if said["id"] == id {
                return said;
            }
        }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params).await;
        self.answer_to(id).await
    }

    /// Calls a tool, which must succeed; gives what it gave, which is the same as text and as structure.
    pub(crate) async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await;
        let result = &answer["result"];
        assert_eq!(result["isError"], false, "{tool}: {answer:#}");
        let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(text, result["structuredContent"], "{tool}");
        text
    }

    /// Calls a tool, which must fail; gives what a model reads of that.
    pub(crate) async fn fail(&mut self, tool: &str, arguments: Value) -> String {
        let answer = self.ask("tools/call", json!({ "name": tool, "arguments": arguments })).await;
        assert_eq!(answer["result"]["isError"], true, "{tool}: {answer:#}");
        answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Closes its input; gives what it still said, and its exit code.
    async fn close(mut self) -> (Vec<Value>, Option<i32>) {
        self.input = None;
        let mut last = Vec::new();
        while let Some(said) = self.next().await {
            last.push(said);
        }
        let status = tokio::time::timeout(BOUND, self.child.wait()).await.expect("it ends").unwrap();
        (last, status.code())
    }
}

fn sandbox() -> Sandbox {
    Sandbox::with_env(BTreeMap::from([("AO_RUNTIME".to_owned(), "pty".to_owned())]))
}

/// What to spawn: a program that prints something, and goes on.
fn sleeper() -> Value {
    json!({ "agent": "command", "agent_args": ["sh", "-c", "echo hello; exec sleep 1000"], "prompt": "sleep" })
}

const TOOLS: [&str; 10] = ["approve", "deny", "kill", "ls", "messages", "output", "send", "show", "spawn", "wait"];

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_says_what_it_is_for_and_what_it_takes() {
    let sandbox = sandbox();
    let mut server = Server::ready(&sandbox).await;
    let answer = server.ask("tools/list", json!({})).await;
    let tools = answer["result"]["tools"].as_array().unwrap();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, TOOLS);
    for tool in tools {
        assert!(tool["description"].as_str().unwrap().len() > 40, "{tool:#}");
        let schema = &tool["inputSchema"];
        assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)), "{tool:#}");
        for (name, parameter) in schema["properties"].as_object().unwrap() {
            assert!(parameter["description"].is_string() && parameter["type"].is_string(), "{name}: {tool:#}");
            assert_ne!(parameter.get("default"), Some(&Value::Null), "{name}: {tool:#}");
        }
    }
    let required = |name: &str| &tools[names.iter().position(|tool| *tool == name).unwrap()]["inputSchema"]["required"];
    assert_eq!(required("spawn"), &json!(["prompt"]));
    assert_eq!(required("wait"), &json!(["sessions", "for"]));
    sandbox.ao(&["status"]).await.fails(3, &["no daemon"]);
    assert_eq!(server.close().await, (Vec::new(), Some(0)), "it ends with its input");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_do_what_the_commands_do_and_start_the_daemon_they_need() {
    let sandbox = sandbox();
    let mut server = Server::ready(&sandbox).await;
    let spawned = server.call("spawn", sleeper()).await;
    assert_eq!((&spawned["id"], &spawned["project"]), (&json!("app-1"), &json!("app")), "{spawned:#}");
    assert!(spawned["pid"].is_u64(), "its agent runs: {spawned:#}");

    assert_eq!(server.call("show", json!({ "session": "app-1" })).await, sandbox.show("app-1").await);
    let listed = sandbox.ao(&["ls", "--json"]).await.json();
    assert_eq!(server.call("ls", json!({})).await, json!({ "sessions": listed }));
    assert_eq!(server.call("ls", json!({ "project": "app" })).await, json!({ "sessions": listed }));
    sandbox.until_output("app-1", "hello").await;
    let output = server.call("output", json!({ "session": "app-1" })).await;
    assert!(output["text"].as_str().unwrap().contains("hello"), "{output:#}");
    assert_eq!(server.call("messages", json!({ "session": "app-1" })).await, json!({ "messages": [] }));

    let late = server.call("wait", json!({ "sessions": ["app-1"], "for": "exit", "timeout_s": 0 })).await;
    assert_eq!(late["waits"][0]["outcome"], "timed_out", "{late:#}");
    let killed = server.call("kill", json!({ "session": "app-1" })).await;
    assert_eq!(killed["workspace"]["settled"]["outcome"], "removed", "{killed:#}");
    let over = server.call("wait", json!({ "sessions": ["app-1"], "for": "exit" })).await;
    assert_eq!(
        (&over["waits"][0]["outcome"], &over["waits"][0]["session"]["id"]),
        (&json!("reached"), &json!("app-1"))
    );
    assert_eq!(server.call("ls", json!({})).await, json!({ "sessions": [] }));
    let all = server.call("ls", json!({ "all": true })).await;
    assert_eq!(all["sessions"][0]["exit"]["reason"], "killed", "{all:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_is_told_to_the_model_with_what_to_do() {
    let sandbox = sandbox();
    let mut server = Server::ready(&sandbox).await;
    for tool in ["show", "output", "messages", "kill", "approve", "deny"] {
        let mut arguments = json!({ "session": "app-9" });
        if ["approve", "deny"].contains(&tool) {
            arguments["request"] = json!("0123456789abcdef");
        }
        let text = server.fail(tool, arguments).await;
        assert!(text.contains("there is no session app-9") && text.contains("hint: "), "{tool}: {text}");
    }
    let text = server.fail("send", json!({ "session": "app-9", "message": "x" })).await;
    assert!(text.contains("there is no session app-9"), "{text}");
    let text = server.fail("wait", json!({ "sessions": ["app-9"], "for": "idle" })).await;
    assert!(text.contains("there is no session app-9"), "{text}");
    let text = server.fail("wait", json!({ "sessions": [], "for": "idle" })).await;
    assert!(text.contains("no session was named"), "{text}");

    // What the schema forbids, and what is no id.
    let text = server.fail("show", json!({ "sesion": "app-1" })).await;
    assert!(text.contains("sesion"), "{text}");
    let text = server.fail("show", json!({ "session": "../x" })).await;
    assert!(text.contains("../x"), "{text}");
    let text = server.fail("spawn", json!({ "prompt": "x", "permission_mode": "all" })).await;
    assert!(text.contains("bypass-permissions"), "{text}");

    // An agent that ends at once, with what it said.
    let failing = json!({ "agent": "command", "agent_args": ["sh", "-c", "echo no luck; exit 3"], "prompt": "x" });
    let text = server.fail("spawn", failing).await;
    assert!(text.contains("app-1") && text.contains("no luck") && text.contains("exit code 3"), "{text}");
    server.call("spawn", sleeper()).await;
    let text = server.fail("send", json!({ "session": "app-2", "message": "x" })).await;
    assert!(text.contains("no hooks"), "{text}");

    // There is no such tool: that is the client's mistake.
    let answer = server.ask("tools/call", json!({ "name": "fly", "arguments": {} })).await;
    assert!(answer["error"]["message"].is_string(), "{answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_daemon_is_started_where_none_may_be() {
    let mut sandbox = sandbox();
    sandbox.env.insert("AO_NO_START".into(), "1".into());
    let mut server = Server::ready(&sandbox).await;
    let text = server.fail("ls", json!({})).await;
    assert!(text.contains("no daemon answers") && text.contains("hint: start one with: ao start"), "{text}");
    sandbox.ao(&["status"]).await.fails(3, &["no daemon"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_it_prints_is_obeyed_by_a_terminal() {
    let sandbox = sandbox();
    let mut server = Server::ready(&sandbox).await;
    let spawn = json!({ "agent": "command", "agent_args": ["sleep", "1000"], "prompt": "a\u{1b}[2Jb\u{9b}31mc" });
    assert_eq!(server.call("spawn", spawn).await["prompt"], "a\u{fffd}[2Jb\u{fffd}31mc");
    server.call("ls", json!({})).await;
    server.call("show", json!({ "session": "app-1" })).await;
    server.fail("show", json!({ "session": "\u{1b}[2J" })).await;
    server.fail("show", json!({ "\u{1b}[2J": 1 })).await;
    for line in &server.printed {
        let said: Value = serde_json::from_str(line).unwrap();
        let text = said["result"]["content"][0]["text"].as_str().unwrap_or_default();
        for text in [line, text] {
            assert!(!text.contains("\\u001b") && !text.chars().any(|c| c.is_control() && c != '\n'), "{line:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_before_and_between_requests_is_survived() {
    let sandbox = sandbox();
    let mut server = Server::start(&sandbox);
    for line in ["garbage", "{", "\u{0}\u{1b}", "[]", "{\"jsonrpc\":\"2.0\"}"] {
        server.write(line).await;
    }
    let client = json!({
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
    });
    assert_eq!(server.ask("initialize", client).await["result"]["serverInfo"]["name"], "ao");
    server.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    for line in ["more garbage", "[[[", "{\"jsonrpc\":\"2.0\",\"id\":7}", &"x".repeat(1 << 20)] {
        server.write(line).await;
    }
    assert_eq!(server.call("ls", json!({})).await, json!({ "sessions": [] }));
    assert_eq!(server.close().await.1, Some(0));
}

/// How many sockets a process has open: some of its own, and one for each question to the daemon that is under way.
fn connections(pid: u32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_str().is_some_and(|target| target.starts_with("socket:"))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_keeps_no_other_call_waiting_and_ends_with_the_client() {
    let sandbox = sandbox();
    let mut server = Server::ready(&sandbox).await;
    let pid = server.child.id().unwrap();
    let own = connections(pid);
    server.call("spawn", sleeper()).await;
    let wait = json!({ "name": "wait", "arguments": { "sessions": ["app-1"], "for": "exit" } });
    let given_up = server.send("tools/call", wait.clone()).await;
    let waiting = server.send("tools/call", wait).await;
    assert_eq!(server.call("ls", json!({})).await["sessions"][0]["id"], "app-1");
    sandbox.until("both wait", || connections(pid) == own + 2).await;
    let cancelled =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": given_up } });
    server.write(&cancelled.to_string()).await;
    // Not for the moment between two questions only.
    let quiet = std::cell::Cell::new(0);
    let is_quiet = || {
        quiet.set(if connections(pid) == own + 1 { quiet.get() + 1 } else { 0 });
        quiet.get() == 10
    };
    sandbox.until("one has given up", is_quiet).await;

    // Calls under way are answered before it ends: without being told, the wait would go on.
    let (last, code) = server.close().await;
    assert_eq!(code, Some(0));
    assert_eq!(last.len(), 1, "only one was still waiting: {last:#?}");
    assert_eq!((&last[0]["id"], &last[0]["result"]["isError"]), (&json!(waiting), &json!(true)), "{last:#?}");
    assert_eq!(sandbox.running("ao mcp"), Vec::<u32>::new());
    assert_eq!(sandbox.show("app-1").await["exit"], Value::Null, "its agent goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_nothing_leaves_nothing_behind() {
    let sandbox = sandbox();
    assert_eq!(Server::start(&sandbox).close().await, (Vec::new(), Some(0)));
    let run = sandbox.ao(&["mcp"]).await;
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{run:#?}");
    assert_eq!(sandbox.processes(), Vec::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_task_is_refused() {
    let sandbox = sandbox();
    let mut server = Server::ready(&sandbox).await;
    for prompt in ["", " \n"] {
        let mut spawn = sleeper();
        spawn["prompt"] = json!(prompt);
        let text = server.fail("spawn", spawn).await;
        assert!(text.contains("the prompt is empty") && text.contains("hint: "), "{text}");
    }
    sandbox.ao(&["start"]).await.ok();
    assert_eq!(server.call("ls", json!({ "all": true })).await, json!({ "sessions": [] }));
}

/// Hands on to the daemon what it is asked at its socket, and breaks off when the first spawn is answered; gives how many spawns were asked for.
fn lose_the_first_answer(sandbox: &Sandbox) -> Arc<AtomicUsize> {
    let (socket, real) = (sandbox.path("data/run/daemon.sock"), sandbox.path("data/run/real.sock"));
    std::fs::rename(&socket, &real).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let spawns = Arc::new(AtomicUsize::new(0));
    let counted = spawns.clone();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let (real, spawns) = (real.clone(), counted.clone());
            tokio::spawn(async move {
                let mut daemon = UnixStream::connect(&real).await.unwrap();
                let mut begin = vec![0; 64 * 1024];
                let length = client.read(&mut begin).await.unwrap();
                begin.truncate(length);
                daemon.write_all(&begin).await.unwrap();
                let is_spawn = begin.starts_with(b"POST /api/v1/sessions ");
                if is_spawn && spawns.fetch_add(1, Ordering::SeqCst) == 0 {
                    let (mut from_client, _to_client) = client.split();
                    let (mut from_daemon, mut to_daemon) = daemon.split();
                    let mut answer = [0];
                    tokio::select! {
                        _ = tokio::io::copy(&mut from_client, &mut to_daemon) => {}
                        _ = from_daemon.read(&mut answer) => {}
                    }
                    return;
                }
                let _ = tokio::io::copy_bidirectional(&mut client, &mut daemon).await;
            });
        }
    });
    spawns
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spawn_whose_answer_is_lost_is_one_worker() {
    let sandbox = sandbox();
    sandbox.ao(&["start"]).await.ok();
    let spawns = lose_the_first_answer(&sandbox);
    let mut server = Server::ready(&sandbox).await;
    assert_eq!(server.call("spawn", sleeper()).await["id"], "app-1");
    assert_eq!(spawns.load(Ordering::SeqCst), 2);
    let listed = server.call("ls", json!({ "all": true })).await;
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{listed:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_taken_for_nobody_spawns_by_the_tool_as_by_the_command() {
    let mut sandbox = sandbox();
    sandbox.ao(&["start"]).await.ok();
    // As a shell has it that the agent of a session left behind.
    sandbox.env.insert("AO_SESSION_ID".into(), "app-9".into());
    let mut server = Server::ready(&sandbox).await;
    assert_eq!(server.call("spawn", sleeper()).await["id"], "app-1");
}
