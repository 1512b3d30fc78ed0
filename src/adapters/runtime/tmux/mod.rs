//! The `tmux` runtime: every session's agent in a tmux server of its own, which a person can attach to.
//!
//! What it shares with the other multiplexers is in `multiplexer`. A server a session costs about 1 MB each beyond what they
//! share, and one that dies takes one agent along.
//!
//! | Module | Holds |
//! | --- | --- |
//! | `place` | where a session's server is, how its supervisor finds it, and which processes are its |
//! | `commands` | the tmux commands that are run |
//! | `config`, `version` | what tmux reads and prints |
//! | `server` | what is asked of a session's server |

mod commands;
mod config;
mod place;
mod server;
mod version;

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;

pub(super) use self::place::shown_by;

use self::commands::Tmux;
use self::place::{MAX_SOCKET_DIR_BYTES, Place};
use self::version::Version;
use super::multiplexer::server::{self as shared, Multiplexer, Unusable};
use super::multiplexer::view::Client;
use super::multiplexer::{self, Multiplexed};
use crate::platform::file;
use crate::ports::runtime::{Runtime, TerminalKey, TerminalSpec};

/// What the runtime is made with.
#[derive(Debug, Clone)]
pub struct TmuxSettings {
    /// Where `tmux` is looked for, in the form of the `PATH` variable.
    pub path_var: String,
    /// The absolute path of the running `ao`, which is what panes run.
    pub ao_program: PathBuf,
    /// The environment of tmux's servers. Variables that lead tmux to the user's own server are left out. The agent gets its
    /// own environment from its launch.
    pub env: BTreeMap<String, String>,
    /// A private directory (0700) for sockets, which exists when a terminal is made; at most 82 bytes long.
    pub socket_dir: PathBuf,
}

/// The `tmux` runtime. Nothing is looked for or written yet.
pub fn runtime(settings: TmuxSettings) -> impl Runtime {
    Multiplexed::new(OnTmux(settings))
}

/// What makes a [`Multiplexed`] runtime one on tmux.
#[derive(Debug)]
struct OnTmux(TmuxSettings);

/// A tmux that was found and is new enough.
#[derive(Debug)]
struct Installed {
    tmux: Tmux,
    version: Version,
}

#[async_trait]
impl Multiplexer for OnTmux {
    const NAME: &'static str = "tmux";
    type Server = Place;
    type Program = Installed;

    fn server(&self, key: &TerminalKey) -> Place {
        Place::of(key, &self.0.socket_dir)
    }

    async fn installed(&self) -> Result<(Installed, String), Unusable> {
        let settings = &self.0;
        let unusable = |cause: String, hint: &str| Unusable { cause, hint: hint.to_owned() };
        shared::leaves_room(&settings.socket_dir, MAX_SOCKET_DIR_BYTES)?;
        let update = format!("install tmux {} or newer with your package manager", Version::OLDEST);
        let program = file::find_program("tmux", &settings.path_var)
            .ok_or_else(|| unusable(format!("no tmux on PATH ({})", settings.path_var), &update))?;
        let tmux = Tmux::new(program);
        let shown = tmux.program().display().to_string();
        let text = tmux.version().await;
        let text = text.map_err(|cause| unusable(format!("{shown} does not work: {cause}"), &update))?;
        match Version::parse(&text) {
            Some(version) if version >= Version::OLDEST => {
                let printed = text.trim().trim_start_matches("tmux ").to_owned();
                Ok((Installed { tmux, version }, printed))
            }
            Some(_) => {
                let (found, oldest) = (text.trim(), Version::OLDEST);
                Err(unusable(format!("{shown} is {found}, and ao needs {oldest} or newer"), &update))
            }
            None => Err(unusable(format!("{shown} -V printed no version of tmux: {:?}", text.trim()), &update)),
        }
    }

    fn prepare(&self, installed: &Installed, place: &Place, spec: &TerminalSpec) -> Result<(), String> {
        place.record(installed.tmux.program(), installed.version)?;
        multiplexer::write(&config::file(&spec.key.session_dir), config::CONFIG.as_bytes())
    }

    async fn start(&self, installed: &Installed, place: &Place, spec: &TerminalSpec) -> Result<(), String> {
        installed.tmux.start(place, spec, &self.0.ao_program, &self.0.env).await
    }

    async fn client(&self, place: &Place) -> Result<Client, String> {
        Ok(Tmux::new(place.recorded()?.program).client(place, &self.0.env))
    }
}

#[cfg(test)]
mod tests;
