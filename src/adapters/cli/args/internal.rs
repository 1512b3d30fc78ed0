//! The calls that ao makes of itself, and that agents' settings make of it.

use std::path::PathBuf;

use clap::Args;

use crate::domain::id::AgentKind;

/// `ao hook`.
#[derive(Debug, Args)]
pub struct HookArgs {
    /// The agent that calls.
    pub agent: AgentKind,
    /// The hook's name.
    pub event: String,
    /// Stay in the background until there is something for the agent, and wake it
    #[arg(long)]
    pub wait: bool,
}

/// `ao holder`.
#[derive(Debug, Args)]
pub struct HolderArgs {
    /// The session's private directory.
    #[arg(long)]
    pub session_dir: PathBuf,
    /// Where to listen.
    #[arg(long)]
    pub socket: PathBuf,
    /// How much raw output is kept on disk. A daemon of before there was a choice does not say.
    #[arg(long)]
    pub scrollback_bytes: Option<u64>,
}

/// `ao supervise`.
#[derive(Debug, Args)]
pub struct SuperviseArgs {
    /// The session's private directory.
    #[arg(long)]
    pub session_dir: PathBuf,
}

/// `ao setup-shell`.
#[derive(Debug, Args)]
pub struct SetupShellArgs {
    /// The control group to run it in.
    #[arg(long)]
    pub group: Option<PathBuf>,
    /// What the shell is to run.
    #[arg(allow_hyphen_values = true)]
    pub command: String,
}
