//! What the edge hands to the application.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::id::{AgentKind, InvalidId, RuntimeKind};
use crate::domain::layout::DataDir;
use crate::domain::permission::PermissionMode;
use crate::ports::runtime::Confinement;

/// Which runtime to use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeChoice {
    /// The first usable one.
    Auto,
    /// This one.
    Named(RuntimeKind),
}

impl fmt::Display for RuntimeChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Named(kind) => kind.fmt(f),
        }
    }
}

impl FromStr for RuntimeChoice {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Named) }
    }
}

/// Settings of an application. Everything the outside decides is here: the library reads no environment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Where things live.
    pub data_dir: DataDir,
    /// The absolute path of an `ao` for agents and their hooks: one that leads to the `ao` of the day as long as the agents live.
    pub ao_program: PathBuf,
    /// What the agent of an orchestrator is taught: the commands there are.
    pub orchestrator_guide: String,
    /// The environment agents get, before what ao and the agent's adapter add.
    pub agent_env: BTreeMap<String, String>,
    /// The agent, when a spawn names none.
    pub default_agent: AgentKind,
    /// The runtime, when a spawn names none.
    pub default_runtime: RuntimeChoice,
    /// The permission mode, when a spawn names none.
    pub default_permission_mode: PermissionMode,
    /// How many agents may be live, or being built, at once.
    pub max_live_agents: NonZeroUsize,
    /// What bounds each agent's process tree, where anything does.
    pub confinement: Option<Confinement>,
    /// How many entries of the change log are kept; up to a tenth more until they are trimmed.
    pub keep_changes: u64,
    /// How long the records and private directories of ended sessions are kept; `None` for ever.
    pub keep_ended: Option<Duration>,
    /// How long fetching the base may take.
    pub fetch_timeout: Duration,
    /// How long an agent that reports by hooks may take to its first report before the spawn is called done without it. An
    /// agent that dies within this time is a failed spawn.
    pub start_watch: Duration,
    /// How long an agent without hooks is watched after its start: one that fails within this time is a failed spawn.
    pub settle: Duration,
    /// How long an agent gets to end by itself when it is stopped.
    pub stop_grace: Duration,
}

impl Settings {
    /// The defaults of a data directory: `claude-code` on the first usable runtime, in the permission mode `default`; eight agents at once that
    /// inherit nothing of the environment and are bounded by nothing; 100,000 changes and 30 days of ended sessions.
    #[must_use]
    pub fn new(data_dir: DataDir) -> Self {
        Self {
            ao_program: data_dir.program(),
            data_dir,
            orchestrator_guide: String::new(),
            agent_env: BTreeMap::new(),
            default_agent: default_agent(),
            default_runtime: RuntimeChoice::Auto,
            default_permission_mode: PermissionMode::Default,
            max_live_agents: NonZeroUsize::MIN.saturating_add(7),
            confinement: None,
            keep_changes: 100_000,
            keep_ended: Some(Duration::from_secs(30 * 24 * 60 * 60)),
            fetch_timeout: Duration::from_secs(10),
            start_watch: Duration::from_secs(10),
            settle: Duration::from_millis(500),
            stop_grace: Duration::from_secs(5),
        }
    }
}

#[expect(clippy::expect_used, reason = "the constant is a valid name")]
fn default_agent() -> AgentKind {
    AgentKind::new("claude-code").expect("`claude-code` is a valid agent name")
}
