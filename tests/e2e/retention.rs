//! What would grow without end is kept within bounds, and nothing that somebody may still want goes with it.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use ao::adapters::cli::client::{Client, ClientError};
use ao::adapters::spool::FileSpool;
use ao::domain::report::HookReport;
use ao::ports::spool::ReportSpool;
use serde_json::{Value, json};
use sqlx::Connection;

use crate::sandbox::Sandbox;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn sandbox(variables: &[(&str, &str)]) -> Sandbox {
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    Sandbox::with_env(variables.iter().map(owned).collect::<BTreeMap<_, _>>())
}

async fn client(sandbox: &Sandbox) -> Client {
    let run = sandbox.ao(&["status", "--json"]).await;
    run.ok();
    Client::new(Path::new(run.json()["socket"].as_str().unwrap()))
}

async fn seqs(client: &Client, since: u64) -> Result<Vec<u64>, ClientError> {
    let answer: Value = client.get(&format!("/events?since={since}")).await?;
    Ok(answer["changes"].as_array().unwrap().iter().map(|change| change["seq"].as_u64().unwrap()).collect())
}

/// The oldest change on record, once the first one is gone.
async fn oldest(client: &Client) -> Option<u64> {
    match seqs(client, 0).await {
        Err(ClientError::Refused { status, body }) if status.as_u16() == 410 => {
            assert_eq!(body.error.code, "changes_gone");
            assert!(body.error.hint.is_some(), "{body:?}");
            body.error.oldest
        }
        answer => {
            answer.unwrap();
            None
        }
    }
}

#[tokio::test]
async fn i16_the_change_log_keeps_its_bound_and_tells_who_missed_something() {
    let sandbox = sandbox(&[("AO_KEEP_CHANGES", "20")]);
    sandbox.ao(&["start"]).await.ok();
    let mut last = 0;
    for _ in 0..2 {
        let client = client(&sandbox).await;
        for _ in 0..30 {
            client.post::<Value>("/projects", &json!({ "path": sandbox.repo() })).await.unwrap();
            client.delete::<Value>("/projects/app").await.unwrap();
            last += 2;
        }
        let started = std::time::Instant::now();
        let (oldest, kept) = loop {
            if let Some(oldest) = oldest(&client).await
                // A tenth more than the bound may be there until the next change is.
                && oldest >= last - 21
                // It may be trimmed in between.
                && let Ok(kept) = seqs(&client, oldest - 1).await
            {
                break (oldest, kept);
            }
            assert!(started.elapsed() < crate::sandbox::BOUND, "it was never trimmed\n{}", sandbox.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(oldest <= last - 19, "{oldest} is the oldest of {last}");
        assert_eq!(kept, (oldest..=last).collect::<Vec<_>>());
        assert_eq!(seqs(&client, last).await.unwrap(), Vec::<u64>::new());
        sandbox.ao(&["stop"]).await.ok();
        sandbox.ao(&["start"]).await.ok();
    }
}

async fn spawn(sandbox: &Sandbox, script: &str) {
    let args = ["spawn", "--agent", "command", "--runtime", "pty", "--json", "--", "sh", "-c", script];
    sandbox.ao(&args).await.ok();
}

/// The sessions on record.
async fn on_record(sandbox: &Sandbox) -> Vec<String> {
    let run = sandbox.ao(&["ls", "-a", "--json"]).await;
    run.ok();
    run.json().as_array().unwrap().iter().map(|session| session["id"].as_str().unwrap().to_owned()).collect()
}

/// Moves the last change of records into the past, while no daemon runs.
async fn backdate(sandbox: &Sandbox, sessions: &str, days: u32) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(sandbox.path("data/ao.db"));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let earlier = format!(
        "UPDATE sessions SET updated_at_ms = updated_at_ms - {} WHERE id IN ({sessions})",
        u128::from(days) * DAY.as_millis()
    );
    sqlx::raw_sql(&earlier).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn make_directory(path: &Path, days_old: u32) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
    fs::write(path.join("prompt.txt"), "x").unwrap();
    for path in [path.join("prompt.txt"), path.to_owned()] {
        File::open(path).unwrap().set_modified(SystemTime::now() - DAY * days_old).unwrap();
    }
}

/// Waits until the daemon looked at everything: the directory of this session, which is looked at last, is gone.
async fn until_tidied(sandbox: &Sandbox) {
    let last = sandbox.session_dir("app-99");
    make_directory(&last, 9);
    sandbox.ao(&["start"]).await.ok();
    sandbox.until("the daemon let go of what is old", || !last.exists()).await;
}

#[tokio::test]
async fn only_ended_sessions_that_hold_nothing_are_let_go_of() {
    let sandbox = sandbox(&[("AO_KEEP_ENDED_DAYS", "3")]);
    sandbox.make_repository("web");
    spawn(&sandbox, "exit 0").await; // app-1: nothing is left of it
    spawn(&sandbox, "exit 0").await; // app-2: its workspace is there
    spawn(&sandbox, "echo work >> work").await; // app-3: its work is saved
    spawn(&sandbox, "exit 0").await; // app-4: like app-1, but of late
    spawn(&sandbox, "exec sleep 600").await; // app-5: it is not over
    let mut in_web =
        sandbox.command(&["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--", "true"]);
    in_web.current_dir(sandbox.path("web"));
    sandbox.run(in_web).await.ok(); // web-1: like app-1, of a project that is removed
    for session in ["app-1", "app-2", "app-3", "app-4"] {
        sandbox.wait_for(session, "status", "terminated").await;
    }
    for args in [&["kill", "app-1"][..], &["kill", "--force", "app-3"], &["kill", "app-4"], &["kill", "web-1"]] {
        sandbox.ao(args).await.ok();
    }
    sandbox.ao(&["project", "rm", "web"]).await.ok();
    let preserved = sandbox.git(&sandbox.repo(), &["rev-parse", "refs/ao/preserved/app-3"]);
    sandbox.ao(&["stop"]).await.ok();
    backdate(&sandbox, "'app-1', 'app-2', 'app-3', 'app-5', 'web-1'", 4).await;
    backdate(&sandbox, "'app-4'", 2).await;

    until_tidied(&sandbox).await;
    assert_eq!(on_record(&sandbox).await, ["app-2", "app-3", "app-4", "app-5"]);
    sandbox.ao(&["show", "app-1"]).await.fails(4, &["app-1"]);
    for (session, is_kept) in [("app-1", false), ("app-2", true), ("app-3", true), ("app-4", true), ("web-1", false)] {
        assert_eq!(sandbox.session_dir(session).exists(), is_kept, "{session}");
    }
    assert!(sandbox.worktree("app-2").join("README").exists());
    assert_eq!(sandbox.git(&sandbox.repo(), &["rev-parse", "refs/ao/preserved/app-3"]), preserved);
    assert_eq!(sandbox.show("app-5").await["status"], "working");

    let client = client(&sandbox).await;
    let events: Value = client.get("/events?since=0").await.unwrap();
    let removed: Vec<_> =
        events["changes"].as_array().unwrap().iter().filter(|change| change["kind"] == "session.removed").collect();
    let mut removed: Vec<_> = removed.iter().map(|change| change["session"].as_str().unwrap()).collect();
    removed.sort_unstable();
    assert_eq!(removed, ["app-1", "web-1"]);
    // What the log tells of one that is gone can be read, to the end.
    let told = sandbox.ao(&["events", "app-1", "--json"]).await.ok();
    assert!(told.lines().last().unwrap().contains("session.removed"), "{told}");

    // What is saved is put back, as ever, and a number is never given out again.
    sandbox.ao(&["restore", "app-3"]).await;
    let work = sandbox.worktree("app-3").join("work");
    sandbox.until("its work is back", || fs::read_to_string(&work).is_ok_and(|work| work == "work\nwork\n")).await;
    spawn(&sandbox, "exit 0").await;
    assert!(on_record(&sandbox).await.contains(&"app-6".to_owned()));

    // Again there is nothing to do.
    sandbox.ao(&["stop"]).await.ok();
    let before = on_record_offline(&sandbox).await;
    until_tidied(&sandbox).await;
    sandbox.ao(&["stop"]).await.ok();
    assert_eq!(on_record_offline(&sandbox).await, before);
}

#[tokio::test]
async fn i05_worktrees_that_are_out_of_reach_are_not_taken_for_deleted() {
    let sandbox = sandbox(&[("AO_KEEP_ENDED_DAYS", "3")]);
    sandbox.make_repository("web");
    spawn(&sandbox, "echo work > work").await;
    let mut in_web =
        sandbox.command(&["spawn", "--agent", "command", "--runtime", "pty", "--wait", "exit", "--", "true"]);
    in_web.current_dir(sandbox.path("web"));
    sandbox.run(in_web).await.ok();
    sandbox.wait_for("app-1", "status", "terminated").await;
    sandbox.ao(&["project", "rm", "web"]).await.ok();
    sandbox.ao(&["stop"]).await.ok();
    backdate(&sandbox, "'app-1', 'web-1'", 4).await;
    let (worktrees, elsewhere) = (sandbox.path("data/worktrees"), sandbox.path("elsewhere"));
    fs::rename(&worktrees, &elsewhere).unwrap();
    fs::create_dir(&worktrees).unwrap();

    until_tidied(&sandbox).await;
    assert_eq!(on_record(&sandbox).await, ["app-1", "web-1"]);
    let cleanup = sandbox.ao(&["cleanup", "--force", "--json"]).await.json();
    let item = &cleanup["items"][0];
    assert_eq!((&item["session"], &item["action"]), (&json!("app-1"), &json!("keep")), "{cleanup:#}");
    assert!(item["reason"].as_str().unwrap().contains("not mounted"), "{cleanup:#}");
    sandbox.ao(&["restore", "app-1"]).await.fails(1, &["not mounted"]);
    sandbox.ao(&["kill", "app-1"]).await.ok();

    fs::remove_dir_all(&worktrees).unwrap();
    fs::rename(&elsewhere, &worktrees).unwrap();
    sandbox.ao(&["restore", "app-1", "--no-wait"]).await.ok();
    sandbox.wait_for("app-1", "status", "terminated").await;
    assert!(sandbox.worktree("app-1").join("work").exists() && sandbox.branches().contains(&"ao/app-1".to_owned()));
}

/// Retention takes no worktree, branch or saved work away; what was discarded of them is no reason to keep a record.
#[tokio::test]
async fn records_go_only_after_what_they_are_needed_for_in_the_repository() {
    let sandbox = sandbox(&[("AO_KEEP_ENDED_DAYS", "3")]);
    spawn(&sandbox, "exit 0").await;
    spawn(&sandbox, "echo work > work").await;
    for session in ["app-1", "app-2"] {
        sandbox.wait_for(session, "status", "terminated").await;
    }
    sandbox.ao(&["kill", "--force", "app-2"]).await.ok();
    fs::remove_dir_all(sandbox.worktree("app-1")).unwrap();
    sandbox.git(&sandbox.repo(), &["update-ref", "-d", "refs/ao/preserved/app-2"]);
    sandbox.ao(&["stop"]).await.ok();
    backdate(&sandbox, "'app-1', 'app-2'", 4).await;
    until_tidied(&sandbox).await;
    assert_eq!(on_record(&sandbox).await, ["app-1"]);
    assert!(sandbox.branches().contains(&"ao/app-1".to_owned()), "a branch is left to cleanup");
    assert!(sandbox.repo().join(".git/worktrees/app-1").exists(), "and so is the entry");
    sandbox.ao(&["cleanup"]).await.ok();
    assert!(!sandbox.repo().join(".git/worktrees/app-1").exists());
    sandbox.ao(&["stop"]).await.ok();
    backdate(&sandbox, "'app-1'", 4).await;
    until_tidied(&sandbox).await;
    assert_eq!(on_record(&sandbox).await, [""; 0]);
}

#[tokio::test]
async fn a_record_stays_while_what_its_worktree_was_on_is_held_for_it_alone() {
    let sandbox = sandbox(&[("AO_KEEP_ENDED_DAYS", "3")]);
    for (session, branch) in [("app-1", "stays"), ("app-2", "goes")] {
        spawn(&sandbox, "exit 0").await;
        sandbox.wait_for(session, "status", "terminated").await;
        let worktree = sandbox.worktree(session);
        sandbox.git(&worktree, &["checkout", "-q", "-b", branch]);
        sandbox.git(&worktree, &["commit", "-q", "--allow-empty", "-m", branch]);
        sandbox.ao(&["kill", session]).await.ok();
    }
    sandbox.git(&sandbox.repo(), &["branch", "-q", "-D", "goes"]);
    sandbox.ao(&["stop"]).await.ok();
    backdate(&sandbox, "'app-1', 'app-2'", 4).await;
    until_tidied(&sandbox).await;
    assert_eq!(on_record(&sandbox).await, ["app-2"]);
    let left = || sandbox.git(&sandbox.repo(), &["for-each-ref", "--format=%(refname)", "refs/ao/left"]);
    assert_eq!(left(), "refs/ao/left/app-2");

    sandbox.git(&sandbox.repo(), &["branch", "goes", "refs/ao/left/app-2^"]);
    sandbox.ao(&["stop"]).await.ok();
    until_tidied(&sandbox).await;
    assert!(on_record(&sandbox).await.is_empty());
    assert_eq!(left(), "");
}

#[tokio::test]
async fn what_a_worktree_was_on_is_let_go_of_only_with_the_record() {
    let sandbox = sandbox(&[("AO_KEEP_ENDED_DAYS", "3")]);
    spawn(&sandbox, "exit 0").await;
    sandbox.wait_for("app-1", "status", "terminated").await;
    let worktree = sandbox.worktree("app-1");
    sandbox.git(&worktree, &["checkout", "-q", "-b", "own"]);
    sandbox.git(&worktree, &["commit", "-q", "--allow-empty", "-m", "own"]);
    sandbox.ao(&["kill", "app-1"]).await.ok();
    sandbox.ao(&["stop"]).await.ok();
    backdate(&sandbox, "'app-1'", 4).await;
    // Its runtime has something to say that is not on record.
    let remarks = sandbox.session_dir("app-1").join("terminal/remarks.json");
    fs::write(remarks, json!({ "version": 1, "remarks": ["it was short of memory"] }).to_string()).unwrap();
    until_tidied(&sandbox).await;
    assert_eq!(on_record(&sandbox).await, ["app-1"]);
    assert!(sandbox.show("app-1").await["notes"].to_string().contains("short of memory"));
    sandbox.ao(&["restore", "--no-wait", "app-1"]).await.ok();
    sandbox.wait_for("app-1", "status", "terminated").await;
    assert_eq!(sandbox.git(&worktree, &["symbolic-ref", "--short", "HEAD"]), "own");
}

async fn on_record_offline(sandbox: &Sandbox) -> Vec<String> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(sandbox.path("data/ao.db"));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let ids = sqlx::query_scalar("SELECT id FROM sessions ORDER BY id").fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    ids
}

#[tokio::test]
async fn i06_only_old_directories_that_ao_made_and_no_record_knows_are_removed() {
    let sandbox = sandbox(&[("AO_KEEP_ENDED_DAYS", "3")]);
    spawn(&sandbox, "exec sleep 600").await;
    sandbox.ao(&["stop"]).await.ok();
    let theirs = sandbox.path("theirs");
    make_directory(&theirs, 9);
    for (name, days) in [("app-50", 9), ("app-51", 1), ("notes", 9), ("app-53", 9), ("app-54", 9)] {
        make_directory(&sandbox.session_dir(name), days);
    }
    fs::set_permissions(sandbox.session_dir("app-53"), Permissions::from_mode(0o755)).unwrap();
    symlink(&theirs, sandbox.session_dir("app-52")).unwrap();
    make_directory(&sandbox.session_dir("app-54").join("terminal"), 9);
    symlink(&theirs, sandbox.session_dir("app-54").join("terminal/link")).unwrap();
    for path in [sandbox.session_dir("app-54").join("terminal"), sandbox.session_dir("app-54")] {
        File::open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    // The record of app-1 is lost, and its agent runs.
    for name in ["ao.db", "ao.db-wal", "ao.db-shm"] {
        let _ = fs::remove_file(sandbox.path("data").join(name));
    }
    for entry in fs::read_dir(sandbox.session_dir("app-1")).unwrap() {
        File::open(entry.unwrap().path()).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }
    File::open(sandbox.session_dir("app-1")).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();

    sandbox.ao(&["start"]).await.ok();
    let mut gone = [("app-50", true), ("app-54", true)].to_vec();
    sandbox.until("they are removed", || gone.iter().all(|(name, _)| !sandbox.session_dir(name).exists())).await;
    gone.extend([("app-51", false), ("app-52", false), ("app-53", false), ("notes", false), ("app-1", false)]);
    sandbox.ao(&["stop"]).await.ok();
    until_tidied(&sandbox).await;
    for (name, is_gone) in gone {
        assert_eq!(sandbox.session_dir(name).symlink_metadata().is_err(), is_gone, "{name}");
    }
    assert!(theirs.join("prompt.txt").exists());
    assert!(sandbox.log().contains("is on no record; its directory stays"), "{}", sandbox.log());
    assert!(!sandbox.running("sleep 600").is_empty());
}

#[tokio::test]
async fn sessions_are_kept_for_ever_when_asked_so() {
    let sandbox = sandbox(&[("AO_KEEP_ENDED_DAYS", "0"), ("AO_KEEP_CHANGES", "1")]);
    spawn(&sandbox, "exit 0").await;
    sandbox.wait_for("app-1", "status", "terminated").await;
    sandbox.ao(&["kill", "app-1"]).await.ok();
    sandbox.ao(&["stop"]).await.ok();
    backdate(&sandbox, "'app-1'", 10_000).await;
    make_directory(&sandbox.session_dir("app-50"), 10_000);
    sandbox.ao(&["start"]).await.ok();
    // The change log is trimmed after what ended was looked at.
    let client = client(&sandbox).await;
    let started = std::time::Instant::now();
    while oldest(&client).await.is_none() {
        assert!(started.elapsed() < crate::sandbox::BOUND, "it was never trimmed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(on_record(&sandbox).await, ["app-1"]);
    assert!(sandbox.session_dir("app-1").exists() && sandbox.session_dir("app-50").exists());
}

#[tokio::test]
async fn the_daemons_log_is_rotated_and_loses_nothing() {
    let sandbox = sandbox(&[("AO_DAEMON_LOG_MB", "1")]);
    fs::create_dir(sandbox.path("data")).unwrap();
    let lines: Vec<_> = (0..3000).map(|number| format!("{{\"earlier\":\"{number:080}\"}}\n")).collect();
    let earlier = lines.concat();
    fs::write(sandbox.path("data/daemon.log"), &earlier).unwrap();
    sandbox.ao(&["start"]).await.ok();
    let older = |number: u32| sandbox.path(&format!("data/daemon.log.{number}"));
    let client = client(&sandbox).await;
    let mut asked = 0;
    while !older(2).exists() {
        assert!(asked < 20_000, "it was never rotated");
        for _ in 0..100 {
            asked += 1;
            client.get::<Value>(&format!("/sessions/nobody-{asked}")).await.unwrap_err();
        }
    }
    let pid = sandbox.daemon_pid().await;
    for descriptor in ["1", "2"] {
        let target = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).unwrap();
        assert_eq!(target, fs::canonicalize(sandbox.path("data/daemon.log")).unwrap(), "what a panic says goes there");
    }
    sandbox.ao(&["stop"]).await.ok();
    let all: String = [older(2), older(1), sandbox.path("data/daemon.log")]
        .iter()
        .map(|path| {
            let text = fs::read_to_string(path).unwrap();
            assert!(text.len() <= 300 * 1024, "{} has {} bytes", path.display(), text.len());
            text
        })
        .collect();
    assert!(all.starts_with(&earlier), "what was there before is first");
    for number in 1..=asked {
        assert_eq!(all.matches(&format!("session nobody-{number}\"")).count(), 1, "nobody-{number}");
    }
    assert!(all.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "no line is torn");
}

#[tokio::test]
async fn the_scrollback_is_as_large_as_it_may_be() {
    let sandbox = sandbox(&[("AO_SCROLLBACK_MB", "1")]);
    spawn(&sandbox, "head -c 3000000 /dev/zero | tr '\\0' x").await;
    sandbox.wait_for("app-1", "status", "terminated").await;
    let kept: u64 = ["scrollback.log", "scrollback.old.log"]
        .iter()
        .map(|name| sandbox.session_dir("app-1").join("terminal").join(name).metadata().unwrap().len())
        .sum();
    assert!((512 * 1024..=1024 * 1024).contains(&kept), "{kept} bytes");
}

#[tokio::test]
async fn hooks_keep_the_spool_within_its_bound_while_no_daemon_runs() {
    let sandbox = sandbox(&[("AO_SPOOL_MAX_MB", "1"), ("AO_SESSION_ID", "app-1")]);
    let spool = FileSpool::new(sandbox.path("data/spool"));
    let report = HookReport {
        session: "app-1".parse().unwrap(),
        agent: "claude-code".parse().unwrap(),
        event: "PostToolUse".to_owned(),
        at: "2020-01-01T00:00:00Z".parse().unwrap(),
        payload: json!({}),
    };
    for _ in 0..254 {
        spool.put(&report).await.unwrap();
    }
    let reports = || {
        let entries = fs::read_dir(sandbox.path("data/spool")).unwrap();
        entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "json")).count()
    };
    for _ in 0..2 {
        sandbox.ao(&["hook", "claude-code", "Stop"]).await.ok();
    }
    assert_eq!(reports(), 256);
    sandbox.ao(&["hook", "claude-code", "SessionEnd"]).await.ok();
    assert_eq!(reports(), 192, "a quarter is free again");
    let kept = spool.pending().await.unwrap();
    let of = |event: &str| kept.iter().filter(|kept| kept.report.as_ref().unwrap().event == event).count();
    assert_eq!((of("PostToolUse"), of("Stop"), of("SessionEnd")), (189, 2, 1));
}
