//! What the runtimes on a multiplexer are tested with, and what all of them have to get right beside the contract of every
//! runtime. Takes the multiplexer from `PATH` or from `$AO_TOOLS_DIR`; without one that is new enough these tests are skipped with a
//! line that says so, or fail where `CI` is set.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use ao::domain::exit::Exit;
use ao::domain::id::SessionId;
use ao::ports::agent::AgentCommand;
use ao::ports::runtime::{Liveness, Runtime, RuntimeError, TerminalKey, TerminalSize, TerminalSpec};
use ao::testing::runtime::RuntimeFixture;

pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// A multiplexer to test with.
pub(crate) struct Multiplexer {
    pub(crate) name: &'static str,
    /// Makes the runtime, with its sockets in `<root>/s`.
    pub(crate) runtime: fn(&Path) -> Arc<dyn Runtime>,
    /// What only the command line of a server holds.
    pub(crate) server: &'static str,
}

/// Makes a test of each clause of every runtime's contract, and of each function here.
#[macro_export]
macro_rules! multiplexer_tests {
    ($multiplexer:expr) => {
        ao::runtime_contract_tests!(match $crate::multiplexer::Fixture::new(&$multiplexer).await {
            Some(fixture) => fixture,
            None => return,
        });
        $crate::multiplexer_tests! { @each $multiplexer;
            the_last_words_are_kept_and_the_server_goes_without_anybody_asking
            twenty_terminals_made_at_once_are_twenty_live_agents
            every_byte_typed_arrives_and_none_shows_in_a_process_listing
            the_terminal_has_its_size_before_the_agent_starts
            a_killed_server_takes_its_own_agent_only
            a_killed_supervisor_leaves_no_pane_that_could_take_input
            i01_a_supervisor_killed_before_it_started_the_agent_leaves_nothing
            a_terminal_is_made_again_right_after_its_agent_ended
            a_program_that_cannot_be_run_leaves_nothing
        }
    };
    (@each $multiplexer:expr; $($name:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let Some(fixture) = $crate::multiplexer::Fixture::new(&$multiplexer).await else { return };
                $crate::multiplexer::$name(fixture).await;
            }
        )+
    };
}

/// `PATH`, and the tools that only tests need.
pub(crate) fn path_var() -> String {
    let mut path_var = std::env::var("PATH").unwrap();
    if let Ok(tools) = std::env::var("AO_TOOLS_DIR") {
        for entry in std::fs::read_dir(tools).into_iter().flatten().flatten() {
            path_var = format!("{path_var}:{}", entry.path().join("bin").display());
        }
    }
    path_var
}

/// A runtime with directories of its own. Whatever its test started is ended with it, also when the test fails.
pub(crate) struct Fixture {
    multiplexer: &'static Multiplexer,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) root: PathBuf,
    _dir: tempfile::TempDir,
}

impl Fixture {
    /// `None` when there is none to test with.
    pub(crate) async fn new(multiplexer: &'static Multiplexer) -> Option<Self> {
        let dir = tempfile::Builder::new().prefix("ao-mx-").tempdir_in("/tmp").unwrap();
        let root = dir.path().to_owned();
        let runtime = (multiplexer.runtime)(&root);
        match runtime.preflight().await {
            Ok(_) => Some(Self { multiplexer, runtime, root, _dir: dir }),
            Err(error) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("{error}"),
            Err(error) => {
                static TOLD: Once = Once::new();
                // Not `eprintln!`, which the test harness hides for tests that pass.
                TOLD.call_once(|| drop(writeln!(std::io::stderr(), "SKIPPED the {} tests: {error}", multiplexer.name)));
                None
            }
        }
    }

    pub(crate) fn spec(&self, number: u32, program: &str, args: &[&str]) -> TerminalSpec {
        let session = SessionId::new(format!("shop-{number}")).unwrap();
        let session_dir = self.root.join("sessions").join(session.as_str());
        std::fs::create_dir_all(&session_dir).unwrap();
        TerminalSpec {
            key: TerminalKey { session, session_dir, agent: None },
            command: AgentCommand {
                program: program.into(),
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
                env: BTreeMap::new(),
                stdin: None,
            },
            base_env: environment(),
            cwd: self.root.clone(),
            size: TerminalSize { rows: 40, cols: 120 },
            confinement: None,
        }
    }

    pub(crate) fn shell(&self, number: u32, script: &str) -> TerminalSpec {
        self.spec(number, "/bin/sh", &["-c", script])
    }

    pub(crate) async fn liveness(&self, spec: &TerminalSpec) -> Liveness {
        let mut answers = self.runtime.probe(std::slice::from_ref(&spec.key)).await;
        answers.remove(&spec.key.session).expect("an answer for every key")
    }

    pub(crate) async fn dead(&self, spec: &TerminalSpec) -> Exit {
        let mut last = None;
        for _ in 0..1000 {
            match self.liveness(spec).await {
                Liveness::Dead(exit) => return exit,
                other => last = Some(other),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not dead after 10 s: {last:?}");
    }

    /// Processes of this test: those whose command line or working directory is in its directory.
    pub(crate) fn processes(&self) -> Vec<(i32, String)> {
        let root = self.root.to_str().unwrap();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let cmdline = String::from_utf8_lossy(&std::fs::read(entry.path().join("cmdline")).unwrap_or_default())
                .replace('\0', " ");
            let in_root = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(root));
            if cmdline.contains(root) || in_root {
                found.push((pid, cmdline));
            }
        }
        found
    }

    pub(crate) fn servers(&self) -> Vec<i32> {
        let is_server = |cmdline: &str| cmdline.contains(self.multiplexer.server);
        self.processes().into_iter().filter(|(_, cmdline)| is_server(cmdline)).map(|(pid, _)| pid).collect()
    }

    fn supervisors(&self) -> Vec<i32> {
        let supervise = concat!(env!("CARGO_BIN_EXE_ao"), " supervise ");
        let all = self.processes().into_iter().filter(|(_, cmdline)| cmdline.starts_with(supervise));
        all.map(|(pid, _)| pid).collect()
    }

    pub(crate) async fn nothing_is_left(&self) {
        until("no process is left", || self.processes().is_empty()).await;
        let sockets: Vec<_> = std::fs::read_dir(self.root.join("s")).unwrap().collect();
        assert!(sockets.is_empty(), "{sockets:?}");
    }
}

impl RuntimeFixture for Fixture {
    fn runtime(&self) -> Arc<dyn Runtime> {
        (self.multiplexer.runtime)(&self.root)
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn base_env(&self) -> BTreeMap<String, String> {
        let mut env = environment();
        env.insert("HOME".to_owned(), self.root.display().to_string());
        env
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_raw(pid).unwrap(),
                rustix::process::Signal::KILL,
            );
        }
    }
}

pub(crate) fn environment() -> BTreeMap<String, String> {
    let passed = ["PATH", "AO_TEST_RUN"].into_iter();
    passed.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))).collect()
}

pub(crate) fn shows_in_a_process_listing(text: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let cmdline = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&cmdline).contains(text)
    })
}

pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn kill(pid: i32) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL).unwrap();
}

pub(crate) async fn the_last_words_are_kept_and_the_server_goes_without_anybody_asking(fixture: Fixture) {
    let spec = fixture.shell(1, "seq 1 3000; printf 'the last wörd'; exit 3");
    fixture.runtime.create(&spec).await.unwrap();
    until("the agent and its server are gone", || fixture.processes().is_empty()).await;
    assert_eq!(fixture.liveness(&spec).await, Liveness::Dead(Exit::Code(3)));
    let output = fixture.runtime.output(&spec.key, 10_000).await.unwrap();
    assert!(output.ends_with("2999\n3000\nthe last wörd"), "{}", &output[output.len().saturating_sub(200)..]);
    assert!(output.starts_with("1\n2\n3\n"), "the scrollback is kept");
    assert!(fixture.runtime.screen(&spec.key).await.unwrap().ends_with("the last wörd"));
    assert!(matches!(fixture.runtime.input(&spec.key, b"x").await, Err(RuntimeError::NoTerminal { .. })));
    fixture.nothing_is_left().await;
    assert_eq!(fixture.runtime.stop(&spec.key, GRACE).await.unwrap(), None, "there was nothing to stop");
}

pub(crate) async fn twenty_terminals_made_at_once_are_twenty_live_agents(fixture: Fixture) {
    let specs: Vec<TerminalSpec> = (1..=20).map(|number| fixture.spec(number, "/bin/sleep", &["600"])).collect();
    let mut made = tokio::task::JoinSet::new();
    for spec in specs.clone() {
        let runtime = Arc::clone(&fixture.runtime);
        made.spawn(async move { runtime.create(&spec).await });
    }
    let agents = made.join_all().await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(agents.len(), 20);
    let keys: Vec<TerminalKey> = specs.iter().map(|spec| spec.key.clone()).collect();
    let alive = fixture.runtime.probe(&keys).await;
    assert!(alive.values().all(|liveness| matches!(liveness, Liveness::Alive(_))), "{alive:?}");
    assert_eq!(fixture.servers().len(), 20);
    for key in &keys {
        fixture.runtime.stop(key, GRACE).await.unwrap();
    }
    fixture.nothing_is_left().await;
}

pub(crate) async fn every_byte_typed_arrives_and_none_shows_in_a_process_listing(fixture: Fixture) {
    let script = "stty raw -echo; : > ready; exec cat > got";
    let spec = fixture.shell(1, script);
    fixture.runtime.create(&spec).await.unwrap();
    until("the agent reads", || fixture.root.join("ready").exists()).await;
    let is_typing = Arc::new(AtomicBool::new(true));
    let listing = std::thread::spawn({
        let is_typing = Arc::clone(&is_typing);
        move || {
            let mut is_seen = false;
            while is_typing.load(Ordering::Relaxed) && !is_seen {
                is_seen = shows_in_a_process_listing("typed-secret");
            }
            is_seen
        }
    });
    let mut typed: Vec<u8> = (0..=255).collect();
    typed.extend(std::iter::repeat_n(b'x', 100_000));
    fixture.runtime.input(&spec.key, &typed).await.unwrap();
    for _ in 0..50 {
        let line = "äöü 😀 typed-secret\r".as_bytes();
        fixture.runtime.input(&spec.key, line).await.unwrap();
        typed.extend(line);
    }
    is_typing.store(false, Ordering::Relaxed);
    assert!(!listing.join().unwrap(), "what was typed showed in a process listing");
    let got = fixture.root.join("got");
    until("all of it arrived", || std::fs::metadata(&got).is_ok_and(|meta| meta.len() >= typed.len() as u64)).await;
    assert!(std::fs::read(&got).unwrap() == typed, "the bytes differ");
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    fixture.nothing_is_left().await;
}

pub(crate) async fn the_terminal_has_its_size_before_the_agent_starts(fixture: Fixture) {
    let spec = fixture.shell(1, "stty size > size.tmp; mv size.tmp size; exec sleep 600");
    fixture.runtime.create(&spec).await.unwrap();
    let size = fixture.root.join("size");
    until("the size is written", || size.exists()).await;
    assert_eq!(std::fs::read_to_string(&size).unwrap(), "40 120\n");
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    fixture.nothing_is_left().await;
}

pub(crate) async fn a_killed_server_takes_its_own_agent_only(fixture: Fixture) {
    let (spec, other) = (fixture.spec(1, "/bin/sleep", &["600"]), fixture.shell(2, "echo unharmed; exec sleep 600"));
    fixture.runtime.create(&spec).await.unwrap();
    let server = fixture.servers()[0];
    let unharmed = fixture.runtime.create(&other).await.unwrap();
    kill(server);
    assert_eq!(fixture.dead(&spec).await, Exit::Unknown, "how it ended says nothing about the agent");
    assert_eq!(fixture.runtime.output(&spec.key, 10).await.unwrap(), "", "nothing could be kept");
    let input = fixture.runtime.input(&spec.key, b"x").await;
    assert!(matches!(input, Err(RuntimeError::NoTerminal { .. })), "{input:?}");
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    assert_eq!(fixture.liveness(&other).await, Liveness::Alive(unharmed));
    assert!(fixture.runtime.screen(&other.key).await.unwrap().contains("unharmed"));
    fixture.runtime.stop(&other.key, GRACE).await.unwrap();
    fixture.nothing_is_left().await;
}

pub(crate) async fn a_killed_supervisor_leaves_no_pane_that_could_take_input(fixture: Fixture) {
    let spec = fixture.spec(1, "/bin/sleep", &["600"]);
    fixture.runtime.create(&spec).await.unwrap();
    let supervisors = fixture.supervisors();
    assert_eq!(supervisors.len(), 1);
    kill(supervisors[0]);
    assert_eq!(fixture.dead(&spec).await, Exit::Unknown);
    until("the server is gone after a probe", || fixture.servers().is_empty()).await;
    assert!(matches!(fixture.runtime.input(&spec.key, b"x").await, Err(RuntimeError::NoTerminal { .. })));
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    fixture.nothing_is_left().await;
}

/// A named pipe as standard input holds the supervisor up between the claim and the agent's start.
pub(crate) async fn i01_a_supervisor_killed_before_it_started_the_agent_leaves_nothing(fixture: Fixture) {
    let pipe = fixture.root.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut spec = fixture.shell(1, "read line");
    spec.command.stdin = Some(pipe);
    let started = Instant::now();
    let create = tokio::spawn({
        let (runtime, spec) = (Arc::clone(&fixture.runtime), spec.clone());
        async move { runtime.create(&spec).await }
    });
    let terminal = spec.key.session_dir.join("terminal");
    until("the launch is taken", || terminal.join("claim.json").exists()).await;
    fixture.supervisors().into_iter().for_each(kill);
    let created = create.await.unwrap();
    let Err(RuntimeError::CannotCreate { cause, .. }) = created else { panic!("{created:?}") };
    assert!(cause.contains("ended while it started the agent"), "{cause}");
    assert!(started.elapsed() < Duration::from_secs(10), "it was waited for although it was gone");
    assert!(!terminal.exists());
    fixture.nothing_is_left().await;
}

pub(crate) async fn a_terminal_is_made_again_right_after_its_agent_ended(fixture: Fixture) {
    for round in 0..5 {
        let spec = fixture.shell(1, &format!("echo round {round}; exit {round}"));
        fixture.runtime.create(&spec).await.unwrap();
        assert_eq!(fixture.dead(&spec).await, Exit::Code(round));
    }
    let spec = fixture.spec(1, "/bin/sleep", &["600"]);
    fixture.runtime.create(&spec).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(matches!(fixture.liveness(&spec).await, Liveness::Alive(_)), "an old supervisor ended the new server");
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    fixture.nothing_is_left().await;
}

pub(crate) async fn a_program_that_cannot_be_run_leaves_nothing(fixture: Fixture) {
    let spec = fixture.spec(1, "/no/such/agent", &[]);
    let error = fixture.runtime.create(&spec).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/agent"), "{error}");
    fixture.nothing_is_left().await;
}
