//! What starts, resumes and reports for one kind of agent?

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::permission_hooks::PermissionHooks;
use super::terminal_input::TerminalInput;
use super::text_hooks::TextHooks;
use crate::domain::id::{AgentKind, AgentSessionId, SessionId};
use crate::domain::observation::Signal;
use crate::domain::permission::PermissionMode;
use crate::domain::session::SessionKind;

/// Why an agent cannot be started. Each says what was tried; [`AgentError::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// Its program is not installed where it was looked for.
    #[error("{agent} was not found: looked for {program:?} in {}", join(searched))]
    NotFound {
        /// The agent.
        agent: AgentKind,
        /// The program's name.
        program: String,
        /// The directories that were searched.
        searched: Vec<PathBuf>,
        /// How to install it.
        hint: String,
    },
    /// It is older than what ao works with.
    #[error("{agent} {found} at {} is too old: ao needs {needed} or newer", program.display())]
    TooOld {
        /// The agent.
        agent: AgentKind,
        /// The program.
        program: PathBuf,
        /// Its version.
        found: String,
        /// The oldest version that works.
        needed: String,
        /// How to update it.
        hint: String,
    },
    /// Its program is there and does not work.
    #[error("{} does not work: {cause}", program.display())]
    Broken {
        /// The program.
        program: PathBuf,
        /// What happened, with the end of its output.
        cause: String,
    },
    /// What was asked for makes no sense for this agent, for example a `command` agent without a command.
    #[error("{0}")]
    Refused(String),
    /// A file it needs could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was attempted, for example `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

fn join(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

impl AgentError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::NotFound { hint, .. } | Self::TooOld { hint, .. } => Some(hint),
            Self::Broken { .. } => {
                Some("run it by hand with --version; install it again, or name another program in config.toml")
            }
            Self::Refused(_) | Self::File { .. } => None,
        }
    }
}

/// An installed agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentInstallation {
    /// The program's absolute path.
    pub program: PathBuf,
    /// Its version, where it has one.
    pub version: Option<String>,
}

/// What a session's agent is to be started with.
#[derive(Debug, Clone)]
pub struct LaunchRequest {
    /// The session.
    pub session: SessionId,
    /// What it is for.
    pub kind: SessionKind,
    /// A private directory (0700) of the session, outside the workspace: settings and prompt files go here.
    pub session_dir: PathBuf,
    /// The workspace; the agent's working directory.
    pub workspace: PathBuf,
    /// The repository's main checkout.
    pub repository: PathBuf,
    /// The task; any length, any text.
    pub prompt: Option<String>,
    /// Text added to the agent's system prompt.
    pub system_prompt: Option<String>,
    /// How much it may do unasked.
    pub permission_mode: PermissionMode,
    /// The user's own arguments, passed on unchanged.
    pub args: Vec<String>,
    /// The absolute path of an `ao` for hooks, good as long as the agent lives: a foreign `ao` on `PATH` must never answer them.
    pub ao_program: PathBuf,
    /// The data directory of the ao that starts it, absolute: for an `ao` that the agent calls.
    pub data_dir: PathBuf,
}

/// What an agent's program is called with. The environment is complete in `env`'s terms: the runtime adds these to the base
/// environment that ao hands to every agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentCommand {
    /// The program's absolute path.
    pub program: PathBuf,
    /// Its arguments. They show in process listings: no prompt and no secret may be among them.
    pub args: Vec<String>,
    /// Environment variables to add or replace.
    pub env: BTreeMap<String, String>,
    /// A file that becomes standard input; the terminal otherwise.
    pub stdin: Option<PathBuf>,
}

/// How to start an agent for one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchPlan {
    /// The command.
    pub command: AgentCommand,
    /// The id the agent's conversation will have, where ao can choose it.
    pub agent_session_id: Option<AgentSessionId>,
    /// Whether it goes on with an earlier conversation: then no turn begins until somebody says something.
    pub resumes: bool,
    /// What a person should know, for example that a directory was marked as trusted.
    pub notes: Vec<String>,
}

/// One kind of agent.
///
/// # Contract
/// - [`preflight`](Agent::preflight) changes nothing and is called before anything durable exists. It finds out whether the
///   agent can be started at all.
/// - [`prepare`](Agent::prepare) and [`prepare_resume`](Agent::prepare_resume) write files only below
///   [`LaunchRequest::session_dir`] and in the agent's own configuration; never in the workspace. Called twice for the same
///   request they leave the same result. The permission mode and the user's arguments reach both.
/// - The prompt reaches the agent byte for byte, whatever it holds, and stands in no argument.
/// - [`interpret`](Agent::interpret) is pure: it never fails, and gives nothing for what it does not know.
/// - Every future may be dropped at any point (cancellation) without leaving a half-written file under its final name.
#[async_trait]
pub trait Agent: Send + Sync {
    /// The name it is asked for by.
    fn kind(&self) -> &AgentKind;

    /// Whether it reports what it does through hooks, so that silence means something.
    fn reports(&self) -> bool;

    /// Finds the program and checks its version. Changes nothing.
    ///
    /// `args` are the user's own arguments.
    ///
    /// # Errors
    /// [`AgentError`] when this agent cannot be started.
    async fn preflight(&self, args: &[String]) -> Result<AgentInstallation, AgentError>;

    /// Writes what the agent needs and says how to start it.
    ///
    /// # Errors
    /// [`AgentError`] when that is not possible.
    async fn prepare(&self, request: &LaunchRequest) -> Result<LaunchPlan, AgentError>;

    /// Like [`prepare`](Agent::prepare), but goes on with an earlier conversation.
    ///
    /// # Errors
    /// [`AgentError::Refused`] when this kind of agent cannot resume.
    async fn prepare_resume(
        &self,
        request: &LaunchRequest,
        conversation: &AgentSessionId,
    ) -> Result<LaunchPlan, AgentError>;

    /// How it takes text through its hooks; `None` when it cannot.
    fn text_hooks(&self) -> Option<&dyn TextHooks> {
        None
    }

    /// How it is told what was decided about a permission it asked for; `None` when only its terminal takes that.
    fn permission_hooks(&self) -> Option<&dyn PermissionHooks> {
        None
    }

    /// How it is typed to, for one that takes no text through hooks; `None` when nobody can know when.
    fn terminal_input(&self) -> Option<&dyn TerminalInput> {
        None
    }

    /// What one report of its hooks means: `event` is the hook's name, `payload` what it was given.
    fn interpret(&self, event: &str, payload: &serde_json::Value) -> Vec<Signal>;
}

/// The file in a session's directory that holds its prompt.
#[must_use]
pub fn prompt_file(session_dir: &Path) -> PathBuf {
    session_dir.join("prompt.txt")
}
