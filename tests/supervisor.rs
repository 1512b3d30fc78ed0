//! `ao supervise` in a terminal, and what the records of a launch tell. The terminal is one of the `pty` runtime.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test is its own edge, and panics to fail"
)]

mod pty_fixture;

use ao::adapters::runtime::launch::{self, Claim, LaunchSpec};
use ao::domain::exit::Exit;
use ao::domain::session::ProcessIdentity;
use ao::platform::{process, tree};
use ao::ports::runtime::{Liveness, TerminalKey};
use ao::testing::runtime::{Bench, check};
use rustix::process::Signal;
use std::io::Write as _;
use std::time::Duration;

use self::pty_fixture::Pty;

const AO: &str = env!("CARGO_BIN_EXE_ao");

/// Puts a launch of a script on record.
fn write(bench: &Bench, script: &str) -> TerminalKey {
    let key = bench.key();
    LaunchSpec::new(&bench.script(&key, script)).unwrap().write(&key.session_dir).unwrap();
    key
}

/// Runs `ao supervise` for it, in a terminal of its own whose key this gives.
async fn supervise(bench: &Bench, launch: &TerminalKey) -> (TerminalKey, ProcessIdentity) {
    let pane = bench.key();
    let dir = launch.session_dir.to_str().unwrap();
    let supervisor = bench.create(&bench.spec(&pane, AO, &["supervise", "--session-dir", dir])).await;
    (pane, supervisor)
}

#[tokio::test]
async fn the_agent_has_the_panes_terminal_and_its_exit_is_on_record() {
    check(Pty::new(), async |bench: Bench| {
        let key = write(&bench, "echo in the pane; read line; test \"$line\" = typed && exit 7");
        let (pane, supervisor) = supervise(&bench, &key).await;
        bench.until_shown(&pane, "in the pane").await;
        let agent = launch::await_start(&key.session_dir, Duration::from_secs(10)).await.unwrap();
        assert_eq!(launch::probe(&key.session_dir), Liveness::Alive(agent));
        assert_eq!(process::stat(agent.pid).unwrap().unwrap().parent, supervisor.pid);
        bench.runtime().input(&pane, b"typed\r").await.unwrap();
        bench.until_dead(&pane).await;
        assert_eq!(launch::probe(&key.session_dir), Liveness::Dead(Exit::Code(7)));
    })
    .await;
}

#[tokio::test]
async fn a_launch_runs_once() {
    check(Pty::new(), async |bench: Bench| {
        let key = write(&bench, "echo ran >> runs; exit 3");
        for _ in 0..2 {
            let (pane, _) = supervise(&bench, &key).await;
            bench.until_dead(&pane).await;
        }
        assert_eq!(bench.until_written("runs").await, b"ran\n");
        assert_eq!(launch::probe(&key.session_dir), Liveness::Dead(Exit::Code(3)), "the refusal changed the record");
    })
    .await;
}

#[tokio::test]
async fn the_keyboard_reaches_the_agent_and_the_supervisor_survives_it() {
    check(Pty::new(), async |bench: Bench| {
        let script = "trap 'echo got INT' INT; trap 'echo got QUIT' QUIT; trap 'echo got TSTP; exit 6' TSTP; \
                      echo ready; while :; do sleep 0.05; done";
        let key = write(&bench, script);
        let (pane, _) = supervise(&bench, &key).await;
        bench.until_shown(&pane, "ready").await;
        for (pressed, shown) in [(b"\x03", "got INT"), (b"\x1c", "got QUIT"), (b"\x1a", "got TSTP")] {
            bench.runtime().input(&pane, pressed).await.unwrap();
            bench.until_shown(&pane, shown).await;
        }
        bench.until_dead(&pane).await;
        assert_eq!(launch::probe(&key.session_dir), Liveness::Dead(Exit::Code(6)));
    })
    .await;
}

#[tokio::test]
async fn signals_to_the_supervisor_are_passed_on() {
    for (signal, number) in [(Signal::TERM, 15), (Signal::HUP, 1)] {
        check(Pty::new(), async move |bench: Bench| {
            let key = write(&bench, "while :; do sleep 0.05; done");
            let (pane, supervisor) = supervise(&bench, &key).await;
            launch::await_start(&key.session_dir, Duration::from_secs(10)).await.unwrap();
            tree::send(supervisor, signal).unwrap();
            bench.until_dead(&pane).await;
            assert_eq!(launch::probe(&key.session_dir), Liveness::Dead(Exit::Signal(number)));
        })
        .await;
    }
}

#[tokio::test]
async fn a_stop_from_the_records_ends_all_but_the_supervisor_which_records_it() {
    check(Pty::new(), async |bench: Bench| {
        let key = write(&bench, "sleep 600 & trap 'exit 5' TERM; echo > ready; while :; do sleep 0.05; done");
        let (pane, _) = supervise(&bench, &key).await;
        bench.until_written("ready").await;
        assert_eq!(launch::stop(&key.session_dir, Duration::from_secs(9)).await.unwrap(), Some(Exit::Code(5)));
        let supervisors = bench.until_dead(&pane).await;
        assert!(matches!(supervisors, Exit::Code(_)), "the supervisor was killed itself: {supervisors}");
    })
    .await;
}

#[tokio::test]
async fn why_a_program_could_not_run_is_on_record() {
    check(Pty::new(), async |bench: Bench| {
        let key = bench.key();
        let spec = bench.spec(&key, "/no/such/program", &[]);
        LaunchSpec::new(&spec).unwrap().write(&key.session_dir).unwrap();
        let (pane, _) = supervise(&bench, &key).await;
        bench.until_dead(&pane).await;
        let error = launch::await_start(&key.session_dir, Duration::ZERO).await.unwrap_err().to_string();
        assert!(error.contains("No such file") && error.contains("/no/such/program"), "{error}");
        assert!(matches!(launch::probe(&key.session_dir), Liveness::Dead(_)));
    })
    .await;
}

#[tokio::test]
async fn a_launch_that_was_called_off_never_starts() {
    check(Pty::new(), async |bench: Bench| {
        let key = write(&bench, "echo ran > runs");
        assert!(matches!(launch::probe(&key.session_dir), Liveness::Unknown(_)), "its launcher, this test, runs");
        assert_eq!(launch::stop(&key.session_dir, Duration::ZERO).await.unwrap(), None);
        let (pane, _) = supervise(&bench, &key).await;
        bench.until_dead(&pane).await;
        assert!(!bench.path("runs").exists());
        assert_eq!(launch::probe(&key.session_dir), Liveness::Dead(Exit::Unknown));
    })
    .await;
}

/// A process that ends with the test, also when that fails.
struct Orphan(std::process::Child);

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Changes a field of the launch on record.
fn edit(key: &TerminalKey, field: &str, value: serde_json::Value) {
    let path = launch::directory(&key.session_dir).join("launch.json");
    let mut launch: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    launch[field] = value;
    std::fs::write(&path, launch.to_string()).unwrap();
}

#[tokio::test]
async fn i02_a_launch_whose_launcher_died_is_dead_and_stays_so() {
    check(Pty::new(), async |bench: Bench| {
        let key = write(&bench, "echo ran > runs");
        edit(&key, "launcher", serde_json::json!({"pid": 1, "start_ticks": 9_999_999}));
        assert_eq!(launch::probe(&key.session_dir), Liveness::Dead(Exit::Unknown));
        let (pane, _) = supervise(&bench, &key).await;
        bench.until_dead(&pane).await;
        assert!(!bench.path("runs").exists(), "it started after it was called dead");
    })
    .await;
}

/// The names of the launch's files that hold a text.
fn records_with(key: &TerminalKey, text: &str) -> Vec<String> {
    let files = std::fs::read_dir(launch::directory(&key.session_dir)).unwrap().map(|entry| entry.unwrap().path());
    let holds = |path: &std::path::PathBuf| std::fs::read_to_string(path).is_ok_and(|content| content.contains(text));
    files.filter(holds).map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn i02_whoever_finds_an_abandoned_launch_removes_its_environment() {
    check(Pty::new(), async |bench: Bench| {
        let gone = ProcessIdentity { pid: 1, start_ticks: 9_999_999 };
        let with_secret = || {
            let key = bench.key();
            let mut spec = bench.script(&key, "read line");
            spec.command.env.insert("TOKEN".to_owned(), "top-secret".to_owned());
            LaunchSpec::new(&spec).unwrap().write(&key.session_dir).unwrap();
            // Who takes it needs it. And a daemon that was killed while it wrote it has left a part of it.
            let environment = records_with(&key, "top-secret");
            assert_eq!(environment.len(), 1);
            let half_written = format!(".{}.77.0.tmp", environment[0]);
            std::fs::write(launch::directory(&key.session_dir).join(half_written), "top-secret").unwrap();
            key
        };
        let taken = with_secret();
        assert!(launch::claim(&taken.session_dir, &Claim::Supervisor(gone)).unwrap());
        assert_eq!(launch::probe(&taken.session_dir), Liveness::Dead(Exit::Unknown));
        let abandoned = with_secret();
        edit(&abandoned, "launcher", serde_json::json!({"pid": 1, "start_ticks": 9_999_999}));
        assert_eq!(launch::probe(&abandoned.session_dir), Liveness::Dead(Exit::Unknown));
        let earlier = with_secret();
        edit(&earlier, "boot", "before".into());
        assert_eq!(launch::probe(&earlier.session_dir), Liveness::Dead(Exit::Unknown));
        let stopped = with_secret();
        launch::stop(&stopped.session_dir, Duration::ZERO).await.unwrap();
        for key in [taken, abandoned, earlier, stopped] {
            assert_eq!(records_with(&key, "top-secret"), Vec::<String>::new());
        }
    })
    .await;
}

#[tokio::test]
async fn records_of_another_boot_tell_of_no_process() {
    check(Pty::new(), async |bench: Bench| {
        let (key, agent) = bench.run("read line").await;
        assert_eq!(bench.probe(&key).await, Liveness::Alive(agent));
        let boot = LaunchSpec::read(&key.session_dir).unwrap().unwrap().boot;
        edit(&key, "boot", "before".into());
        assert_eq!(bench.probe(&key).await, Liveness::Dead(Exit::Unknown));
        assert_eq!(bench.runtime().stop(&key, Duration::ZERO).await.unwrap(), None);
        assert!(process::is_running(agent).unwrap(), "a process of that number was killed");
        edit(&key, "boot", boot.into());
    })
    .await;
}

#[tokio::test]
async fn records_that_cannot_be_read_are_unknown_and_not_death() {
    check(Pty::new(), async |bench: Bench| {
        let (key, agent) = bench.run("read line").await;
        edit(&key, "version", 99.into());
        let Liveness::Unknown(why) = bench.probe(&key).await else { panic!("it is known") };
        assert!(why.contains("version 99"), "{why}");
        edit(&key, "version", 1.into());
        assert_eq!(bench.probe(&key).await, Liveness::Alive(agent));
    })
    .await;
}

#[tokio::test]
async fn i02_an_agent_whose_supervisor_died_before_the_record_is_found_and_ended() {
    check(Pty::new(), async |bench: Bench| {
        let key = write(&bench, "unused");
        let gone = ProcessIdentity { pid: 1, start_ticks: 9_999_999 };
        assert!(launch::claim(&key.session_dir, &Claim::Supervisor(gone)).unwrap());
        assert_eq!(launch::probe(&key.session_dir), Liveness::Dead(Exit::Unknown));
        let id = LaunchSpec::read(&key.session_dir).unwrap().unwrap().id;
        let orphan = Orphan(
            std::process::Command::new("/bin/sleep")
                .arg("600")
                .env(ao::ports::runtime::LAUNCH_ID_VARIABLE, id.to_string())
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap(),
        );
        let pid = orphan.0.id();
        // The kernel lets who started it go on a moment before it shows this.
        bench
            .in_time("its environment is seen", async {
                while std::fs::read(format!("/proc/{pid}/environ")).unwrap().is_empty() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
        let Liveness::Unknown(why) = launch::probe(&key.session_dir) else { panic!("it was not found") };
        assert!(why.contains(&pid.to_string()), "{why}");
        launch::stop(&key.session_dir, Duration::ZERO).await.unwrap();
        assert_eq!(process::identity(pid).unwrap(), None);
        assert_eq!(launch::probe(&key.session_dir), Liveness::Dead(Exit::Unknown));
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_ends_because_its_terminal_is_gone_was_lost() {
    check(Pty::new(), async |bench: Bench| {
        // Whatever an agent makes of it, and whoever of the two notices first.
        for script in ["while :; do sleep 0.05; done", "trap 'exit 0' HUP; while :; do sleep 0.05; done"] {
            let key = write(&bench, script);
            let (_, supervisor) = supervise(&bench, &key).await;
            launch::await_start(&key.session_dir, Duration::from_secs(10)).await.unwrap();
            let holder = process::stat(supervisor.pid).unwrap().unwrap().parent;
            tree::send(process::identity(holder).unwrap().unwrap(), Signal::KILL).unwrap();
            bench.until_dead(&key).await;
            assert_eq!(launch::exit(&key.session_dir).unwrap(), Some(Exit::Unknown), "{script}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_ignores_that_its_terminal_is_gone_is_ended() {
    check(Pty::new(), async |bench: Bench| {
        let key = write(&bench, "trap '' HUP TERM; sleep 600 & echo > ready; while :; do sleep 0.05; done");
        let (_, supervisor) = supervise(&bench, &key).await;
        bench.until_written("ready").await;
        let agent = launch::await_start(&key.session_dir, Duration::from_secs(10)).await.unwrap();
        let holder = process::stat(supervisor.pid).unwrap().unwrap().parent;
        tree::send(process::identity(holder).unwrap().unwrap(), Signal::KILL).unwrap();
        bench.until_dead(&key).await;
        assert_eq!(launch::exit(&key.session_dir).unwrap(), Some(Exit::Unknown));
        assert!(!process::is_running(agent).unwrap(), "it works on where nobody sees it");
    })
    .await;
}

/// Runs a script where it may mount; `None` where this machine does not allow that.
fn in_a_namespace_of_mounts(script: &str) -> Option<std::process::Output> {
    let unshare = |script: &str| {
        let args = ["--user", "--map-root-user", "--mount", "/bin/sh", "-ec", script];
        std::process::Command::new("unshare").args(args).stdin(std::process::Stdio::null()).output()
    };
    if unshare("mount -t tmpfs none /mnt").is_ok_and(|tried| tried.status.success()) {
        return Some(unshare(script).unwrap());
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no file system can be mounted here, and CI must not skip");
    // Not `eprintln`, which the test harness keeps to itself when a test passes.
    let _ = writeln!(std::io::stderr(), "skipped: no file system can be mounted here");
    None
}

#[tokio::test]
async fn an_exit_is_recorded_also_when_the_disk_is_full() {
    check(Pty::new(), async |bench: Bench| {
        let (disk, out) = (bench.path("disk"), bench.path("out/terminal"));
        for directory in [&disk, &out] {
            std::fs::create_dir_all(directory).unwrap();
        }
        let (disk, out) = (disk.to_str().unwrap(), out.to_str().unwrap());
        // A start that cannot be recorded is another story.
        let started = format!("until test -e {disk}/terminal/started.json; do sleep 0.05; done");
        let fill = format!("cat /dev/zero > {disk}/fill 2>/dev/null; echo x > {disk}/more || exit 4");
        let key = write(&bench, &format!("{started}; {fill}"));
        let records = key.session_dir.to_str().unwrap();
        let script = format!(
            "mount -t tmpfs -o size=256k none {disk}; cp -a {records}/terminal {disk}/; \
             {AO} supervise --session-dir {disk} || :; cp {disk}/terminal/exit.json {out}/"
        );
        let Some(run) = in_a_namespace_of_mounts(&script) else { return };
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(launch::exit(&bench.path("out")).unwrap(), Some(Exit::Code(4)), "{said}");
    })
    .await;
}
