//! What the clauses are tested with.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::LocalSet;

use crate::domain::exit::Exit;
use crate::domain::id::SessionId;
use crate::domain::session::ProcessIdentity;
use crate::platform::{file, process};
use crate::ports::agent::AgentCommand;
use crate::ports::runtime::{Liveness, Runtime, RuntimeError, TerminalKey, TerminalSize, TerminalSpec};

/// The longest anything here may take. Only a broken contract takes so long.
const BOUND: Duration = Duration::from_secs(30);

/// How a test gets at the adapter.
pub trait RuntimeFixture: Send + Sync + 'static {
    /// A new instance of the adapter, as a daemon that has just started makes it. Instances of one fixture find each other's terminals.
    fn runtime(&self) -> Arc<dyn Runtime>;

    /// An existing private directory for sessions and scratch files, which lasts as long as the fixture.
    fn root(&self) -> &Path;

    /// Whether the adapter tells ends by itself ([`Runtime::ended`]).
    fn tells_ends(&self) -> bool {
        true
    }

    /// Whether the adapter shows its terminals ([`Runtime::attach`]).
    fn shows_terminals(&self) -> bool {
        true
    }

    /// The environment agents get; has a `PATH` on which `sh`, `cat`, `sleep` and `setsid` are found.
    fn base_env(&self) -> BTreeMap<String, String>;
}

/// Runs one clause. Stops every terminal it made, then passes its panic on.
pub async fn check<F, C>(fixture: impl RuntimeFixture, clause: C)
where
    C: FnOnce(Bench) -> F,
    F: Future<Output = ()> + 'static,
{
    let bench = Bench(Arc::new(Inner {
        runtime: fixture.runtime(),
        fixture: Box::new(fixture),
        keys: Mutex::default(),
        next: AtomicU32::new(1),
        project: format!("c{}", &uuid::Uuid::new_v4().simple().to_string()[..8]),
    }));
    // A task, because its panic can be held back until everything is cleaned up.
    let clause = clause(bench.clone());
    let outcome = LocalSet::new().run_until(async { tokio::task::spawn_local(clause).await }).await;
    let keys = bench.0.keys.lock().unwrap().clone();
    let mut trouble = Vec::new();
    for key in keys {
        if let Err(error) = bench.runtime().stop(&key, Duration::ZERO).await {
            trouble.push(format!("{}: {error}", key.session));
        }
    }
    if let Err(error) = outcome {
        std::panic::resume_unwind(error.into_panic());
    }
    assert!(trouble.is_empty(), "terminals could not be stopped at the end: {trouble:?}");
}

/// One clause's terminals and helpers.
#[derive(Clone)]
pub struct Bench(Arc<Inner>);

struct Inner {
    runtime: Arc<dyn Runtime>,
    fixture: Box<dyn RuntimeFixture>,
    keys: Mutex<Vec<TerminalKey>>,
    next: AtomicU32,
    project: String,
}

impl Bench {
    /// The adapter.
    pub fn runtime(&self) -> &dyn Runtime {
        self.0.runtime.as_ref()
    }

    /// Another instance of the adapter.
    pub fn another_runtime(&self) -> Arc<dyn Runtime> {
        self.0.fixture.runtime()
    }

    /// Whether the adapter tells ends by itself.
    pub fn tells_ends(&self) -> bool {
        self.0.fixture.tells_ends()
    }

    /// See [`RuntimeFixture::shows_terminals`].
    pub fn shows_terminals(&self) -> bool {
        self.0.fixture.shows_terminals()
    }

    /// A scratch file's path.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.fixture.root().join(name)
    }

    /// A new session, with its directory. It is stopped at the end of the test.
    pub fn key(&self) -> TerminalKey {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let session = SessionId::new(format!("{}-{number}", self.0.project)).unwrap();
        let session_dir = self.path(session.as_str());
        file::create_private_dir(&session_dir).unwrap();
        let key = TerminalKey { session, session_dir, agent: None };
        self.0.keys.lock().unwrap().push(key.clone());
        key
    }

    /// What runs a program with arguments in the scratch directory.
    pub fn spec(&self, key: &TerminalKey, program: &str, args: &[&str]) -> TerminalSpec {
        TerminalSpec {
            key: key.clone(),
            command: AgentCommand {
                program: program.into(),
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
                env: BTreeMap::new(),
                stdin: None,
            },
            base_env: self.0.fixture.base_env(),
            cwd: self.0.fixture.root().to_owned(),
            size: TerminalSize::default(),
            confinement: None,
        }
    }

    /// What runs a shell script in the scratch directory.
    pub fn script(&self, key: &TerminalKey, script: &str) -> TerminalSpec {
        self.spec(key, "/bin/sh", &["-c", script])
    }

    /// Creates a terminal that must come up.
    pub async fn create(&self, spec: &TerminalSpec) -> ProcessIdentity {
        match self.runtime().create(spec).await {
            Ok(agent) => agent,
            Err(error) => panic!("the terminal was not created: {error}"),
        }
    }

    /// Creates a terminal for a script that must come up.
    pub async fn run(&self, script: &str) -> (TerminalKey, ProcessIdentity) {
        let key = self.key();
        let agent = self.create(&self.script(&key, script)).await;
        (key, agent)
    }

    /// Asks about one terminal.
    pub async fn probe(&self, key: &TerminalKey) -> Liveness {
        let mut seen = self.runtime().probe(std::slice::from_ref(key)).await;
        seen.remove(&key.session).expect("probe answers for every key")
    }

    /// Waits until the agent is reported dead.
    pub async fn until_dead(&self, key: &TerminalKey) -> Exit {
        let look = async || match self.probe(key).await {
            Liveness::Dead(exit) => Some(exit),
            _ => None,
        };
        self.until("the agent's end is reported", look).await
    }

    /// Waits until a scratch file is there and gives its content.
    pub async fn until_written(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        self.until(&format!("{name} is written"), async || {
            file::read_if_there(&path).unwrap().filter(|text| !text.is_empty())
        })
        .await
    }

    /// Waits until the screen holds a text.
    pub async fn until_shown(&self, key: &TerminalKey, text: &str) {
        let look = async || self.runtime().screen(key).await.unwrap().contains(text).then_some(());
        self.until(&format!("the screen shows {text:?}"), look).await;
    }

    /// Waits until something is so.
    pub async fn until<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let wait = async {
            loop {
                if let Some(seen) = look().await {
                    return seen;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        self.in_time(what, wait).await
    }

    /// Waits for something to happen; panics when it does not.
    pub async fn in_time<T>(&self, what: &str, wait: impl Future<Output = T>) -> T {
        tokio::time::timeout(BOUND, wait)
            .await
            .unwrap_or_else(|_| panic!("within {BOUND:?} it did not happen that {what}"))
    }

    /// Panics unless nothing of the session is left: no record of a terminal, no process that knows its directory.
    pub async fn assert_nothing_left(&self, key: &TerminalKey) {
        assert!(matches!(self.probe(key).await, Liveness::Dead(_)), "the probe finds something");
        assert_eq!(self.runtime().stop(key, Duration::ZERO).await.unwrap(), None, "there was something to stop");
        let screen = self.runtime().screen(key).await;
        assert!(matches!(screen, Err(RuntimeError::NoTerminal { .. })), "a terminal is left: {screen:?}");
        let dir = key.session_dir.to_str().unwrap();
        let gone = async || processes_with(dir).is_empty().then_some(());
        self.until("no process of the session is left", gone).await;
    }
}

/// Whether a process of this number runs.
pub(super) fn runs(pid: u32) -> bool {
    process::identity(pid).unwrap().is_some()
}

/// The processes whose command line holds a text.
pub(super) fn processes_with(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        // Processes come and go while one looks.
        let Ok(command_line) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let command_line = String::from_utf8_lossy(&command_line).replace('\0', " ");
        if command_line.contains(text) {
            found.push(command_line);
        }
    }
    found
}
