//! The builder: composes adapters, each given or its default, into an orchestrator that has its data directory for itself.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Orchestrator;
use super::driver::Driver;
use super::surroundings::Surroundings;
use crate::adapters::clock::SystemClock;
use crate::adapters::messenger::InboxMessenger;
use crate::adapters::project_file::AoToml;
use crate::adapters::repo::GixRepoResolver;
use crate::adapters::session_dir::FileSessionDirs;
use crate::adapters::setup::ShellSetup;
use crate::adapters::spool::FileSpool;
use crate::adapters::store::SqliteStore;
use crate::app::{Application, Ports, Settings};
use crate::domain::layout::DataDir;
use crate::domain::text::{cut, printable};
use crate::platform::child::Program;
use crate::platform::lock::{Lock, LockError};
use crate::platform::{file, machine, process, socket};
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
use crate::ports::store::{ChangeLog, ProjectStore, SessionStore, StoreError};
use crate::ports::workspace::Workspace;

/// How long a lock without a holder is waited for, and how often it is tried.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
const LOCK_INTERVAL: Duration = Duration::from_millis(20);
/// How long `ao` may take to tell its version.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(10);
/// How much is shown of what another program says instead.
const MAX_SHOWN_CHARS: usize = 80;

/// Keeps an `ao` that an agent calls from starting a daemon.
const NO_START_VARIABLE: &str = "AO_NO_START";

/// Why there is no orchestrator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Another orchestrator, or an `ao daemon`, has the data directory.
    #[error("cannot use {}: it is locked{}", data_dir.display(), by(*pid, program.as_deref()))]
    InUse {
        /// The data directory.
        data_dir: PathBuf,
        /// The process that has it, as far as that is known.
        pid: Option<u32>,
        /// The name of its program, when that embeds ao; `None` for an `ao daemon`.
        program: Option<String>,
    },
    /// The `ao` that was given cannot be used.
    #[error("cannot use {} as ao: {cause}", program.display())]
    Program {
        /// Its path, as given.
        program: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// Something could not be made in the file system.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// What with.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The default store cannot be used.
    #[error("cannot open the database: {0}")]
    Store(#[from] StoreError),
}

impl BuildError {
    fn file(action: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path, source }
    }
}

/// Who has a data directory, in words.
fn by(pid: Option<u32>, program: Option<&str>) -> String {
    let program = program.map(|name| format!(", {name}, which embeds ao")).unwrap_or_default();
    pid.map(|pid| format!(" by process {pid}{program}")).unwrap_or_default()
}

/// The five views of one store.
struct Store {
    projects: Arc<dyn ProjectStore>,
    sessions: Arc<dyn SessionStore>,
    messages: Arc<dyn MessageStore>,
    changes: Arc<dyn ChangeLog>,
    answers: Arc<dyn AnswerStore>,
}

impl Store {
    fn of(store: Arc<impl ProjectStore + SessionStore + MessageStore + ChangeLog + AnswerStore + 'static>) -> Self {
        Self {
            projects: store.clone(),
            sessions: store.clone(),
            messages: store.clone(),
            changes: store.clone(),
            answers: store,
        }
    }
}

/// A change of the settings, made once their defaults are known.
type SettingsChange = Box<dyn FnOnce(&mut Settings) + Send>;

/// Composes an orchestrator. What is not given has its default; [`build`](Self::build) makes it.
#[must_use]
pub struct Builder {
    surroundings: Surroundings,
    change_settings: Vec<SettingsChange>,
    store: Option<Store>,
    agents: Option<Vec<Arc<dyn Agent>>>,
    more_agents: Vec<Arc<dyn Agent>>,
    runtimes: Option<Vec<Arc<dyn Runtime>>>,
    workspace: Option<Arc<dyn Workspace>>,
    messenger: Option<Arc<dyn AgentMessenger>>,
    repos: Option<Arc<dyn RepoResolver>>,
    project_files: Option<Arc<dyn ProjectFiles>>,
    setup: Option<Arc<dyn SetupRunner>>,
    session_dirs: Option<Arc<dyn SessionDirs>>,
    spool: Option<Arc<dyn ReportSpool>>,
    clock: Option<Arc<dyn Clock>>,
    is_daemon: bool,
    lock: Option<Lock>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the surroundings as a whole: an environment may hold secrets.
        let data_dir = &self.surroundings.data_dir;
        f.debug_struct("Builder").field("data_dir", data_dir).field("lock", &self.lock).finish_non_exhaustive()
    }
}

/// Declares setters for adapters of which there is one.
macro_rules! one_of_each {
    ($($(#[$doc:meta])+ $name:ident: $port:ident,)+) => {
        $(
            $(#[$doc])+
            pub fn $name(mut self, $name: Arc<dyn $port>) -> Self {
                self.$name = Some($name);
                self
            }
        )+
    };
}

impl Builder {
    pub(super) fn new(data_dir: &Path, ao_program: &Path) -> Self {
        // A relative or missing one is told of by `claim`, which has an error to give.
        let root = file::real_path(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        Self::within(Surroundings::new(DataDir::new(root), ao_program.to_owned(), BTreeMap::new()))
    }

    /// Begins with surroundings that are known as a whole.
    pub fn within(surroundings: Surroundings) -> Self {
        Self {
            surroundings,
            change_settings: Vec::new(),
            store: None,
            agents: None,
            more_agents: Vec::new(),
            runtimes: None,
            workspace: None,
            messenger: None,
            repos: None,
            project_files: None,
            setup: None,
            session_dirs: None,
            spool: None,
            clock: None,
            is_daemon: false,
            lock: None,
        }
    }

    /// The environment of agents, git and multiplexers; with its `HOME` and `CLAUDE_CONFIG_DIR`. Default: none, so that agents get what ao gives
    /// them, and programs are looked for in the system's usual directories.
    pub fn env(mut self, env: BTreeMap<String, String>) -> Self {
        let Surroundings { data_dir, ao_program, scrollback_bytes, .. } = self.surroundings;
        self.surroundings = Surroundings { scrollback_bytes, ..Surroundings::new(data_dir, ao_program, env) };
        self
    }

    /// Changes settings: what a spawn that names nothing gets, how many agents there may be, how much is kept. The defaults are those of
    /// [`Settings::new`], with as many agents as this machine bears, and the environment that was given, in which `AO_NO_START` keeps the agents'
    /// own `ao` from starting a daemon on this data directory: once the program is away, that would take its place.
    pub fn settings(mut self, change: impl FnOnce(&mut Settings) + Send + 'static) -> Self {
        self.change_settings.push(Box::new(change));
        self
    }

    /// Where everything is on record. Default: a SQLite database in the data directory, which is closed when the driver ends.
    pub fn store(
        mut self,
        store: Arc<impl ProjectStore + SessionStore + MessageStore + ChangeLog + AnswerStore + 'static>,
    ) -> Self {
        self.store = Some(Store::of(store));
        self
    }

    /// One more agent, in the place of one of the same name. The defaults are `claude-code` and `command`.
    pub fn agent(mut self, agent: Arc<dyn Agent>) -> Self {
        self.more_agents.push(agent);
        self
    }

    /// These agents instead of the default ones.
    pub fn agents(mut self, agents: Vec<Arc<dyn Agent>>) -> Self {
        self.agents = Some(agents);
        self
    }

    /// These runtimes, best first, instead of zellij, tmux and the built-in one: a spawn that names none gets the first usable one.
    pub fn runtimes(mut self, runtimes: Vec<Arc<dyn Runtime>>) -> Self {
        self.runtimes = Some(runtimes);
        self
    }

    one_of_each! {
        /// The maker of workspaces. Default: git worktrees below the data directory.
        workspace: Workspace,
        /// How text reaches agents. Default: files in their workspaces.
        messenger: AgentMessenger,
        /// What finds repositories. Default: gix, over the store's projects.
        repos: RepoResolver,
        /// What repositories say about themselves. Default: `ao.toml` in their roots.
        project_files: ProjectFiles,
        /// What runs a project's own commands. Default: `/bin/sh`.
        setup: SetupRunner,
        /// Where sessions keep their files. Default: below the data directory.
        session_dirs: SessionDirs,
        /// Where hook reports wait. Default: files below the data directory.
        spool: ReportSpool,
        /// What tells the time. Default: the system's clock.
        clock: Clock,
    }

    /// Builds what `ao daemon` runs: agents may start one where none runs, and who finds the data directory taken is told of a daemon that can
    /// be stopped, not of a program that embeds ao.
    pub fn as_daemon(mut self) -> Self {
        self.is_daemon = true;
        self
    }

    /// Takes the data directory already now, so that who finds it taken has begun nothing else. [`build`](Self::build) does it otherwise.
    ///
    /// # Errors
    /// [`BuildError::InUse`] while another has it, also one in this process; [`BuildError::File`].
    pub async fn claim(mut self) -> Result<Self, BuildError> {
        let data_dir = &self.surroundings.data_dir;
        let root = data_dir.root();
        file::create_private_dir(root).map_err(BuildError::file("make", root.to_owned()))?;
        self.lock = Some(lock(data_dir, self.is_daemon).await?);
        Ok(self)
    }

    /// Makes the data directory where it is missing, takes it for this orchestrator alone, and composes. Nothing else is done before the driver
    /// runs. The directory is given up when no handle, no driver and no work in the background is left.
    ///
    /// # Errors
    /// [`BuildError`]; nothing of the orchestrator is left then.
    pub async fn build(mut self) -> Result<(Orchestrator, Driver), BuildError> {
        if self.lock.is_none() {
            self = self.claim().await?;
        }
        for directory in [self.surroundings.socket_dir(), self.surroundings.zellij_dir()] {
            socket::make_private(&directory).map_err(BuildError::file("use", directory))?;
        }
        self.find_program().await?;
        link_program(&self.surroundings).map_err(BuildError::file("link", self.surroundings.data_dir.program()))?;
        let mut default_store = None;
        if self.store.is_none() {
            let store = Arc::new(SqliteStore::open(&self.surroundings.data_dir.db()).await?);
            self.store = Some(Store::of(store.clone()));
            default_store = Some(store);
        }
        let (orchestrator, driver) = Orchestrator::drive(self.compose());
        let driver = match default_store {
            Some(store) => driver.and_then(async move { store.close().await }),
            None => driver,
        };
        Ok((orchestrator, driver))
    }

    /// Makes the path of `ao` its real one, so that all who call it call the same, and sees to it that it is one of this version.
    async fn find_program(&mut self) -> Result<(), BuildError> {
        let program = &mut self.surroundings.ao_program;
        let wrong = |program: &Path, cause: String| BuildError::Program { program: program.to_owned(), cause };
        let real = program.canonicalize().map_err(|error| wrong(program, error.to_string()))?;
        // The daemon is that program itself.
        if !self.is_daemon {
            let call = Program::new(&real, BTreeMap::new(), PROGRAM_TIMEOUT).args(["version"]);
            let answer = call.run().await.map_err(|error| wrong(program, error.to_string()))?;
            let expected = concat!("ao ", env!("CARGO_PKG_VERSION"));
            if answer.text() != expected {
                let said = cut(&printable(answer.text().lines().next().unwrap_or_default()), MAX_SHOWN_CHARS);
                return Err(wrong(program, format!("it must be {expected}, and says {said:?} of itself")));
            }
        }
        *program = real;
        Ok(())
    }

    /// Composes what was given, and the defaults of the rest. The store is there by now.
    fn compose(self) -> Application {
        let surroundings = self.surroundings;
        let data_dir = surroundings.data_dir.clone();
        let settings = settings(&surroundings, self.is_daemon, self.change_settings);
        #[expect(clippy::expect_used, reason = "who builds opens the store before")]
        let store = self.store.expect("the store is opened before anything is composed");
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let mut agents = self.agents.unwrap_or_else(|| surroundings.agents());
        agents.extend(self.more_agents);
        let default_setup =
            || Arc::new(ShellSetup::new(surroundings.ao_program.clone()).within(settings.confinement.clone()));
        let ports = Ports {
            repos: self.repos.unwrap_or_else(|| Arc::new(GixRepoResolver::new(store.projects.clone()))),
            projects: store.projects,
            sessions: store.sessions,
            messages: store.messages,
            changes: store.changes,
            answers: store.answers,
            agents,
            runtimes: self.runtimes.unwrap_or_else(|| surroundings.runtimes()),
            workspace: self.workspace.unwrap_or_else(|| Arc::new(surroundings.workspace())),
            messenger: self
                .messenger
                .unwrap_or_else(|| Arc::new(InboxMessenger::new(clock.clone()).keeping_taken(data_dir.sessions()))),
            project_files: self.project_files.unwrap_or_else(|| Arc::new(AoToml)),
            setup: self.setup.unwrap_or_else(|| default_setup()),
            session_dirs: self.session_dirs.unwrap_or_else(|| Arc::new(FileSessionDirs::new(data_dir.sessions()))),
            spool: self.spool.unwrap_or_else(|| Arc::new(FileSpool::new(data_dir.spool()))),
            clock,
        };
        Application::holding(ports, settings, self.lock)
    }
}

fn settings(surroundings: &Surroundings, is_daemon: bool, changes: Vec<SettingsChange>) -> Settings {
    let mut settings = Settings::new(surroundings.data_dir.clone());
    settings.agent_env = surroundings.agent_env();
    if !is_daemon {
        settings.agent_env.insert(NO_START_VARIABLE.to_owned(), "1".to_owned());
    }
    settings.max_live_agents = machine::bearable_agents(machine::memory_bytes().ok(), machine::cores());
    for change in changes {
        change(&mut settings);
    }
    settings
}

/// The lock on the data directory. A holder that was killed while it started a child leaves the lock with that child until the child runs its
/// program: then nobody alive is named as its holder, and it is waited for.
async fn lock(data_dir: &DataDir, is_daemon: bool) -> Result<Lock, BuildError> {
    let program = (!is_daemon).then(process::own_name);
    let deadline = tokio::time::Instant::now() + LOCK_TIMEOUT;
    loop {
        match Lock::acquire(&data_dir.lock(), program.as_deref()) {
            Err(LockError::Held { holder: None }) if tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(LOCK_INTERVAL).await;
            }
            Err(LockError::File(source)) => return Err(BuildError::file("lock", data_dir.root().to_owned())(source)),
            Err(LockError::Held { holder }) => {
                let (pid, program) = holder.map_or((None, None), |holder| (Some(holder.pid), holder.program));
                return Err(BuildError::InUse { data_dir: data_dir.root().to_owned(), pid, program });
            }
            Ok(lock) => return Ok(lock),
        }
    }
}

/// Leads agents and their hooks to this `ao`, also those that one in another place started.
fn link_program(surroundings: &Surroundings) -> io::Result<()> {
    let link = surroundings.data_dir.program();
    file::remove_staged_of(&link)?;
    let program = &surroundings.ao_program;
    if std::fs::read_link(&link).is_ok_and(|target| target == *program) {
        return Ok(());
    }
    link.parent().map_or(Ok(()), file::create_private_dir)?;
    file::link_atomically(program, &link)
}
