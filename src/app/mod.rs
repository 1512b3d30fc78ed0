//! Use cases over ports. One file a use case; [`Application`] holds the one instance of everything they share.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`spawn`] | preflight and record a session; [`provision`] then builds it, or undoes it |
//! | `admission` | how many agents there may be, and the line of those that wait |
//! | [`kill`] | end a session and take its workspace away where that loses nothing |
//! | [`restore`] | build an ended session again |
//! | [`cleanup`] | take away what ended sessions left and nobody needs |
//! | [`messages`] | accept text for an agent, and learn what became of it |
//! | [`approve`] | decide what an agent asks permission for |
//! | `announce` | tell a project's orchestrator what became of its workers |
//! | [`caller`] | who asks |
//! | [`deliver`] | hand an agent what waits for it, in its hook's process |
//! | `envelope` | what it reads of a message, with who sent it |
//! | `typing` | hand it to one that has no hooks for that, on its terminal |
//! | `guide` | what an agent is told of the sessions around it |
//! | [`observe`] | take in what hooks report |
//! | [`once`] | answer again, and not do again, what a client asks again |
//! | [`reap`] | notice agents that ended |
//! | [`reconcile`] | after a start: finish, adopt or undo what an earlier daemon left |
//! | `watch` | be told of ends by the runtimes that can tell |
//! | [`retention`] | let go of what was kept long enough |
//! | [`wait`] | wait for a session to reach a state |
//! | [`attach`] | come to a session's terminal as one more viewer |
//! | [`query`] | what is shown: [`view`] is its shape |
//! | [`follow`] | each line of a session's terminal as it comes; `told_lines` knows which were told |
//! | [`events`] | follow the change log; `tail` is its newest part, read once for all |
//! | [`projects`] | the register of projects |
//! | [`project_file`] | what a repository's `ao.toml` says, and whether a person accepted it |
//! | `setup` | a project's own commands: setup and teardown |
//! | [`doctor`] | what on this machine works and what does not |
//! | `writer` | the one place that changes a session's record |

mod admission;
mod announce;
pub mod approve;
pub mod attach;
pub mod caller;
pub mod cleanup;
pub mod deliver;
pub mod doctor;
mod envelope;
pub mod error;
pub mod events;
pub mod follow;
mod guide;
pub mod kill;
pub mod messages;
pub mod observe;
pub mod once;
pub mod project_file;
pub mod projects;
pub mod provision;
pub mod query;
pub mod reap;
pub mod reconcile;
pub mod restore;
pub mod retention;
mod running;
mod settings;
mod setup;
pub mod spawn;
mod tail;
pub mod teardown;
mod told_lines;
mod typing;
mod unheard;
pub mod view;
pub mod wait;
mod watch;
mod writer;

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::id::{AgentKind, RuntimeKind};
use crate::ports::agent::Agent;
use crate::ports::answer_store::AnswerStore;
use crate::ports::clock::Clock;
use crate::ports::message_store::MessageStore;
use crate::ports::messenger::AgentMessenger;
use crate::ports::project_file::ProjectFiles;
use crate::ports::repo::RepoResolver;
use crate::ports::runtime::Runtime;
use crate::ports::session_dir::SessionDirs;
use crate::ports::setup::SetupRunner;
use crate::ports::spool::ReportSpool;
use crate::ports::store::{ChangeLog, ProjectStore, SessionStore};
use crate::ports::workspace::Workspace;

pub use error::{AppError, ErrorKind};
pub use settings::{RuntimeChoice, Settings};

use admission::Admission;
use announce::UnreadNews;
use approve::Waiting;
use attach::Seats;
use messages::MessageLocks;
use once::OnceLocks;
use running::Running;
use tail::Tail;
use typing::Typists;
use unheard::Unheard;
use watch::Watches;
use writer::LifecycleWriter;

/// The adapters an application is composed of. One instance each, shared by every use case.
pub struct Ports {
    /// The register of projects.
    pub projects: Arc<dyn ProjectStore>,
    /// The records of sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// The records of messages.
    pub messages: Arc<dyn MessageStore>,
    /// The change log.
    pub changes: Arc<dyn ChangeLog>,
    /// The records of answers.
    pub answers: Arc<dyn AnswerStore>,
    /// The agents that can be asked for.
    pub agents: Vec<Arc<dyn Agent>>,
    /// The runtimes, best first: `auto` takes the first usable one.
    pub runtimes: Vec<Arc<dyn Runtime>>,
    /// The maker of workspaces.
    pub workspace: Arc<dyn Workspace>,
    /// The messenger.
    pub messenger: Arc<dyn AgentMessenger>,
    /// The repo resolver.
    pub repos: Arc<dyn RepoResolver>,
    /// What repositories say about themselves.
    pub project_files: Arc<dyn ProjectFiles>,
    /// What runs a project's own commands.
    pub setup: Arc<dyn SetupRunner>,
    /// Where sessions keep their files.
    pub session_dirs: Arc<dyn SessionDirs>,
    /// Where hook reports wait for a daemon.
    pub spool: Arc<dyn ReportSpool>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// The use cases. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Application {
    shared: Arc<Shared>,
}

struct Shared {
    projects: Arc<dyn ProjectStore>,
    sessions: Arc<dyn SessionStore>,
    messages: Arc<dyn MessageStore>,
    changes: Arc<dyn ChangeLog>,
    answers: Arc<dyn AnswerStore>,
    agents: BTreeMap<AgentKind, Arc<dyn Agent>>,
    runtimes: Vec<Arc<dyn Runtime>>,
    workspace: Arc<dyn Workspace>,
    messenger: Arc<dyn AgentMessenger>,
    repos: Arc<dyn RepoResolver>,
    project_files: Arc<dyn ProjectFiles>,
    setup: Arc<dyn SetupRunner>,
    session_dirs: Arc<dyn SessionDirs>,
    spool: Arc<dyn ReportSpool>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    writer: LifecycleWriter,
    running: Running,
    admission: Admission,
    watches: Watches,
    messages_of: MessageLocks,
    waiting: Waiting,
    typists: Typists,
    unheard: Unheard,
    once: OnceLocks,
    seats: Seats,
    tail: Tail,
    /// Up to which change the orchestrators were told everything.
    announced_up_to: AtomicU64,
    unread_news: UnreadNews,
    /// Held by the one task that announces.
    announcing: Arc<tokio::sync::Mutex<()>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Let go of last.
    _held: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application").field("data_dir", &self.shared.settings.data_dir).finish_non_exhaustive()
    }
}

impl fmt::Debug for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let agents: Vec<&AgentKind> = self.agents.iter().map(|agent| agent.kind()).collect();
        let runtimes: Vec<&RuntimeKind> = self.runtimes.iter().map(|runtime| runtime.kind()).collect();
        f.debug_struct("Ports").field("agents", &agents).field("runtimes", &runtimes).finish_non_exhaustive()
    }
}

impl Application {
    /// Composes an application.
    #[must_use]
    pub fn new(ports: Ports, settings: Settings) -> Self {
        Self::holding(ports, settings, ())
    }

    /// Composes an application that holds on to something, for example a lock on its data directory, until nothing of it is left: no clone,
    /// and no work in the background.
    #[must_use]
    pub fn holding(ports: Ports, settings: Settings, held: impl Any + Send + Sync) -> Self {
        let writer = LifecycleWriter::new(ports.sessions.clone(), ports.clock.clone());
        let agents = ports.agents.into_iter().map(|agent| (agent.kind().clone(), agent)).collect();
        let shared = Shared {
            projects: ports.projects,
            sessions: ports.sessions,
            messages: ports.messages,
            changes: ports.changes,
            answers: ports.answers,
            agents,
            runtimes: ports.runtimes,
            workspace: ports.workspace,
            messenger: ports.messenger,
            repos: ports.repos,
            project_files: ports.project_files,
            setup: ports.setup,
            session_dirs: ports.session_dirs,
            spool: ports.spool,
            clock: ports.clock,
            settings,
            writer,
            running: Running::default(),
            admission: Admission::default(),
            watches: Watches::default(),
            messages_of: MessageLocks::default(),
            waiting: Waiting::default(),
            typists: Typists::default(),
            unheard: Unheard::default(),
            once: OnceLocks::default(),
            seats: Seats::default(),
            tail: Tail::default(),
            announced_up_to: AtomicU64::new(u64::MAX),
            unread_news: UnreadNews::default(),
            announcing: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            _held: Box::new(held),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Ends what goes on in the background: spawns under way are undone. Agents are not touched.
    ///
    /// Returns when everything has ended; the caller bounds it.
    pub async fn shut_down(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Goes on in the background; [`shut_down`](Self::shut_down) waits for its end.
    #[cfg(feature = "http")]
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.shared.tasks.spawn(work)
    }

    /// What it was composed with.
    #[cfg(feature = "http")]
    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What time it is.
    #[cfg(feature = "http")]
    pub(crate) fn now(&self) -> crate::domain::Timestamp {
        self.shared.clock.now()
    }

    /// Cancelled when it is shut down.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.shared.stop
    }

    /// Carries work to its end, also when who asked for it goes away in the middle: a request that is cut off must leave nothing
    /// half done.
    async fn to_its_end<T: Send + 'static>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, AppError>> + Send + 'static,
    ) -> Result<T, AppError> {
        let task = self.shared.tasks.spawn(work);
        task.await
            .map_err(|error| AppError::new(ErrorKind::Internal, "internal", format!("{what} broke off: {error}")))?
    }

    fn agent(&self, kind: &AgentKind) -> Result<&Arc<dyn Agent>, AppError> {
        self.shared.agents.get(kind).ok_or_else(|| {
            let known: Vec<&str> = self.shared.agents.keys().map(AgentKind::as_str).collect();
            AppError::new(ErrorKind::Invalid, "unknown_agent", format!("there is no agent {kind}"))
                .hint(format!("known agents: {}; more can be named in config.toml under [agents]", known.join(", ")))
        })
    }

    fn runtime(&self, kind: &RuntimeKind) -> Result<&Arc<dyn Runtime>, AppError> {
        self.shared.runtimes.iter().find(|runtime| runtime.kind() == kind).ok_or_else(|| {
            let known: Vec<&str> = self.shared.runtimes.iter().map(|runtime| runtime.kind().as_str()).collect();
            AppError::new(ErrorKind::Invalid, "unknown_runtime", format!("there is no runtime {kind}"))
                .hint(format!("known runtimes: auto, {}", known.join(", ")))
        })
    }
}
