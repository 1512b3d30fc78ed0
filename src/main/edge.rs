//! The edge: the only place that reads the environment and asks where this program is.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ao::adapters::cli::colours::Colours;
use ao::adapters::cli::config::Config;
use ao::adapters::cli::context::{Attention, Context, Time};
use ao::adapters::cli::error::CliError;
use ao::domain::layout::DataDir;
use ao::orchestrator::surroundings::Surroundings;
use ao::platform::{file, machine, socket};
use ao::ports::runtime::LAUNCH_ID_VARIABLE;
use ao::ports::setup::SETUP_VARIABLE;
use etcetera::base_strategy::{BaseStrategy, Xdg};
use jiff::tz::TimeZone;

use crate::compose::MEGABYTE;

/// What the outside says.
pub(crate) struct Edge {
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) data_dir: DataDir,
    pub(crate) home: PathBuf,
    pub(crate) config: Config,
    pub(crate) ao_program: PathBuf,
}

impl Edge {
    /// Reads everything, the configuration too.
    pub(crate) fn with_config(data_dir: Option<PathBuf>) -> Result<Self, CliError> {
        let mut edge = Self::read(data_dir)?;
        let config = Xdg::new().map_err(no_home)?.config_dir().join("ao").join("config.toml");
        edge.config = Config::load(&config, &edge.env)
            .map_err(|error| CliError::usage(error.to_string()).hint("correct it, or take it out for the default"))?;
        Ok(edge)
    }

    /// Reads all but the configuration: a typing error in that must not keep a hook from reporting, or a person from
    /// stopping an agent.
    pub(crate) fn read(data_dir: Option<PathBuf>) -> Result<Self, CliError> {
        let base = Xdg::new().map_err(no_home)?;
        let env = environment();
        let from_env = env.get("AO_DATA_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = data_dir.or(from_env).unwrap_or_else(|| base.data_dir().join("ao"));
        let root = file::real_path(&root).map_err(|error| {
            CliError::failed(format!("cannot find {}: {error}", root.display()))
                .hint("choose another data directory with --data-dir or AO_DATA_DIR")
        })?;
        let ao_program = std::env::current_exe()
            .map_err(|error| CliError::failed(format!("cannot find out where this ao is: {error}")))?;
        Ok(Self {
            env,
            data_dir: DataDir::new(root),
            home: base.home_dir().to_owned(),
            config: Config::default(),
            ao_program,
        })
    }

    pub(crate) fn var(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    /// What default adapters are made of.
    pub(crate) fn surroundings(&self) -> Surroundings {
        let mut surroundings = Surroundings::new(self.data_dir.clone(), self.ao_program.clone(), self.env.clone());
        surroundings.home.clone_from(&self.home);
        surroundings.scrollback_bytes = self.config.kept.scrollback_mb * MEGABYTE;
        surroundings
    }

    /// The private directory for sockets, whether or not it exists.
    pub(crate) fn socket_dir(&self) -> PathBuf {
        self.surroundings().socket_dir()
    }

    /// The daemon's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        socket::of_daemon(self.data_dir.root())
    }

    /// How many agents may be live at once: what was set, else what the machine can bear.
    pub(crate) fn max_live_agents(&self) -> NonZeroUsize {
        self.config
            .max_live_agents
            .unwrap_or_else(|| machine::bearable_agents(machine::memory_bytes().ok(), machine::cores()))
    }

    /// How much memory an agent may use; `None` for as much as there is.
    pub(crate) fn agent_memory_max_bytes(&self) -> Option<u64> {
        self.config.agent_memory_max.bytes(machine::memory_bytes().ok())
    }

    /// Whether what is written to stdout has colours.
    pub(crate) fn colours(&self) -> Colours {
        Colours::of(std::io::stdout().is_terminal(), &self.env)
    }

    /// What the commands are handed.
    pub(crate) fn context(&self) -> Result<Context, CliError> {
        let cwd = std::env::current_dir().map_err(|error| {
            CliError::failed(format!("cannot tell which directory this is: {error}"))
                .hint("it may have been deleted: go into one that is there")
        })?;
        Ok(Context {
            data_dir: self.data_dir.clone(),
            socket: self.socket(),
            cwd,
            ao_program: self.ao_program.clone(),
            env: self.env.clone(),
            time_zone: TimeZone::system(),
            may_start: self.var("AO_NO_START").is_none_or(|value| value.is_empty() || value == "0"),
            ready_timeout: Duration::from_secs(self.config.ready_timeout_s),
            agent: self.config.agent.clone(),
            runtime: self.config.runtime.clone(),
            permission_mode: self.config.permission_mode,
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
            time: Time(crate::compose::clock()),
            attention: Attention::default(),
        })
    }
}

/// Whether what is written to stderr has colours: known also where nothing else is.
pub(crate) fn stderr_colours() -> Colours {
    Colours::of(std::io::stderr().is_terminal(), &environment())
}

/// The environment, without variables that are not UTF-8 (they could not be written into a launch spec), and without the
/// mark of the agent or the setup command that called, if one did: what bears it ends with that, and a daemon must not.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment() -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os()
        .filter_map(text)
        .filter(|(name, _)| ![LAUNCH_ID_VARIABLE, SETUP_VARIABLE].contains(&name.as_str()))
        .collect()
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn no_home(error: etcetera::HomeDirError) -> CliError {
    CliError::failed(format!("cannot find your home directory: {error}")).hint("set HOME")
}
