//! What messages and hooks cost, with the real Claude Code and a scripted model server. Prints figures; run it with `make bench`.
//!
//! Times are of whole processes, and beside each stands what the machine takes for the same without ao.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    reason = "a benchmark prints, starts its own programs, may panic, and uses a part of what tests share"
)]

#[path = "../tests/e2e/claude_sandbox.rs"]
mod claude_sandbox;
#[path = "../tests/support/executable.rs"]
mod executable;
#[path = "../tests/support/inherited.rs"]
mod inherited;
#[path = "../tests/support/model_server.rs"]
mod model_server;
#[path = "../tests/e2e/sandbox.rs"]
mod sandbox;
#[path = "../tests/e2e/tools.rs"]
mod tools;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use claude_sandbox::claude_sandbox;
use model_server::{ModelServer, Turn, marker};
use sandbox::{BOUND, Sandbox};

const SENDS: usize = 100;
const HOOKS: usize = 400;
const WAITS: usize = 100;
/// What a hook may cost at each tool call, and a waiter from the message's file being there, at p99.
const MOST_OF_HOOK: Duration = Duration::from_millis(10);
const MOST_OF_WAITER: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() {
    // `cargo test` runs benchmarks too, for a moment each: this one is for `cargo bench` alone.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let Some(program) = tools::claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    server.script("idle", vec![Turn::text("Ready.")]);
    let prompt = format!("Begin. {}", marker("idle"));
    sandbox
        .ao(&["spawn", "--runtime", "pty", "--permission-mode", "bypass-permissions", "--wait", "idle", &prompt])
        .await
        .ok();
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "3600"]).await.ok();
    println!("waiter            {} KiB resident", resident_kib(&sandbox).await);
    let (hook, nothing) = hooks(&sandbox);
    let wait = waits(&sandbox).await;
    sends(&sandbox, &server).await;
    sandbox.ao(&["kill", "app-1"]).await.ok();
    sandbox.ao(&["kill", "app-2"]).await.ok();
    // On a machine that needs a millisecond for nothing at most; a slower one has as many times its own.
    let slower = nothing.div_duration_f64(Duration::from_millis(1)).max(1.0);
    for (what, took, most) in [("a hook", hook, MOST_OF_HOOK), ("a waiter", wait, MOST_OF_WAITER)] {
        assert!(took <= most.mul_f64(slower), "{what} takes {took:?} at p99, where {most:?} times {slower:.1} may be");
    }
}

/// What `ao hook` costs at a tool call with a daemon that takes the report, beside a program that does nothing, each at p99.
fn hooks(sandbox: &Sandbox) -> (Duration, Duration) {
    let payload = serde_json::json!({
        "session_id": "s", "transcript_path": sandbox.path("none.jsonl"), "hook_event_name": "PostToolUse", "tool_name": "Bash",
        "tool_input": { "command": "true" }, "tool_response": { "stdout": "x".repeat(2000) },
    });
    let payload = payload.to_string();
    let ao = sandbox.path("data/bin/ao");
    let time = |program: &std::path::Path, args: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .envs(&sandbox.env)
            .env("AO_SESSION_ID", "app-1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let begun = Instant::now();
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(payload.as_bytes());
        child.wait().unwrap();
        begun.elapsed()
    };
    let (mut ours, mut nothing) = (Vec::new(), Vec::new());
    for _ in 0..HOOKS {
        nothing.push(time("/bin/true".as_ref(), &[]));
        ours.push(time(&ao, &["hook", "claude-code", "PostToolUse"]));
    }
    // The agent knows nothing of these calls: its turn is not to be taken for one that goes on.
    time(&ao, &["hook", "claude-code", "Stop"]);
    (show("ao hook", &mut ours), show("  /bin/true", &mut nothing))
}

/// From a message's file being there to the end of the process that waited for it, at p99.
async fn waits(sandbox: &Sandbox) -> Duration {
    let messages = sandbox.worktree("app-2").join(".ao");
    let inbox = messages.join("inbox");
    let mut times = Vec::new();
    for number in 0..WAITS {
        let mut command = Command::new(sandbox.path("data/bin/ao"));
        command
            .args(["hook", "claude-code", "Stop", "--wait"])
            .env_clear()
            .envs(&sandbox.env)
            .env("AO_SESSION_ID", "app-2");
        let mut waiter = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while !rests(waiter.id()) {
            assert!(begun.elapsed() < BOUND, "nobody waits");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Its start is no part of what is measured.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let name = format!("{:020}_{:016x}.md", 1_700_000_000_000_000_000 + number, number);
        std::fs::write(inbox.join(".x.tmp"), "text").unwrap();
        let begun = Instant::now();
        std::fs::rename(inbox.join(".x.tmp"), inbox.join(name)).unwrap();
        let status = waiter.wait().unwrap();
        times.push(begun.elapsed());
        assert_eq!(status.code(), Some(2), "it did not wake its agent");
        // This agent has no record that would confirm it, and until then it is handed nothing newer.
        std::fs::remove_dir_all(messages.join("taken")).unwrap();
    }
    show("file to exit", &mut times)
}

/// Whether a process rests: its standard input is what wakes it.
fn rests(pid: u32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/fd/0")).is_ok_and(|input| input.ends_with("anon_inode:[eventpoll]"))
}

/// From `ao send` being started to the request that tells the model, of an agent that is idle.
async fn sends(sandbox: &Sandbox, server: &ModelServer) {
    let mut times = Vec::new();
    for number in 0..SENDS {
        let text = format!("MSG-{number}-end");
        let begun = Instant::now();
        let args = ["send", "app-1", text.as_str()];
        let send = sandbox.ao(&args);
        let arrived = server.wait_for_request(|request| request.is_turn() && request.mentions(&text), BOUND);
        let (run, ()) = tokio::join!(send, async {
            arrived.await;
            times.push(begun.elapsed());
        });
        run.ok();
        sandbox.ao(&["wait", "app-1", "--for", "idle"]).await.ok();
    }
    show("send to request", &mut times);
}

/// The memory of the process that waits for an idle agent's messages.
async fn resident_kib(sandbox: &Sandbox) -> u64 {
    let begun = Instant::now();
    let pid = loop {
        let resting = sandbox.processes().into_iter().find(|(pid, _)| rests(*pid));
        match resting {
            Some((pid, _)) => break pid,
            None => assert!(begun.elapsed() < BOUND, "nobody waits for the idle agent"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    tokio::time::sleep(Duration::from_millis(100)).await;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Shows them; gives p99.
fn show(what: &str, times: &mut [Duration]) -> Duration {
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!("{what:17} p50 {:7.2} ms   p99 {:7.2} ms   ({} times)", ms(at(50)), ms(at(99)), times.len());
    at(99)
}
