//! What is gone through by a list: a session may be another thing by the time its turn comes. The daemon is stopped in the
//! middle of the list, the record is changed, and it goes on.

use std::fs;

use rustix::process::Signal;
use sqlx::Connection as _;

use crate::bench::{Action, Bench};
use crate::sandbox::signal;
use crate::world::{self, Row};

/// More than a clean-up takes away side by side: when the first is gone, the last were not looked at.
const SESSIONS: usize = 12;

/// Ends when it is told to.
const ENDS: &str = "while ! test -e \"$HOME/go\"; do sleep 0.02; done; exit 5";

/// Waits until the daemon has stopped at the armed point, makes these sessions lost on record, and lets it go on.
async fn lose_meanwhile(bench: &Bench, which: &str) {
    bench.until("the daemon has come there", || bench.fired().is_some()).await;
    let daemon = bench.fired().unwrap();
    bench.until("the daemon has stopped", || is_stopped(daemon)).await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(bench.path("data/ao.db"));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let lost = format!(
        "UPDATE sessions SET phase = 'terminated', step = NULL, end_reason = 'lost', end_exit = NULL, \
         version = version + 1 WHERE {which}"
    );
    sqlx::query(&lost).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    fs::remove_file(bench.switch("fired")).unwrap();
    signal(daemon, Signal::CONT);
}

fn is_stopped(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().any(|line| line.starts_with("State:\tT"))
}

#[tokio::test]
async fn i05_a_clean_up_leaves_the_workspace_of_what_was_lost_since_it_was_listed() {
    let bench = Bench::new(2 * SESSIONS);
    bench.start().await.ok();
    bench.ao(&["project", "add", "."]).await.ok();
    let agent = ["sh", "-c", ENDS];
    for spawn in futures_util::future::join_all((0..SESSIONS).map(|_| bench.spawn("pty", "ready", &agent))).await {
        spawn.ok();
    }
    fs::write(bench.path("home/go"), "").unwrap();
    let rows = world::rows(&bench).await;
    for row in &rows {
        bench.wait_for(&row.id, "status", "failed").await;
    }
    bench.arm("cleanup.workspace-removed", Action::Stop);
    let (cleanup, ()) = tokio::join!(bench.ao(&["cleanup"]), lose_meanwhile(&bench, "TRUE"));
    cleanup.ok();
    let kept: Vec<&Row> = rows.iter().filter(|row| row.workspace.exists()).collect();
    assert!(!kept.is_empty(), "{}", cleanup.stdout);
    for row in kept {
        bench.ao(&["kill", &row.id]).await.ok();
    }
}

#[tokio::test]
async fn what_a_session_has_set_aside_stays_when_it_ended_since_a_start_listed_it() {
    let bench = Bench::new(9);
    bench.start().await.ok();
    bench.spawn("pty", "ready", &["sh", "-c", "exec sleep 600"]).await.ok();
    bench.spawn("pty", "ready", &["sh", "-c", ENDS]).await.ok();
    bench.kill_daemon().await;
    fs::write(bench.path("home/go"), "").unwrap();
    let ended = bench.session_dir("app-2").join("terminal/exit.json");
    bench.until("the second one has ended", || ended.exists()).await;
    let aside = bench.session_dir("app-1").join("terminal.before");
    fs::create_dir(&aside).unwrap();
    // The start has listed both, and has seen that the second one has ended.
    bench.arm("reap.end-recorded", Action::Stop);
    let (start, ()) = tokio::join!(bench.start(), lose_meanwhile(&bench, "id = 'app-1'"));
    start.ok();
    assert!(aside.exists(), "{}", bench.log());
}
