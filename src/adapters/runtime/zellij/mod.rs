//! The `zellij` runtime: every session's agent in a zellij server of its own, which a person can attach to.
//!
//! What it shares with the other multiplexers is in `multiplexer`. Here the supervisor starts the agent only when zellij
//! lists its pane. (If it is killed, a server stays when its last pane closes after a client has come and left.)
//!
//! | Module | Holds |
//! | --- | --- |
//! | `place` | where a session's server is, and which processes are its |
//! | `commands` | the zellij commands that are run, and their environment |
//! | `inside` | what the supervisor does in its pane before the agent, and where it finds its server |
//! | `layout`, `panes`, `version` | what zellij reads and prints |
//! | `server` | what is asked of a session's server |
//! | `wire` | zellij's client/server contract, for input and screens |

mod commands;
mod inside;
mod layout;
mod panes;
mod place;
mod server;
mod version;
mod wire;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

pub(super) use self::inside::{arrive, shown_by};

use self::commands::Zellij;
use self::place::{MAX_SOCKET_DIR_BYTES, Place};
use self::version::Version;
use super::launch;
use super::multiplexer::server::{self as shared, Multiplexer, Unusable};
use super::multiplexer::view::Client;
use super::multiplexer::{self, Multiplexed};
use crate::platform::file;
use crate::ports::runtime::{Runtime, TerminalKey, TerminalSpec};

/// What the runtime is made with.
#[derive(Debug, Clone)]
pub struct ZellijSettings {
    /// Where `zellij` is looked for, in the form of the `PATH` variable.
    pub path_var: String,
    /// The absolute path of the running `ao`, which is what panes run.
    pub ao_program: PathBuf,
    /// The environment of zellij's commands and servers. Variables that lead zellij to the user's own sessions and
    /// configuration are left out. The agent gets its own environment from its launch.
    pub env: BTreeMap<String, String>,
    /// A private directory (0700) for sockets, which exists when a terminal is made; at most 72 bytes long.
    pub socket_dir: PathBuf,
    /// A private directory (0700) for zellij's configuration, cache and log, which exists when a terminal is made.
    pub config_dir: PathBuf,
}

/// The `zellij` runtime. Nothing is looked for or written yet.
pub fn runtime(settings: ZellijSettings) -> impl Runtime {
    Multiplexed::new(OnZellij(settings))
}

/// What makes a [`Multiplexed`] runtime one on zellij.
#[derive(Debug)]
struct OnZellij(ZellijSettings);

#[async_trait]
impl Multiplexer for OnZellij {
    const NAME: &'static str = "zellij";
    type Server = Place;
    type Program = Zellij;

    fn server(&self, key: &TerminalKey) -> Place {
        Place::of(key, &self.0.socket_dir)
    }

    async fn installed(&self) -> Result<(Zellij, String), Unusable> {
        let settings = &self.0;
        let unusable = |cause: String, hint: &str| Unusable { cause, hint: hint.to_owned() };
        shared::leaves_room(&settings.socket_dir, MAX_SOCKET_DIR_BYTES)?;
        let update = format!("install zellij {} or newer (cargo install zellij --locked)", Version::OLDEST);
        let program = file::find_program("zellij", &settings.path_var)
            .ok_or_else(|| unusable(format!("no zellij on PATH ({})", settings.path_var), &update))?;
        let zellij = Zellij::new(program, &settings.env, &settings.config_dir);
        let shown = zellij.program.display().to_string();
        let text =
            zellij.version().await.map_err(|cause| unusable(format!("{shown} does not work: {cause}"), &update))?;
        match Version::parse(&text) {
            Some(version) if version >= Version::OLDEST => Ok((zellij, version.to_string())),
            Some(version) => {
                let oldest = Version::OLDEST;
                Err(unusable(format!("{shown} is zellij {version}, and ao needs {oldest} or newer"), &update))
            }
            None => {
                Err(unusable(format!("{shown} --version printed no version of zellij: {:?}", text.trim()), &update))
            }
        }
    }

    fn prepare(&self, _program: &Zellij, place: &Place, spec: &TerminalSpec) -> Result<(), String> {
        let session_dir = &spec.key.session_dir;
        let not_text = |path: &Path| format!("{}: this path is not valid UTF-8", path.display());
        let session_dir_text = session_dir.to_str().ok_or_else(|| not_text(session_dir))?;
        let args = ["supervise", "--session-dir", session_dir_text];
        let program = &self.0.ao_program;
        let layout = layout::layout(program, &args).ok_or_else(|| not_text(program))?;
        inside::record(session_dir, place)?;
        multiplexer::write(&layout_file(spec), layout.as_bytes())?;
        multiplexer::write(&self.0.config_dir.join("config.kdl"), layout::CONFIG.as_bytes())
    }

    /// The server is not asked anything from here: one that is asked before its session is set up ends with a panic (0.45.1).
    /// What is waited for is the supervisor's record, which starts the agent only when it has seen its pane ([`arrive`]).
    async fn start(&self, zellij: &Zellij, place: &Place, spec: &TerminalSpec) -> Result<(), String> {
        zellij.start(place, &layout_file(spec)).await
    }

    async fn client(&self, place: &Place) -> Result<Client, String> {
        let (zellij, _version) = self.installed().await.map_err(|Unusable { cause, .. }| cause)?;
        Ok(zellij.client(place))
    }
}

/// The number of the terminal whose command runs, in a list of panes.
#[cfg(feature = "fuzzing")]
pub(crate) fn running_terminal(listing: &str) -> serde_json::Result<Option<u32>> {
    panes::parse(listing).map(|panes| panes::running_terminal(&panes).map(|pane| pane.id))
}

#[cfg(feature = "fuzzing")]
pub(crate) use wire::answered;

/// The layout that a session is started with.
fn layout_file(spec: &TerminalSpec) -> PathBuf {
    launch::directory(&spec.key.session_dir).join("layout.kdl")
}

#[cfg(test)]
mod tests;
