//! What default adapters are made of: all that the outside decides, for the library reads no environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::adapters::agent::claude_code::{self, NESTED_SESSION_VARIABLES};
use crate::adapters::runtime::pty::scrollback::SCROLLBACK_BYTES;
use crate::adapters::runtime::tmux::{self, TmuxSettings};
use crate::adapters::runtime::zellij::{self, ZellijSettings};
use crate::domain::id::AgentKind;
use crate::domain::layout::DataDir;
use crate::platform::{process, socket};
use crate::ports::agent::Agent;
use crate::ports::runtime::{LAUNCH_ID_VARIABLE, Runtime};
use crate::ports::setup::SETUP_VARIABLE;

// What these give and take, so that it can be named without a look at where it lives.
pub use crate::adapters::agent::claude_code::{ClaudeCode, ClaudeCodeSettings};
pub use crate::adapters::agent::command::{CommandAgent, CommandAgentSettings, CommandLine, InvalidCommandLine};
pub use crate::adapters::agent::terminal::Prompt;
pub use crate::adapters::runtime::pty::PtyRuntime;
pub use crate::adapters::workspace::{GitSettings, GitWorkspace};

/// The name of the agent that is any command.
const COMMAND: &str = "command";

/// Where programs are looked for when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Variables of the ao session that this program was started from, if it was: an agent is in another one. (Those of the terminal it was
/// started in are left out by every runtime.)
const OWN_VARIABLES: [&str; 5] = ["AO_SESSION_ID", "AO_PROJECT_ID", "AO_ISSUE_ID", "AO_PROGRAM", "AO_PROMPT_FILE"];

/// Where an orchestrator is: its places, its environment, and its `ao`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Surroundings {
    /// Where its records, workspaces and sockets live: a real path, for names of sockets are derived from it.
    pub data_dir: DataDir,
    /// The absolute path of an `ao` of this version, which holds terminals and is what agents' hooks call.
    pub ao_program: PathBuf,
    /// The environment of agents, git and multiplexers. Without a `PATH` the system's usual directories count.
    pub env: BTreeMap<String, String>,
    /// The user's home directory, where Claude Code keeps its settings and conversations.
    pub home: PathBuf,
    /// The directory of Claude Code's settings; `None` for its default below `home`.
    pub claude_config_dir: Option<PathBuf>,
    /// How much of each terminal the built-in runtime keeps, in bytes.
    pub scrollback_bytes: u64,
}

impl Surroundings {
    /// With this environment, whose `HOME` and `CLAUDE_CONFIG_DIR` count. Without a `HOME` the data directory is taken for it. The mark of the
    /// agent or the setup command that called, if one did, is left out: what bears it ends with that.
    #[must_use]
    pub fn new(data_dir: DataDir, ao_program: PathBuf, env: BTreeMap<String, String>) -> Self {
        let mut env = env;
        env.retain(|name, _| ![LAUNCH_ID_VARIABLE, SETUP_VARIABLE].contains(&name.as_str()));
        let directory = |name: &str| env.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        Self {
            ao_program,
            home: directory("HOME").unwrap_or_else(|| data_dir.root().to_owned()),
            claude_config_dir: directory("CLAUDE_CONFIG_DIR"),
            data_dir,
            env,
            scrollback_bytes: SCROLLBACK_BYTES,
        }
    }

    /// Where programs are looked for.
    #[must_use]
    pub fn path_var(&self) -> String {
        self.env.get("PATH").map_or(DEFAULT_PATH, String::as_str).to_owned()
    }

    /// The private directory for sockets, whether or not it exists.
    #[must_use]
    pub fn socket_dir(&self) -> PathBuf {
        socket::directory_of(self.data_dir.root())
    }

    /// The private directory for zellij's configuration, whether or not it exists.
    #[must_use]
    pub fn zellij_dir(&self) -> PathBuf {
        self.data_dir.root().join("zellij")
    }

    /// What agents inherit: the environment without what would mislead them.
    #[must_use]
    pub fn agent_env(&self) -> BTreeMap<String, String> {
        let misleads = |name: &str| NESTED_SESSION_VARIABLES.contains(&name) || OWN_VARIABLES.contains(&name);
        let mut env = self.env.clone();
        env.retain(|name, _| !misleads(name));
        env
    }

    /// The maker of git worktrees.
    #[must_use]
    pub fn workspace(&self) -> GitWorkspace {
        GitWorkspace::new(GitSettings::new(self.env.clone()))
    }

    /// The runtimes there are, best first: zellij, tmux, the built-in one.
    #[must_use]
    pub fn runtimes(&self) -> Vec<Arc<dyn Runtime>> {
        let zellij = zellij::runtime(ZellijSettings {
            path_var: self.path_var(),
            ao_program: self.ao_program.clone(),
            env: self.env.clone(),
            socket_dir: self.socket_dir(),
            config_dir: self.zellij_dir(),
        });
        let tmux = tmux::runtime(TmuxSettings {
            path_var: self.path_var(),
            ao_program: self.ao_program.clone(),
            env: self.env.clone(),
            socket_dir: self.socket_dir(),
        });
        vec![Arc::new(zellij), Arc::new(tmux), Arc::new(self.pty())]
    }

    /// The built-in runtime, which needs nothing installed.
    #[must_use]
    pub fn pty(&self) -> PtyRuntime {
        PtyRuntime::new(self.ao_program.clone(), self.socket_dir()).keeping(self.scrollback_bytes)
    }

    /// The built-in agents: `claude-code`, and `command`, whose command are the session's own arguments.
    #[must_use]
    pub fn agents(&self) -> Vec<Arc<dyn Agent>> {
        vec![
            Arc::new(self.claude_code(name(claude_code::KIND), None, Vec::new())),
            Arc::new(self.command(name(COMMAND), CommandLine::default())),
        ]
    }

    /// Claude Code under a name: that program, else the one that is looked for; with more arguments for every launch.
    #[must_use]
    pub fn claude_code(&self, kind: AgentKind, program: Option<PathBuf>, args: Vec<String>) -> ClaudeCode {
        let settings = ClaudeCodeSettings {
            program,
            path_var: self.path_var(),
            home: self.home.clone(),
            config_dir: self.claude_config_dir.clone(),
            env: self.env.clone(),
            is_root: process::is_root(),
        };
        ClaudeCode::named(kind, args, settings)
    }

    /// Any program under a name. The arguments of a session follow the command's own.
    #[must_use]
    pub fn command(&self, kind: AgentKind, command: CommandLine) -> CommandAgent {
        let settings = CommandAgentSettings { path_var: self.path_var(), env: BTreeMap::new() };
        CommandAgent::new(kind, command, settings)
    }
}

#[expect(clippy::expect_used, reason = "the names of the built-in agents are valid")]
fn name(of_agent: &str) -> AgentKind {
    AgentKind::new(of_agent).expect("a built-in agent has a valid name")
}
