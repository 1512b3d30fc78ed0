//! Composes adapters into the application.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ao::Builder;
use ao::adapters::agent::command::CommandLine;
use ao::adapters::agent::terminal::Prompt;
use ao::adapters::cli;
use ao::adapters::cli::config::AgentConfig;
use ao::adapters::cli::error::CliError;
use ao::adapters::messenger::FileMailbox;
use ao::adapters::runtime;
use ao::adapters::spool::FileSpool;
use ao::domain::id::{AgentKind, SessionId};
use ao::domain::session::ProcessIdentity;
use ao::ports::agent::Agent;
use ao::ports::clock::Clock;

use crate::edge::Edge;

/// How often one who waits for an agent's messages looks for the record of its start, and how long between.
const START_LOOKS: usize = 500;
const START_PAUSE: Duration = Duration::from_millis(20);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// In bytes.
pub(crate) const MEGABYTE: u64 = 1024 * 1024;

/// What the daemon is composed of, as the edge has it.
pub(crate) fn builder(edge: &Edge) -> Result<Builder, CliError> {
    let agents = agents(edge)?;
    let config = &edge.config;
    let ended_days = u32::try_from(config.kept.ended_days).unwrap_or(u32::MAX);
    let keep_ended = (config.kept.ended_days > 0).then(|| DAY.saturating_mul(ended_days));
    let keep_changes = config.kept.changes;
    let (agent, runtime, permission_mode) = (config.agent.clone(), config.runtime.clone(), config.permission_mode);
    let (max_live_agents, fetch_timeout) = (edge.max_live_agents(), Duration::from_secs(config.fetch_timeout_s));
    let builder = Builder::within(edge.surroundings()).agents(agents).spool(Arc::new(spool(edge))).clock(clock());
    Ok(builder.as_daemon().settings(move |settings| {
        settings.orchestrator_guide = cli::guide::commands();
        settings.default_agent = agent;
        settings.default_runtime = runtime;
        settings.default_permission_mode = permission_mode;
        settings.max_live_agents = max_live_agents;
        settings.keep_changes = keep_changes;
        settings.keep_ended = keep_ended;
        settings.fetch_timeout = fetch_timeout;
    }))
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

/// The built-in agents and those the configuration names, which may give a built-in one another meaning.
pub(crate) fn agents(edge: &Edge) -> Result<Vec<Arc<dyn Agent>>, CliError> {
    let surroundings = edge.surroundings();
    let built_in = surroundings.agents().into_iter();
    let mut agents: BTreeMap<AgentKind, Arc<dyn Agent>> = built_in.map(|agent| (agent.kind().clone(), agent)).collect();
    for (name, config) in &edge.config.agents {
        let agent: Arc<dyn Agent> = match config.clone() {
            AgentConfig::ClaudeCode { program, args } => {
                Arc::new(surroundings.claude_code(name.clone(), program, args))
            }
            AgentConfig::Command { command, prompt } => {
                let wrong = |key: &str, error: &dyn Display| {
                    CliError::usage(format!("agents.{name}.{key}: {error}")).hint("correct it in config.toml")
                };
                let command = CommandLine::from_words(command).map_err(|error| wrong("command", &error))?;
                let prompt = prompt.map(Prompt::new).transpose();
                let prompt = prompt.map_err(|error| wrong("prompt", &error))?;
                Arc::new(surroundings.command(name.clone(), command).with_prompt(prompt))
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
    let workspace = edge.data_dir.worktree(&session.project(), session);
    FileMailbox::new(workspace).keeping_taken(&edge.data_dir.session_dir(session))
}
