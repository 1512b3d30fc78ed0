//! An application on a directory of its own, with agents and runtimes that a test makes up.
#![allow(dead_code, unreachable_pub, reason = "each test target uses its own part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
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
use ao::app::{Application, Ports, Settings};
use ao::domain::id::{AgentKind, RuntimeKind};
use ao::domain::layout::DataDir;
use ao::domain::permission::PermissionMode;
use ao::domain::phase::Phase;
use ao::domain::project::Project;
use ao::domain::session::{Session, SessionKind, SessionSpec};
use ao::ports::agent::Agent;
use ao::ports::clock::Clock;
use ao::ports::runtime::Runtime;
use ao::ports::store::{ProjectStore, SessionStore};

/// A live session `app-<number>`.
pub fn session(number: u32, agent: &str, runtime: &str, workspace: PathBuf) -> Session {
    let spec = SessionSpec {
        kind: SessionKind::Worker,
        agent: AgentKind::new(agent).unwrap(),
        agent_reports: false,
        runtime: RuntimeKind::new(runtime).unwrap(),
        permission_mode: PermissionMode::Default,
        name: None,
        issue: None,
        prompt: None,
        agent_args: Vec::new(),
        branch: format!("ao/app-{number}"),
        base: None,
        workspace,
        setup: None,
    };
    let mut session = Session::record(format!("app-{number}").parse().unwrap(), spec, SystemClock.now());
    session.phase = Phase::Live;
    session
}

/// An application that has these sessions on record, and what it records.
pub async fn application(
    scratch: &tempfile::TempDir,
    agents: Vec<Arc<dyn Agent>>,
    runtimes: Vec<Arc<dyn Runtime>>,
    sessions: Vec<Session>,
) -> (Application, Arc<SqliteStore>) {
    let data_dir = DataDir::new(scratch.path().to_owned());
    let store = Arc::new(SqliteStore::open(&scratch.path().join("ao.db")).await.unwrap());
    let project =
        Project { id: "app".parse().unwrap(), path: scratch.path().join("app"), created_at: SystemClock.now() };
    store.add_project(&project).await.unwrap();
    for mut session in sessions {
        store.insert_session(&mut session, &[]).await.unwrap();
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ao = scratch.path().join("ao");
    let ports = Ports {
        projects: store.clone(),
        sessions: store.clone(),
        messages: store.clone(),
        changes: store.clone(),
        answers: store.clone(),
        agents,
        runtimes,
        workspace: Arc::new(GitWorkspace::new(GitSettings::new(BTreeMap::new()))),
        messenger: Arc::new(InboxMessenger::new(clock.clone())),
        repos: Arc::new(GixRepoResolver::new(store.clone())),
        project_files: Arc::new(AoToml),
        setup: Arc::new(ShellSetup::new(ao.clone())),
        session_dirs: Arc::new(FileSessionDirs::new(data_dir.sessions())),
        spool: Arc::new(FileSpool::new(data_dir.spool())),
        clock,
    };
    let mut settings = Settings::new(data_dir);
    settings.ao_program = ao;
    settings.default_agent = AgentKind::new("command").unwrap();
    settings.max_live_agents = NonZeroUsize::new(9).unwrap();
    settings.keep_changes = 1_000_000;
    settings.keep_ended = None;
    for wait in [&mut settings.fetch_timeout, &mut settings.start_watch, &mut settings.settle, &mut settings.stop_grace]
    {
        *wait = Duration::ZERO;
    }
    (Application::new(ports, settings), store)
}
