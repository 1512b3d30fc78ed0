//! The daemon: it may stop, die and start again, and no agent and no report is lost by that.

use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;

use crate::sandbox::{BOUND, Sandbox, signal};
use crate::tools::{RUNTIMES, has_runtime};

async fn spawn_sleeper(sandbox: &Sandbox, runtime: &str) -> u32 {
    let args = ["spawn", "--agent", "command", "--runtime", runtime, "--json", "--", "sleep", "600"];
    let run = sandbox.ao(&args).await;
    run.ok();
    u32::try_from(run.json()["pid"].as_u64().unwrap()).unwrap()
}

#[tokio::test]
async fn i03_agents_outlive_a_daemon_that_is_killed_or_stopped() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let agent = spawn_sleeper(&sandbox, runtime).await;
        let daemon = sandbox.daemon_pid().await;
        signal(daemon, Signal::KILL);
        sandbox.until("the daemon is dead", || !Sandbox::is_running(daemon)).await;
        assert!(Sandbox::is_running(agent), "{runtime}: killed with the daemon");
        sandbox.ao(&["start"]).await.ok();
        let session = sandbox.show("app-1").await;
        assert_eq!((&session["status"], &session["pid"]), (&json!("working"), &json!(agent)), "{runtime}: {session:#}");
        sandbox.ao(&["stop"]).await.ok();
        assert!(Sandbox::is_running(agent), "{runtime}: stopped with the daemon");
        sandbox.ao(&["start"]).await.ok();
        sandbox.ao(&["kill", "app-1"]).await.ok();
        assert!(!Sandbox::is_running(agent), "{runtime}: not found by the new daemon");
    }
}

#[tokio::test]
async fn i02_a_daemon_that_is_killed_in_a_spawn_settles_it_at_its_next_start() {
    // Every pause is another place in the spawn.
    for pause_ms in [0, 10, 20, 30, 40, 50, 60, 80, 100, 130, 200, 600] {
        let sandbox = Sandbox::new();
        sandbox.ao(&["start"]).await.ok();
        let daemon = sandbox.daemon_pid().await;
        let args =
            ["spawn", "--agent", "command", "--runtime", "pty", "--no-start", "--wait", "none", "--", "sleep", "600"];
        let spawn = sandbox.ao(&args);
        let kill = async {
            tokio::time::sleep(std::time::Duration::from_millis(pause_ms)).await;
            signal(daemon, Signal::KILL);
        };
        let (_cut_off, ()) = tokio::join!(spawn, kill);
        sandbox.until("the daemon is dead", || !Sandbox::is_running(daemon)).await;
        sandbox.ao(&["start"]).await.ok();
        assert_settled(&sandbox, pause_ms).await;
    }
}

#[tokio::test]
async fn what_a_killed_daemon_had_half_written_goes_with_the_next_start() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    sandbox.ao(&["stop"]).await.ok();
    let half_written = ["data/.run.json.7.0.tmp", "data/bin/.ao.7.0.tmp"].map(|name| sandbox.path(name));
    for path in &half_written {
        std::fs::write(path, "").unwrap();
    }
    sandbox.ao(&["start"]).await.ok();
    for path in &half_written {
        assert!(!path.exists(), "{}", path.display());
    }
}

/// Either the session is live with exactly one agent, or nothing of it is left.
async fn assert_settled(sandbox: &Sandbox, pause_ms: u64) {
    let mut sessions = sandbox.ao(&["ls", "-a", "--json"]).await.json();
    // What is not known at once, for a holder is just starting, is looked at again.
    if sessions[0]["status"] == "starting" {
        let settled = async {
            while sandbox.show("app-1").await["status"] == "starting" {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(crate::sandbox::BOUND, settled).await.expect("settled in time");
        sessions = sandbox.ao(&["ls", "-a", "--json"]).await.json();
    }
    let sleepers = || sandbox.running("sleep 600").len();
    match sessions[0]["status"].as_str() {
        Some("working") => {
            assert_eq!(sleepers(), 1, "{pause_ms} ms: {sessions:#} {:#?}\n{}", sandbox.processes(), sandbox.log());
            assert!(sandbox.worktree("app-1").exists(), "{pause_ms} ms");
        }
        None | Some("failed") => {
            sandbox.until("no agent is left", || sleepers() == 0).await;
            assert_eq!(sandbox.branches(), ["main"], "{pause_ms} ms");
            assert!(!sandbox.worktree("app-1").exists(), "{pause_ms} ms");
        }
        Some(other) => panic!("{pause_ms} ms: {other}: {sessions:#}"),
    }
}

#[tokio::test]
async fn an_agent_that_ended_while_no_daemon_ran_is_recorded_with_its_code() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let script = "while ! test -e go; do sleep 0.05; done; echo last words; exit 5";
        let args = ["spawn", "--agent", "command", "--runtime", runtime, "--", "sh", "-c", script];
        sandbox.ao(&args).await.ok();
        sandbox.ao(&["stop"]).await.ok();
        std::fs::write(sandbox.worktree("app-1").join("go"), "").unwrap();
        sandbox.until("everything has ended", || sandbox.processes().is_empty()).await;
        sandbox.ao(&["start"]).await.ok();
        // The process that records it may still be at that: of a multiplexer's, this sandbox sees the agent only.
        let session = sandbox.wait_for("app-1", "status", "failed").await;
        assert_eq!(session["exit"]["code"], 5, "{runtime}: {session:#}");
        assert_eq!(sandbox.ao(&["output", "app-1"]).await.ok(), "last words", "{runtime}");
    }
}

#[tokio::test]
async fn what_holds_a_terminal_takes_its_own_session_only_when_it_dies() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let sandbox = Sandbox::new();
        let (agent, other) = (spawn_sleeper(&sandbox, runtime).await, spawn_sleeper(&sandbox, runtime).await);
        let parent = |pid| ao::platform::process::stat(pid).unwrap().unwrap().parent;
        // The holder, or the server of the supervisor's pane.
        let server = if runtime == "pty" { parent(agent) } else { parent(parent(agent)) };
        signal(server, Signal::KILL);
        let session = sandbox.wait_for("app-1", "status", "failed").await;
        assert_eq!(session["exit"]["reason"], "lost", "{runtime}: {session:#}");
        assert!(!Sandbox::is_running(agent), "{runtime}: it goes on without a terminal");
        let unharmed = sandbox.show("app-2").await;
        assert_eq!((&unharmed["status"], &unharmed["pid"]), (&json!("working"), &json!(other)), "{runtime}");
        for session in ["app-1", "app-2"] {
            sandbox.ao(&["kill", session]).await.ok();
        }
        let daemon = sandbox.daemon_pid().await;
        sandbox.until("only the daemon runs", || sandbox.processes().iter().all(|(pid, _)| *pid == daemon)).await;
    }
}

#[tokio::test]
async fn a_data_directory_that_is_spelled_in_another_way_is_the_same_one() {
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let mut sandbox = Sandbox::new();
        let script = "echo hello; exec sleep 600";
        let args = ["spawn", "--agent", "command", "--runtime", runtime, "--json", "--", "sh", "-c", script];
        let spawned = sandbox.ao(&args).await;
        spawned.ok();
        let agent = u32::try_from(spawned.json()["pid"].as_u64().unwrap()).unwrap();
        sandbox.ao(&["stop"]).await.ok();
        let link = sandbox.path("link");
        std::os::unix::fs::symlink(sandbox.path("data"), &link).unwrap();
        sandbox.env.insert("AO_DATA_DIR".into(), link.to_str().unwrap().into());
        sandbox.ao(&["start"]).await.ok();
        let session = sandbox.show("app-1").await;
        assert_eq!((&session["status"], &session["pid"]), (&json!("working"), &json!(agent)), "{runtime}: {session:#}");
        let printed = async {
            while sandbox.ao(&["output", "app-1"]).await.ok() != "hello" {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(crate::sandbox::BOUND, printed).await.expect("its terminal is found");
        sandbox.ao(&["kill", "app-1"]).await.ok();
        assert!(!Sandbox::is_running(agent), "{runtime}: not found by way of the link");
    }
}

#[tokio::test]
async fn i11_a_second_daemon_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    let daemon = sandbox.daemon_pid().await;
    sandbox.ao(&["daemon"]).await.fails(5, &[&format!("locked by process {daemon}"), "ao status"]);
    assert_eq!(sandbox.daemon_pid().await, daemon);
}

#[tokio::test]
async fn starting_a_daemon_that_runs_is_success() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    let again = sandbox.ao(&["start"]).await;
    again.ok();
    assert!(again.stderr.contains("runs already"), "{again:#?}");
    sandbox.ao(&["stop"]).await.ok();
    sandbox.ao(&["stop"]).await.ok();
    sandbox.ao(&["status"]).await.fails(3, &["no daemon answers", "ao start"]);
}

#[tokio::test]
async fn many_that_start_a_daemon_at_once_get_one() {
    let sandbox = Sandbox::new();
    let runs = futures_util::future::join_all((0..8).map(|_| sandbox.ao(&["start"]))).await;
    for run in &runs {
        run.ok();
    }
    // Those that were refused may still be on their way out.
    sandbox.until("one daemon is left", || sandbox.processes().len() == 1).await;
}

#[tokio::test]
async fn a_message_is_answered_over_daemons_that_are_killed_as_they_start() {
    let sandbox = Sandbox::new();
    spawn_sleeper(&sandbox, "pty").await;
    sandbox.ao(&["stop"]).await.ok();
    let kill = async {
        for _ in 0..12 {
            let daemons = || sandbox.processes().into_iter().filter(|(_, command)| command.contains(" daemon "));
            sandbox.until("a daemon starts", || daemons().next().is_some()).await;
            for (pid, _) in daemons() {
                signal(pid, Signal::KILL);
                sandbox.until("the daemon is dead", || !Sandbox::is_running(pid)).await;
            }
        }
    };
    let (run, ()) = tokio::join!(sandbox.ao(&["send", "app-1", "hello"]), kill);
    // The daemon's own answer: this agent takes none.
    run.fails(5, &["has no hooks that could hand it a message"]);
}

#[tokio::test]
async fn signals_stop_a_daemon_in_the_foreground_and_leave_its_agents() {
    for stop in [Signal::TERM, Signal::INT] {
        let sandbox = Sandbox::new();
        let mut daemon = sandbox.command(&["daemon"]).stderr(Stdio::null()).spawn().unwrap();
        sandbox.until("it serves", || sandbox.path("data/run/daemon.sock").exists()).await;
        let agent = spawn_sleeper(&sandbox, "pty").await;
        signal(daemon.id(), stop);
        sandbox.until("it has stopped", || !Sandbox::is_running(daemon.id())).await;
        assert_eq!(daemon.wait().unwrap().code(), Some(0));
        assert!(Sandbox::is_running(agent), "{stop:?}");
        assert!(!sandbox.path("data/run/daemon.sock").exists());
    }
}

#[tokio::test]
async fn a_daemon_whose_log_cannot_be_written_does_its_work_all_the_same() {
    for log in ["a full disk", "a pipe that nobody reads"] {
        let sandbox = Sandbox::with_env([("AO_LOG".to_owned(), "debug".to_owned())].into());
        let mut daemon = sandbox.command(&["daemon"]);
        match log {
            "a full disk" => daemon.stderr(std::fs::File::options().write(true).open("/dev/full").unwrap()),
            _ => daemon.stderr(Stdio::piped()),
        };
        let mut daemon = daemon.spawn().unwrap();
        drop(daemon.stderr.take());
        sandbox.until("it serves", || sandbox.path("data/run/daemon.sock").exists()).await;
        let agent = spawn_sleeper(&sandbox, "pty").await;
        signal(agent, Signal::KILL);
        sandbox.wait_for("app-1", "status", "failed").await;
        assert_eq!(sandbox.daemon_pid().await, daemon.id(), "{log}: it is another daemon");
        sandbox.ao(&["stop"]).await.ok();
        assert_eq!(daemon.wait().unwrap().code(), Some(0), "{log}");
    }
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let sandbox = Sandbox::new();
    let mut daemon = sandbox.command(&["daemon"]).stderr(Stdio::null()).spawn().unwrap();
    sandbox.until("it serves", || sandbox.path("data/run/daemon.sock").exists()).await;
    // Undoing this spawn waits for the checkout.
    let hook = sandbox.repo().join(".git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    crate::executable::write(&hook, "#!/bin/sh\ntouch \"$HOME/checking-out\"\nexec sleep 15\n");
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--wait", "none", "--", "true"]).await.ok();
    sandbox.until("git checks out", || sandbox.path("home/checking-out").exists()).await;
    let first = std::time::Instant::now();
    signal(daemon.id(), Signal::TERM);
    sandbox
        .until("it stops listening", || {
            std::os::unix::net::UnixStream::connect(sandbox.path("data/run/daemon.sock")).is_err()
        })
        .await;
    assert!(Sandbox::is_running(daemon.id()), "it waits for the spawn to be undone");
    signal(daemon.id(), Signal::TERM);
    sandbox.until("it has stopped", || !Sandbox::is_running(daemon.id())).await;
    assert!(first.elapsed() < std::time::Duration::from_secs(10), "{:?}", first.elapsed());
    assert!(daemon.wait().unwrap().code().is_some());
}

#[tokio::test]
async fn i10_the_socket_and_the_data_are_the_owners_alone() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    let mode = |name: &str| sandbox.path(name).metadata().unwrap().mode() & 0o777;
    assert_eq!(mode("data"), 0o700);
    assert_eq!(mode("data/run"), 0o700);
    assert_eq!(mode("data/run/daemon.sock"), 0o600);
    assert_eq!(mode("data/ao.db"), 0o600);
}

#[tokio::test]
async fn reports_made_while_no_daemon_runs_are_taken_in_at_the_next_start() {
    let mut sandbox = Sandbox::new();
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }\n\
                  echo '{}' | \"$AO_PROGRAM\" hook claude-code SessionStart\n\
                  while ! test -e go; do sleep 0.05; done\n\
                  echo '{}' | \"$AO_PROGRAM\" hook claude-code Stop\nexec sleep 600\n";
    sandbox.install("claude", script);
    sandbox.ao(&["spawn", "--runtime", "pty", "task"]).await.ok();
    sandbox.ao(&["stop"]).await.ok();
    std::fs::write(sandbox.worktree("app-1").join("go"), "").unwrap();
    sandbox
        .until("the report is in the spool", || {
            std::fs::read_dir(sandbox.path("data/spool")).is_ok_and(|mut entries| {
                entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_string_lossy().ends_with(".json")))
            })
        })
        .await;
    sandbox.ao(&["start"]).await.ok();
    assert_eq!(sandbox.show("app-1").await["status"], "idle");
    assert_eq!(std::fs::read_dir(sandbox.path("data/spool")).unwrap().count(), 0);
}

#[tokio::test]
async fn i03_an_agent_that_has_just_started_outlives_a_daemon_that_stops() {
    let mut sandbox = Sandbox::new();
    // It never reports, so it is still being watched when the daemon stops.
    sandbox.install(
        "claude",
        "#!/bin/sh\n[ \"$1\" = --version ] && { echo '2.1.197 (Claude Code)'; exit; }\nexec sleep 600\n",
    );
    sandbox.ao(&["spawn", "--runtime", "pty", "--wait", "none", "task"]).await.ok();
    sandbox.until("the agent runs", || !sandbox.running("sleep 600").is_empty()).await;
    let agent = sandbox.running("sleep 600")[0];
    sandbox.ao(&["stop"]).await.ok();
    assert!(Sandbox::is_running(agent));
    sandbox.ao(&["start"]).await.ok();
    assert_eq!(sandbox.show("app-1").await["pid"], agent);
    assert!(Sandbox::is_running(agent));
}

#[tokio::test]
async fn a_report_of_an_agent_that_is_not_configured_any_more_holds_nothing_up() {
    let sandbox = Sandbox::new();
    let config = sandbox.path("home/.config/ao/config.toml");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, "[agents.mine]\nkind = \"command\"\ncommand = \"sleep 600\"\n").unwrap();
    sandbox.ao(&["spawn", "--agent", "mine", "--runtime", "pty"]).await.ok();
    sandbox.ao(&["stop"]).await.ok();
    let mut hook = sandbox.command(&["hook", "mine", "Stop"]);
    hook.env("AO_SESSION_ID", "app-1");
    sandbox.run(hook).await.ok();
    std::fs::remove_file(&config).unwrap();
    sandbox.ao(&["start"]).await.ok();
    assert_eq!(sandbox.show("app-1").await["status"], "working");
    sandbox.until("the report is gone", || std::fs::read_dir(sandbox.path("data/spool")).unwrap().count() == 0).await;
}

#[tokio::test]
async fn a_daemon_serves_while_it_settles_what_an_earlier_one_left() {
    let sandbox = Sandbox::new();
    // The checkout outlives the daemon that asked for it.
    let hook = sandbox.repo().join(".git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    crate::executable::write(&hook, "#!/bin/sh\ntouch \"$HOME/checking-out\"\nexec sleep 15\n");
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--wait", "none", "--", "true"]).await.ok();
    sandbox.until("git checks out", || sandbox.path("home/checking-out").exists()).await;
    signal(sandbox.daemon_pid().await, Signal::KILL);
    // It is ready only once git was ended, some seconds later.
    let look = async {
        loop {
            let run = sandbox.ao(&["show", "app-1", "--json"]).await;
            if run.code == 0 {
                return run.json();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let (started, seen) = tokio::join!(sandbox.ao(&["start"]), look);
    started.ok();
    assert_eq!(seen["status"], "starting", "it served only after git had ended");
    let session = sandbox.wait_for("app-1", "status", "failed").await;
    assert_eq!(session["exit"]["cause"], "the daemon ended while it was being spawned", "{session:#}");
    assert_eq!(sandbox.branches(), ["main"]);
}

#[tokio::test]
async fn i02_a_command_that_ended_while_the_daemon_was_dead_is_not_a_failed_spawn() {
    let sandbox = Sandbox::new();
    sandbox.ao(&["start"]).await.ok();
    let daemon = sandbox.daemon_pid().await;
    let script = "touch started; sleep 0.2; echo x > f; git add f; git commit --quiet --message=work";
    sandbox
        .ao(&["spawn", "--agent", "command", "--runtime", "pty", "--wait", "none", "--", "sh", "-c", script])
        .await
        .ok();
    sandbox.until("the agent runs", || sandbox.worktree("app-1").join("started").exists()).await;
    signal(daemon, Signal::KILL);
    sandbox.until("everything has ended", || sandbox.processes().is_empty()).await;
    sandbox.ao(&["start"]).await.ok();
    let session = sandbox.wait_for("app-1", "activity", "exited").await;
    assert_eq!((&session["status"], &session["exit"]["code"]), (&json!("terminated"), &json!(0)), "{session:#}");
    assert_eq!(sandbox.git(&sandbox.repo(), &["show", "ao/app-1:f"]), "x");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_those_who_wait() {
    let sandbox = Sandbox::new();
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--", "sleep", "600"];
    let waiting = sandbox.ao(&args);
    let stopping = async {
        sandbox.until("the agent runs", || !sandbox.running("sleep 600").is_empty()).await;
        let before = std::time::Instant::now();
        sandbox.ao(&["stop"]).await.ok();
        let stopped_after = before.elapsed();
        // They wait for the next one.
        sandbox.ao(&["start"]).await.ok();
        sandbox.ao(&["kill", "app-1"]).await.ok();
        stopped_after
    };
    let (waited, stopped_after) = tokio::join!(waiting, stopping);
    assert!(stopped_after < std::time::Duration::from_secs(10), "{stopped_after:?}");
    waited.ok();
}

#[tokio::test]
async fn i02_settling_a_cut_off_spawn_leaves_later_ones_alone() {
    let sandbox = Sandbox::new();
    sandbox.make_repository("other");
    let hook = sandbox.repo().join(".git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
    crate::executable::write(&hook, "#!/bin/sh\ntouch \"$HOME/checking-out\"\nexec sleep 8\n");
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--wait", "none", "--", "true"]).await.ok();
    sandbox.until("git checks out", || sandbox.path("home/checking-out").exists()).await;
    signal(sandbox.daemon_pid().await, Signal::KILL);
    sandbox.ao(&["start"]).await.ok();
    // The daemon looks at every session once a second, and each of these spawns is under way when it does.
    let spawns = (0..10).map(|_| {
        let mut command = sandbox.command(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"]);
        command.current_dir(sandbox.path("other"));
        sandbox.run(command)
    });
    for run in futures_util::future::join_all(spawns).await {
        run.ok();
    }
    sandbox.wait_for("app-1", "status", "failed").await;
    let live = sandbox.ao(&["ls", "--json"]).await.json();
    assert_eq!(
        live.as_array().unwrap().iter().filter(|session| session["status"] == "working").count(),
        10,
        "{live:#}"
    );
    assert_eq!(sandbox.running("sleep 600").len(), 10);
}

#[tokio::test]
async fn a_start_that_finds_everything_settled_changes_nothing() {
    let mut sandbox = Sandbox::new();
    sandbox.env.insert("AO_MAX_LIVE_AGENTS".to_owned(), "1".to_owned());
    for (script, wait) in [("exit 0", "exit"), ("echo work > work", "exit"), ("exec sleep 600", "ready")] {
        let args = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", wait, "--", "sh", "-c", script];
        sandbox.ao(&args).await.ok();
    }
    for args in [&["kill", "app-1"][..], &["kill", "--force", "app-2"]] {
        sandbox.ao(args).await.ok();
    }
    sandbox.ao(&["spawn", "--agent", "command", "--queue", "--wait", "none", "--", "sleep", "600"]).await.ok();
    let record = async || {
        let run = sandbox.ao(&["status", "--json"]).await;
        let client = ao::adapters::cli::client::Client::new(run.json()["socket"].as_str().unwrap().as_ref());
        let changes: serde_json::Value = client.get("/events?since=0").await.unwrap();
        (sandbox.ao(&["ls", "-a", "--json"]).await.json(), changes["changes"].clone())
    };
    let before = record().await;
    assert!(before.0.as_array().unwrap().len() == 4 && !before.1.as_array().unwrap().is_empty(), "{before:#?}");
    for _ in 0..2 {
        let daemon = sandbox.daemon_pid().await;
        signal(daemon, Signal::KILL);
        sandbox.until("the daemon is dead", || !Sandbox::is_running(daemon)).await;
        sandbox.ao(&["start"]).await.ok();
        assert_eq!(record().await, before);
    }
    for session in ["app-4", "app-3"] {
        sandbox.ao(&["kill", session]).await.ok();
    }
}

#[tokio::test]
async fn a_multiplexer_that_hangs_holds_nothing_up_and_its_sessions_stay_what_they_are() {
    for runtime in ["tmux", "zellij"].into_iter().filter(|runtime| has_runtime(runtime)) {
        let mut sandbox = Sandbox::new();
        let hangs = sandbox.path("hangs");
        let program = ao::platform::file::find_program(runtime, &sandbox.env["PATH"]).unwrap();
        let script =
            format!("#!/bin/sh\ntest -e {} && exec sleep 700\nexec {} \"$@\"\n", hangs.display(), program.display());
        sandbox.install(runtime, &script);
        let agent = spawn_sleeper(&sandbox, runtime).await;
        sandbox.ao(&["stop"]).await.ok();
        std::fs::write(&hangs, "").unwrap();
        sandbox.ao(&["start"]).await.ok();
        let started = std::time::Instant::now();
        while sandbox.ao(&["status", "--json"]).await.json()["ready"] != true {
            assert!(started.elapsed() < BOUND, "{runtime}: it never became ready");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let session = sandbox.show("app-1").await;
        assert_eq!((&session["status"], &session["pid"]), (&json!("working"), &json!(agent)), "{runtime}: {session:#}");
        let args = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--", "true"];
        sandbox.ao(&args).await.ok();
        signal(agent, Signal::KILL);
        let session = sandbox.wait_for("app-1", "status", "failed").await;
        assert_eq!(session["exit"]["signal"], 9, "{runtime}: {session:#}");
        sandbox.ao(&["kill", "app-1"]).await.ok();
        let args = ["spawn", "--agent", "command", "--runtime", runtime, "--wait", "exit", "--", "true"];
        sandbox.ao(&args).await.fails(1, &["did not finish within"]);
        std::fs::remove_file(&hangs).unwrap();
        sandbox.ao(&args).await.ok();
    }
}
