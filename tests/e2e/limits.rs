//! How many agents there may be at once, and the line of those that wait for a place.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rustix::process::Signal;
use serde_json::json;

use crate::sandbox::{Run, Sandbox, signal};

/// An agent that writes down when it starts and ends, and ends when a file says that it may.
const AGENT: &str = "echo start $AO_SESSION_ID >> $LIMITS/log
    while ! test -e $LIMITS/go-$AO_SESSION_ID; do sleep 0.05; done
    echo end $AO_SESSION_ID >> $LIMITS/log";

/// A sandbox with a limit, whose agents have a place for their log.
fn sandbox(limit: usize) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let place = sandbox.path("limits");
    std::fs::create_dir(&place).unwrap();
    sandbox.env.insert("LIMITS".into(), place.to_str().unwrap().into());
    sandbox.env.insert("AO_MAX_LIVE_AGENTS".into(), limit.to_string());
    sandbox
}

async fn spawn(sandbox: &Sandbox, more: &[&str]) -> Run {
    let args = ["spawn", "--agent", "command", "--runtime", "pty"];
    sandbox.ao(&[&args[..], more, &["--", "sh", "-c", AGENT]].concat()).await
}

async fn queue(sandbox: &Sandbox) -> Run {
    spawn(sandbox, &["--queue", "--wait", "none"]).await
}

fn let_go(sandbox: &Sandbox, session: &str) {
    std::fs::write(sandbox.path("limits").join(format!("go-{session}")), "").unwrap();
}

fn agents_log(sandbox: &Sandbox) -> Vec<String> {
    let log = std::fs::read_to_string(sandbox.path("limits/log")).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}

async fn until_logged(sandbox: &Sandbox, line: &str) {
    sandbox.until(line, || agents_log(sandbox).iter().any(|logged| logged == line)).await;
}

/// The sessions whose agents run, as the process table of the machine tells.
fn agents(home: &str) -> BTreeSet<String> {
    let mut sessions = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let value = |name: &str| environment.split('\0').find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
        if value("HOME") == Some(home)
            && value("AO_LAUNCH_ID").is_some()
            && let Some(session) = value("AO_SESSION_ID")
        {
            sessions.insert(session.to_owned());
        }
    }
    sessions
}

/// Watches the process table for the most agents at once, until it is asked.
struct Watch {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watch {
    fn start(sandbox: &Sandbox) -> Self {
        let home = sandbox.env["HOME"].clone();
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = std::thread::spawn({
            let (stop, most) = (stop.clone(), most.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    most.fetch_max(agents(&home).len(), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        Self { stop, most, thread: Some(thread) }
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// The sessions in line, the next one first.
async fn line(sandbox: &Sandbox) -> Vec<String> {
    let listed = sandbox.ao(&["ls", "--json"]).await.json();
    let mut line: Vec<(u64, String)> = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|session| session["status"] == "queued")
        .map(|session| (session["place_in_line"].as_u64().unwrap(), session["id"].as_str().unwrap().to_owned()))
        .collect();
    line.sort();
    assert_eq!(line.iter().map(|(place, _)| *place).collect::<Vec<_>>(), (1..=line.len() as u64).collect::<Vec<_>>());
    line.into_iter().map(|(_, id)| id).collect()
}

#[tokio::test]
async fn i14_beyond_the_limit_a_spawn_is_refused_and_leaves_nothing() {
    let sandbox = sandbox(1);
    spawn(&sandbox, &[]).await.ok();
    let refused = spawn(&sandbox, &[]).await;
    refused.fails(5, &["the limit of 1 live agent is reached", "--queue", "max_live_agents"]);
    assert_eq!(sandbox.ao(&["ls", "-a", "--json"]).await.json().as_array().unwrap().len(), 1);
    assert_eq!(sandbox.branches(), ["ao/app-1", "main"]);
    assert_eq!(agents(&sandbox.env["HOME"]).len(), 1);
    sandbox.ao(&["kill", "app-1"]).await.ok();
    spawn(&sandbox, &[]).await.ok();
}

#[tokio::test]
async fn i14_of_many_spawns_at_once_only_as_many_as_allowed_are_let_in() {
    let sandbox = sandbox(2);
    sandbox.ao(&["start"]).await.ok();
    let watch = Watch::start(&sandbox);
    let runs: Vec<Run> = join_all((0..6).map(|_| spawn(&sandbox, &[]))).await;
    let codes: Vec<i32> = runs.iter().map(|run| run.code).collect();
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 2, "{runs:#?}");
    assert_eq!(codes.iter().filter(|code| **code == 5).count(), 4, "{runs:#?}");
    assert_eq!(agents(&sandbox.env["HOME"]).len(), 2);
    assert_eq!(watch.most(), 2);
}

#[tokio::test]
async fn i14_those_in_line_start_in_order_across_a_killed_daemon_and_never_too_many() {
    let sandbox = sandbox(2);
    sandbox.ao(&["start"]).await.ok();
    let watch = Watch::start(&sandbox);
    for run in join_all((0..5).map(|_| queue(&sandbox))).await {
        run.ok();
    }
    sandbox.until("two agents run", || agents_log(&sandbox).len() == 2).await;
    let waiting = line(&sandbox).await;
    assert_eq!(waiting.len(), 3);
    let first: Vec<String> = agents(&sandbox.env["HOME"]).into_iter().collect();

    // One place is given to exactly one, the head of the line.
    let_go(&sandbox, &first[0]);
    until_logged(&sandbox, &format!("start {}", waiting[0])).await;
    assert_eq!(line(&sandbox).await, waiting[1..]);
    sandbox.wait_for(&waiting[0], "status", "working").await;

    let daemon = sandbox.daemon_pid().await;
    signal(daemon, Signal::KILL);
    sandbox.until("the daemon is dead", || !Sandbox::is_running(daemon)).await;
    // A place becomes free while nobody could give it away.
    let_go(&sandbox, &first[1]);
    until_logged(&sandbox, &format!("end {}", first[1])).await;
    sandbox.ao(&["start"]).await.ok();
    until_logged(&sandbox, &format!("start {}", waiting[1])).await;
    assert_eq!(line(&sandbox).await, waiting[2..]);

    let_go(&sandbox, &waiting[0]);
    until_logged(&sandbox, &format!("start {}", waiting[2])).await;
    for session in &waiting {
        let_go(&sandbox, session);
    }
    for session in first.iter().chain(&waiting) {
        let ended = sandbox.wait_for(session, "status", "terminated").await;
        assert_eq!(ended["exit"]["code"], 0, "{ended:#}");
    }
    let starts = agents_log(&sandbox).iter().filter(|line| line.starts_with("start ")).count();
    assert_eq!(starts, 5, "each ran once: {:?}", agents_log(&sandbox));
    assert_eq!(watch.most(), 2);
}

#[tokio::test]
async fn a_stop_of_the_daemon_keeps_the_line() {
    let sandbox = sandbox(1);
    spawn(&sandbox, &[]).await.ok();
    queue(&sandbox).await.ok();
    sandbox.ao(&["stop"]).await.ok();
    sandbox.ao(&["start"]).await.ok();
    let waiting = sandbox.show("app-2").await;
    assert_eq!((&waiting["status"], &waiting["place_in_line"]), (&json!("queued"), &json!(1)), "{waiting:#}");
    let listed = sandbox.ao(&["ls"]).await.ok();
    assert!(listed.contains("queued (1)"), "{listed}");
    let_go(&sandbox, "app-1");
    until_logged(&sandbox, "start app-2").await;
}

#[tokio::test]
async fn a_kill_takes_a_session_out_of_line() {
    let sandbox = sandbox(1);
    spawn(&sandbox, &[]).await.ok();
    for _ in 0..2 {
        queue(&sandbox).await.ok();
    }
    sandbox.ao(&["kill", "app-2"]).await.ok();
    let killed = sandbox.show("app-2").await;
    assert_eq!((&killed["status"], &killed["exit"]["reason"]), (&json!("terminated"), &json!("killed")), "{killed:#}");
    assert_eq!(line(&sandbox).await, ["app-3"]);
    assert_eq!(sandbox.branches(), ["ao/app-1", "main"]);
    let_go(&sandbox, "app-1");
    until_logged(&sandbox, "start app-3").await;
    assert!(!agents_log(&sandbox).contains(&"start app-2".to_owned()));
}

#[tokio::test]
async fn waiting_for_a_queued_session_to_be_ready_waits_through_the_line() {
    let mut sandbox = sandbox(1);
    // Far less than it is going to wait in line.
    sandbox.env.insert("AO_READY_TIMEOUT_S".into(), "2".into());
    spawn(&sandbox, &[]).await.ok();
    let waits = spawn(&sandbox, &["--queue", "--json"]);
    let release = async {
        let queued = async {
            while line(&sandbox).await.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(crate::sandbox::BOUND, queued).await.expect("it is put in line");
        tokio::time::sleep(Duration::from_secs(4)).await;
        let_go(&sandbox, "app-1");
    };
    let (run, ()) = tokio::join!(waits, release);
    run.ok();
    assert_eq!(run.json()["status"], "working");
    let late = spawn(&sandbox, &["--queue", "--timeout", "1s"]).await;
    late.fails(6, &["app-3 still waits in line"]);
}

#[tokio::test]
async fn what_cannot_be_built_when_its_turn_comes_is_a_failed_spawn_and_holds_nobody_up() {
    let sandbox = sandbox(1);
    spawn(&sandbox, &[]).await.ok();
    spawn(&sandbox, &["--queue", "--wait", "none", "--branch", "wanted"]).await.ok();
    queue(&sandbox).await.ok();
    sandbox.git(&sandbox.repo(), &["branch", "wanted"]);
    let_go(&sandbox, "app-1");
    until_logged(&sandbox, "start app-3").await;
    let failed = sandbox.show("app-2").await;
    assert_eq!(
        (&failed["status"], &failed["exit"]["reason"]),
        (&json!("failed"), &json!("spawn_failed")),
        "{failed:#}"
    );
    assert!(failed["exit"]["cause"].as_str().unwrap().contains("branch \"wanted\" exists already"), "{failed:#}");
    assert!(sandbox.branches().contains(&"wanted".to_owned()));
    assert!(!sandbox.session_dir("app-2").exists());
}

#[tokio::test]
async fn those_whose_repository_is_away_wait_on_and_hold_nobody_up() {
    let sandbox = sandbox(1);
    sandbox.make_repository("web");
    spawn(&sandbox, &[]).await.ok();
    queue(&sandbox).await.ok();
    let args =
        ["spawn", "--agent", "command", "--runtime", "pty", "--queue", "--wait", "none", "--", "sh", "-c", AGENT];
    let mut in_web = sandbox.command(&args);
    in_web.current_dir(sandbox.path("web"));
    sandbox.run(in_web).await.ok();
    let away = sandbox.path("away");
    std::fs::rename(sandbox.repo(), &away).unwrap();
    let_go(&sandbox, "app-1");
    // Commands run in the repository otherwise.
    std::fs::create_dir(sandbox.repo()).unwrap();
    until_logged(&sandbox, "start web-1").await;
    let waiting = sandbox.show("app-2").await;
    assert_eq!(waiting["status"], "queued", "{waiting:#}");
    assert!(waiting["notes"].to_string().contains("goes on waiting in line"), "{waiting:#}");
    let_go(&sandbox, "web-1");
    sandbox.wait_for("web-1", "status", "terminated").await;
    std::fs::remove_dir(sandbox.repo()).unwrap();
    std::fs::rename(&away, sandbox.repo()).unwrap();
    until_logged(&sandbox, "start app-2").await;
}

#[tokio::test]
async fn i14_a_restore_needs_a_place_like_a_spawn() {
    let sandbox = sandbox(1);
    spawn(&sandbox, &[]).await.ok();
    let_go(&sandbox, "app-1");
    sandbox.wait_for("app-1", "status", "terminated").await;
    std::fs::remove_file(sandbox.path("limits/go-app-1")).unwrap();
    spawn(&sandbox, &[]).await.ok();
    let before = sandbox.show("app-1").await;
    sandbox.ao(&["restore", "app-1"]).await.fails(5, &["the limit of 1 live agent is reached", "--queue"]);
    assert_eq!(sandbox.show("app-1").await, before, "a refused restore changes nothing");

    sandbox.ao(&["restore", "app-1", "--queue", "--no-wait"]).await.ok();
    queue(&sandbox).await.ok();
    assert_eq!(line(&sandbox).await, ["app-1", "app-3"]);
    let_go(&sandbox, "app-2");
    sandbox.wait_for("app-1", "status", "working").await;
    assert_eq!(agents(&sandbox.env["HOME"]).into_iter().collect::<Vec<_>>(), ["app-1"]);
    assert_eq!(line(&sandbox).await, ["app-3"]);
}
