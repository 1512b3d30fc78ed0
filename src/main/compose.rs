//! Composes adapters into the application.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ao::adapters::agent::claude_code::{ClaudeCode, ClaudeCodeSettings, NESTED_SESSION_VARIABLES};
use ao::adapters::agent::command::{CommandAgent, CommandAgentSettings, CommandLine};
use ao::adapters::agent::terminal::Prompt;
use ao::adapters::cli;
use ao::adapters::cli::config::AgentConfig;
use ao::adapters::cli::error::CliError;
use ao::adapters::messenger::{FileMailbox, InboxMessenger};
use ao::adapters::project_file::AoToml;
use ao::adapters::repo::GixRepoResolver;
use ao::adapters::runtime;
use ao::adapters::runtime::pty::PtyRuntime;
use ao::adapters::runtime::tmux::{self, TmuxSettings};
use ao::adapters::runtime::zellij::{self, ZellijSettings};
use ao::adapters::session_dir::FileSessionDirs;
use ao::adapters::setup::ShellSetup;
use ao::adapters::spool::FileSpool;
use ao::adapters::store::SqliteStore;
use ao::adapters::workspace::{GitSettings, GitWorkspace};
use ao::app::{Application, Ports, Settings};
use ao::domain::id::{AgentKind, SessionId};
use ao::domain::session::ProcessIdentity;
use ao::ports::agent::Agent;
use ao::ports::clock::Clock;
use ao::ports::runtime::{Confinement, Runtime};

use crate::edge::Edge;

/// How long an agent that reports may take to its first report before the spawn goes on without it.
const START_WATCH: Duration = Duration::from_secs(10);
/// How long an agent without hooks is watched after its start.
const SETTLE: Duration = Duration::from_millis(500);
/// How long an agent gets to end by itself.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// How often one who waits for an agent's messages looks for the record of its start, and how long between.
const START_LOOKS: usize = 500;
const START_PAUSE: Duration = Duration::from_millis(20);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// In bytes.
pub(crate) const MEGABYTE: u64 = 1024 * 1024;

/// Variables of the ao session that the daemon was started from, if it was: an agent is in another one. (Those of the terminal
/// it was started in are left out by every runtime.)
const OWN_VARIABLES: [&str; 5] = ["AO_SESSION_ID", "AO_PROJECT_ID", "AO_ISSUE_ID", "AO_PROGRAM", "AO_PROMPT_FILE"];

/// The application over a store, whose agents are bounded by `confinement`.
pub(crate) fn application(
    edge: &Edge,
    store: Arc<SqliteStore>,
    confinement: Option<Confinement>,
) -> Result<Application, CliError> {
    let clock = clock();
    let ports = Ports {
        projects: store.clone(),
        sessions: store.clone(),
        messages: store.clone(),
        changes: store.clone(),
        answers: store.clone(),
        agents: agents(edge)?,
        runtimes: runtimes(edge),
        workspace: Arc::new(workspace(edge)),
        messenger: Arc::new(InboxMessenger::new(clock.clone())),
        repos: Arc::new(GixRepoResolver::new(store)),
        project_files: Arc::new(AoToml),
        setup: Arc::new(ShellSetup::new(edge.ao_program.clone()).within(confinement.clone())),
        session_dirs: Arc::new(FileSessionDirs::new(edge.data_dir.sessions())),
        spool: Arc::new(spool(edge)),
        clock,
    };
    let config = &edge.config;
    let ended_days = u32::try_from(config.kept.ended_days).unwrap_or(u32::MAX);
    let settings = Settings {
        data_dir: edge.data_dir.clone(),
        ao_program: edge.data_dir.program(),
        orchestrator_guide: cli::guide::commands(),
        agent_env: agent_env(edge),
        default_agent: config.agent.clone(),
        default_runtime: config.runtime.clone(),
        default_permission_mode: config.permission_mode,
        max_live_agents: edge.max_live_agents(),
        confinement,
        keep_changes: config.kept.changes,
        keep_ended: (config.kept.ended_days > 0).then(|| DAY.saturating_mul(ended_days)),
        fetch_timeout: Duration::from_secs(config.fetch_timeout_s),
        start_watch: START_WATCH,
        settle: SETTLE,
        stop_grace: STOP_GRACE,
    };
    Ok(Application::new(ports, settings))
}

/// The system's clock; in tests of faults one that steps.
pub(crate) fn clock() -> Arc<dyn Clock> {
    #[cfg(feature = "fault-points")]
    return Arc::new(crate::fault::SteppingClock::from_environment());
    #[cfg(not(feature = "fault-points"))]
    Arc::new(ao::adapters::clock::SystemClock)
}

/// Where reports wait for a daemon.
pub(crate) fn spool(edge: &Edge) -> FileSpool {
    FileSpool::new(edge.data_dir.spool()).keeping(edge.config.kept.spool_mb * MEGABYTE)
}

pub(crate) fn workspace(edge: &Edge) -> GitWorkspace {
    GitWorkspace::new(GitSettings::new(edge.env.clone()))
}

/// The runtimes, best first.
pub(crate) fn runtimes(edge: &Edge) -> Vec<Arc<dyn Runtime>> {
    let zellij = zellij::runtime(ZellijSettings {
        path_var: edge.path_var(),
        ao_program: edge.ao_program.clone(),
        env: edge.env.clone(),
        socket_dir: edge.socket_dir(),
        config_dir: zellij_dir(edge),
    });
    let tmux = tmux::runtime(TmuxSettings {
        path_var: edge.path_var(),
        ao_program: edge.ao_program.clone(),
        env: edge.env.clone(),
        socket_dir: edge.socket_dir(),
    });
    let scrollback_bytes = edge.config.kept.scrollback_mb * MEGABYTE;
    let pty = PtyRuntime::new(edge.ao_program.clone(), edge.socket_dir()).keeping(scrollback_bytes);
    vec![Arc::new(zellij), Arc::new(tmux), Arc::new(pty)]
}

pub(crate) fn zellij_dir(edge: &Edge) -> PathBuf {
    edge.data_dir.root().join("zellij")
}

/// The built-in agents and those the configuration names, which may give a built-in one another meaning.
pub(crate) fn agents(edge: &Edge) -> Result<Vec<Arc<dyn Agent>>, CliError> {
    let built_in: [Arc<dyn Agent>; 2] = [
        Arc::new(ClaudeCode::new(claude_code_settings(edge, None))),
        Arc::new(CommandAgent::new(agent_kind("command")?, CommandLine::default(), command_settings(edge))),
    ];
    let mut agents: BTreeMap<AgentKind, Arc<dyn Agent>> =
        built_in.into_iter().map(|agent| (agent.kind().clone(), agent)).collect();
    for (name, config) in &edge.config.agents {
        let agent: Arc<dyn Agent> = match config.clone() {
            AgentConfig::ClaudeCode { program, args } => {
                Arc::new(ClaudeCode::named(name.clone(), args, claude_code_settings(edge, program)))
            }
            AgentConfig::Command { command, prompt } => {
                let wrong = |key: &str, error: &dyn Display| {
                    CliError::usage(format!("agents.{name}.{key}: {error}")).hint("correct it in config.toml")
                };
                let command = CommandLine::from_words(command).map_err(|error| wrong("command", &error))?;
                let prompt = prompt.map(Prompt::new).transpose();
                let prompt = prompt.map_err(|error| wrong("prompt", &error))?;
                Arc::new(CommandAgent::new(name.clone(), command, command_settings(edge)).with_prompt(prompt))
            }
        };
        agents.insert(name.clone(), agent);
    }
    Ok(agents.into_values().collect())
}

/// The agent of that name. Those that are built in are found without the configuration, which a hook has no time for.
pub(crate) fn agent(edge: &Edge, data_dir: Option<PathBuf>, kind: &AgentKind) -> Option<Arc<dyn Agent>> {
    let named = |edge: &Edge| agents(edge).ok()?.into_iter().find(|agent| agent.kind() == kind);
    named(edge).or_else(|| named(&Edge::with_config(data_dir).ok()?))
}

/// The process of a session's agent, for hooks that wait and are not to outlive it.
pub(crate) fn agent_process(edge: &Edge, session: &SessionId) -> Option<ProcessIdentity> {
    let session_dir = edge.data_dir.session_dir(session);
    // Its first hook may be faster than the record of its start.
    for _ in 0..START_LOOKS {
        if let Some(agent) = runtime::agent_in(&session_dir).ok().flatten() {
            return Some(agent);
        }
        std::thread::sleep(START_PAUSE);
    }
    None
}

/// The messages of a session, from its agent's side.
pub(crate) fn mailbox(edge: &Edge, session: &SessionId) -> FileMailbox {
    FileMailbox::new(edge.data_dir.worktree(&session.project(), session))
}

fn agent_kind(name: &str) -> Result<AgentKind, CliError> {
    name.parse().map_err(|error| CliError::failed(format!("{error}")))
}

fn claude_code_settings(edge: &Edge, program: Option<PathBuf>) -> ClaudeCodeSettings {
    ClaudeCodeSettings {
        program,
        path_var: edge.path_var(),
        home: edge.home.clone(),
        config_dir: edge.var("CLAUDE_CONFIG_DIR").map(PathBuf::from),
        env: edge.env.clone(),
        is_root: edge.is_root,
    }
}

fn command_settings(edge: &Edge) -> CommandAgentSettings {
    CommandAgentSettings { path_var: edge.path_var(), env: BTreeMap::new() }
}

/// What agents inherit: the daemon's environment without what would mislead them.
fn agent_env(edge: &Edge) -> BTreeMap<String, String> {
    let misleads = |name: &str| NESTED_SESSION_VARIABLES.contains(&name) || OWN_VARIABLES.contains(&name);
    let mut env = edge.env.clone();
    env.retain(|name, _| !misleads(name));
    env
}
