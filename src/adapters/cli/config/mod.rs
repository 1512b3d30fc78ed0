//! `config.toml`, and the variables that stand in for its plain settings. A mistake is an error that says where it is: file,
//! line and key, or the variable.
//!
//! | Module | Holds |
//! | --- | --- |
//! | `file` | reading the file |
//! | `kept` | the settings that say how much is kept |
//! | `value` | the values that have rules of their own |

mod file;
mod kept;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::app::RuntimeChoice;
use crate::domain::id::AgentKind;
use crate::domain::permission::PermissionMode;
use crate::platform::cgroup::place;
use crate::platform::settings_file::{Mistake, Seconds};
use crate::ports::terminal_input::PromptSettings;
pub use kept::Kept;
use value::{Cgroup, Count, Http, Memory};

/// What the user has set, and the defaults of the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The agent of a spawn that names none. Default: `claude-code`.
    pub agent: AgentKind,
    /// The runtime of a spawn that names none. Default: `auto`.
    pub runtime: RuntimeChoice,
    /// The permission mode of a spawn that names none. Default: `default`.
    pub permission_mode: PermissionMode,
    /// How long fetching the base may take, in seconds. Default: 10.
    pub fetch_timeout_s: u64,
    /// How long `ao spawn --wait ready` waits, in seconds. Default: 60.
    pub ready_timeout_s: u64,
    /// How many agents may be live at once. Default: none set; then the machine's memory and cores decide.
    pub max_live_agents: Option<NonZeroUsize>,
    /// How much memory an agent may use, with everything it starts. Default: three quarters of the machine's.
    pub agent_memory_max: AgentMemory,
    /// Whether and where agents get control groups of their own. Default: where there can be some.
    pub cgroup: place::Choice,
    /// Whether and where the API is served on a TCP port. Default: on a free one of 127.0.0.1.
    pub http: HttpPort,
    /// How much is kept of what would grow without end.
    pub kept: Kept,
    /// Agents by name. Default: none; the built-in ones need no entry.
    pub agents: BTreeMap<AgentKind, AgentConfig>,
}

/// Whether and where the API is served on a TCP port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpPort {
    /// Only on the Unix socket.
    Off,
    /// Also there; port 0 is a free one.
    At(SocketAddr),
}

impl Default for HttpPort {
    fn default() -> Self {
        Self::At(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

impl FromStr for HttpPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::At(address)),
            Ok(address) => Err(format!(
                "{address} is no loopback address, and the token must not leave the machine in the clear; from elsewhere use a tunnel, as of ssh"
            )),
            Err(_) => Err(format!("{text:?} is not \"off\" or an address such as 127.0.0.1:7777")),
        }
    }
}

/// How much memory an agent may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AgentMemory {
    /// A share of the machine's: so much that big work fits, and that one agent leaves something to the others.
    #[default]
    Share,
    /// As much as there is.
    Unbounded,
    /// So much.
    AtMost {
        /// The bound.
        bytes: u64,
    },
}

impl AgentMemory {
    /// The bound on a machine with this much memory; `None` for none, also where a share is wanted of nobody knows what.
    #[must_use]
    pub fn bytes(self, machine_bytes: Option<u64>) -> Option<u64> {
        match self {
            Self::Share => machine_bytes.map(|bytes| bytes / 4 * 3),
            Self::Unbounded => None,
            Self::AtMost { bytes } => Some(bytes),
        }
    }
}

/// An agent of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentConfig {
    /// Claude Code.
    ClaudeCode {
        /// The program: an absolute path, or a name to look up on `PATH`. `None`: looked for.
        program: Option<PathBuf>,
        /// More arguments for every launch.
        args: Vec<String>,
    },
    /// Any command.
    Command {
        /// The program and all its arguments. Never empty.
        command: Vec<String>,
        /// How it is typed to. `None`: it is not.
        prompt: Option<PromptSettings>,
    },
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A mistake in the file.
    #[error("{} {mistake}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        mistake: Mistake,
    },
    /// A mistake in a variable.
    #[error("environment variable {variable}: {cause}")]
    InVariable {
        /// The variable.
        variable: String,
        /// What is wrong, for a person.
        cause: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "the constant is a valid name")]
        let agent = AgentKind::new("claude-code").expect("`claude-code` is a valid agent name");
        Self {
            agent,
            runtime: RuntimeChoice::Auto,
            permission_mode: PermissionMode::Default,
            fetch_timeout_s: 10,
            ready_timeout_s: 60,
            max_live_agents: None,
            agent_memory_max: AgentMemory::default(),
            cgroup: place::Choice::default(),
            http: HttpPort::default(),
            kept: Kept::default(),
            agents: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Reads the file (none is a file that sets nothing), then the variables of `env`, which win. A plain setting's
    /// variable is `AO_` and the setting's name in capitals; an empty one counts as not set.
    ///
    /// # Errors
    /// [`ConfigError`], for a mistake in the file also when a variable overrides it.
    pub fn load(path: &Path, env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        Self::of(file::read(path)?, env)
    }

    /// What a file of this content sets, without any variable.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn parse(content: &[u8]) -> Result<Self, ConfigError> {
        let in_file = |mistake| ConfigError::InFile { path: "config.toml".into(), mistake };
        Self::of(file::parse(content).map_err(in_file)?, &BTreeMap::new())
    }

    fn of(file: file::Settings, env: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let default = Self::default();
        let seconds = |setting, from_file: Option<Seconds>, default| {
            Ok::<_, ConfigError>(variable(env, setting)?.or(from_file).map_or(default, |Seconds(seconds)| seconds))
        };
        Ok(Self {
            agent: variable(env, "agent")?.or(file.agent).unwrap_or(default.agent),
            runtime: variable(env, "runtime")?.or(file.runtime).unwrap_or(default.runtime),
            permission_mode: variable(env, "permission_mode")?
                .or(file.permission_mode)
                .unwrap_or(default.permission_mode),
            fetch_timeout_s: seconds("fetch_timeout_s", file.fetch_timeout_s, default.fetch_timeout_s)?,
            ready_timeout_s: seconds("ready_timeout_s", file.ready_timeout_s, default.ready_timeout_s)?,
            max_live_agents: variable(env, "max_live_agents")?.or(file.max_live_agents).map(|Count(count)| count),
            agent_memory_max: variable(env, "agent_memory_max")?
                .or(file.agent_memory_max)
                .map_or(default.agent_memory_max, |Memory(memory)| memory),
            cgroup: variable(env, "cgroup")?.or(file.cgroup).map_or(default.cgroup, |Cgroup(choice)| choice),
            http: variable(env, "http")?.or(file.http).map_or(default.http, |Http(port)| port),
            kept: Kept::load(&file.kept, env)?,
            agents: file.agents,
        })
    }
}

fn variable<T: FromStr<Err: Display>>(env: &BTreeMap<String, String>, setting: &str) -> Result<Option<T>, ConfigError> {
    let variable = format!("AO_{}", setting.to_uppercase());
    let Some(text) = env.get(&variable).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|error| ConfigError::InVariable { cause: format!("{error}"), variable })
}
