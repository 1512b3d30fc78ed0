//! Killing: idempotent, and never at the cost of work.

use std::time::Duration;

use serde_json::Value;

use crate::project_file;
use crate::sandbox::Sandbox;
use crate::tools::{RUNTIMES, has_runtime};

async fn spawn(sandbox: &Sandbox, runtime: &str, script: &str) -> u32 {
    let args = ["spawn", "--agent", "command", "--runtime", runtime, "--json", "--", "sh", "-c", script];
    let run = sandbox.ao(&args).await;
    run.ok();
    u32::try_from(run.json()["pid"].as_u64().unwrap()).unwrap()
}

async fn kill(sandbox: &Sandbox) -> Value {
    let run = sandbox.ao(&["kill", "app-1", "--json"]).await;
    run.ok();
    run.json()
}

/// Whether somebody wants the only session to end.
fn kill_is_on_record(sandbox: &Sandbox) -> bool {
    let row = std::process::Command::new("python3")
        .args(["-c", "import sqlite3,sys; print(sqlite3.connect(sys.argv[1]).execute('select kill_requested_at_ms from sessions').fetchone()[0])"])
        .arg(sandbox.path("data/ao.db"))
        .output()
        .unwrap();
    String::from_utf8_lossy(&row.stdout).trim().parse::<u64>().is_ok()
}

#[tokio::test]
async fn the_whole_process_tree_ends() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let pid = spawn(&sandbox, runtime, "(setsid sleep 700 &); trap '' TERM; sleep 600; sleep 601; sleep 602").await;
        sandbox.until("the grandchild runs", || !sandbox.running("sleep 700").is_empty()).await;
        let killed = kill(&sandbox).await;
        assert_eq!(killed["session"]["exit"]["reason"], "killed", "{killed:#}");
        assert_eq!(killed["workspace"]["settled"]["outcome"], "removed", "{killed:#}");
        assert!(!Sandbox::is_running(pid), "{runtime}");
        let daemon = sandbox.daemon_pid().await;
        let left: Vec<_> = sandbox.processes().into_iter().filter(|(pid, _)| *pid != daemon).collect();
        assert!(left.is_empty(), "{runtime}: {left:#?}");
        assert_eq!(sandbox.branches(), ["main"], "{runtime}");
    }
}

#[tokio::test]
async fn an_agent_whose_terminal_records_were_deleted_is_not_taken_for_dead_and_can_be_killed() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let pid = spawn(&sandbox, runtime, "sleep 600").await;
        std::fs::remove_dir_all(sandbox.session_dir("app-1").join("terminal")).unwrap();
        // It looks at every agent first.
        let restored = sandbox.ao(&["restore", "--all"]).await;
        assert_eq!(sandbox.show("app-1").await["status"], "working", "{runtime}: {}", restored.ok());
        assert!(Sandbox::is_running(pid), "{runtime}");
        let killed = kill(&sandbox).await;
        assert_eq!(killed["session"]["exit"]["reason"], "killed", "{killed:#}");
        assert!(!Sandbox::is_running(pid), "{runtime}: the agent works on");
        let daemon = sandbox.daemon_pid().await;
        let left: Vec<_> = sandbox.processes().into_iter().filter(|(pid, _)| *pid != daemon).collect();
        assert!(left.is_empty(), "{runtime}: {left:#?}");
    }
}

#[tokio::test]
async fn i04_killing_twice_is_success() {
    let sandbox = Sandbox::new();
    spawn(&sandbox, "pty", "sleep 600").await;
    sandbox.ao(&["project", "rm", "app"]).await.fails(5, &["still has live sessions", "ao kill"]);
    kill(&sandbox).await;
    let again = kill(&sandbox).await;
    assert_eq!(again["session"]["status"], "terminated");
    assert_eq!(again["workspace"]["settled"]["outcome"], "missing", "{again:#}");
}

#[tokio::test]
async fn i04_a_missing_process_worktree_or_repository_is_success() {
    let sandbox = Sandbox::new();
    let pid = spawn(&sandbox, "pty", "sleep 600").await;
    crate::sandbox::signal(pid, rustix::process::Signal::KILL);
    std::fs::remove_dir_all(sandbox.worktree("app-1")).unwrap();
    std::fs::rename(sandbox.repo(), sandbox.path("elsewhere")).unwrap();
    let mut command = sandbox.command(&["kill", "app-1"]);
    command.current_dir("/");
    sandbox.run(command).await.ok();
}

#[tokio::test]
async fn several_end_at_once_and_one_that_cannot_holds_up_no_other() {
    let sandbox = Sandbox::new();
    for _ in 0..3 {
        spawn(&sandbox, "pty", "trap '' TERM; sleep 600; sleep 601").await;
    }
    std::fs::write(sandbox.worktree("app-2").join("draft"), "mine").unwrap();
    let run = sandbox.ao(&["kill", "app-1", "app-9", "app-2"]).await;
    let told = run.stderr.clone();
    run.fails(4, &["1 of 3 sessions are not over", "app-9: there is no session app-9"]);
    assert!(told.find("app-1 is over").unwrap() < told.find("app-2 is over").unwrap(), "{told}");
    assert!(told.contains("kept") && sandbox.worktree("app-2").join("draft").exists(), "{told}");
    let run = sandbox.ao(&["kill", "--json", "app-3", "app-1"]).await;
    run.ok();
    let answers = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(answers.map(|answer| answer["session"]["id"].clone()).eq(["app-3", "app-1"]));
    sandbox.ao(&["kill"]).await.fails(2, &["SESSION"]);
}

#[tokio::test]
async fn an_unknown_session_is_no_such_thing() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    sandbox.ao(&["kill", "app-9"]).await.fails(4, &["there is no session app-9", "ao ls -a"]);
}

#[tokio::test]
async fn i05_uncommitted_and_untracked_work_keeps_the_workspace() {
    let sandbox = Sandbox::new();
    spawn(&sandbox, "pty", "echo changed > README; echo new > untracked; sleep 600").await;
    sandbox.until("the agent wrote", || sandbox.worktree("app-1").join("untracked").exists()).await;
    let killed = kill(&sandbox).await;
    assert_eq!(killed["workspace"]["settled"]["outcome"], "kept", "{killed:#}");
    assert_eq!(std::fs::read_to_string(sandbox.worktree("app-1").join("README")).unwrap(), "changed\n");
    assert_eq!(std::fs::read_to_string(sandbox.worktree("app-1").join("untracked")).unwrap(), "new\n");
    assert_eq!(sandbox.branches(), ["ao/app-1", "main"]);
}

#[tokio::test]
async fn i05_a_branch_with_commits_outlives_its_session() {
    let sandbox = Sandbox::new();
    spawn(&sandbox, "pty", "echo new > file; git add .; git commit --quiet --message=work; sleep 600").await;
    sandbox
        .until("the agent committed", || {
            sandbox.git(&sandbox.worktree("app-1"), &["log", "--format=%s"]).starts_with("work")
        })
        .await;
    let killed = kill(&sandbox).await;
    assert_eq!(killed["workspace"]["settled"]["outcome"], "removed", "{killed:#}");
    assert!(!sandbox.worktree("app-1").exists());
    assert_eq!(sandbox.git(&sandbox.repo(), &["show", "ao/app-1:file"]), "new");
}

#[tokio::test]
async fn i06_a_directory_that_is_not_aos_is_left_alone() {
    let sandbox = Sandbox::new();
    spawn(&sandbox, "pty", "sleep 600").await;
    let worktree = sandbox.worktree("app-1");
    sandbox.git(&sandbox.repo(), &["worktree", "remove", "--force", worktree.to_str().unwrap()]);
    std::fs::create_dir(&worktree).unwrap();
    std::fs::write(worktree.join("mine"), "mine").unwrap();
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert_eq!(std::fs::read_to_string(worktree.join("mine")).unwrap(), "mine");
}

#[tokio::test]
async fn a_workspace_goes_also_after_its_project_was_forgotten() {
    let sandbox = Sandbox::new();
    spawn(&sandbox, "pty", "sleep 1").await;
    sandbox.wait_for("app-1", "status", "terminated").await;
    sandbox.ao(&["project", "rm", "app"]).await.ok();
    let killed = kill(&sandbox).await;
    assert_eq!(killed["workspace"]["settled"]["outcome"], "removed", "{killed:#}");
    assert_eq!(sandbox.branches(), ["main"]);
}

#[tokio::test]
async fn i02_a_kill_that_was_cut_off_is_finished() {
    let sandbox = Sandbox::new();
    // It takes its time to end, so that the daemon dies in the middle.
    let pid = spawn(&sandbox, "pty", "trap '' TERM; while :; do sleep 0.1; done").await;
    let daemon = sandbox.daemon_pid().await;
    let mut kill = sandbox.command(&["kill", "app-1"]).spawn().unwrap();
    sandbox.until("the kill is on record", || kill_is_on_record(&sandbox)).await;
    crate::sandbox::signal(daemon, rustix::process::Signal::KILL);
    let _ = kill.wait();
    sandbox.ao(&["start"]).await.ok();
    let session = sandbox.wait_for("app-1", "status", "terminated").await;
    assert_eq!(session["exit"]["reason"], "killed", "{session:#}");
    assert!(!Sandbox::is_running(pid));
    sandbox.until("the workspace is gone", || !sandbox.worktree("app-1").exists()).await;
}

/// A hook that hangs holds nothing up for ever, also when the daemon that asked for the checkout is dead.
#[tokio::test]
async fn a_checkout_that_hangs_is_ended_by_a_kill() {
    for daemon_dies in [false, true] {
        let sandbox = Sandbox::new();
        let hook = sandbox.repo().join(".git/hooks/post-checkout");
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        crate::executable::write(&hook, "#!/bin/sh\ntouch \"$HOME/checking-out\"\nsleep 700\n");
        sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--wait", "none", "--", "true"]).await.ok();
        sandbox.until("git checks out", || sandbox.path("home/checking-out").exists()).await;
        if daemon_dies {
            crate::sandbox::signal(sandbox.daemon_pid().await, rustix::process::Signal::KILL);
            sandbox.ao(&["start"]).await.ok();
            sandbox.wait_for("app-1", "status", "failed").await;
        } else {
            let killed = kill(&sandbox).await;
            assert_eq!(killed["session"]["exit"]["reason"], "killed", "{killed:#}");
        }
        assert_eq!(sandbox.branches(), ["main"]);
        assert!(!sandbox.worktree("app-1").exists());
        assert!(sandbox.running("sleep 700").is_empty(), "the hook runs on");
        std::fs::remove_file(&hook).unwrap();
        sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--", "true"]).await.ok();
    }
}

#[tokio::test]
async fn i02_a_kill_that_was_cut_off_after_its_agent_had_ended_still_takes_the_workspace() {
    let sandbox = Sandbox::new();
    let pid = spawn(&sandbox, "pty", "sleep 600").await;
    sandbox.ao(&["stop"]).await.ok();
    // What a daemon leaves that died between ending the agent and recording the end.
    let update = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); c.execute('update sessions set kill_requested_at_ms=updated_at_ms'); c.commit()";
    let recorded = std::process::Command::new("python3").args(["-c", update]).arg(sandbox.path("data/ao.db")).status();
    assert!(recorded.unwrap().success());
    crate::sandbox::signal(pid, rustix::process::Signal::KILL);
    sandbox.until("everything has ended", || sandbox.processes().is_empty()).await;
    sandbox.ao(&["start"]).await.ok();
    let session = sandbox.wait_for("app-1", "status", "terminated").await;
    assert_eq!((&session["exit"]["reason"], &session["exit"]["signal"]), (&"killed".into(), &9.into()), "{session:#}");
    assert!(!sandbox.worktree("app-1").exists());
    assert_eq!(sandbox.branches(), ["main"]);
}

/// A kill that takes its time, a restore behind it, and a kill behind that: the last kill has the last word, and waits for no setup.
#[tokio::test]
async fn a_kill_gives_a_restore_up_that_begins_while_it_waits() {
    for _attempt in 0..3 {
        let sandbox = Sandbox::new();
        let mark = sandbox.path("home/was-set-up");
        let setup = format!("setup = ['test ! -e {0} || sleep 700; touch {0}']\n", mark.display());
        project_file::write(&sandbox, &setup);
        project_file::trust(&sandbox).await;
        let agent = spawn(&sandbox, "pty", "trap '' TERM; while :; do sleep 0.1; done").await;
        let slow_kill = sandbox.ao(&["kill", "app-1"]);
        let rest = async {
            sandbox.until("the kill is on record", || kill_is_on_record(&sandbox)).await;
            let restore = async {
                sandbox.ao(&["restore", "--no-wait", "app-1"]).await.ok();
                std::time::Instant::now()
            };
            let last_kill = async {
                // The restore says nothing while it waits.
                tokio::time::sleep(Duration::from_millis(1500)).await;
                let is_early = Sandbox::is_running(agent);
                sandbox.ao(&["kill", "--force", "app-1"]).await.ok();
                (is_early, std::time::Instant::now())
            };
            tokio::join!(restore, last_kill)
        };
        let (first, (restored_at, (was_early, killed_at))) = tokio::join!(slow_kill, rest);
        first.ok();
        // On a machine so slow that they came in another order, there was nothing to see.
        if !was_early || killed_at < restored_at {
            sandbox.ao(&["kill", "app-1"]).await.ok();
            continue;
        }
        assert!(sandbox.running("sleep 700").is_empty(), "its setup still runs");
        let session = sandbox.show("app-1").await;
        assert_eq!(session["exit"]["reason"], "killed", "{session:#}");
        assert!(!sandbox.worktree("app-1").exists());
        assert_eq!(sandbox.branches(), ["main"]);
        return;
    }
    panic!("three times the requests came in another order");
}
