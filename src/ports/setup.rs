//! How are a project's own commands run in a workspace?

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// The variable that every process of a session's commands bears; its value is the session's directory, which is named after it.
pub const SETUP_VARIABLE: &str = "AO_SETUP_DIR";

/// Why a command did not do what it is for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// It ended, and not with success.
    #[error("{stage} command `{command}` {ended}")]
    Failed {
        /// Which of the project's commands.
        stage: Stage,
        /// The command.
        command: String,
        /// How it ended, for example `exited with code 1`.
        ended: String,
    },
    /// It took too long, and was ended with all it had started.
    #[error("{stage} command `{command}` did not finish in time, and was ended")]
    TimedOut {
        /// Which of the project's commands.
        stage: Stage,
        /// The command.
        command: String,
    },
    /// It could not be run, watched or ended, or its output not be kept.
    #[error("cannot {action}: {cause}")]
    Broken {
        /// What was attempted, with its object.
        action: String,
        /// Why it failed.
        cause: String,
    },
}

/// When a project's commands run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// After the workspace was made, before the agent starts.
    Setup,
    /// Before the workspace is removed.
    Teardown,
}

impl Stage {
    /// The stage's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Teardown => "teardown",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One command to run.
#[derive(Debug, Clone)]
pub struct SetupCommand {
    /// Which of the project's commands it is.
    pub stage: Stage,
    /// What a shell is to run.
    pub command: String,
    /// The session's private directory, which exists. Its path tells one session's commands from another's.
    pub session_dir: PathBuf,
    /// The workspace, in which it runs.
    pub workspace: PathBuf,
    /// The complete environment.
    pub env: BTreeMap<String, String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// Runs a project's commands in a workspace, one at a time for a session.
///
/// # Contract
/// - [`run`](SetupRunner::run) answers when the command has ended and nothing it started is left, in the background included: a service that is to stay
///   leaves on purpose (a container, a service manager), as it would leave a terminal that is closed.
/// - A command has no terminal and an empty standard input. What it prints on either stream is kept in the order it came, bounded in
///   size, in the session's directory, private to the user.
/// - Dropping a run's future ends the command's process group at once; [`end`](SetupRunner::end) then ends all the rest. It does
///   so also for what a process that was killed had started: nothing needs to be remembered for it.
/// - The environment shows in no command line and is not kept on disk.
#[async_trait]
pub trait SetupRunner: Send + Sync {
    /// Begins a stage: ends what an earlier run left, empties the stage's log, and forgets what was finished.
    ///
    /// # Errors
    /// [`SetupError::Broken`].
    async fn begin(&self, session_dir: &Path, stage: Stage) -> Result<(), SetupError>;

    /// Runs one command to its end.
    ///
    /// # Errors
    /// [`SetupError`]; nothing of the command runs any more then, unless the text says so.
    async fn run(&self, command: &SetupCommand) -> Result<(), SetupError>;

    /// Remembers, for later processes too, that a stage is finished; the other one is not any more.
    ///
    /// # Errors
    /// [`SetupError::Broken`].
    async fn finish(&self, session_dir: &Path, stage: Stage) -> Result<(), SetupError>;

    /// The stage that was finished last, and no other begun since.
    ///
    /// # Errors
    /// [`SetupError::Broken`].
    async fn finished(&self, session_dir: &Path) -> Result<Option<Stage>, SetupError>;

    /// Ends whatever any run of this session left running. Nothing left is success.
    ///
    /// # Errors
    /// [`SetupError::Broken`] when something could not be ended.
    async fn end(&self, session_dir: &Path) -> Result<(), SetupError>;

    /// The directories of the sessions of which commands run now, or may, whoever started them: each once. Some can be found only by what is
    /// in the session's directory; `session_dirs` are those that are there.
    ///
    /// # Errors
    /// [`SetupError::Broken`] when that cannot be found out.
    async fn running(&self, session_dirs: &[PathBuf]) -> Result<Vec<PathBuf>, SetupError>;

    /// The names of the files in a session's directory that [`output`](SetupRunner::output) reads.
    fn logs(&self) -> Vec<String>;

    /// The last `lines` lines of what a stage's commands printed, as text; `Ok(None)` when there is nothing.
    ///
    /// # Errors
    /// [`SetupError::Broken`].
    async fn output(&self, session_dir: &Path, stage: Stage, lines: usize) -> Result<Option<String>, SetupError>;
}
