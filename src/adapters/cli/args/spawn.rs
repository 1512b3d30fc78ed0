//! `ao spawn`.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, StringValueParser, TypedValueParser};
use clap::{Args, ValueEnum, ValueHint};

use super::parse_duration;
use crate::domain::id::{AgentKind, ProjectId};
use crate::domain::permission::PermissionMode;
use crate::domain::session::SessionKind;

/// `ao spawn`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  ao spawn \"add a --json flag to the list command\"
  ao spawn --prompt-file task.md --branch feature/json --wait idle
  ao spawn --agent command --wait exit -- make -k test")]
pub struct SpawnArgs {
    /// The task
    #[arg(conflicts_with = "prompt_file")]
    pub prompt: Option<String>,
    /// Read the task from a file, or from standard input with -
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
    /// The project [default: the repository of this directory]
    #[arg(long, short, value_name = "ID")]
    pub project: Option<ProjectId>,
    /// The agent: claude-code, command, or one named in config.toml [default: as ao.toml, else config.toml says]
    #[arg(long, short, value_hint = ValueHint::Other)]
    pub agent: Option<AgentKind>,
    /// The branch to make [default: ao/SESSION, or with ao.toml's branch_prefix]
    #[arg(long)]
    pub branch: Option<String>,
    /// What the branch starts from [default: ao.toml's base, the remote's default branch, or the current one]
    #[arg(long, value_name = "REF")]
    pub base: Option<String>,
    /// default, accept-edits, auto, plan or bypass-permissions
    #[arg(long, value_name = "MODE", value_parser = permission_mode(), hide_possible_values = true)]
    pub permission_mode: Option<PermissionMode>,
    /// zellij, tmux, pty, or auto for the best one there is
    #[arg(long, value_parser = Offered(&["zellij", "tmux", "pty", "auto"]), hide_possible_values = true)]
    pub runtime: Option<String>,
    /// The issue it works on
    #[arg(long, value_name = "ID")]
    pub issue: Option<String>,
    /// A name to know it by
    #[arg(long)]
    pub name: Option<String>,
    /// worker or orchestrator
    #[arg(long, value_enum, default_value_t)]
    pub kind: KindArg,
    /// Wait in line for a place when the limit of live agents is reached, instead of being refused
    #[arg(long)]
    pub queue: bool,
    /// Return when the agent is ready, idle, over, or at once
    #[arg(long, value_enum, default_value_t, value_name = "STATE")]
    pub wait: WaitArg,
    /// How long to wait, for example 90s or 5m [default: 60s for ready, once out of the line and set up; else no limit]
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub timeout: Option<std::time::Duration>,
    /// Do not start a daemon when none runs
    #[arg(long)]
    pub no_start: bool,
    /// Print the session as JSON
    #[arg(long)]
    pub json: bool,
    /// More arguments for the agent's command line
    #[arg(last = true, value_name = "AGENT-ARGS")]
    pub agent_args: Vec<String>,
}

/// Words that shells offer, of an argument that takes others too: a program that embeds ao may have more.
#[derive(Debug, Clone)]
struct Offered(&'static [&'static str]);

impl TypedValueParser for Offered {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(|&word| PossibleValue::new(word))))
    }
}

/// Offers the modes where a shell completes them.
fn permission_mode() -> impl TypedValueParser<Value = PermissionMode> {
    PossibleValuesParser::new(PermissionMode::ALL.map(PermissionMode::as_str))
        .try_map(|mode| mode.parse::<PermissionMode>())
}

/// What a session is for, on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum KindArg {
    /// It does a task.
    #[default]
    Worker,
    /// It coordinates the project's workers.
    Orchestrator,
}

impl From<KindArg> for SessionKind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Worker => Self::Worker,
            KindArg::Orchestrator => Self::Orchestrator,
        }
    }
}

/// What `ao spawn` waits for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum WaitArg {
    /// The agent takes work.
    #[default]
    Ready,
    /// The agent's turn is over.
    Idle,
    /// The session is over.
    Exit,
    /// Nothing.
    None,
}
