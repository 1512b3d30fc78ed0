//! What the edge hands to the commands: where things are and how to talk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::app::RuntimeChoice;
use crate::domain::id::AgentKind;
use crate::domain::layout::DataDir;
use crate::domain::permission::PermissionMode;

/// Where a command runs.
#[derive(Debug, Clone)]
pub struct Context {
    /// The data directory.
    pub data_dir: DataDir,
    /// The daemon's socket.
    pub socket: PathBuf,
    /// The directory the command was called in.
    pub cwd: PathBuf,
    /// The absolute path of the running `ao`.
    pub ao_program: PathBuf,
    /// The whole environment, for a daemon that has to be started.
    pub env: std::collections::BTreeMap<String, String>,
    /// Whether a daemon may be started.
    pub may_start: bool,
    /// How long `ao spawn` waits for the agent to be ready, unless told otherwise.
    pub ready_timeout: Duration,
    /// The agent of a spawn that names none.
    pub agent: AgentKind,
    /// The runtime of a spawn that names none.
    pub runtime: RuntimeChoice,
    /// The permission mode of a spawn that names none.
    pub permission_mode: PermissionMode,
    /// Whether stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
}

impl Context {
    /// A path as the user meant it: relative to where the command was called.
    #[must_use]
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.cwd.join(path)
    }
}
