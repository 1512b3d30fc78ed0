//! What a look at all agents asks of a runtime, and what it makes of the answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test panics when it fails")]

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ao::adapters::clock::SystemClock;
use ao::adapters::messenger::InboxMessenger;
use ao::adapters::project_file::AoToml;
use ao::adapters::repo::GixRepoResolver;
use ao::adapters::session_dir::FileSessionDirs;
use ao::adapters::setup::ShellSetup;
use ao::adapters::spool::FileSpool;
use ao::adapters::store::SqliteStore;
use ao::adapters::workspace::{GitSettings, GitWorkspace};
use ao::app::{Application, Ports, RuntimeChoice, Settings};
use ao::domain::exit::Exit;
use ao::domain::id::{AgentKind, RuntimeKind, SessionId};
use ao::domain::layout::DataDir;
use ao::domain::permission::PermissionMode;
use ao::domain::phase::{EndReason, Phase};
use ao::domain::project::Project;
use ao::domain::session::{ProcessIdentity, Session, SessionKind, SessionSpec};
use ao::ports::clock::Clock;
use ao::ports::runtime::{Liveness, Runtime, RuntimeError, TerminalKey, TerminalSpec};
use ao::ports::store::{ProjectStore, SessionStore};
use async_trait::async_trait;

/// A runtime that answers what it is told to, and counts who asks.
struct Answers {
    kind: RuntimeKind,
    asked: Mutex<Vec<usize>>,
    answer: Mutex<Liveness>,
}

impl Answers {
    fn new(kind: &str, answer: Liveness) -> Arc<Self> {
        let kind = RuntimeKind::new(kind).unwrap();
        Arc::new(Self { kind, asked: Mutex::default(), answer: Mutex::new(answer) })
    }

    fn answers(&self, answer: Liveness) {
        *self.answer.lock().unwrap() = answer;
    }

    /// For how many terminals each look asked, since this was asked last.
    fn asked(&self) -> Vec<usize> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

#[async_trait]
impl Runtime for Answers {
    fn kind(&self) -> &RuntimeKind {
        &self.kind
    }

    async fn preflight(&self) -> Result<Option<String>, RuntimeError> {
        Ok(None)
    }

    async fn create(&self, _: &TerminalSpec) -> Result<ProcessIdentity, RuntimeError> {
        unreachable!("nothing is spawned")
    }

    async fn probe(&self, keys: &[TerminalKey]) -> HashMap<SessionId, Liveness> {
        self.asked.lock().unwrap().push(keys.len());
        let answer = self.answer.lock().unwrap().clone();
        keys.iter().map(|key| (key.session.clone(), answer.clone())).collect()
    }

    async fn screen(&self, _: &TerminalKey) -> Result<String, RuntimeError> {
        Ok(String::new())
    }

    async fn output(&self, _: &TerminalKey, _: usize) -> Result<String, RuntimeError> {
        Ok(String::new())
    }

    async fn input(&self, _: &TerminalKey, _: &[u8]) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn remarks(&self, _: &TerminalKey) -> Vec<String> {
        Vec::new()
    }

    async fn set_aside(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn put_back(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn forget_aside(&self, _: &TerminalKey) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn stop(&self, _: &TerminalKey, _: Duration) -> Result<Option<Exit>, RuntimeError> {
        Ok(None)
    }
}

fn session(number: u32, runtime: &str) -> Session {
    let spec = SessionSpec {
        kind: SessionKind::Worker,
        agent: AgentKind::new("command").unwrap(),
        agent_reports: false,
        runtime: RuntimeKind::new(runtime).unwrap(),
        permission_mode: PermissionMode::Default,
        name: None,
        issue: None,
        prompt: None,
        agent_args: Vec::new(),
        branch: format!("ao/app-{number}"),
        base: None,
        workspace: format!("/nowhere/app-{number}").into(),
        setup: None,
    };
    let mut session = Session::record(format!("app-{number}").parse().unwrap(), spec, SystemClock.now());
    session.phase = Phase::Live;
    session
}

/// An application with three live sessions on the first runtime and one on the second.
async fn application(scratch: &tempfile::TempDir, runtimes: [&Arc<Answers>; 2]) -> (Application, Arc<SqliteStore>) {
    let data_dir = DataDir::new(scratch.path().to_owned());
    let store = Arc::new(SqliteStore::open(&scratch.path().join("ao.db")).await.unwrap());
    let project =
        Project { id: "app".parse().unwrap(), path: scratch.path().join("app"), created_at: SystemClock.now() };
    store.add_project(&project).await.unwrap();
    for (number, runtime) in [(1, "one"), (2, "one"), (3, "one"), (4, "two")] {
        store.insert_session(&mut session(number, runtime), &[]).await.unwrap();
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ao = scratch.path().join("ao");
    let ports = Ports {
        projects: store.clone(),
        sessions: store.clone(),
        messages: store.clone(),
        changes: store.clone(),
        agents: Vec::new(),
        runtimes: runtimes.map(|runtime| -> Arc<dyn Runtime> { runtime.clone() }).into(),
        workspace: Arc::new(GitWorkspace::new(GitSettings::new(BTreeMap::new()))),
        messenger: Arc::new(InboxMessenger::new(clock.clone())),
        repos: Arc::new(GixRepoResolver::new(store.clone())),
        project_files: Arc::new(AoToml),
        setup: Arc::new(ShellSetup::new(ao.clone())),
        session_dirs: Arc::new(FileSessionDirs::new(data_dir.sessions())),
        spool: Arc::new(FileSpool::new(data_dir.spool())),
        clock,
    };
    let settings = Settings {
        data_dir,
        ao_program: ao,
        orchestrator_guide: String::new(),
        agent_env: BTreeMap::new(),
        default_agent: AgentKind::new("command").unwrap(),
        default_runtime: RuntimeChoice::Auto,
        default_permission_mode: PermissionMode::Default,
        max_live_agents: NonZeroUsize::new(9).unwrap(),
        confinement: None,
        keep_changes: 1000,
        keep_ended: None,
        fetch_timeout: Duration::ZERO,
        start_watch: Duration::ZERO,
        settle: Duration::ZERO,
        stop_grace: Duration::ZERO,
    };
    (Application::new(ports, settings), store)
}

#[tokio::test]
async fn each_look_asks_each_runtime_once_about_all_its_agents_and_believes_only_what_was_seen() {
    let scratch = tempfile::tempdir().unwrap();
    let unknown = || Liveness::Unknown("the disk hangs".to_owned());
    let (one, two) = (Answers::new("one", unknown()), Answers::new("two", unknown()));
    let (application, store) = application(&scratch, [&one, &two]).await;
    let phases = async || {
        let mut phases = Vec::new();
        for number in 1..=4 {
            phases.push(store.session(&format!("app-{number}").parse().unwrap()).await.unwrap().unwrap().phase);
        }
        phases
    };
    for _ in 0..2 {
        application.reap().await.unwrap();
        assert_eq!((one.asked(), two.asked()), (vec![3], vec![1]));
        assert_eq!(phases().await, [Phase::Live, Phase::Live, Phase::Live, Phase::Live]);
    }
    one.answers(Liveness::Dead(Exit::Code(3)));
    two.answers(Liveness::Dead(Exit::Unknown));
    application.reap().await.unwrap();
    assert_eq!((one.asked(), two.asked()), (vec![3], vec![1]));
    let ended = |reason: EndReason| Phase::Terminated { reason };
    let exited = || ended(EndReason::Exited(Exit::Code(3)));
    assert_eq!(phases().await, [exited(), exited(), exited(), ended(EndReason::Lost)]);
    application.reap().await.unwrap();
    assert_eq!((one.asked(), two.asked()), (vec![], vec![]), "nobody is asked about what is over");
    application.shut_down().await;
}
