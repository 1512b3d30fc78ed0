//! `ao wait`: until sessions reach a state, through a restart of the daemon, with an exit code that says what came of it.

use std::process::Stdio;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::sandbox::{Run, Sandbox, signal};

/// A Claude Code that reports by ao's hooks what the test tells it to, one report for each file `do-<event>`.
pub(crate) const OBEDIENT: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }
report() { printf '{"session_id":"x","hook_event_name":"%s","tool_name":"Bash","tool_input":{"command":"ls"}}' "$1" |
  "$AO_PROGRAM" hook claude-code "$1"; }
report SessionStart
while :; do
  for event in UserPromptSubmit PermissionRequest Stop; do
    [ -e "do-$event" ] || continue
    rm "do-$event"
    # The hook of a question stays until it is answered.
    if [ $event = PermissionRequest ]; then report $event & else report $event; fi
  done
  [ -e go ] && exit 3
  sleep 0.05
done
"#;

/// A sandbox with a live session `app-1` whose agent reports what it is told to.
async fn with_obedient() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.install("claude", OBEDIENT);
    sandbox.ao(&["spawn", "--runtime", "pty", "task"]).await.ok();
    tell(&sandbox, "UserPromptSubmit");
    sandbox.wait_for("app-1", "status", "working").await;
    sandbox
}

pub(crate) fn tell(sandbox: &Sandbox, event: &str) {
    std::fs::write(sandbox.worktree("app-1").join(format!("do-{event}")), "").unwrap();
}

/// An `ao` in the background, which has said something on stderr or not.
struct Background(tokio::process::Child, std::path::PathBuf);

impl Background {
    /// Starts it and waits until it asks the daemon.
    async fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let stderr = sandbox.path("background.stderr");
        let mut command = tokio::process::Command::from(sandbox.command(args));
        command.kill_on_drop(true).stdout(Stdio::piped()).stderr(std::fs::File::create(&stderr).unwrap());
        let child = command.spawn().unwrap();
        let pid = child.id().unwrap();
        sandbox.until("it is connected", || has_socket(pid)).await;
        Self(child, stderr)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.1).unwrap()
    }

    async fn end(self) -> Run {
        let output = tokio::time::timeout(crate::sandbox::BOUND, self.0.wait_with_output()).await;
        let output = output.expect("it ended in time").unwrap();
        let stderr = std::fs::read_to_string(&self.1).unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        Run { code: output.status.code().unwrap_or(-1), stdout, stderr }
    }
}

/// Whether a process has a socket open.
fn has_socket(pid: u32) -> bool {
    let Ok(files) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    files
        .flatten()
        .any(|file| std::fs::read_link(file.path()).is_ok_and(|target| target.to_string_lossy().starts_with("socket:")))
}

#[tokio::test]
async fn a_wait_ends_when_the_state_is_reached() {
    let sandbox = with_obedient().await;
    for (state, event) in [("blocked", "PermissionRequest"), ("idle", "Stop")] {
        let waiting = Background::start(&sandbox, &["wait", "app-1", "--for", state, "--json"]).await;
        tell(&sandbox, event);
        let run = waiting.end().await;
        run.ok();
        assert_eq!(run.json()["status"], state, "{run:#?}");
        assert!(run.stderr.contains(&format!("app-1 is {state}")), "{run:#?}");
    }
    // What is so already is reached.
    assert_eq!(sandbox.ao(&["wait", "app-1", "--for", "idle"]).await.ok(), "", "talk does not belong on stdout");
    let waiting = Background::start(&sandbox, &["wait", "app-1", "--for", "exit"]).await;
    std::fs::write(sandbox.worktree("app-1").join("go"), "").unwrap();
    let run = waiting.end().await;
    run.ok();
    assert!(run.stderr.contains("app-1 is over: exited (exit code 3)"), "{run:#?}");
}

#[tokio::test]
async fn every_other_outcome_has_its_exit_code() {
    let sandbox = with_obedient().await;
    let wait = |session: &'static str, state: &'static str| ["wait", session, "--for", state, "--timeout", "300ms"];
    let run = sandbox.ao(&wait("app-1", "idle")).await.fails(6, &["app-1 runs, but was not idle in time", "ao kill"]);
    assert_eq!(run.stdout, "");
    sandbox.ao(&wait("app-7", "exit")).await.fails(4, &["there is no session app-7", "ao ls -a"]);
    let waiting = Background::start(&sandbox, &["wait", "app-1", "--for", "blocked"]).await;
    std::fs::write(sandbox.worktree("app-1").join("go"), "").unwrap();
    waiting.end().await.fails(1, &["app-1 ended before it was blocked", "exit code 3", "ao show app-1"]);
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"]).await.ok();
    sandbox.ao(&wait("app-2", "idle")).await.fails(2, &["does not report what it does", "--for exit"]);
    sandbox.ao(&["wait", "app-2"]).await.fails(2, &["--for"]);
    sandbox.ao(&["stop"]).await.ok();
    let before = Instant::now();
    sandbox.ao(&["wait", "app-2", "--for", "exit"]).await.fails(3, &["no daemon answers", "ao start"]);
    assert!(before.elapsed().as_secs() < 60, "a daemon that was never there is not waited for");
}

#[tokio::test]
async fn several_are_waited_for_until_all_are_there() {
    let sandbox = Sandbox::new();
    for n in 1..=3 {
        let script = format!("until test -e '{}'; do sleep 0.05; done", sandbox.path(&format!("go-{n}")).display());
        let args = ["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", &script];
        sandbox.ao(&args).await.ok();
    }
    let waiting = Background::start(&sandbox, &["wait", "app-1", "app-2", "--for", "exit", "--json"]).await;
    std::fs::write(sandbox.path("go-2"), "").unwrap();
    sandbox.until("the first one is told", || waiting.said().contains("app-2 is over")).await;
    assert!(!waiting.said().contains("app-1"));
    std::fs::write(sandbox.path("go-1"), "").unwrap();
    let run = waiting.end().await;
    let lines: Vec<Value> = run.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["id"], &lines[1]["id"]), (&"app-2".into(), &"app-1".into()), "as they are settled");
    let args = ["wait", "app-1", "app-3", "--for", "exit", "--timeout", "300ms"];
    sandbox.ao(&args).await.fails(6, &["app-1 is over", "app-3 runs", "1 of 2 sessions were not over"]);
    sandbox.ao(&["wait", "app-3", "app-9", "--for", "exit"]).await.fails(4, &["there is no session app-9"]);
}

#[tokio::test]
async fn a_wait_outlasts_a_daemon_that_is_killed_or_stopped_and_comes_back() {
    let sandbox = with_obedient().await;
    for how in ["killed", "stopped"] {
        let waiting = Background::start(&sandbox, &["wait", "app-1", "--for", "idle"]).await;
        if how == "killed" {
            let daemon = sandbox.daemon_pid().await;
            signal(daemon, Signal::KILL);
            sandbox.until("the daemon is dead", || !Sandbox::is_running(daemon)).await;
        } else {
            sandbox.ao(&["stop"]).await.ok();
        }
        sandbox.until("it says so", || waiting.said().contains("the wait goes on when it is back")).await;
        sandbox.ao(&["status"]).await.fails(3, &["no daemon answers"]);
        sandbox.ao(&["start"]).await.ok();
        tell(&sandbox, "Stop");
        let run = waiting.end().await;
        run.ok();
        assert_eq!(run.stderr.matches("the wait goes on").count(), 1, "{how}: said once: {run:#?}");
        assert!(run.stderr.contains("the daemon is back"), "{how}: {run:#?}");
        tell(&sandbox, "UserPromptSubmit");
        sandbox.wait_for("app-1", "status", "working").await;
    }
}
