//! The main job, with the real Claude Code and a scripted model server: what a user does all day.

use std::time::Duration;

use serde_json::{Value, json};

pub(crate) use crate::claude_sandbox::claude_sandbox;
use crate::model_server::{Gate, ModelServer, Turn, marker};
use crate::sandbox::{BOUND, Sandbox};
use crate::tools::{RUNTIMES, claude, has_runtime};

/// A turn that makes a commit, held back by a gate, and one that ends.
fn commit_job(gate: &Gate) -> Vec<Turn> {
    let command = "echo made by the agent > result && git add result && git commit --quiet --message='agent work'";
    vec![Turn::bash(command).gated(gate), Turn::text("The work is done.")]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_runs_from_spawn_to_commit_on_every_runtime() {
    let Some(program) = claude() else { return };
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let server = ModelServer::start().await;
        let sandbox = claude_sandbox(&server, &program);
        let gate = Gate::new();
        server.script("job", commit_job(&gate));
        let prompt = format!("Make a commit. {}", marker("job"));
        let args = ["spawn", "--runtime", runtime, "--permission-mode", "bypass-permissions", "--json", &prompt];
        let spawned = sandbox.ao(&args).await;
        spawned.ok();
        assert_eq!(spawned.json()["prompt"], prompt, "{runtime}");

        gate.reached(1, BOUND).await;
        let working = sandbox.wait_for("app-1", "status", "working").await;
        let pid = u32::try_from(working["pid"].as_u64().unwrap()).unwrap();
        assert!(Sandbox::is_running(pid), "{runtime}");
        assert_eq!(sandbox.git(&sandbox.repo(), &["log", "--format=%s", "ao/app-1"]), "init", "{runtime}");

        gate.release();
        let idle = sandbox.wait_for("app-1", "status", "idle").await;
        assert_eq!(sandbox.git(&sandbox.repo(), &["show", "ao/app-1:result"]), "made by the agent", "{runtime}");
        assert_eq!(idle["activity"], "idle", "{runtime}");
        sandbox.until_output("app-1", "The work is done.").await;
        assert_eq!(sandbox.git(&sandbox.repo(), &["status", "--porcelain"]), "", "{runtime}");
        assert_eq!(sandbox.git(&sandbox.worktree("app-1"), &["status", "--porcelain"]), "", "{runtime}");

        let killed = sandbox.ao(&["kill", "app-1", "--json"]).await.json();
        assert_eq!(
            killed["workspace"]["settled"],
            json!({ "outcome": "removed", "branch_deleted": false }),
            "{runtime}"
        );
        assert!(!Sandbox::is_running(pid), "{runtime}");
        assert_eq!(sandbox.branches(), ["ao/app-1", "main"], "{runtime}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_idle_waits_for_the_work() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let gate = Gate::new();
    gate.release();
    server.script("job", commit_job(&gate));
    let prompt = format!("Make a commit. {}", marker("job"));
    let args = ["spawn", "--runtime", "pty", "--permission-mode", "bypass-permissions", "--wait", "idle", &prompt];
    assert_eq!(sandbox.ao(&args).await.ok(), "app-1");
    assert_eq!(sandbox.git(&sandbox.repo(), &["show", "ao/app-1:result"]), "made by the agent");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_asks_for_permission_is_shown_as_blocked_with_what_it_wants() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    server.script("ask", vec![Turn::bash("touch forbidden"), Turn::text("done")]);
    sandbox.ao(&["spawn", "--runtime", "pty", &format!("Touch it. {}", marker("ask"))]).await.ok();
    let session = sandbox.wait_for("app-1", "status", "blocked").await;
    assert_eq!(session["pending_request"]["tool"], "Bash", "{session:#}");
    assert_eq!(session["pending_request"]["input"]["command"], "touch forbidden", "{session:#}");
    let listed = sandbox.ao(&["ls"]).await.ok();
    assert!(listed.contains("blocked") && listed.contains("wants Bash"), "{listed}");
    assert!(!sandbox.worktree("app-1").join("forbidden").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_works_on_while_no_daemon_runs_and_nothing_of_it_is_lost() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    let gate = Gate::new();
    server.script("job", commit_job(&gate));
    let prompt = format!("Make a commit. {}", marker("job"));
    sandbox.ao(&["spawn", "--runtime", "pty", "--permission-mode", "bypass-permissions", &prompt]).await.ok();
    gate.reached(1, BOUND).await;
    let daemon = sandbox.daemon_pid().await;
    crate::sandbox::signal(daemon, rustix::process::Signal::KILL);
    sandbox.until("the daemon is dead", || !Sandbox::is_running(daemon)).await;
    gate.release();
    server.wait_for_request(|request| !request.tool_results().is_empty(), BOUND).await;
    sandbox.ao(&["start"]).await.ok();
    let session = sandbox.wait_for("app-1", "status", "idle").await;
    assert_eq!(session["exit"], Value::Null);
    assert_eq!(sandbox.git(&sandbox.repo(), &["show", "ao/app-1:result"]), "made by the agent");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_agents_work_side_by_side_each_on_its_own() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    sandbox.ao(&["start"]).await.ok();
    let count = 4;
    for n in 0..count {
        let command = format!("echo {n} > result && git add result && git commit --quiet --message=work-{n}");
        server.script(&format!("job-{n}"), vec![Turn::bash(&command), Turn::text("done")]);
    }
    let prompts: Vec<String> = (0..count).map(|n| format!("Number {n}. {}", marker(&format!("job-{n}")))).collect();
    let spawns = prompts.iter().map(|prompt| async {
        let args = ["spawn", "--runtime", "pty", "--permission-mode", "bypass-permissions", "--json", "--wait", "idle"];
        let run = sandbox.ao(&[&args[..], &[prompt]].concat()).await;
        run.ok();
        run.json()
    });
    let sessions = tokio::time::timeout(BOUND + Duration::from_secs(60), futures_util::future::join_all(spawns));
    for (n, session) in sessions.await.unwrap().into_iter().enumerate() {
        let branch = session["branch"].as_str().unwrap();
        assert_eq!(sandbox.git(&sandbox.repo(), &["show", &format!("{branch}:result")]), n.to_string(), "{session:#}");
    }
}

/// Spawns an agent of which no hook runs before what it asks is answered; it is shown with that question.
#[cfg(feature = "fault-points")]
async fn asks_at_its_door(mut sandbox: Sandbox, question: &str) {
    let faults = sandbox.path("faults");
    std::fs::create_dir(&faults).unwrap();
    sandbox.env.insert("AO_FAULT_DIR".into(), faults.to_str().unwrap().into());
    let spawn = sandbox.ao(&["spawn", "--runtime", "pty", "--timeout", "12s", "do it"]).await;
    spawn.fails(6, &["app-1 runs, but was not ready in time", question]);
    assert_eq!(sandbox.show("app-1").await["status"], "starting");
    // Ninety seconds later.
    std::fs::write(faults.join("clock"), "100000").unwrap();
    assert_eq!(sandbox.show("app-1").await["status"], "no_signal");
    let shown = sandbox.ao(&["show", "app-1"]).await.ok();
    assert!(shown.contains(question) && shown.contains("ao kill app-1"), "{shown}");
    let listed = sandbox.ao(&["ls"]).await.ok();
    assert!(listed.contains("no_signal") && listed.contains("ao show app-1"), "{listed}");
    let waited = sandbox.ao(&["wait", "app-1", "--for", "idle", "--timeout", "2s"]).await;
    waited.fails(6, &["never reported", "ao show app-1"]);
    let sent = sandbox.ao(&["send", "app-1", "--wait", "--timeout", "3s", "hello"]).await;
    sent.fails(6, &["is queued, and was not taken in time: its agent never reported", "ao show app-1"]);
    let messages = sandbox.ao(&["messages", "app-1"]).await.ok();
    assert!(messages.contains("never reported"), "{messages}");
}

/// Changes the real Claude Code's configuration in this home.
#[cfg(feature = "fault-points")]
fn configure(home: &std::path::Path, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    let config = home.join(".claude.json");
    let mut settings: Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    change(settings.as_object_mut().unwrap());
    std::fs::write(&config, settings.to_string()).unwrap();
}

#[cfg(feature = "fault-points")]
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_asks_for_its_key_is_no_signal_with_its_question() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let sandbox = claude_sandbox(&server, &program);
    // Whether to use a key that was not approved.
    configure(&sandbox.path("home"), |settings| drop(settings.remove("customApiKeyResponses")));
    asks_at_its_door(sandbox, "API key").await;
}

#[cfg(feature = "fault-points")]
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_asks_for_trust_is_no_signal_with_its_question() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let mut sandbox = claude_sandbox(&server, &program);
    // Run by a program of the user's in a home of its own, where ao does not mark what it makes as trusted.
    let elsewhere = sandbox.path("elsewhere");
    crate::model_server::claude_home(&elsewhere, &server.url());
    std::fs::remove_file(sandbox.path("bin/claude")).unwrap();
    let script = format!("#!/bin/sh\nHOME={} exec {} \"$@\"\n", elsewhere.display(), program.display());
    sandbox.install("claude", &script);
    asks_at_its_door(sandbox, "trust").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_nobody_logged_in_is_idle_with_the_reason() {
    let Some(program) = claude() else { return };
    let server = ModelServer::start().await;
    let mut sandbox = claude_sandbox(&server, &program);
    sandbox.env.remove("ANTHROPIC_API_KEY");
    let spawn = sandbox.ao(&["spawn", "--runtime", "pty", "--wait", "idle", "do it"]).await;
    spawn.fails(1, &["app-1 is idle, for its turn failed: authentication_failed: Not logged in", "ao output app-1"]);
    let session = sandbox.show("app-1").await;
    assert_eq!((&session["status"], session["turn_failure"].is_string()), (&"idle".into(), true), "{session:#}");
    let listed = sandbox.ao(&["ls"]).await.ok();
    assert!(listed.contains("its turn failed: authentication_failed: Not logged in"), "{listed}");
    assert!(sandbox.ao(&["show", "app-1"]).await.ok().contains("turn failed    authentication_failed: Not logged in"));
    let events = sandbox.ao(&["events"]).await.ok();
    assert!(events.contains("the agent is idle: its turn failed: authentication_failed"), "{events}");
    let waited = sandbox.ao(&["wait", "app-1", "--for", "idle"]).await;
    waited.ok();
    assert!(waited.stderr.contains("app-1 is idle: its turn failed"), "{waited:?}");
}
