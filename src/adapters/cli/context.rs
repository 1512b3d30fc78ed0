//! What the edge hands to the commands: where things are and how to talk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::colours::Colours;
use crate::app::RuntimeChoice;
use crate::domain::Timestamp;
use crate::domain::id::AgentKind;
use crate::domain::layout::DataDir;
use crate::domain::permission::PermissionMode;
use crate::ports::clock::Clock;

/// What the outside tells a command that goes on until it is stopped. Nothing, unless somebody hands signals on.
#[derive(Debug, Clone, Default)]
pub struct Attention {
    /// Cancelled when the command shall end.
    pub stop: CancellationToken,
    /// Notified when the terminal has another size.
    pub resized: Arc<Notify>,
}

/// What tells the time.
#[derive(Clone)]
pub struct Time(pub Arc<dyn Clock>);

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

/// Where a command runs.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each tells of a surrounding of its own; none of them together is a state"
)]
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
    /// Where the user is, for times that a person reads.
    pub time_zone: TimeZone,
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
    /// Whether stdin is a terminal, so that somebody can be asked.
    pub stdin_is_terminal: bool,
    /// Whether stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
    /// What tells the time.
    pub time: Time,
    /// What it is told while it runs.
    pub attention: Attention,
}

impl Context {
    /// A path as the user meant it: relative to where the command was called.
    #[must_use]
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.cwd.join(path)
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.time.0.now()
    }

    /// Whether data has colours.
    #[must_use]
    pub fn colours(&self) -> Colours {
        Colours::of(self.stdout_is_terminal, &self.env)
    }
}
