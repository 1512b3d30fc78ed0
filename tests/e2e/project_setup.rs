//! What `ao.toml` wants done in a workspace: it runs where and when it should, ends when it must, and leaves nothing.

use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::project_file::{spawn, trust, write};
use crate::sandbox::{BOUND, Sandbox, signal};

/// A sandbox whose repository has this `ao.toml`, accepted.
async fn sandbox(ao_toml: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    write(&sandbox, ao_toml);
    trust(&sandbox).await;
    sandbox
}

/// Begins a spawn that is not waited for.
async fn begin(sandbox: &Sandbox) {
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "none", "--", "sleep", "600"];
    sandbox.ao(&args).await.ok();
}

/// Insists that only the record is left of the spawn, what its commands printed, and work it made if any was.
async fn assert_nothing_is_left(sandbox: &Sandbox) {
    assert_eq!(sandbox.branches(), ["main"]);
    assert!(!sandbox.worktree("app-1").exists());
    for left in std::fs::read_dir(sandbox.session_dir("app-1")).unwrap() {
        let name = left.unwrap().file_name();
        assert!(name == "setup.log" || name == "teardown.log", "{}", name.display());
    }
    assert_eq!(sandbox.git(&sandbox.repo(), &["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    let daemon = sandbox.daemon_pid().await;
    sandbox.until("only the daemon runs", || sandbox.processes().iter().all(|(pid, _)| *pid == daemon)).await;
}

/// As the daemon knows which session it runs the command for, whatever that says.
#[tokio::test]
async fn what_the_setup_sends_is_from_the_session_that_it_is_for() {
    let mut sandbox = Sandbox::new();
    sandbox.install("claude", crate::senders::IDLES);
    sandbox.ao(&["spawn", "--runtime", "pty", "task"]).await.ok();
    write(&sandbox, r#"setup = ['AO_SESSION_ID=app-1 "$AO_PROGRAM" send app-1 "it is made"']"#);
    trust(&sandbox).await;
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"]).await.ok();
    let sent = sandbox.ao(&["messages", "app-1", "--json"]).await.json();
    assert_eq!((&sent[0]["from"], &sent[0]["body"]), (&json!("app-2"), &json!("it is made")), "{sent:#}");
}

#[tokio::test]
async fn the_setup_runs_in_the_workspace_before_the_agent_and_its_output_is_kept() {
    let sandbox = sandbox(
        r#"
setup = [
  'pwd > "$HOME/made"; echo out; echo err >&2; echo out again',
  'echo "$AO_SESSION_ID $GREETING" >> "$HOME/made"; cat; test ! -t 1',
]
[env]
GREETING = "grüß dich"
"#,
    )
    .await;
    let run = spawn(&sandbox, &[], "cat \"$HOME/made\"; echo \"$GREETING\"; env | grep -c AO_SETUP || true").await;
    run.ok();
    let worktree = sandbox.worktree("app-1");
    let expected = format!("{}\napp-1 grüß dich\ngrüß dich\n0", worktree.display());
    assert_eq!(sandbox.ao(&["output", "app-1"]).await.ok(), expected);
    let kept = sandbox.ao(&["output", "app-1", "--setup"]).await.ok();
    let lines: Vec<_> = kept.lines().collect();
    assert_eq!(lines[1..4], ["out", "err", "out again"]);
    assert!(lines[0].starts_with("$ pwd") && lines[4].starts_with("$ echo") && lines.len() == 5, "{kept}");
    assert_eq!(sandbox.ao(&["output", "app-1", "--setup", "--tail", "2"]).await.ok(), lines[3..].join("\n"));
}

#[tokio::test]
async fn each_command_is_told_on_a_terminal() {
    let sandbox = sandbox("setup = ['echo one', 'echo two']\n").await;
    let spawn = ["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--"];
    // In a session of its own, `ao` has a terminal.
    sandbox.ao(&[&spawn[..], &[env!("CARGO_BIN_EXE_ao")], &spawn[..], &["true"]].concat()).await.ok();
    let shown = sandbox.ao(&["output", "app-1"]).await.ok();
    let lines = ["making the workspace", "setup: echo one", "setup: echo two", "starting the agent"];
    let places: Vec<_> = lines.iter().map(|line| shown.find(line)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{shown}");
}

#[tokio::test]
async fn i01_a_setup_that_fails_is_a_failed_spawn_that_leaves_nothing() {
    let sandbox =
        sandbox("setup = ['echo fine; echo junk > junk', 'echo broken >&2; exit 3', 'touch \"$HOME/ran\"']").await;
    let words =
        ["app-1 failed: spawn failed at step setup", "setup command `echo broken >&2; exit 3` exited with code 3"];
    spawn(&sandbox, &[], "true").await.fails(1, &[&words[..], &["| fine", "| broken", "ao show app-1"]].concat());
    let session = sandbox.show("app-1").await;
    assert_eq!((&session["status"], &session["exit"]["step"]), (&json!("failed"), &json!("setup")), "{session:#}");
    assert_eq!((&session["exit"]["code"], &session["pid"]), (&json!(null), &json!(null)), "no agent ever ran");
    assert!(session["exit"]["output_tail"].as_str().unwrap().ends_with("exit 3\nbroken"), "{session:#}");
    assert!(!sandbox.path("home/ran").exists());
    assert_nothing_is_left(&sandbox).await;
    let kept = sandbox.ao(&["output", "app-1", "--setup"]).await.ok();
    assert!(kept.starts_with("$ echo fine") && kept.ends_with("exit 3\nbroken"), "{kept}");
    // Not even what the setup itself wrote is destroyed, though it keeps no workspace.
    assert_eq!(sandbox.git(&sandbox.repo(), &["show", "refs/ao/preserved/app-1:junk"]), "junk");
}

#[tokio::test]
async fn a_setup_that_prints_one_endless_line_leaves_a_bounded_record() {
    let sandbox = sandbox("setup = ['head -c 9000000 /dev/zero | tr \"\\0\" x; printf end; exit 3']\n").await;
    spawn(&sandbox, &[], "true").await.fails(1, &["exited with code 3"]);
    let session = sandbox.show("app-1").await;
    let tail = session["exit"]["output_tail"].as_str().unwrap();
    assert!(tail.len() <= 16 * 1024 && tail.ends_with("xend"), "{} bytes", tail.len());
}

#[tokio::test]
async fn i01_a_setup_that_hangs_is_ended_with_all_it_started() {
    let script =
        "setup = ['(setsid sleep 701 &); trap \"\" TERM; echo waiting; sleep 700; sleep 702']\nsetup_timeout_s = 2\n";
    let sandbox = sandbox(script).await;
    let words = ["did not finish in time", "setup_timeout_s", "| waiting"];
    spawn(&sandbox, &[], "true").await.fails(1, &words);
    assert_nothing_is_left(&sandbox).await;
}

#[tokio::test]
async fn what_the_setup_leaves_in_the_background_ends_before_the_agent_starts() {
    let sandbox = sandbox("setup = ['setsid sleep 711 & sleep 712 &']\n").await;
    spawn(&sandbox, &[], "true").await.ok();
    assert!(sandbox.running("sleep 711").is_empty() && sandbox.running("sleep 712").is_empty());
}

const HANGING: &str = "setup = ['echo under way; (setsid sleep 721 &); sleep 720']\n";

async fn until_it_hangs(sandbox: &Sandbox) {
    let both_run = || !sandbox.running("sleep 720").is_empty() && !sandbox.running("sleep 721").is_empty();
    sandbox.until("the setup hangs", both_run).await;
}

#[tokio::test]
async fn i02_a_daemon_that_dies_in_the_setup_leaves_it_to_the_next_start_to_end_it() {
    let sandbox = sandbox(HANGING).await;
    begin(&sandbox).await;
    until_it_hangs(&sandbox).await;
    assert_eq!(sandbox.show("app-1").await["status"], "starting");
    assert!(sandbox.ao(&["output", "app-1"]).await.ok().ends_with("\nunder way"), "shown while it runs");
    signal(sandbox.daemon_pid().await, rustix::process::Signal::KILL);
    sandbox.ao(&["start"]).await.ok();
    let session = sandbox.wait_for("app-1", "status", "failed").await;
    assert_eq!(session["exit"]["step"], "setup", "{session:#}");
    assert!(session["exit"]["output_tail"].as_str().unwrap().ends_with("under way"), "{session:#}");
    assert_nothing_is_left(&sandbox).await;
}

#[tokio::test]
async fn a_kill_in_the_setup_ends_it() {
    let sandbox = sandbox(HANGING).await;
    begin(&sandbox).await;
    until_it_hangs(&sandbox).await;
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert_eq!(sandbox.show("app-1").await["exit"]["reason"], "killed");
    assert_nothing_is_left(&sandbox).await;
}

#[tokio::test]
async fn a_stop_of_the_daemon_in_the_setup_undoes_the_spawn() {
    let sandbox = sandbox(HANGING).await;
    begin(&sandbox).await;
    until_it_hangs(&sandbox).await;
    sandbox.ao(&["stop"]).await.ok();
    sandbox.until("everything has ended", || sandbox.processes().is_empty()).await;
    sandbox.ao(&["start"]).await.ok();
    assert_eq!(sandbox.wait_for("app-1", "status", "failed").await["exit"]["step"], "setup");
    assert_nothing_is_left(&sandbox).await;
}

#[tokio::test]
async fn the_teardown_runs_once_when_the_workspace_goes_and_not_when_it_stays() {
    let sandbox = sandbox(r#"teardown = ['test -f README && echo "$AO_SESSION_ID" >> "$HOME/torn-down"']"#).await;
    let torn_down = || std::fs::read_to_string(sandbox.path("home/torn-down")).unwrap_or_default();
    spawn(&sandbox, &[], "echo precious > work").await.ok();
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert!(sandbox.worktree("app-1").join("work").exists());
    assert_eq!(torn_down(), "", "the workspace was kept");
    // What the file says by now does not count: nobody accepted that.
    write(&sandbox, "teardown = ['touch \"$HOME/ran\"']");
    std::fs::remove_file(sandbox.worktree("app-1").join("work")).unwrap();
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert!(!sandbox.worktree("app-1").exists());
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert_eq!(torn_down(), "app-1\n");
    assert!(!sandbox.path("home/ran").exists());
    let kept = sandbox.ao(&["output", "app-1", "--teardown"]).await.ok();
    assert!(kept.starts_with("$ test -f README"), "{kept}");
}

#[tokio::test]
async fn i05_a_teardown_that_leaves_work_keeps_the_workspace_and_is_not_done_again() {
    let sandbox = sandbox(r#"teardown = ['echo torn down >> "$HOME/torn-down"; echo precious > work']"#).await;
    spawn(&sandbox, &[], "true").await.ok();
    sandbox.ao(&["kill", "app-1"]).await.ok();
    let work = sandbox.worktree("app-1").join("work");
    assert_eq!(std::fs::read_to_string(&work).unwrap(), "precious\n");
    std::fs::remove_file(&work).unwrap();
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert!(!sandbox.worktree("app-1").exists());
    assert_eq!(std::fs::read_to_string(sandbox.path("home/torn-down")).unwrap(), "torn down\n");
}

#[tokio::test]
async fn i04_a_teardown_that_fails_or_hangs_does_not_stop_the_kill() {
    let sandbox = sandbox("teardown = ['exit 7', '(setsid sleep 731 &); sleep 730']\nteardown_timeout_s = 2\n").await;
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"];
    sandbox.ao(&args).await.ok();
    let killed = sandbox.ao(&["kill", "app-1", "--json"]).await;
    killed.ok();
    assert_eq!(killed.json()["workspace"]["settled"]["outcome"], "removed", "{killed:#?}");
    let notes = sandbox.show("app-1").await["notes"].to_string();
    assert!(notes.contains("teardown command `exit 7` exited with code 7"), "{notes}");
    assert!(notes.contains("did not finish in time"), "{notes}");
    assert!(sandbox.running("sleep 730").is_empty() && sandbox.running("sleep 731").is_empty());
}

#[tokio::test]
async fn i02_a_teardown_that_was_cut_off_is_done_again() {
    let teardown = r#"teardown = ['echo begun >> "$HOME/begun"; test -f "$HOME/again" || exec sleep 740']"#;
    let sandbox = sandbox(teardown).await;
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"];
    sandbox.ao(&args).await.ok();
    let mut kill = sandbox.command(&["kill", "app-1"]).spawn().unwrap();
    sandbox.until("the teardown hangs", || !sandbox.running("sleep 740").is_empty()).await;
    std::fs::write(sandbox.path("home/again"), "").unwrap();
    signal(sandbox.daemon_pid().await, rustix::process::Signal::KILL);
    let _ = kill.wait();
    sandbox.ao(&["start"]).await.ok();
    let session = sandbox.wait_for("app-1", "status", "terminated").await;
    assert_eq!(session["exit"]["reason"], "killed", "{session:#}");
    assert!(!sandbox.worktree("app-1").exists() && sandbox.running("sleep 740").is_empty());
    assert_eq!(std::fs::read_to_string(sandbox.path("home/begun")).unwrap(), "begun\nbegun\n");
}

/// Its agent is gone, and told to be, however long its teardown takes; a daemon that has to do it again is ready in time all the same, and
/// gives places that become free to those in line.
#[tokio::test]
async fn a_teardown_that_takes_long_holds_up_neither_the_record_nor_the_next_daemon_nor_the_line() {
    let mut sandbox = sandbox("teardown = ['exec sleep 760']\nteardown_timeout_s = 120\n").await;
    sandbox.env.insert("AO_MAX_LIVE_AGENTS".into(), "2".into());
    sandbox.ao(&["stop"]).await.ok();
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--queue", "--wait", "none", "--", "sleep"];
    for seconds in ["600", "601", "602"] {
        sandbox.ao(&[&args[..], &[seconds]].concat()).await.ok();
    }
    sandbox.wait_for("app-2", "status", "working").await;
    let mut kill = sandbox.command(&["kill", "app-1"]).spawn().unwrap();
    sandbox.until("the teardown hangs", || !sandbox.running("sleep 760").is_empty()).await;
    sandbox.wait_for("app-1", "activity", "exited").await;
    let events = sandbox.ao(&["events", "app-1", "--json"]).await.ok();
    assert!(events.lines().any(|event| event.contains("session.activity") && event.contains("exited")), "{events}");
    let words = ["app-1 is being ended", "still runs"];
    sandbox.ao(&["wait", "app-1", "--for", "exit", "--timeout", "0s"]).await.fails(6, &words);
    signal(sandbox.daemon_pid().await, rustix::process::Signal::KILL);
    let _ = kill.wait();
    signal(sandbox.running("sleep 601")[0], rustix::process::Signal::KILL);
    sandbox.ao(&["start"]).await.ok();
    sandbox.wait_for("app-3", "status", "working").await;
    let started = std::time::Instant::now();
    while sandbox.ao(&["status", "--json"]).await.json()["ready"] != true {
        assert!(started.elapsed() < BOUND, "it never became ready");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(sandbox.running("sleep 760").len(), 1, "the teardown was to hang all the while");
}

#[tokio::test]
async fn i02_a_teardown_of_a_session_that_was_over_does_not_outlive_its_daemon_for_long() {
    let sandbox = sandbox("teardown = ['(setsid sleep 751 &); exec sleep 750']\n").await;
    spawn(&sandbox, &[], "true").await.ok();
    let mut kill = sandbox.command(&["kill", "app-1"]).spawn().unwrap();
    let both_run = || !sandbox.running("sleep 750").is_empty() && !sandbox.running("sleep 751").is_empty();
    sandbox.until("the teardown hangs", both_run).await;
    signal(sandbox.daemon_pid().await, rustix::process::Signal::KILL);
    let _ = kill.wait();
    sandbox.ao(&["start"]).await.ok();
    let none_runs = || sandbox.running("sleep 750").is_empty() && sandbox.running("sleep 751").is_empty();
    sandbox.until("what it left has ended", none_runs).await;
    assert!(sandbox.worktree("app-1").exists(), "nobody asks for its removal any more");
}

/// A daemon serves before it has looked for what the last one left: so this one is there when nobody looks any more.
#[tokio::test]
async fn i02_a_restore_ends_a_teardown_that_was_cut_off_before_it_brings_files() {
    let mut sandbox = Sandbox::with_env([("AO_MAX_LIVE_AGENTS".to_owned(), "1".to_owned())].into());
    write(&sandbox, "copy = ['.env']\nteardown = ['true']\n");
    for (name, content) in [(".env", "secret"), (".git/info/exclude", "/.ao/\n.env\n")] {
        std::fs::write(sandbox.repo().join(name), content).unwrap();
    }
    trust(&sandbox).await;
    spawn(&sandbox, &[], "true").await.ok();
    sandbox.ao(&["kill", "app-1"]).await.ok();
    let directory = sandbox.session_dir("app-1").to_str().unwrap().to_owned();
    sandbox.env.insert("AO_SETUP_DIR".to_owned(), directory);
    let copied = sandbox.worktree("app-1").join(".env");
    let tears = format!("trap \"rm -f '{}'; exit\" TERM; echo tears; while :; do sleep 0.02; done", copied.display());
    let teardown = async || {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", &tears]).env_clear().envs(&sandbox.env).kill_on_drop(true);
        let mut teardown = command.stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(teardown.stdout.as_mut().unwrap().read_u8().await.unwrap(), b't');
        teardown
    };
    let has_ended = async |mut teardown: tokio::process::Child| {
        tokio::time::timeout(BOUND, teardown.wait()).await.is_ok_and(|ended| ended.is_ok())
    };
    let first = teardown().await;
    // The sandbox's own are not of the teardown.
    let ao = async |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.env_remove("AO_SETUP_DIR");
        sandbox.run(command).await
    };
    ao(&["restore", "app-1"]).await.ok();
    assert!(copied.exists(), "{}", sandbox.log());
    assert!(has_ended(first).await);

    ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"]).await.ok();
    let second = teardown().await;
    ao(&["restore", "app-1"]).await.fails(5, &["limit"]);
    assert!(has_ended(second).await, "it ends also where the restore is refused");
}

#[tokio::test]
async fn a_restore_sets_up_only_a_workspace_that_was_made_again() {
    let text = "setup = ['echo setup >> \"$HOME/ran\"']\nteardown = ['echo teardown >> \"$HOME/ran\"']\n";
    let sandbox = sandbox(text).await;
    let ran = || std::fs::read_to_string(sandbox.path("home/ran")).unwrap_or_default();
    spawn(&sandbox, &[], "true").await.ok();
    // Nobody accepted what the file says by now; what was accepted for this session counts on.
    write(&sandbox, "setup = ['echo other >> \"$HOME/ran\"']\n");
    sandbox.ao(&["restore", "app-1"]).await.ok();
    assert_eq!(ran(), "setup\n", "the workspace was there, and set up");
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert_eq!(ran(), "setup\nteardown\n");
    sandbox.ao(&["restore", "app-1"]).await.ok();
    assert_eq!(ran(), "setup\nteardown\nsetup\n");
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert_eq!(ran(), "setup\nteardown\nsetup\nteardown\n");
}

#[tokio::test]
async fn the_time_of_the_setup_does_not_count_for_the_agent() {
    let mut sandbox = sandbox("setup = ['while [ ! -f \"$HOME/go\" ]; do sleep 0.1; done']\n").await;
    sandbox.env.insert("AO_READY_TIMEOUT_S".into(), "1".into());
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--json", "--", "sleep", "600"];
    let mut child = sandbox.command(&args).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let started = std::time::Instant::now();
    while started.elapsed() < std::time::Duration::from_secs(4) {
        assert!(child.try_wait().unwrap().is_none(), "it gave up during the setup");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(sandbox.show("app-1").await["step"], "setup");
    std::fs::write(sandbox.path("home/go"), "").unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn the_time_of_the_setup_bounds_copying_too() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repo();
    std::fs::write(repo.join(".gitignore"), "/deps\n").unwrap();
    sandbox.git(&repo, &["add", "."]);
    sandbox.git(&repo, &["commit", "--quiet", "--message=ignore"]);
    // What takes far longer than a second everywhere: each is opened, written and given its mode and time.
    std::fs::create_dir(repo.join("deps")).unwrap();
    std::fs::write(repo.join("deps/0"), "").unwrap();
    for n in 1..60_000 {
        std::fs::hard_link(repo.join("deps/0"), repo.join(format!("deps/{n}"))).unwrap();
    }
    write(&sandbox, "copy = ['deps']\nsetup_timeout_s = 1\n");
    trust(&sandbox).await;
    spawn(&sandbox, &[], "true").await.fails(1, &["were not brought in time", "setup_timeout_s"]);
    assert!(!sandbox.worktree("app-1").exists());
}

#[tokio::test]
async fn files_of_the_main_checkout_are_brought_along_and_are_no_work() {
    let sandbox = Sandbox::new();
    let repo = sandbox.repo();
    std::fs::write(repo.join(".gitignore"), ".env\n/deps\n").unwrap();
    sandbox.git(&repo, &["add", "."]);
    sandbox.git(&repo, &["commit", "--quiet", "--message=ignore"]);
    std::fs::write(repo.join(".env"), "SECRET=1\n").unwrap();
    std::fs::create_dir(repo.join("deps")).unwrap();
    std::fs::write(repo.join("deps/lib"), "lib\n").unwrap();
    write(&sandbox, "copy = ['.env', 'missing']\nlink = ['deps']\nsetup = ['cat .env deps/lib']\n");
    trust(&sandbox).await;
    spawn(&sandbox, &[], "echo SECRET=2 > .env").await.ok();
    let setup = sandbox.ao(&["output", "app-1", "--setup"]).await.ok();
    assert!(setup.ends_with("\nSECRET=1\nlib"), "they are there before the setup runs: {setup}");
    assert_eq!(std::fs::read_to_string(repo.join(".env")).unwrap(), "SECRET=1\n", "a copy is a copy");
    let worktree = sandbox.worktree("app-1");
    assert_eq!(std::fs::read_link(worktree.join("deps")).unwrap(), repo.join("deps"));
    assert!(sandbox.show("app-1").await["notes"].to_string().contains("missing"));
    sandbox.ao(&["kill", "app-1"]).await.ok();
    assert!(!worktree.exists(), "what was brought keeps no workspace");
    assert_eq!(std::fs::read_to_string(repo.join("deps/lib")).unwrap(), "lib\n", "no link is followed");
}
