//! Ends that nobody looks for: the runtime tells the daemon. It looks at all agents once an hour here, so what shows was told.

use rustix::process::Signal;
use serde_json::json;

use crate::sandbox::{Sandbox, signal};
use crate::tools::{RUNTIMES, has_runtime};

fn sandbox_that_never_looks() -> Sandbox {
    let hour = [("AO_TEST_RECONCILE_INTERVAL_MS".to_owned(), "3600000".to_owned())];
    Sandbox::with_env(hour.into())
}

async fn spawn(sandbox: &Sandbox, runtime: &str, script: &str) -> u32 {
    let run =
        sandbox.ao(&["spawn", "--agent", "command", "--runtime", runtime, "--json", "--", "sh", "-c", script]).await;
    run.ok();
    u32::try_from(run.json()["pid"].as_u64().unwrap()).unwrap()
}

/// How many ends of processes a process waits for.
fn pidfds(pid: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    files.filter(|file| std::fs::read_link(file.path()).is_ok_and(|to| to.to_string_lossy().contains("pidfd"))).count()
}

#[tokio::test]
async fn an_end_shows_without_a_look_at_all_agents() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = sandbox_that_never_looks();
        let go = sandbox.path("go").display().to_string();
        spawn(&sandbox, runtime, &format!("until test -e {go}; do sleep 0.05; done; exit 3")).await;
        std::fs::write(&go, "").unwrap();
        let session = sandbox.wait_for("app-1", "activity", "exited").await;
        assert_eq!(
            (&session["status"], &session["exit"]["code"]),
            (&json!("failed"), &json!(3)),
            "{runtime}: {session:#}"
        );
        let agent = spawn(&sandbox, runtime, "exec sleep 600").await;
        signal(agent, Signal::KILL);
        let session = sandbox.wait_for("app-2", "activity", "exited").await;
        assert_eq!(session["exit"]["signal"], 9, "{runtime}: {session:#}");
    }
}

#[tokio::test]
async fn an_adopted_agents_end_shows_too() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = sandbox_that_never_looks();
        let agent = spawn(&sandbox, runtime, "exec sleep 600").await;
        let daemon = sandbox.daemon_pid().await;
        signal(daemon, Signal::KILL);
        sandbox.until("the daemon is dead", || !Sandbox::is_running(daemon)).await;
        sandbox.ao(&["start"]).await.ok();
        assert_eq!(sandbox.show("app-1").await["pid"], agent, "{runtime}");
        signal(agent, Signal::KILL);
        let session = sandbox.wait_for("app-1", "activity", "exited").await;
        assert_eq!(session["exit"]["signal"], 9, "{runtime}: {session:#}");
    }
}

#[tokio::test]
async fn an_agent_whose_supervisor_was_killed_is_waited_for_itself() {
    // Only where nothing looks: the first end that is told is the supervisor's, the agent goes on, and the next look watches it.
    let sandbox = Sandbox::new();
    let agent = spawn(&sandbox, "pty", "trap '' HUP; echo > ready; while :; do sleep 0.05; done").await;
    sandbox.until("it ignores hang-ups", || sandbox.worktree("app-1").join("ready").exists()).await;
    let started = std::fs::read(sandbox.session_dir("app-1").join("terminal/started.json")).unwrap();
    let started: serde_json::Value = serde_json::from_slice(&started).unwrap();
    let holder = u32::try_from(started["supervisor"]["pid"].as_u64().unwrap()).unwrap();
    signal(holder, Signal::KILL);
    sandbox.until("the holder is dead", || !Sandbox::is_running(holder)).await;
    assert!(Sandbox::is_running(agent));
    assert_eq!(sandbox.show("app-1").await["status"], "working");
    signal(agent, Signal::KILL);
    assert_eq!(sandbox.wait_for("app-1", "activity", "exited").await["exit"]["reason"], "lost");
}

#[tokio::test]
async fn nothing_waits_for_what_is_over() {
    let sandbox = Sandbox::new();
    for _ in 0..3 {
        spawn(&sandbox, "pty", "exec sleep 600").await;
    }
    sandbox.ao(&["stop"]).await.ok();
    sandbox.ao(&["start"]).await.ok();
    // They are not this daemon's children: every handle is a watch.
    let daemon = sandbox.daemon_pid().await;
    sandbox.until("each agent is watched once", || pidfds(daemon) == 3).await;
    sandbox.ao(&["kill", "app-1"]).await.ok();
    signal(sandbox.show("app-2").await["pid"].as_u64().unwrap().try_into().unwrap(), Signal::KILL);
    sandbox.until("two watches are given up", || pidfds(daemon) == 1).await;
    sandbox.ao(&["kill", "app-3"]).await.ok();
    sandbox.until("all of them are given up", || pidfds(daemon) == 0).await;
}
