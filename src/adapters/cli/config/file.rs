//! Reading the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::kept::{Changes, Days, KeptInFile, Megabytes};
use super::value::{Bounded, Cgroup, CommandWords, Count, Http, Memory, Pattern, ProgramName, runtime};
use super::{AgentConfig, ConfigError};
use crate::app::RuntimeChoice;
use crate::domain::id::AgentKind;
use crate::domain::permission::PermissionMode;
use crate::platform::file::read_if_there;
use crate::platform::settings_file::{self, Mistake, Seconds};
use crate::ports::terminal_input::PromptSettings;

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
    pub(super) http: Option<Http>,
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
    http: Option<Http>,
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
    prompt: Option<Spanned<Pattern>>,
    prompt_lines: Option<Spanned<Bounded<1, 50>>>,
    busy: Option<Spanned<Pattern>>,
    echo: Option<Spanned<Pattern>>,
    bracketed_paste: Option<Spanned<bool>>,
    echoes: Option<Spanned<bool>>,
}

/// A key of an agent's table that is wrong: which, where, and why.
type WrongKey = (&'static str, Range<usize>, &'static str);

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

pub(super) fn parse(content: &[u8]) -> Result<Settings, Mistake> {
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
        http: document.http,
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
    fn check(self) -> Result<AgentConfig, WrongKey> {
        let typed_to = self.typed_to();
        let prompt = self.prompt_config()?;
        let Self { kind, program, command, args, .. } = self;
        match kind.get_ref() {
            Kind::ClaudeCode => {
                if let Some(command) = command {
                    return Err((
                        "command",
                        command.span(),
                        "only agents of kind command have it; use program and args",
                    ));
                }
                if let Some((key, span)) = typed_to {
                    return Err((
                        key,
                        span,
                        "only agents of kind command have it; this one takes messages through its hooks",
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
                Ok(AgentConfig::Command { command, prompt })
            }
        }
    }

    /// The first key that is there of those that say how it is typed to.
    fn typed_to(&self) -> Option<(&'static str, Range<usize>)> {
        let span = |key, span: Option<Range<usize>>| span.map(|span| (key, span));
        span("prompt", self.prompt.as_ref().map(Spanned::span))
            .or_else(|| span("prompt_lines", self.prompt_lines.as_ref().map(Spanned::span)))
            .or_else(|| span("busy", self.busy.as_ref().map(Spanned::span)))
            .or_else(|| span("echo", self.echo.as_ref().map(Spanned::span)))
            .or_else(|| span("bracketed_paste", self.bracketed_paste.as_ref().map(Spanned::span)))
            .or_else(|| span("echoes", self.echoes.as_ref().map(Spanned::span)))
    }

    fn prompt_config(&self) -> Result<Option<PromptSettings>, WrongKey> {
        let text = |pattern: &Spanned<Pattern>| pattern.get_ref().0.clone();
        let Some(prompt) = &self.prompt else {
            return match self.typed_to() {
                Some((key, span)) => Err((key, span, "it says nothing without prompt")),
                None => Ok(None),
            };
        };
        Ok(Some(PromptSettings {
            prompt: text(prompt),
            prompt_lines: self.prompt_lines.as_ref().map_or(1, |lines| usize::try_from(lines.get_ref().0).unwrap_or(1)),
            busy: self.busy.as_ref().map(text),
            echo: self.echo.as_ref().map(text),
            bracketed_paste: self.bracketed_paste.as_ref().is_some_and(|paste| *paste.get_ref()),
            echoes: self.echoes.as_ref().is_none_or(|echoes| *echoes.get_ref()),
        }))
    }
}
