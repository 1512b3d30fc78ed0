//! The `zellij` runtime: every session's agent in a zellij server of its own, which a person can attach to.
//!
//! The server's only pane runs `ao supervise`, so the records in `<session_dir>/terminal/` say how the agent is, and zellij
//! is never asked about that: its commands exit with 0 for sessions that never came to be, and a session that lives is no
//! sign of an agent that does. The supervisor starts the agent when zellij lists its pane, and a terminal is believed when
//! the supervisor has recorded the agent's process.
//!
//! When the agent ends, the supervisor keeps what the terminal showed (`screen.txt`, `output.txt`) and ends the server
//! ([`farewell`]); if it is killed before, its pane closes and zellij ends with its last pane.
//!
//! | Module | Holds |
//! | --- | --- |
//! | `place` | a session's socket directory and server processes |
//! | `commands` | the zellij commands that are run, and their environment |
//! | `create` | making a terminal, and undoing that |
//! | `inside` | what the supervisor does in its pane, before and after the agent |
//! | `layout`, `panes`, `version` | what zellij reads and prints |
//! | `session` | what a server showed, and its end |
//! | `wire` | zellij's client/server contract, for input and screens |

mod commands;
mod create;
mod inside;
mod layout;
mod panes;
mod place;
mod session;
mod version;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

pub(crate) use self::inside::arrive;
pub use self::inside::farewell;

use self::commands::Zellij;
use self::place::{MAX_SOCKET_DIR_BYTES, Place};
use self::session::Shown;
use self::version::Version;
use self::wire::Server;
use super::launch::{self, LaunchSpec};
use crate::domain::exit::Exit;
use crate::domain::id::{RuntimeKind, SessionId};
use crate::domain::session::ProcessIdentity;
use crate::platform::file;
use crate::ports::runtime::{Liveness, Runtime, RuntimeError, TerminalKey, TerminalSpec};

/// How many terminals are made at the same time; the others wait. A start costs about 100 ms of processor time, and one
/// that has to share the processor with dozens looks like one that hangs.
const STARTS_AT_ONCE: usize = 4;

/// How long a probe may take.
const PROBE_BOUND: Duration = Duration::from_secs(2);

/// How often a live terminal is asked for what it shows: a command of a person's own may have disturbed the first time.
const ATTEMPTS: u32 = 3;

/// How long to wait for what a terminal shows, also for the last words of one that is just ending, and how often to look.
const LAST_WORDS_BOUND: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

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

/// The `zellij` runtime.
#[derive(Debug)]
pub struct ZellijRuntime {
    kind: RuntimeKind,
    settings: ZellijSettings,
    starts: Semaphore,
    turns: Turns,
}

impl ZellijRuntime {
    /// Makes the runtime. Nothing is looked for or written yet.
    #[must_use]
    pub fn new(settings: ZellijSettings) -> Self {
        #[expect(clippy::expect_used, clippy::missing_panics_doc, reason = "a constant that the id's own rule accepts")]
        let kind = RuntimeKind::new("zellij").expect("zellij is a valid runtime name");
        Self { kind, settings, starts: Semaphore::new(STARTS_AT_ONCE), turns: Turns::default() }
    }

    fn place(&self, key: &TerminalKey) -> Place {
        Place::of(key, &self.settings.socket_dir)
    }

    /// Finds zellij and checks that it can be used.
    async fn installed(&self) -> Result<(Zellij, Version), RuntimeError> {
        let unusable = |cause: String, hint: &str| RuntimeError::Unusable {
            runtime: self.kind.clone(),
            cause,
            hint: hint.to_owned(),
        };
        let length = self.settings.socket_dir.as_os_str().as_bytes().len();
        if length > MAX_SOCKET_DIR_BYTES {
            let dir = self.settings.socket_dir.display();
            return Err(unusable(
                format!(
                    "its socket directory has {length} bytes, at most {MAX_SOCKET_DIR_BYTES} fit a socket's path: {dir}"
                ),
                "set AO_DATA_DIR to a shorter path",
            ));
        }
        let update = format!("install zellij {} or newer (cargo install zellij --locked)", Version::OLDEST);
        let program = file::find_program("zellij", &self.settings.path_var)
            .ok_or_else(|| unusable(format!("no zellij on PATH ({})", self.settings.path_var), &update))?;
        let zellij = Zellij::new(program, &self.settings.env, &self.settings.config_dir);
        let shown = zellij.program.display().to_string();
        let text =
            zellij.version().await.map_err(|cause| unusable(format!("{shown} does not work: {cause}"), &update))?;
        match Version::parse(&text) {
            Some(version) if version >= Version::OLDEST => Ok((zellij, version)),
            Some(version) => {
                let oldest = Version::OLDEST;
                Err(unusable(format!("{shown} is zellij {version}, and ao needs {oldest} or newer"), &update))
            }
            None => {
                Err(unusable(format!("{shown} --version printed no version of zellij: {:?}", text.trim()), &update))
            }
        }
    }

    /// Ends, without anybody waiting for it, the server of an agent that is dead: its supervisor did that, unless it was
    /// killed, and after a client has come and left zellij stays when its last pane closes.
    fn reap(&self, key: &TerminalKey) {
        let place = self.place(key);
        if !place.socket_dir.exists() {
            return;
        }
        // Whoever has the turn makes or ends this terminal.
        let Ok(turn) = self.turns.of(&place).try_lock_owned() else { return };
        let key = key.clone();
        tokio::spawn(async move {
            let _turn = turn;
            let is_dead = matches!(launch::probe(&key.session_dir), Liveness::Dead(_));
            if is_dead
                && !is_supervised(&key)
                && let Err(error) = session::end(&place).await
            {
                tracing::warn!(session = %key.session, %error, "cannot end the zellij server of an agent that ended");
            }
        });
    }

    fn failed(&self, action: &'static str, cause: impl std::fmt::Display) -> RuntimeError {
        RuntimeError::Failed { runtime: self.kind.clone(), action, cause: format!("{cause}") }
    }

    fn no_terminal(&self, key: &TerminalKey) -> RuntimeError {
        RuntimeError::NoTerminal { runtime: self.kind.clone(), session: key.session.clone() }
    }

    /// What the terminal shows, or showed last.
    async fn shown(&self, key: &TerminalKey, shown: Shown) -> Result<String, RuntimeError> {
        let unreadable = |error: std::io::Error| self.failed("read what the terminal showed", error);
        if LaunchSpec::read(&key.session_dir).map_err(unreadable)?.is_none() {
            return Err(self.no_terminal(key));
        }
        let socket = self.place(key).socket();
        let mut attempts = 0;
        let look = async {
            loop {
                attempts += 1;
                if let Some(kept) = shown.kept(&key.session_dir).map_err(unreadable)? {
                    return Ok(kept);
                }
                let live = match Server::connect(&socket).await {
                    Ok(mut server) => shown.live(&mut server).await,
                    Err(cause) => Err(cause),
                };
                match (live, launch::probe(&key.session_dir)) {
                    (Ok(text), _) => return Ok(text),
                    (Err(cause), Liveness::Alive(_)) if attempts >= ATTEMPTS => {
                        return Err(self.failed("read the terminal", cause));
                    }
                    (Err(_), Liveness::Alive(_)) => tokio::time::sleep(POLL).await,
                    // Its server was killed, so nothing was kept; or the supervisor is about to keep it.
                    (Err(_), _) if !is_supervised(key) => {
                        return Ok(shown.kept(&key.session_dir).map_err(unreadable)?.unwrap_or_default());
                    }
                    (Err(_), _) => tokio::time::sleep(POLL).await,
                }
            }
        };
        tokio::time::timeout(LAST_WORDS_BOUND, look).await.unwrap_or_else(|_elapsed| {
            Err(self.failed("read the terminal", format!("no answer within {} s", LAST_WORDS_BOUND.as_secs())))
        })
    }
}

/// Who may make or end a session's terminal: one at a time.
#[derive(Debug, Default)]
struct Turns(Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    fn of(&self, place: &Place) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(all.entry(place.socket_dir.clone()).or_default())
    }
}

/// Whether the launch's supervisor runs, which keeps the last screen before it goes.
fn is_supervised(key: &TerminalKey) -> bool {
    matches!(launch::started(&key.session_dir), Ok(Some(started))
        if crate::platform::process::is_running(started.supervisor).unwrap_or(false))
}

/// `text` without white space at its lines' ends and without empty lines at its end; its last `lines` lines, if given.
fn trimmed(text: &str, lines: Option<usize>) -> String {
    let all: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    let from = lines.map_or(0, |lines| all.len().saturating_sub(lines));
    all[from..].join("\n")
}

#[async_trait]
impl Runtime for ZellijRuntime {
    fn kind(&self) -> &RuntimeKind {
        &self.kind
    }

    async fn preflight(&self) -> Result<Option<String>, RuntimeError> {
        self.installed().await.map(|(_, version)| Some(version.to_string()))
    }

    async fn create(&self, spec: &TerminalSpec) -> Result<ProcessIdentity, RuntimeError> {
        create::create(self, spec).await
    }

    async fn probe(&self, keys: &[TerminalKey]) -> HashMap<SessionId, Liveness> {
        let all = keys.to_vec();
        let look = tokio::task::spawn_blocking(move || {
            all.into_iter().map(|key| (launch::probe(&key.session_dir), key)).collect::<Vec<_>>()
        });
        let Ok(Ok(looked)) = tokio::time::timeout(PROBE_BOUND, look).await else {
            let unknown = || Liveness::Unknown("the session directories could not be read in time".to_owned());
            return keys.iter().map(|key| (key.session.clone(), unknown())).collect();
        };
        for (liveness, key) in &looked {
            if matches!(liveness, Liveness::Dead(_)) {
                self.reap(key);
            }
        }
        looked.into_iter().map(|(liveness, key)| (key.session, liveness)).collect()
    }

    async fn screen(&self, key: &TerminalKey) -> Result<String, RuntimeError> {
        Ok(trimmed(&self.shown(key, Shown::Screen).await?, None))
    }

    async fn output(&self, key: &TerminalKey, lines: usize) -> Result<String, RuntimeError> {
        Ok(trimmed(&self.shown(key, Shown::Everything).await?, Some(lines)))
    }

    async fn input(&self, key: &TerminalKey, bytes: &[u8]) -> Result<(), RuntimeError> {
        match launch::probe(&key.session_dir) {
            Liveness::Alive(_) => {}
            Liveness::Dead(_) => return Err(self.no_terminal(key)),
            Liveness::Unknown(cause) => return Err(self.failed("type into the terminal", cause)),
        }
        let type_it =
            async { Server::connect(&self.place(key).socket()).await?.type_bytes(session::PANE, bytes).await };
        type_it.await.map_err(|cause| self.failed("type into the terminal", cause))
    }

    async fn stop(&self, key: &TerminalKey, grace: Duration) -> Result<Option<Exit>, RuntimeError> {
        let place = self.place(key);
        let _turn = self.turns.of(&place).lock_owned().await;
        let stopped = launch::stop(&key.session_dir, grace).await;
        // The server goes too when something of the agent could not be ended.
        let ended = session::end(&place).await;
        let exit = stopped.map_err(|error| self.failed("end the agent", error))?;
        ended.map_err(|error| self.failed("end the terminal", error))?;
        Ok(exit)
    }
}

#[cfg(test)]
mod tests;
