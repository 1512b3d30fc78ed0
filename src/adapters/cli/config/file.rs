//! Reading the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::kept::{Changes, Days, KeptInFile, Megabytes};
use super::value::{Cgroup, CommandWords, Count, Memory, ProgramName, runtime};
use super::{AgentConfig, ConfigError};
use crate::app::RuntimeChoice;
use crate::domain::id::AgentKind;
use crate::domain::permission::PermissionMode;
use crate::platform::file::read_if_there;
use crate::platform::settings_file::{self, Mistake, Seconds};

/// What a file sets.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) agent: Option<AgentKind>,
    pub(super) runtime: Option<RuntimeChoice>,
    pub(super) permission_mode: Option<PermissionMode>,
    pub(super) fetch_timeout_s: Option<Seconds>,
    pub(super) ready_timeout_s: Option<Seconds>,
    pub(super) max_live_agents: Option<Count>,
    pub(super) agent_memory_max: Option<Memory>,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) kept: KeptInFile,
    pub(super) agents: BTreeMap<AgentKind, AgentConfig>,
}

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    agent: Option<AgentKind>,
    #[serde(default, deserialize_with = "runtime")]
    runtime: Option<RuntimeChoice>,
    permission_mode: Option<PermissionMode>,
    fetch_timeout_s: Option<Seconds>,
    ready_timeout_s: Option<Seconds>,
    max_live_agents: Option<Count>,
    agent_memory_max: Option<Memory>,
    cgroup: Option<Cgroup>,
    keep_changes: Option<Changes>,
    keep_ended_days: Option<Days>,
    spool_max_mb: Option<Megabytes>,
    scrollback_mb: Option<Megabytes>,
    daemon_log_mb: Option<Megabytes>,
    #[serde(default)]
    agents: BTreeMap<AgentKind, AgentTable>,
}

/// `[agents.<name>]`. Not an enumeration tagged by its kind: serde would buffer it and lose the lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct AgentTable {
    kind: Spanned<Kind>,
    program: Option<Spanned<ProgramName>>,
    command: Option<Spanned<CommandWords>>,
    #[serde(default)]
    args: Vec<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    ClaudeCode,
    Command,
}

/// Reads the file; what is not there sets nothing.
pub(super) fn read(path: &Path) -> Result<Settings, ConfigError> {
    let content = read_if_there(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let Some(content) = content else { return Ok(Settings::default()) };
    parse(&content).map_err(|mistake| ConfigError::InFile { path: path.to_owned(), mistake })
}

fn parse(content: &[u8]) -> Result<Settings, Mistake> {
    let document: Document = settings_file::parse(content)?;
    let agents = document.agents.into_iter().map(|(name, table)| {
        let agent = table.check().map_err(|(key, span, cause)| {
            Mistake::at(content, span.start, Some(format!("agents.{name}.{key}")), cause)
        });
        Ok((name.clone(), agent?))
    });
    Ok(Settings {
        agent: document.agent,
        runtime: document.runtime,
        permission_mode: document.permission_mode,
        fetch_timeout_s: document.fetch_timeout_s,
        ready_timeout_s: document.ready_timeout_s,
        max_live_agents: document.max_live_agents,
        agent_memory_max: document.agent_memory_max,
        cgroup: document.cgroup,
        kept: KeptInFile {
            keep_changes: document.keep_changes,
            keep_ended_days: document.keep_ended_days,
            spool_max_mb: document.spool_max_mb,
            scrollback_mb: document.scrollback_mb,
            daemon_log_mb: document.daemon_log_mb,
        },
        agents: agents.collect::<Result<_, Mistake>>()?,
    })
}

impl AgentTable {
    fn check(self) -> Result<AgentConfig, (&'static str, Range<usize>, &'static str)> {
        let Self { kind, program, command, args } = self;
        match kind.get_ref() {
            Kind::ClaudeCode => {
                if let Some(command) = command {
                    return Err((
                        "command",
                        command.span(),
                        "only agents of kind command have it; use program and args",
                    ));
                }
                let program = program.map(|program| program.into_inner().0);
                Ok(AgentConfig::ClaudeCode { program, args })
            }
            Kind::Command => {
                if let Some(program) = program {
                    return Err(("program", program.span(), "agents of kind command have none; use command"));
                }
                let Some(command) = command else {
                    return Err(("command", kind.span(), "it is missing, and an agent of kind command needs it"));
                };
                let CommandWords(mut command) = command.into_inner();
                command.extend(args);
                Ok(AgentConfig::Command { command })
            }
        }
    }
}
