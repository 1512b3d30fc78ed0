//! What a project wants done in each new workspace, as its `ao.toml` said when the session was spawned.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Commands, files and variables for a session's workspace. Recorded with the session: a restore and the teardown use what
/// was accepted when it was spawned, whatever the file says by then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectSetup {
    /// Shell commands that run in the workspace before the agent starts, one after the other.
    #[serde(default)]
    pub setup: Vec<String>,
    /// Shell commands that run in the workspace before it is removed.
    #[serde(default)]
    pub teardown: Vec<String>,
    /// Files and directories of the main checkout that are copied into the workspace, relative to both.
    #[serde(default)]
    pub copy: Vec<PathBuf>,
    /// Files and directories of the main checkout that are linked into the workspace, relative to both.
    #[serde(default)]
    pub link: Vec<PathBuf>,
    /// Environment variables for the commands and the agent.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How long the setup may take as a whole, in seconds.
    pub timeout_s: u64,
    /// How long the teardown may take as a whole, in seconds.
    #[serde(default = "default_teardown_timeout_s")]
    pub teardown_timeout_s: u64,
}

/// How long a setup may take, in seconds, where the project does not say.
pub const DEFAULT_SETUP_TIMEOUT_S: u64 = 600;
/// How long a teardown may take, in seconds, where the project does not say.
pub const DEFAULT_TEARDOWN_TIMEOUT_S: u64 = 60;

fn default_teardown_timeout_s() -> u64 {
    DEFAULT_TEARDOWN_TIMEOUT_S
}

impl ProjectSetup {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { setup, teardown, copy, link, env, timeout_s: _, teardown_timeout_s: _ } = self;
        setup.is_empty() && teardown.is_empty() && copy.is_empty() && link.is_empty() && env.is_empty()
    }
}
