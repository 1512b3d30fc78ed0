//! Restoring: the conversation, the work and the settings come back, or nothing changes.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::claude::claude_sandbox;
use crate::model_server::{ModelServer, Turn, marker};
use crate::sandbox::{BOUND, Sandbox, signal};
use crate::tools::{RUNTIMES, claude, has_runtime};

async fn spawn(sandbox: &Sandbox, runtime: &str, script: &str) -> Value {
    let args = ["spawn", "--agent", "command", "--runtime", runtime, "--json", "--", "sh", "-c", script];
    let run = sandbox.ao(&args).await;
    run.ok();
    run.json()
}

fn pid(session: &Value) -> u32 {
    u32::try_from(session["pid"].as_u64().unwrap()).unwrap()
}

/// Ends the agent from outside, and waits until that is on record.
async fn end_agent(sandbox: &Sandbox, session: &Value) -> Value {
    signal(pid(session), rustix::process::Signal::KILL);
    sandbox.wait_for(session["id"].as_str().unwrap(), "status", "failed").await
}

/// Waits until the terminal shows a text.
async fn until_output(sandbox: &Sandbox, text: &str) {
    let started = Instant::now();
    loop {
        let output = sandbox.ao(&["output", "app-1"]).await.ok();
        if output.contains(text) {
            return;
        }
        assert!(started.elapsed() < BOUND, "{text:?} is never shown: {output}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A session without the time of its last change, which a restore that was given up moves.
fn as_it_was(mut session: Value) -> Value {
    session.as_object_mut().unwrap().remove("updated_at");
    session
}

#[tokio::test]
async fn a_session_that_was_killed_in_line_is_built_when_it_is_restored() {
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("AO_MAX_LIVE_AGENTS".into(), "1".into());
    spawn(&sandbox, "pty", "exec sleep 600").await;
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--queue", "--wait", "none", "--branch", "wanted"];
    let agent = ["--", "sh", "-c", "echo begun; exec sleep 600"];
    assert_eq!(sandbox.ao(&[&args[..], &agent].concat()).await.ok(), "app-2");
    for session in ["app-2", "app-1"] {
        sandbox.ao(&["kill", session]).await.ok();
    }
    sandbox.ao(&["restore", "app-2"]).await.ok();
    sandbox.until_output("app-2", "begun").await;
    let session = sandbox.show("app-2").await;
    assert_eq!((session["status"].as_str(), session["base"].as_str()), (Some("working"), Some("main")), "{session:#}");
    assert_eq!(sandbox.git(&sandbox.worktree("app-2"), &["branch", "--show-current"]), "wanted");
    assert!(!session["notes"].to_string().contains("again"), "it never began before: {session:#}");
    sandbox.ao(&["kill", "app-2"]).await.ok();
    assert_eq!(sandbox.branches(), ["main"]);
}

#[tokio::test]
async fn i05_a_branch_that_somebody_made_under_a_sessions_name_is_not_taken_by_its_restore() {
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("AO_MAX_LIVE_AGENTS".into(), "1".into());
    spawn(&sandbox, "pty", "exec sleep 600").await;
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--queue", "--wait", "none", "--branch", "wanted"];
    sandbox.ao(&[&args[..], &["--", "sleep", "600"]].concat()).await.ok();
    for session in ["app-2", "app-1"] {
        sandbox.ao(&["kill", session]).await.ok();
    }
    let before = sandbox.show("app-2").await;
    sandbox.git(&sandbox.repo(), &["branch", "wanted"]);
    sandbox.ao(&["restore", "app-2"]).await.fails(1, &["branch \"wanted\" exists", "git branch -m"]);
    assert_eq!(as_it_was(sandbox.show("app-2").await), as_it_was(before));
    assert_eq!(sandbox.branches(), ["main", "wanted"]);
    sandbox.git(&sandbox.repo(), &["branch", "-m", "wanted", "mine"]);
    sandbox.ao(&["restore", "app-2"]).await.ok();
    assert_eq!(sandbox.git(&sandbox.worktree("app-2"), &["branch", "--show-current"]), "wanted");
    sandbox.ao(&["kill", "app-2"]).await.ok();
    assert_eq!(sandbox.branches(), ["main", "mine"]);
    // Of one that was on a branch of that name nobody can tell what became of it: it is said.
    sandbox.git(&sandbox.repo(), &["branch", "wanted"]);
    let restored = sandbox.ao(&["restore", "app-2"]).await;
    restored.ok();
    assert!(restored.stderr.contains("branch wanted is not known to be the one that was made for it"), "{restored:#?}");
    sandbox.ao(&["kill", "app-2"]).await.ok();
    assert_eq!(sandbox.branches(), ["main", "mine", "wanted"]);
}

#[tokio::test]
async fn what_a_failed_restore_saved_is_put_back_by_the_next_one_also_where_there_was_nothing_before() {
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("AO_MAX_LIVE_AGENTS".into(), "1".into());
    spawn(&sandbox, "pty", "exec sleep 600").await;
    let script = "test -e \"$HOME/may\" || { echo work > notes; exit 3; }; exec sleep 600";
    let args =
        ["spawn", "--agent", "command", "--runtime", "pty", "--queue", "--wait", "none", "--", "sh", "-c", script];
    assert_eq!(sandbox.ao(&args).await.ok(), "app-2");
    for session in ["app-2", "app-1"] {
        sandbox.ao(&["kill", session]).await.ok();
    }
    sandbox.ao(&["restore", "app-2"]).await.fails(1, &[]);
    assert!(!sandbox.worktree("app-2").exists());
    std::fs::write(sandbox.path("home/may"), "").unwrap();
    sandbox.ao(&["restore", "app-2"]).await.ok();
    assert_eq!(std::fs::read_to_string(sandbox.worktree("app-2").join("notes")).unwrap(), "work\n");
    let session = sandbox.show("app-2").await;
    assert!(!session["notes"].to_string().contains("earlier session"), "{session:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_agent_goes_on_with_its_conversation_and_its_settings() {
    let Some(program) = claude() else { return };
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let server = ModelServer::start().await;
        let sandbox = claude_sandbox(&server, &program);
        server.script("job", vec![Turn::bash("echo draft > draft"), Turn::text("The draft is written.")]);
        let prompt = format!("Write it. {}", marker("job"));
        let args = ["spawn", "--runtime", runtime, "--permission-mode", "bypass-permissions", "--wait", "idle"];
        sandbox.ao(&[&args[..], &["--json", &prompt, "--", "--model", "opus"]].concat()).await.ok();
        let before = sandbox.show("app-1").await;
        sandbox.ao(&["kill", "--force", "app-1"]).await.ok();
        assert!(!sandbox.worktree("app-1").exists(), "{runtime}");

        assert_eq!(sandbox.ao(&["restore", "app-1"]).await.ok(), "app-1", "{runtime}");
        let after = sandbox.wait_for("app-1", "status", "idle").await;
        for field in ["agent_session_id", "permission_mode", "agent_args", "branch", "workspace", "prompt"] {
            assert_eq!(after[field], before[field], "{runtime}: {field}");
        }
        assert_ne!(after["pid"], before["pid"]);
        let command_line = std::fs::read(format!("/proc/{}/cmdline", pid(&after))).unwrap();
        let command_line = String::from_utf8(command_line).unwrap().replace('\0', " ");
        let conversation = before["agent_session_id"].as_str().unwrap();
        for word in
            [format!("--resume {conversation}"), "--permission-mode bypassPermissions".into(), "--model opus".into()]
        {
            assert!(command_line.contains(&word), "{runtime}: {word}: {command_line}");
        }
        assert_eq!(std::fs::read_to_string(sandbox.worktree("app-1").join("draft")).unwrap(), "draft\n");
        assert_eq!(sandbox.git(&sandbox.worktree("app-1"), &["status", "--porcelain"]), "?? draft");
        until_output(&sandbox, "The draft is written.").await;
        sandbox.ao(&["kill", "--force", "app-1"]).await.ok();
    }
}

#[tokio::test]
async fn i05_what_force_saved_comes_back_as_it_was() {
    let sandbox = Sandbox::new();
    let script = "[ -e untracked ] && exec sleep 600; echo staged > staged; git add staged; echo more >> staged; \
                  echo changed > README; mkdir sub; echo new > sub/new; echo all > untracked; exec sleep 601";
    spawn(&sandbox, "pty", script).await;
    let worktree = sandbox.worktree("app-1");
    sandbox.until("the agent wrote", || !sandbox.running("sleep 601").is_empty()).await;
    let status = sandbox.git(&worktree, &["status", "--porcelain"]);
    assert!(
        status.contains("AM staged") && status.contains(" M README") && status.contains("?? untracked"),
        "{status}"
    );

    let killed = sandbox.ao(&["kill", "--force", "app-1"]).await;
    killed.ok();
    assert!(killed.stderr.contains("refs/ao/preserved/app-1"), "{killed:#?}");
    assert!(!worktree.exists());
    let saved = sandbox.git(&sandbox.repo(), &["show", "refs/ao/preserved/app-1:sub/new"]);
    assert_eq!(saved, "new");
    assert_eq!(sandbox.git(&sandbox.repo(), &["status", "--porcelain"]), "");

    sandbox.ao(&["restore", "app-1"]).await.ok();
    sandbox.until("the agent runs again", || !sandbox.running("sleep 600").is_empty()).await;
    assert_eq!(sandbox.git(&worktree, &["status", "--porcelain"]), status);
    assert_eq!(std::fs::read_to_string(worktree.join("staged")).unwrap(), "staged\nmore\n");
    assert_eq!(sandbox.git(&worktree, &["show", ":staged"]), "staged");
}

#[tokio::test]
async fn a_terminal_that_cannot_be_read_refuses_the_restore_and_holds_nothing_up() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let session = spawn(&sandbox, runtime, "exec sleep 600").await;
        let before = end_agent(&sandbox, &session).await;
        // What a power cut leaves of a file that was not synced.
        let exit = sandbox.session_dir("app-1").join("terminal/exit.json");
        let content = std::fs::read(&exit).unwrap();
        std::fs::write(&exit, "").unwrap();
        sandbox.ao(&["restore", "app-1"]).await.fails(5, &["app-1 cannot be restored", "not known", "exit.json"]);
        assert_eq!(as_it_was(sandbox.show("app-1").await), as_it_was(before), "{runtime}");
        assert_eq!(std::fs::read(&exit).unwrap(), b"", "{runtime}");
        std::fs::write(&exit, content).unwrap();
        sandbox.ao(&["restore", "app-1"]).await.ok();
        sandbox.ao(&["kill", "app-1"]).await.ok();
    }
}

#[tokio::test]
async fn a_restore_that_fails_leaves_the_session_as_it_was() {
    let sandbox = Sandbox::new();
    let broken = sandbox.path("broken");
    let script = format!("test -e {} && exit 3; echo first words; exec sleep 600", broken.display());
    let session = spawn(&sandbox, "pty", &script).await;
    let before = end_agent(&sandbox, &session).await;
    std::fs::write(&broken, "").unwrap();
    sandbox.ao(&["restore", "app-1"]).await.fails(1, &["app-1 could not be restored", "as it was", "code 3"]);
    assert_eq!(as_it_was(sandbox.show("app-1").await), as_it_was(before));
    assert!(sandbox.worktree("app-1").exists());
    let daemon = sandbox.daemon_pid().await;
    assert!(sandbox.processes().iter().all(|(pid, _)| *pid == daemon), "{:#?}", sandbox.processes());

    // The same where the workspace had to be made anew: it goes again.
    sandbox.ao(&["kill", "app-1"]).await.ok();
    let before = sandbox.show("app-1").await;
    sandbox.ao(&["restore", "app-1"]).await.fails(1, &["could not be restored"]);
    assert_eq!(as_it_was(sandbox.show("app-1").await), as_it_was(before));
    assert!(!sandbox.worktree("app-1").exists());
    assert_eq!(sandbox.branches(), ["main"]);

    std::fs::remove_file(&broken).unwrap();
    sandbox.ao(&["restore", "app-1"]).await.ok();
    assert_eq!(sandbox.show("app-1").await["status"], "working");
}

#[tokio::test]
async fn a_restore_that_fails_leaves_the_last_agents_output() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let mut sandbox = Sandbox::new();
        sandbox.install("agent", "#!/bin/sh\necho first words; exec sleep 600\n");
        let args = ["spawn", "--agent", "command", "--runtime", runtime, "--json", "--", "agent"];
        let session = sandbox.ao(&args).await;
        session.ok();
        sandbox.until_output("app-1", "first words").await;
        let before = end_agent(&sandbox, &session.json()).await;
        for (script, cause) in [
            // It starts and ends, it cannot even be started, and it is not there any more.
            ("#!/bin/sh\necho second words; exit 3\n", "code 3"),
            ("#!/no/such/interpreter\n", "cannot start the agent"),
            ("", "agent"),
        ] {
            let program = sandbox.path("bin/agent");
            std::fs::remove_file(&program).unwrap();
            if !script.is_empty() {
                sandbox.install("agent", script);
            }
            sandbox.ao(&["restore", "app-1"]).await.fails(1, &[cause]);
            let output = sandbox.ao(&["output", "app-1"]).await.ok();
            assert!(output.contains("first words") && !output.contains("second"), "{runtime}: {cause}: {output}");
            assert_eq!(as_it_was(sandbox.show("app-1").await), as_it_was(before.clone()), "{runtime}: {cause}");
            // Also with the next daemon.
            sandbox.ao(&["stop"]).await.ok();
            sandbox.ao(&["start"]).await.ok();
            assert!(sandbox.ao(&["output", "app-1"]).await.ok().contains("first words"), "{runtime}: {cause}");
        }
        sandbox.install("agent", "#!/bin/sh\necho third words; exec sleep 600\n");
        sandbox.ao(&["restore", "app-1"]).await.ok();
        sandbox.until_output("app-1", "third words").await;
        assert!(!sandbox.ao(&["output", "app-1"]).await.ok().contains("first words"), "{runtime}");
        assert!(!sandbox.session_dir("app-1").join("terminal.before").exists(), "{runtime}");
        sandbox.ao(&["kill", "app-1"]).await.ok();
    }
}

#[tokio::test]
async fn i05_a_failed_restore_leaves_saved_work_held_whatever_its_agent_did_to_it() {
    let sandbox = Sandbox::new();
    let again = sandbox.path("again");
    let script = format!(
        "test -e {} && {{ git reset -q --hard; git clean -fdq; exit 3; }}; echo all > draft; exec sleep 601",
        again.display()
    );
    spawn(&sandbox, "pty", &script).await;
    sandbox.until("the agent wrote", || !sandbox.running("sleep 601").is_empty()).await;
    sandbox.ao(&["kill", "--force", "app-1"]).await.ok();
    std::fs::write(&again, "").unwrap();
    sandbox.ao(&["restore", "app-1"]).await.fails(1, &["could not be restored", "code 3"]);
    assert!(!sandbox.worktree("app-1").exists());
    assert_eq!(sandbox.git(&sandbox.repo(), &["show", "refs/ao/preserved/app-1:draft"]), "all");
}

#[tokio::test]
async fn after_a_reboot_everything_that_was_cut_short_comes_back() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        for _ in 0..3 {
            spawn(&sandbox, runtime, "exec sleep 600").await;
        }
        spawn(&sandbox, runtime, "exit 0").await;
        sandbox.wait_for("app-4", "status", "terminated").await;
        spawn(&sandbox, runtime, "exec sleep 600").await;
        sandbox.ao(&["kill", "app-3"]).await.ok();
        // What a power cut leaves: nothing runs, and nobody could write down why.
        for _ in 0..3 {
            for (pid, _) in sandbox.processes() {
                signal(pid, rustix::process::Signal::KILL);
            }
        }
        sandbox.until("nothing runs", || sandbox.processes().is_empty()).await;

        // One that a person gave up afterwards stays over.
        sandbox.ao(&["start"]).await.ok();
        sandbox.wait_for("app-5", "status", "failed").await;
        sandbox.ao(&["kill", "app-5"]).await.ok();
        let cleaned = sandbox.ao(&["cleanup", "--dry-run"]).await.ok();
        assert!(!cleaned.contains("app-5"), "{cleaned}");

        let run = sandbox.ao(&["restore", "--all"]).await;
        assert_eq!(run.ok(), "app-1\napp-2", "{runtime}: {run:#?}");
        for session in ["app-1", "app-2"] {
            assert_eq!(sandbox.show(session).await["status"], "working", "{runtime}");
        }
        assert_eq!(sandbox.running("sleep 600").len(), 2, "{runtime}");
        for session in ["app-3", "app-4"] {
            assert_eq!(sandbox.show(session).await["status"], "terminated", "{runtime}");
        }
    }
}

#[tokio::test]
async fn what_was_put_back_and_then_discarded_does_not_come_back() {
    let sandbox = Sandbox::new();
    let session = spawn(&sandbox, "pty", "exec sleep 600").await;
    std::fs::write(sandbox.worktree("app-1").join("draft"), "a draft").unwrap();
    end_agent(&sandbox, &session).await;
    sandbox.ao(&["kill", "--force", "app-1"]).await.ok();
    sandbox.ao(&["restore", "app-1"]).await.ok();
    std::fs::remove_file(sandbox.worktree("app-1").join("draft")).unwrap();
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert_eq!(sandbox.git(&sandbox.repo(), &["for-each-ref", "refs/ao"]), "");
    sandbox.ao(&["restore", "app-1"]).await.ok();
    assert!(!sandbox.worktree("app-1").join("draft").exists());
}

#[tokio::test]
async fn i05_an_agent_finds_itself_on_the_branch_it_went_to() {
    let sandbox = Sandbox::new();
    let work = "git checkout -q -b own; echo work > work; git add work; git commit -qm work";
    spawn(&sandbox, "pty", &format!("test -e work || {{ {work}; }}; test -e work && exec sleep 600")).await;
    sandbox.until("the agent has worked", || !sandbox.running("sleep 600").is_empty()).await;
    let killed = sandbox.ao(&["kill", "app-1"]).await;
    killed.ok();
    assert!(killed.stderr.contains("branch own") && !killed.stderr.contains("ao/app-1"), "{killed:#?}");
    assert_eq!(sandbox.branches(), ["main", "own"], "the session's branch held nothing");
    let notes = |session: Value| session["notes"].to_string();
    assert!(notes(sandbox.show("app-1").await).contains("branch own"), "{:#}", sandbox.show("app-1").await);

    sandbox.ao(&["restore", "app-1"]).await.ok();
    assert_eq!(sandbox.git(&sandbox.worktree("app-1"), &["symbolic-ref", "--short", "HEAD"]), "own");
    assert!(sandbox.worktree("app-1").join("work").exists());
    assert_eq!(sandbox.branches(), ["main", "own"]);
    assert!(notes(sandbox.show("app-1").await).contains("it is on branch own"), "{:#}", sandbox.show("app-1").await);
}

#[tokio::test]
async fn only_what_is_over_is_restored() {
    let sandbox = Sandbox::new();
    spawn(&sandbox, "pty", "exec sleep 600").await;
    sandbox.ao(&["restore", "app-1"]).await.fails(5, &["app-1 is not over", "ao show app-1"]);
    sandbox.ao(&["restore", "app-9"]).await.fails(4, &["there is no session app-9"]);
    sandbox.ao(&["restore"]).await.fails(2, &["SESSION"]);
    assert_eq!(sandbox.running("sleep 600").len(), 1);
}

#[tokio::test]
async fn a_repository_that_moved_away_is_said_and_comes_back_with_it() {
    let sandbox = Sandbox::new();
    let session = spawn(&sandbox, "pty", "exec sleep 600").await;
    end_agent(&sandbox, &session).await;
    std::fs::rename(sandbox.repo(), sandbox.path("elsewhere")).unwrap();
    let mut command = sandbox.command(&["restore", "app-1"]);
    command.current_dir("/");
    sandbox.run(command).await.fails(1, &["was moved or deleted"]);
    std::fs::rename(sandbox.path("elsewhere"), sandbox.repo()).unwrap();
    sandbox.ao(&["restore", "app-1"]).await.ok();
    assert_eq!(sandbox.running("sleep 600").len(), 1);
}

#[tokio::test]
async fn a_repository_that_was_registered_in_its_new_place_under_its_id_has_its_sessions_back() {
    let sandbox = Sandbox::new();
    let session = spawn(&sandbox, "pty", "exec sleep 600").await;
    std::fs::write(sandbox.worktree("app-1").join("draft"), "a draft").unwrap();
    end_agent(&sandbox, &session).await;
    let elsewhere = sandbox.path("elsewhere");
    std::fs::rename(sandbox.repo(), &elsewhere).unwrap();
    let at = elsewhere.to_str().unwrap();
    // What the hint says.
    for args in [&["project", "rm", "app"][..], &["project", "add", at, "--id", "app"], &["restore", "app-1"]] {
        let mut command = sandbox.command(args);
        command.current_dir("/");
        sandbox.run(command).await.ok();
    }
    assert_eq!(sandbox.running("sleep 600").len(), 1);
    assert_eq!(sandbox.git(&sandbox.worktree("app-1"), &["status", "--porcelain"]), "?? draft");
}

#[tokio::test]
async fn i04_a_kill_in_the_middle_of_a_restore_is_a_kill() {
    let sandbox = Sandbox::new();
    let session = spawn(&sandbox, "pty", "exec sleep 600").await;
    end_agent(&sandbox, &session).await;
    let (restored, killed) = tokio::join!(sandbox.ao(&["restore", "--no-wait", "app-1"]), async {
        sandbox.ao(&["kill", "app-1", "--json"]).await
    });
    killed.ok();
    restored.ok();
    // The kill came first, and the restore went well after it; or it gave the restore up, and took the worktree away.
    let status = sandbox.show("app-1").await["status"].clone();
    if status == "failed" {
        assert!(!sandbox.worktree("app-1").exists());
        assert!(sandbox.running("sleep 600").is_empty());
    } else {
        sandbox.wait_for("app-1", "status", "working").await;
        assert_eq!(sandbox.running("sleep 600").len(), 1);
    }
    sandbox.ao(&["kill", "app-1"]).await.ok();
    let session = sandbox.show("app-1").await;
    // Killed, or as it was before a restore that the kill gave up.
    assert_ne!(session["exit"], Value::Null, "{session:#}");
    assert!(!sandbox.worktree("app-1").exists());
    assert_eq!(sandbox.running("sleep 600").len(), 0);
}

#[tokio::test]
async fn i14_a_restore_is_let_in_within_the_limit_or_waits_in_line() {
    let sandbox = Sandbox::with_env([("AO_MAX_LIVE_AGENTS".to_owned(), "1".to_owned())].into());
    spawn(&sandbox, "pty", "exec sleep 600").await;
    sandbox.ao(&["kill", "app-1"]).await.ok();
    spawn(&sandbox, "pty", "exec sleep 601").await;
    let before = sandbox.show("app-1").await;
    sandbox.ao(&["restore", "app-1"]).await.fails(5, &["limit of 1 live agent", "--queue"]);
    assert_eq!(as_it_was(sandbox.show("app-1").await), as_it_was(before.clone()));

    sandbox.ao(&["restore", "--queue", "--no-wait", "app-1"]).await.ok();
    assert_eq!(sandbox.show("app-1").await["status"], "queued");
    assert_eq!(sandbox.running("sleep 600").len(), 0);
    // A kill takes it out of the line, and it is over as it was.
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert_eq!(as_it_was(sandbox.show("app-1").await), as_it_was(before));

    sandbox.ao(&["restore", "--queue", "--no-wait", "app-1"]).await.ok();
    sandbox.ao(&["kill", "app-2"]).await.ok();
    sandbox.wait_for("app-1", "status", "working").await;
    assert_eq!(sandbox.running("sleep 600").len(), 1);
}

/// Somebody deleted the worktree, and what it was on only its entry in the repository knows.
#[tokio::test]
async fn i05_a_restore_that_is_given_up_in_line_forgets_no_branch() {
    let sandbox = Sandbox::with_env([("AO_MAX_LIVE_AGENTS".to_owned(), "1".to_owned())].into());
    let work = "git checkout -q -b own; echo work > work; git add work; git commit -qm work";
    let script = format!("test -e work || {{ {work}; }}; test -e work && exec sleep 600");
    let session = spawn(&sandbox, "pty", &script).await;
    sandbox.until("the agent has worked", || !sandbox.running("sleep 600").is_empty()).await;
    end_agent(&sandbox, &session).await;
    std::fs::remove_dir_all(sandbox.worktree("app-1")).unwrap();
    spawn(&sandbox, "pty", "exec sleep 601").await;
    for _ in 0..2 {
        sandbox.ao(&["restore", "--queue", "--no-wait", "app-1"]).await.ok();
        assert_eq!(sandbox.show("app-1").await["status"], "queued");
        sandbox.ao(&["kill", "app-1"]).await.ok();
    }
    sandbox.ao(&["kill", "app-2"]).await.ok();
    sandbox.ao(&["restore", "app-1"]).await.ok();
    assert_eq!(sandbox.git(&sandbox.worktree("app-1"), &["symbolic-ref", "--short", "HEAD"]), "own");
    assert_eq!(sandbox.running("sleep 600").len(), 1);
}

/// Somebody moved the worktree away, and back while its restore waited in line.
#[tokio::test]
async fn a_restore_that_fails_leaves_a_worktree_that_came_back_while_it_waited() {
    let sandbox = Sandbox::with_env([("AO_MAX_LIVE_AGENTS".to_owned(), "1".to_owned())].into());
    let broken = sandbox.path("broken");
    let session = spawn(&sandbox, "pty", &format!("test -e {} && exit 3; exec sleep 600", broken.display())).await;
    end_agent(&sandbox, &session).await;
    std::fs::write(sandbox.repo().join(".git/info/exclude"), "built\n/.ao/\n").unwrap();
    let (worktree, elsewhere) = (sandbox.worktree("app-1"), sandbox.path("elsewhere"));
    std::fs::write(worktree.join("built"), "").unwrap();
    let before = sandbox.show("app-1").await;
    std::fs::rename(&worktree, &elsewhere).unwrap();
    spawn(&sandbox, "pty", "exec sleep 601").await;
    sandbox.ao(&["restore", "--queue", "--no-wait", "app-1"]).await.ok();
    std::fs::rename(&elsewhere, &worktree).unwrap();
    std::fs::write(&broken, "").unwrap();
    sandbox.ao(&["kill", "app-2"]).await.ok();
    let after = sandbox.wait_for("app-1", "status", "failed").await;
    assert_eq!(as_it_was(after), as_it_was(before));
    assert!(worktree.join("built").exists());
}

#[tokio::test]
async fn a_restore_is_refused_while_the_last_agent_runs() {
    let sandbox = Sandbox::new();
    let session = spawn(&sandbox, "pty", "exec sleep 600").await;
    let before = end_agent(&sandbox, &session).await;
    // As if it had only been taken for dead.
    let mut agent = tokio::process::Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
    let identity = ao::platform::process::identity(agent.id().unwrap()).unwrap().unwrap();
    let terminal = sandbox.session_dir("app-1").join("terminal");
    let (started, exit) = (terminal.join("started.json"), terminal.join("exit.json"));
    let mut record: Value = serde_json::from_slice(&std::fs::read(&started).unwrap()).unwrap();
    for part in ["agent", "supervisor"] {
        record[part] = serde_json::to_value(identity).unwrap();
    }
    std::fs::write(&started, record.to_string()).unwrap();
    let ended = std::fs::read(&exit).unwrap();
    std::fs::remove_file(&exit).unwrap();
    let said = format!("still runs, as process {}", identity.pid);
    sandbox.ao(&["restore", "app-1"]).await.fails(5, &["app-1 cannot be restored", &said, "end that process"]);
    assert_eq!(as_it_was(sandbox.show("app-1").await), as_it_was(before));
    agent.kill().await.unwrap();
    std::fs::write(&exit, ended).unwrap();
    sandbox.ao(&["restore", "app-1"]).await.ok();
}
