//! Agents that are missing, too old, or die: each is told with its reason, and nothing is left.

use std::time::Duration;

use serde_json::json;

use crate::sandbox::Sandbox;
use crate::tools::{RUNTIMES, has_runtime};

/// Insists that a failed spawn left nothing but its record.
async fn assert_nothing_is_left(sandbox: &Sandbox, runtime: &str) {
    assert_eq!(sandbox.branches(), ["main"], "{runtime}");
    assert!(!sandbox.worktree("app-1").exists(), "{runtime}");
    assert!(!sandbox.session_dir("app-1").exists(), "{runtime}");
    assert_eq!(sandbox.git(&sandbox.repo(), &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    assert_eq!(sandbox.ao(&["ls", "--json"]).await.json(), serde_json::json!([]), "{runtime}");
    let daemon = sandbox.daemon_pid().await;
    sandbox.until("only the daemon runs", || sandbox.processes().iter().all(|(pid, _)| *pid == daemon)).await;
}

#[tokio::test]
async fn i01_a_missing_agent_is_told_before_anything_exists() {
    let sandbox = Sandbox::new();
    // The machine may have a `claude` anywhere.
    let config = sandbox.path("home/.config/ao/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, "[agents.claude-code]\nkind = \"claude-code\"\nprogram = \"no-such-claude\"\n").unwrap();
    let run = sandbox.ao(&["spawn", "task"]).await;
    run.fails(1, &["claude-code was not found", "npm install -g @anthropic-ai/claude-code"]);
    assert_eq!(sandbox.ao(&["ls", "-a", "--json"]).await.json(), serde_json::json!([]));
    assert_eq!(sandbox.branches(), ["main"]);
}

#[tokio::test]
async fn i01_an_agent_that_is_too_old_is_refused() {
    let mut sandbox = Sandbox::new();
    sandbox.install("claude", "#!/bin/sh\necho '1.0.3 (Claude Code)'\n");
    let run = sandbox.ao(&["spawn", "task"]).await;
    run.fails(1, &["1.0.3", "too old", "hint:"]);
    assert_eq!(sandbox.ao(&["ls", "-a", "--json"]).await.json(), serde_json::json!([]));
}

#[tokio::test]
async fn i01_an_agent_that_exits_at_once_leaves_nothing() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let mut sandbox = Sandbox::new();
        let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }\n\
                      echo 'cannot read the licence'\nexit 3\n";
        sandbox.install("claude", script);
        let run = sandbox.ao(&["spawn", "--runtime", runtime, "task"]).await;
        run.fails(1, &["claude-code exited with code 3 right after its start", "cannot read the licence"]);
        let session = sandbox.show("app-1").await;
        assert_eq!(session["status"], "failed");
        assert_eq!(session["exit"]["reason"], "spawn_failed");
        assert_eq!(session["exit"]["step"], "launched");
        assert_eq!(session["exit"]["code"], 3);
        assert_eq!(session["exit"]["output_tail"], "cannot read the licence");
        assert_nothing_is_left(&sandbox, runtime).await;
    }
}

#[tokio::test]
async fn i01_a_command_that_fails_at_once_leaves_nothing() {
    let sandbox = Sandbox::new();
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", "echo boom; exit 3"];
    sandbox.ao(&args).await.fails(1, &["command exited with code 3", "boom", "ao show app-1"]);
    assert_nothing_is_left(&sandbox, "pty").await;
}

#[tokio::test]
async fn i05_work_of_an_agent_that_failed_at_once_is_kept() {
    let sandbox = Sandbox::new();
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--", "sh", "-c", "echo precious > work; exit 3"];
    sandbox.ao(&args).await.fails(1, &["exited with code 3"]);
    assert_eq!(std::fs::read_to_string(sandbox.worktree("app-1").join("work")).unwrap(), "precious\n");
    let session = sandbox.show("app-1").await;
    assert!(session["notes"].to_string().contains("was kept: 1 uncommitted change"), "{session:#}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--", "no-such-program"];
    sandbox.ao(&args).await.fails(1, &["no-such-program"]);
    assert_eq!(sandbox.branches(), ["main"]);
}

#[tokio::test]
async fn a_later_failure_is_told_with_its_code() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let script = "echo working; sleep 1.5; echo gave up; exit 7";
        let args = ["spawn", "--agent", "command", "--runtime", runtime, "--wait", "exit", "--", "sh", "-c", script];
        sandbox.ao(&args).await.fails(1, &["app-1 failed: exited (exit code 7)", "gave up"]);
        assert_eq!(sandbox.ao(&["output", "app-1"]).await.ok(), "working\ngave up", "{runtime}");
    }
}

#[tokio::test]
async fn an_agent_that_never_reports_is_left_and_its_screen_is_shown() {
    let mut sandbox = Sandbox::new();
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }\n\
                  echo 'Do you trust this directory?'\nexec sleep 600\n";
    sandbox.install("claude", script);
    let run = sandbox.ao(&["spawn", "--runtime", "pty", "--timeout", "12s", "task"]).await;
    run.fails(6, &["was not ready in time", "Do you trust this directory?", "ao kill app-1"]);
    let session = sandbox.show("app-1").await;
    assert_eq!(session["status"], "starting");
    assert!(Sandbox::is_running(u32::try_from(session["pid"].as_u64().unwrap()).unwrap()));
}

#[tokio::test]
async fn a_kill_interrupts_a_spawn_and_undoes_it() {
    let mut sandbox = Sandbox::new();
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }\nexec sleep 600\n";
    sandbox.install("claude", script);
    sandbox.ao(&["spawn", "--runtime", "pty", "--wait", "none", "task"]).await.ok();
    sandbox.until("the agent runs", || !sandbox.running("sleep 600").is_empty()).await;
    let killed = tokio::time::timeout(Duration::from_secs(30), sandbox.ao(&["kill", "app-1"])).await.unwrap();
    killed.ok();
    let session = sandbox.show("app-1").await;
    assert_eq!(
        (&session["status"], &session["exit"]["reason"]),
        (&json!("terminated"), &json!("killed")),
        "{session:#}"
    );
    assert_nothing_is_left(&sandbox, "pty").await;
}
