//! Reading the file, and finding the line and key of a mistake.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde_path_to_error::Segment;
use toml::Spanned;

use super::kept::{Changes, Days, KeptInFile, Megabytes};
use super::value::{Cgroup, CommandWords, Count, Memory, ProgramName, Seconds, runtime};
use super::{AgentConfig, ConfigError};
use crate::app::RuntimeChoice;
use crate::domain::id::AgentKind;
use crate::domain::permission::PermissionMode;
use crate::platform::file::read_if_there;

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
    parse(&content).map_err(|Mistake { offset, key, cause }| ConfigError::InFile {
        path: path.to_owned(),
        line: content.iter().take(offset).filter(|byte| **byte == b'\n').count() + 1,
        key,
        cause,
    })
}

struct Mistake {
    /// Where in the file, in bytes.
    offset: usize,
    key: Option<String>,
    cause: String,
}

fn parse(content: &[u8]) -> Result<Settings, Mistake> {
    let text = std::str::from_utf8(content).map_err(|error| Mistake {
        offset: error.valid_up_to(),
        key: None,
        cause: "this is not UTF-8 text".to_owned(),
    })?;
    let document = toml::Deserializer::parse(text).map_err(|error| mistake(&error, None))?;
    let document: Document = serde_path_to_error::deserialize(document)
        .map_err(|error| mistake(error.inner(), key(error.path(), error.inner().message())))?;
    let agents = document.agents.into_iter().map(|(name, table)| {
        let agent = table.check().map_err(|(key, span, cause)| Mistake {
            offset: span.start,
            key: Some(format!("agents.{name}.{key}")),
            cause: cause.to_owned(),
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

fn mistake(error: &toml::de::Error, key: Option<String>) -> Mistake {
    Mistake { offset: error.span().map_or(0, |span| span.start), key, cause: wording(error.message()) }
}

/// The key of a mistake, with its tables. What serde calls the path can end before the key in question.
fn key(path: &serde_path_to_error::Path, message: &str) -> Option<String> {
    let mut keys: Vec<String> = path
        .iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } if !key.starts_with("$__") => Some(key.clone()),
            Segment::Seq { index } => Some(format!("[{index}]")),
            _ => None,
        })
        .collect();
    let named = ["unknown field `", "missing field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start))
        .and_then(|rest| rest.split_once('`'))
        .map(|(name, _)| name);
    if let Some(name) = named
        && keys.last().is_none_or(|last| last != name)
    {
        keys.push(name.to_owned());
    }
    (!keys.is_empty()).then(|| keys.join(".").replace(".[", "["))
}

/// serde's words in those of somebody who edits a file.
fn wording(message: &str) -> String {
    [("unknown field ", "unknown key "), ("missing field ", "missing key "), ("unknown variant ", "unknown value ")]
        .iter()
        .find_map(|(theirs, ours)| message.strip_prefix(theirs).map(|rest| format!("{ours}{rest}")))
        .unwrap_or_else(|| {
            message.replace("expected i64", "expected a whole number").replace("expected a map", "expected a table")
        })
}
