//! Agents, and their projects' commands, in control groups of their own, on the kernel's real ones.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test is its own edge, and panics to fail"
)]

mod pty_fixture;
#[path = "support/test_group.rs"]
mod test_group;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ao::adapters::runtime::launch;
use ao::adapters::setup::ShellSetup;
use ao::domain::exit::Exit;
use ao::domain::session::ProcessIdentity;
use ao::platform::cgroup::place::{self, Plan};
use ao::platform::{process, tree};
use ao::ports::runtime::{Confinement, TerminalKey, TerminalSpec};
use ao::ports::setup::{SetupCommand, SetupRunner, Stage};
use ao::testing::runtime::{Bench, check};
use rustix::process::Signal;
use test_group::{TestGroup, group_of};

use self::pty_fixture::Pty;

/// Leaves the agent in every way there is: its parent, its kernel session, its environment. Deaf to everything but a kill.
const ESCAPE: &str =
    "(env -i PATH=\"$PATH\" setsid sh -c 'trap \"\" HUP TERM; echo $$ > escaped.part; mv escaped.part escaped
    while :; do sleep 0.05; done' &)";

fn confined(bench: &Bench, key: &TerminalKey, parent: &Path, script: &str) -> TerminalSpec {
    let confinement = Confinement { parent: parent.to_owned(), memory_max_bytes: None };
    TerminalSpec { confinement: Some(confinement), ..bench.script(key, script) }
}

async fn escaped(bench: &Bench) -> ProcessIdentity {
    let pid = String::from_utf8(bench.until_written("escaped").await).unwrap();
    process::identity(pid.trim().parse().unwrap()).unwrap().expect("it has just started")
}

async fn until_gone(bench: &Bench, process: ProcessIdentity) {
    bench.until("the process is gone", async || (!process::is_running(process).unwrap()).then_some(())).await;
}

#[tokio::test]
async fn an_agent_is_born_in_a_group_of_its_own_which_goes_with_it() {
    let Some(group) = TestGroup::make() else { return };
    check(Pty::new(), async move |bench: Bench| {
        let key = bench.key();
        let spec = confined(&bench, &key, group.path(), "cat /proc/self/cgroup > born; read line");
        let agent = bench.create(&spec).await;
        let agents = group.agents();
        assert_eq!(agents.len(), 1, "{agents:?}");
        assert!(agents[0].file_name().unwrap().to_str().unwrap().starts_with(&format!("ao-{}-", key.session)));
        let name = agents[0].file_name().unwrap().to_str().unwrap();
        let born = String::from_utf8(bench.until_written("born").await).unwrap();
        assert!(born.lines().any(|line| line.starts_with("0::") && line.ends_with(name)), "{born}");
        assert!(group_of(agent.pid).ends_with(name));
        let holder = launch::started(&key.session_dir).unwrap().unwrap().supervisor;
        assert_eq!(group_of(holder.pid), group_of(std::process::id()), "the holder went back");
        bench.runtime().input(&key, b"\r").await.unwrap();
        assert_eq!(bench.until_dead(&key).await, Exit::Code(0));
        assert!(group.agents().is_empty());
        assert!(bench.runtime().remarks(&key).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_leaves_its_agent_in_every_way_ends_with_it_all_the_same() {
    let Some(group) = TestGroup::make() else { return };
    check(Pty::new(), async move |bench: Bench| {
        let key = bench.key();
        let wait = format!("{ESCAPE}; while ! test -e escaped; do sleep 0.05; done; exit 4");
        bench.create(&confined(&bench, &key, group.path(), &wait)).await;
        let escaped = escaped(&bench).await;
        assert_eq!(bench.until_dead(&key).await, Exit::Code(4));
        assert!(!process::is_running(escaped).unwrap(), "its end was recorded before all of it had ended");
        assert!(group.agents().is_empty());
    })
    .await;
}

#[tokio::test]
async fn without_a_group_such_a_process_is_not_found() {
    // What the group is for: when this fails, the test above proves nothing.
    check(Pty::new(), async |bench: Bench| {
        let (key, _) = bench.run(&format!("{ESCAPE}; while ! test -e escaped; do sleep 0.05; done")).await;
        let escaped = escaped(&bench).await;
        bench.until_dead(&key).await;
        let survived = process::is_running(escaped).unwrap();
        tree::send(escaped, Signal::KILL).unwrap();
        assert!(survived);
    })
    .await;
}

#[tokio::test]
async fn a_stop_ends_the_group_also_when_the_holder_was_killed() {
    let Some(group) = TestGroup::make() else { return };
    check(Pty::new(), async move |bench: Bench| {
        let key = bench.key();
        let script = format!("{ESCAPE}; while :; do sleep 0.05; done");
        let agent = bench.create(&confined(&bench, &key, group.path(), &script)).await;
        let escaped = escaped(&bench).await;
        let holder = launch::started(&key.session_dir).unwrap().unwrap().supervisor;
        tree::send(holder, Signal::KILL).unwrap();
        until_gone(&bench, holder).await;
        assert!(process::is_running(escaped).unwrap());
        bench.another_runtime().stop(&key, Duration::ZERO).await.unwrap();
        assert!(!process::is_running(escaped).unwrap() && !process::is_running(agent).unwrap());
        assert!(group.agents().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_supervisor_in_a_pane_makes_the_group_too() {
    let Some(group) = TestGroup::make() else { return };
    check(Pty::new(), async move |bench: Bench| {
        let key = bench.key();
        let spec = confined(&bench, &key, group.path(), &format!("{ESCAPE}; while ! test -e go; do sleep 0.05; done"));
        launch::LaunchSpec::new(&spec).unwrap().write(&key.session_dir).unwrap();
        let pane = bench.key();
        let args = ["supervise", "--session-dir", key.session_dir.to_str().unwrap()];
        let supervisor = bench.create(&bench.spec(&pane, env!("CARGO_BIN_EXE_ao"), &args)).await;
        let escaped = escaped(&bench).await;
        assert_eq!(group.agents().len(), 1);
        assert_eq!(group_of(supervisor.pid), group_of(std::process::id()));
        std::fs::write(bench.path("go"), "").unwrap();
        assert_eq!(bench.until_dead(&pane).await, Exit::Code(0));
        assert!(!process::is_running(escaped).unwrap());
        assert!(group.agents().is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_cannot_be_bounded_runs_and_that_is_said() {
    check(Pty::new(), async |bench: Bench| {
        let key = bench.key();
        bench.create(&confined(&bench, &key, Path::new("/no/such/group"), "exit 7")).await;
        assert_eq!(bench.until_dead(&key).await, Exit::Code(7));
        let remarks = bench.runtime().remarks(&key).await;
        assert!(remarks.len() == 1 && remarks[0].contains("without a control group"), "{remarks:?}");
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_runs_out_of_memory_ends_as_a_whole_and_alone() {
    let Some(group) = TestGroup::make() else { return };
    let place = place::settle(Plan::Below(group.path().to_owned()), &std::collections::BTreeMap::new()).await.unwrap();
    if !place.bounds_memory {
        let _ = writeln!(std::io::stderr(), "skipped: memory cannot be bounded in control groups of version 2 here");
        return;
    }
    check(Pty::new(), async move |bench: Bench| {
        let bounded = |key: &TerminalKey, script: &str| {
            let confinement = Confinement { parent: group.path().to_owned(), memory_max_bytes: Some(64 << 20) };
            TerminalSpec { confinement: Some(confinement), ..bench.script(key, script) }
        };
        let (modest, greedy) = (bench.key(), bench.key());
        let other = bench.create(&bounded(&modest, "read line")).await;
        // Not the agent itself but a child of it eats; the agent would go on without.
        let agent = bench.create(&bounded(&greedy, "tail /dev/zero; while :; do sleep 0.05; done")).await;
        assert_eq!(bench.until_dead(&greedy).await, Exit::Signal(9));
        assert!(!process::is_running(agent).unwrap());
        let remarks = bench.runtime().remarks(&greedy).await;
        assert!(remarks.len() == 1 && remarks[0].contains("ran out of memory of the 0.1 GiB"), "{remarks:?}");
        assert!(process::is_running(other).unwrap(), "it took another one along");
        assert_eq!(group.agents().len(), 1);
        assert!(bench.runtime().remarks(&modest).await.is_empty());
    })
    .await;
}

/// A session's directory and workspace, for a project's commands.
struct Setup {
    root: tempfile::TempDir,
    session_dir: PathBuf,
}

impl Setup {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let session_dir = root.path().join("app-1");
        std::fs::create_dir(&session_dir).unwrap();
        Self { root, session_dir }
    }

    fn runner(parent: &Path, memory_max_bytes: Option<u64>) -> ShellSetup {
        let confinement = Confinement { parent: parent.to_owned(), memory_max_bytes };
        ShellSetup::new(env!("CARGO_BIN_EXE_ao").into()).within(Some(confinement))
    }

    fn command(&self, command: &str) -> SetupCommand {
        SetupCommand {
            stage: Stage::Setup,
            command: command.to_owned(),
            session_dir: self.session_dir.clone(),
            workspace: self.root.path().to_owned(),
            env: std::env::vars().filter(|(name, _)| name == "PATH" || name == "AO_TEST_RUN").collect(),
            timeout: Duration::from_secs(60),
        }
    }

    async fn escaped(&self) -> ProcessIdentity {
        let path = self.root.path().join("escaped");
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while !path.exists() {
            assert!(std::time::Instant::now() < deadline, "nothing escapes");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let pid = std::fs::read_to_string(path).unwrap();
        process::identity(pid.trim().parse().unwrap()).unwrap().expect("it has just started")
    }
}

#[tokio::test]
async fn a_projects_command_runs_in_a_group_of_its_own_which_goes_with_all_that_is_in_it() {
    let Some(group) = TestGroup::make() else { return };
    let (setup, runner) = (Setup::new(), Setup::runner(group.path(), None));
    runner.begin(&setup.session_dir, Stage::Setup).await.unwrap();
    let script = format!("cat /proc/self/cgroup > born; {ESCAPE}; while ! test -e escaped; do sleep 0.05; done");
    for _ in 0..2 {
        let _ = std::fs::remove_file(setup.root.path().join("escaped"));
        runner.run(&setup.command(&script)).await.unwrap();
        let born = std::fs::read_to_string(setup.root.path().join("born")).unwrap();
        let below = group.path().file_name().unwrap().to_str().unwrap();
        assert!(born.lines().any(|line| line.contains(&format!("/{below}/ao-app-1-"))), "{born}");
        let pid = std::fs::read_to_string(setup.root.path().join("escaped")).unwrap();
        assert_eq!(process::identity(pid.trim().parse().unwrap()).unwrap(), None, "left behind");
        assert!(group.agents().is_empty());
        assert!(!setup.session_dir.join("setup.group").exists());
    }
}

#[tokio::test]
async fn what_left_a_projects_command_in_every_way_is_found_by_a_later_daemon() {
    let Some(group) = TestGroup::make() else { return };
    let setup = Setup::new();
    let (runner, command) = (Setup::runner(group.path(), None), setup.command(&format!("{ESCAPE}; sleep 600")));
    let escaped = tokio::select! {
        ended = runner.run(&command) => panic!("{ended:?}"),
        escaped = setup.escaped() => escaped,
    };
    assert!(process::is_running(escaped).unwrap(), "it was cut off, and what it started goes on");
    // One that makes no groups itself.
    let later = ShellSetup::new(env!("CARGO_BIN_EXE_ao").into());
    let session_dirs = [setup.root.path().join("app-2"), setup.session_dir.clone()];
    // Only what escaped is left: its environment names no session.
    let hidden = async {
        let mut pause = tree::Pause::default();
        while later.running(&[]).await.unwrap().contains(&setup.session_dir) {
            pause.wait().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), hidden).await.unwrap();
    let found = later.running(&session_dirs).await.unwrap();
    assert!(found.contains(&setup.session_dir) && !found.contains(&session_dirs[0]), "{found:?}");
    later.end(&setup.session_dir).await.unwrap();
    assert!(!process::is_running(escaped).unwrap());
    assert!(!later.running(&session_dirs).await.unwrap().contains(&setup.session_dir));
    assert!(group.agents().is_empty());
    assert!(!setup.session_dir.join("setup.group").exists());
}

#[tokio::test]
async fn a_projects_command_that_cannot_be_bounded_runs_and_its_log_says_so() {
    let setup = Setup::new();
    let runner = Setup::runner(Path::new("/no/such/group"), None);
    runner.begin(&setup.session_dir, Stage::Setup).await.unwrap();
    runner.run(&setup.command("echo done")).await.unwrap();
    let output = runner.output(&setup.session_dir, Stage::Setup, 10).await.unwrap().unwrap();
    assert!(output.contains("nothing bounds the memory of this") && output.ends_with("done"), "{output}");
}

#[tokio::test]
async fn a_projects_command_that_runs_out_of_memory_fails_and_says_so() {
    let Some(group) = TestGroup::make() else { return };
    let place = place::settle(Plan::Below(group.path().to_owned()), &std::collections::BTreeMap::new()).await.unwrap();
    if !place.bounds_memory {
        let _ = writeln!(std::io::stderr(), "skipped: memory cannot be bounded in control groups of version 2 here");
        return;
    }
    let (setup, runner) = (Setup::new(), Setup::runner(group.path(), Some(64 << 20)));
    let failed = runner.run(&setup.command("tail /dev/zero; sleep 600")).await.unwrap_err().to_string();
    assert!(failed.contains("ran out of memory of the 0.1 GiB"), "{failed}");
    assert!(group.agents().is_empty());
}

/// With files in the place of the kernel's, which may have no memory controller here.
#[tokio::test]
async fn a_projects_command_is_not_blamed_for_what_ran_out_of_memory_before_it() {
    let setup = Setup::new();
    let group = setup.root.path().join("group");
    std::fs::create_dir(&group).unwrap();
    for (name, content) in [("cgroup.procs", ""), ("cgroup.kill", ""), ("memory.events", "oom_kill 2\n")] {
        std::fs::write(group.join(name), content).unwrap();
    }
    // One that an earlier command left something in is taken over.
    std::fs::write(setup.session_dir.join("setup.group"), group.to_str().unwrap()).unwrap();
    let runner = Setup::runner(setup.root.path(), None);
    runner.run(&setup.command("true")).await.unwrap();
    std::fs::write(group.join("cgroup.procs"), "").unwrap();
    let dies = format!("echo 'oom_kill 3' > '{}'", group.join("memory.events").display());
    let failed = runner.run(&setup.command(&dies)).await.unwrap_err().to_string();
    assert!(failed.contains("ran out of memory"), "{failed}");
}
