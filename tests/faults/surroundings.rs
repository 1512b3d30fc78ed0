//! What the world around does to ao: full and read-only disks, a clock that steps back, people and agents who delete,
//! rename and move. Each time ao says what is wrong, nothing is lost, and it works again afterwards.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::bench::{Action, Bench, SETTLED_WITHIN};
use crate::findings::Findings;
use crate::model::git;
use crate::sandbox::Run;
use crate::scenario::SLEEP;
use crate::work;
use crate::world;

/// Room for a database and a few worktrees, and quickly filled.
const DISK: &str = "size=8m,mode=0700";

/// Something mounted over a directory, until it is dropped.
struct Mount(PathBuf);

impl Mount {
    /// `None`, said on stderr, where this user may not mount.
    fn new(at: &Path, options: &[&str]) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(options).arg(at).stderr(Stdio::piped()).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            refused => {
                let _ = writeln!(std::io::stderr(), "not mounted, so errors are injected instead: {refused:?}");
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: what runs there is ended after this.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// The first session, and what is wrong with the world.
async fn settled(bench: &Bench) -> (world::Row, Findings) {
    let (rows, findings) = world::settled(bench).await;
    (rows.into_iter().next().unwrap(), findings)
}

#[track_caller]
fn assert_nothing_wrong(findings: &Findings, bench: &Bench) {
    assert!(findings.is_empty(), "{findings}\n{}", bench.log());
}

/// Whether it failed and said why.
#[track_caller]
fn assert_said(run: &Run, word: &str, bench: &Bench) {
    let said = run.stderr.to_lowercase();
    assert!(run.code != 0 && said.contains(word), "{word:?} is not said: {run:#?}\n{}", bench.log());
}

async fn spawn(bench: &Bench) -> Run {
    bench.spawn("pty", "ready", &["sh", "-c", SLEEP]).await
}

/// A live session whose agent has worked.
async fn at_work(bench: &Bench) -> world::Row {
    bench.start().await.ok();
    bench.ao(&["project", "add", "."]).await.ok();
    let script = format!("{}; {SLEEP}", work::SCRIPT);
    bench.spawn("pty", "ready", &["sh", "-c", &script]).await.ok();
    bench.until("the agent has worked", || bench.worktree("app-1").join("loose").exists()).await;
    let (row, findings) = settled(bench).await;
    assert_nothing_wrong(&findings, bench);
    row
}

/// Spawns, kills and restores, as on any day.
async fn assert_all_is_well(bench: &Bench, agent: Option<u32>) {
    bench.start().await.ok();
    let (row, findings) = settled(bench).await;
    assert_nothing_wrong(&findings, bench);
    if let Some(agent) = agent {
        assert_eq!((row.is_live(), row.pid), (true, Some(agent)), "{row:#?}");
    }
    spawn(bench).await.ok();
    bench.ao(&["kill", "--force", "app-1"]).await.ok();
    bench.ao(&["restore", "app-1"]).await.ok();
    let (row, findings) = settled(bench).await;
    assert_nothing_wrong(&findings, bench);
    assert!(row.is_live() && work::is_there(bench, &row), "{row:#?}");
    for row in world::rows(bench).await {
        bench.ao(&["kill", "--force", &row.id]).await.ok();
    }
    let (row, findings) = settled(bench).await;
    assert_nothing_wrong(&findings, bench);
    assert!(work::is_there(bench, &row), "{row:#?}");
}

#[tokio::test]
async fn a_full_disk_is_said_and_loses_nothing() {
    let bench = Bench::new(9);
    let mount = Mount::new(&bench.path("data"), &["-t", "tmpfs", "-o", DISK, "tmpfs"]);
    let agent = at_work(&bench).await.pid;
    if mount.is_none() {
        bench.arm("launch.written", Action::Error);
        assert_said(&spawn(&bench).await, "no space left", &bench);
        return assert_all_is_well(&bench, agent).await;
    }
    fill(&bench.path("data/ballast"));
    assert_said(&spawn(&bench).await, "full", &bench);
    // What is there can be seen, and what cannot be recorded is not done.
    assert_eq!(bench.ao(&["ls", "--json"]).await.json().as_array().unwrap().len(), 1);
    assert_said(&bench.ao(&["kill", "app-1"]).await, "full", &bench);
    assert!(crate::sandbox::Sandbox::is_running(agent.unwrap()), "the kill was not recorded and done all the same");
    bench.kill_daemon().await;
    let start = bench.start().await;
    assert!(crate::sandbox::Sandbox::is_running(agent.unwrap()), "{start:#?}");
    if start.code != 0 {
        assert_said(&start, "space", &bench);
    }
    fs::remove_file(bench.path("data/ballast")).unwrap();
    assert_all_is_well(&bench, agent).await;
}

/// Writes until nothing more fits.
fn fill(ballast: &Path) {
    let mut file = fs::File::create(ballast).unwrap();
    for chunk in [vec![0; 64 * 1024], vec![0; 1]] {
        while file.write_all(&chunk).is_ok() {}
    }
}

#[tokio::test]
async fn a_read_only_data_directory_is_said_and_loses_nothing() {
    let bench = Bench::new(9);
    let data = bench.path("data");
    let agent = at_work(&bench).await.pid;
    let read_only = |data: &Path| {
        let mount = Mount::new(data, &["--bind", data.to_str().unwrap()])?;
        let remounted = Command::new("mount").args(["-o", "remount,bind,ro"]).arg(data).status().unwrap();
        assert!(remounted.success());
        Some(mount)
    };
    let Some(mount) = read_only(&data) else {
        // Each of the first writes in it.
        for point in ["spawn.session-dir-made", "launch.environment-written", "launch.written"] {
            bench.arm(point, Action::Error);
            assert_said(&spawn(&bench).await, "no space left", &bench);
        }
        return assert_all_is_well(&bench, agent).await;
    };
    // The daemon goes on with the files that it has open.
    assert_said(&spawn(&bench).await, "read-only", &bench);
    let (row, _) = settled(&bench).await;
    assert_eq!((row.is_live(), row.pid), (true, agent));
    bench.kill_daemon().await;
    assert_said(&bench.start().await, "read-only", &bench);
    assert!(crate::sandbox::Sandbox::is_running(agent.unwrap()));
    drop(mount);
    assert_all_is_well(&bench, agent).await;
}

#[tokio::test]
async fn a_clock_that_steps_back_confuses_nothing() {
    let mut bench = Bench::new(9);
    let agent = "#!/bin/sh\ncase $1 in --version) echo '2.1.197 (Claude Code)';; *) exec sleep 600;; esac\n";
    bench.install("reporter", agent);
    let config = bench.path("home/.config/ao/config.toml");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    let program = bench.path("bin/reporter");
    fs::write(&config, format!("[agents.reporter]\nkind = \"claude-code\"\nprogram = {program:?}\n")).unwrap();
    at_work(&bench).await;
    let args = ["spawn", "--agent", "reporter", "--runtime", "pty", "--wait", "none", "--json", "task"];
    bench.ao(&args).await.ok();
    // What is reported before an agent is launched is not taken for its word.
    bench.wait_for("app-2", "step", "launched").await;
    report(&bench, "SessionStart", json!({ "source": "startup" })).await;
    report(&bench, "UserPromptSubmit", json!({ "prompt": "task" })).await;
    bench.wait_for("app-2", "status", "working").await;
    let before = bench.show("app-2").await;
    // An hour back, while the daemon runs.
    fs::write(bench.switch("clock"), "-3600000").unwrap();
    report(&bench, "Stop", json!({})).await;
    let after = bench.wait_for("app-2", "status", "idle").await;
    assert!(time(&after, "updated_at") < time(&before, "updated_at"), "the clock did not step: {after:#}");
    report(&bench, "UserPromptSubmit", json!({ "prompt": "more" })).await;
    bench.wait_for("app-2", "status", "working").await;
    // And once more, between two daemons.
    bench.kill_daemon().await;
    fs::write(bench.switch("clock"), "-7200000").unwrap();
    bench.start().await.ok();
    report(&bench, "Stop", json!({})).await;
    bench.wait_for("app-2", "status", "idle").await;
    assert_all_is_well(&bench, None).await;
}

fn time(session: &Value, field: &str) -> String {
    session[field].as_str().unwrap().to_owned()
}

/// What the agent of `app-2` would report.
async fn report(bench: &Bench, event: &str, payload: Value) {
    let input = bench.path("home/report.json");
    fs::write(&input, payload.to_string()).unwrap();
    let mut hook = bench.command(&["hook", "reporter", event]);
    hook.env("AO_SESSION_ID", "app-2").stdin(fs::File::open(&input).unwrap());
    bench.run(hook).await.ok();
}

#[tokio::test]
async fn a_worktree_deleted_by_hand_is_noticed_and_its_commits_stay() {
    let bench = Bench::new(9);
    let row = at_work(&bench).await;
    fs::remove_dir_all(&row.workspace).unwrap();
    assert!(crate::sandbox::Sandbox::is_running(row.pid.unwrap()));
    bench.ao(&["kill", "app-1"]).await.ok();
    let (row, findings) = settled(&bench).await;
    assert_nothing_wrong(&findings, &bench);
    assert!(row.ended_as("killed") && work::holds(&bench, &row, "committed", "work\n"), "{row:#?}");
    bench.ao(&["restore", "app-1"]).await.ok();
    bench.until("the agent works again", || row.workspace.join("committed").exists()).await;
    let (_, findings) = settled(&bench).await;
    assert_nothing_wrong(&findings, &bench);
}

#[tokio::test]
async fn a_branch_that_the_agent_renamed_keeps_its_commits() {
    let bench = Bench::new(9);
    let row = at_work(&bench).await;
    bench.git(&row.workspace, &["branch", "--move", "renamed"]);
    bench.ao(&["kill", "--force", "app-1"]).await.ok();
    let (row, findings) = settled(&bench).await;
    // All that a look finds is a branch that no record names, and that it is told.
    let leaked = vec!["the branch renamed".to_owned(), "the reference refs/ao/left/app-1".to_owned()];
    assert_eq!(findings, Findings { leaked, ..Findings::default() });
    assert!(!row.workspace.exists());
    assert_eq!(git(&bench, &["show", "renamed:committed"]).as_deref(), Some("work"));
    assert!(work::holds(&bench, &row, "loose", "work\n"), "{row:#?}");
    bench.ao(&["restore", "app-1"]).await.ok();
    assert_eq!(bench.git(&row.workspace, &["symbolic-ref", "--short", "HEAD"]), "renamed");
    assert_eq!(fs::read_to_string(row.workspace.join("loose")).unwrap(), "work\n");
    bench.ao(&["kill", "--force", "app-1"]).await.ok();
    assert_eq!(git(&bench, &["show", "renamed:committed"]).as_deref(), Some("work"));
}

#[tokio::test]
async fn a_repository_that_moved_away_is_said_and_nothing_of_it_goes() {
    let bench = Bench::new(9);
    let row = at_work(&bench).await;
    let elsewhere = bench.path("elsewhere");
    fs::rename(bench.repo(), &elsewhere).unwrap();
    let from_afar = async |args: &[&str]| {
        let mut command = bench.command(args);
        command.current_dir("/");
        bench.run(command).await
    };
    let spawn = ["spawn", "--project", "app", "--agent", "command", "--runtime", "pty", "--", "sleep", "600"];
    assert_said(&from_afar(&spawn).await, "not there", &bench);
    assert!(crate::sandbox::Sandbox::is_running(row.pid.unwrap()), "the agent does not need to know");
    bench.kill_daemon().await;
    from_afar(&["start"]).await.ok();
    let killed = from_afar(&["kill", "--force", "app-1"]).await;
    killed.ok();
    assert!(killed.stderr.contains("kept"), "{killed:#?}");
    assert!(row.workspace.join("loose").exists());
    let cleanup = from_afar(&["cleanup", "--force"]).await;
    assert!(row.workspace.join("loose").exists(), "{cleanup:#?}");
    assert_said(&from_afar(&["restore", "app-1"]).await, "not there", &bench);
    fs::rename(&elsewhere, bench.repo()).unwrap();
    let is_back = || bench.repo().join(".git").exists();
    assert!(bench.comes_true(SETTLED_WITHIN, is_back).await);
    assert!(work::is_there(&bench, &row));
    bench.ao(&["kill", "--force", "app-1"]).await.ok();
    let (row, findings) = settled(&bench).await;
    assert_nothing_wrong(&findings, &bench);
    assert!(!row.workspace.exists() && work::is_there(&bench, &row), "{row:#?}");
    bench.ao(&["restore", "app-1"]).await.ok();
    let (row, findings) = settled(&bench).await;
    assert_nothing_wrong(&findings, &bench);
    assert!(row.is_live() && work::is_there(&bench, &row), "{row:#?}");
}
