//! What the runtimes on a terminal multiplexer share: every session's agent in a server of its own, which a person can
//! attach to.
//!
//! The server's only pane runs `ao supervise`, so the records in `<session_dir>/terminal/` say how the agent is, and the
//! multiplexer is never asked about that: its commands exit with 0 for sessions that never came to be, and a session that
//! lives is no sign of an agent that does. A terminal is believed when the supervisor has recorded the agent's process.
//!
//! When the agent ends, the supervisor keeps what the terminal showed (`screen.txt`, `output.txt`) and ends the server
//! ([`farewell`]); if it is killed before, its pane closes and the server ends with its last pane.
//!
//! A server a session, because one that dies takes every agent in it along.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`server`] | what a multiplexer and a session's server have to do |
//! | `create` | making a terminal, and undoing that |
//! | `end` | a server's processes, and their end |
//! | `farewell` | what the supervisor does after the agent's end |
//! | `shown` | what a terminal shows, or showed last |
//! | `view` | what one who is attached sees and types |
//! | `audience` | whom a terminal is fitted to |

mod audience;
mod create;
mod end;
mod farewell;
pub(super) mod server;
mod shown;
pub(super) mod view;

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use self::audience::Audiences;
pub(super) use self::farewell::farewell;
use self::server::{Multiplexer, Server, Unusable};
pub(super) use self::shown::Shown;
use super::launch;
use crate::domain::exit::Exit;
use crate::domain::id::{RuntimeKind, SessionId};
use crate::domain::session::ProcessIdentity;
use crate::platform::file;
use crate::ports::runtime::{Liveness, Marks, Runtime, RuntimeError, TerminalKey, TerminalSpec};
use crate::ports::terminal_view::{Attached, Newcomer};

/// How many terminals are made at the same time; the others wait. A start costs up to 100 ms of processor time, and one
/// that has to share the processor with dozens looks like one that hangs.
const STARTS_AT_ONCE: usize = 4;

/// How long a probe may take.
const PROBE_BOUND: Duration = Duration::from_secs(2);

/// A runtime on a multiplexer.
#[derive(Debug)]
pub(super) struct Multiplexed<M> {
    kind: RuntimeKind,
    multiplexer: M,
    starts: Semaphore,
    turns: Turns,
    audiences: Audiences,
}

impl<M: Multiplexer> Multiplexed<M> {
    /// Makes the runtime. Nothing is looked for or written yet.
    pub(super) fn new(multiplexer: M) -> Self {
        #[expect(clippy::expect_used, reason = "a constant that the id's own rule accepts")]
        let kind = RuntimeKind::new(M::NAME).expect("the name of a multiplexer is a valid runtime name");
        let (turns, audiences) = (Turns::default(), Audiences::default());
        Self { kind, multiplexer, starts: Semaphore::new(STARTS_AT_ONCE), turns, audiences }
    }

    /// Finds the program and checks that it can be used.
    async fn installed(&self) -> Result<(M::Program, String), RuntimeError> {
        self.multiplexer.installed().await.map_err(|Unusable { cause, hint }| RuntimeError::Unusable {
            runtime: self.kind.clone(),
            cause,
            hint,
        })
    }

    /// Ends, without anybody waiting for it, the server of an agent that is dead: its supervisor did that, unless it was
    /// killed, and a server that a person has used may stay when its last pane closes.
    fn reap(&self, key: &TerminalKey) {
        let server = self.multiplexer.server(key);
        if !server.directory().exists() {
            return;
        }
        // Whoever has the turn makes or ends this terminal.
        let Ok(turn) = self.turns.of(server.directory()).try_lock_owned() else { return };
        let key = key.clone();
        tokio::spawn(async move {
            let _turn = turn;
            let is_dead = matches!(launch::probe_terminal(&key), Liveness::Dead(_));
            if is_dead
                && !is_supervised(&key)
                && let Err(error) = end::end(&server).await
            {
                tracing::warn!(session = %key.session, %error, "cannot end the {} server of an agent that ended", M::NAME);
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
        let found = shown::find(&self.multiplexer.server(key), key, shown).await;
        found.map_err(|cause| self.failed("read the terminal", cause))?.ok_or_else(|| self.no_terminal(key))
    }
}

/// Who may make or end a session's terminal: one at a time.
#[derive(Debug, Default)]
struct Turns(Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// The turn at the server whose directory this is.
    fn of(&self, directory: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, turn| Arc::strong_count(turn) > 1);
        Arc::clone(all.entry(directory.to_owned()).or_default())
    }
}

/// How many letters [`hash`] gives.
pub(super) const HASH_LETTERS: usize = 12;

/// What names a session's place among those of all: short, because the path of a socket is.
pub(super) fn hash(session_dir: &Path) -> String {
    let digest = Sha256::digest(session_dir.as_os_str().as_bytes());
    let start = digest.iter().take(HASH_LETTERS / 2).fold(0_u64, |start, byte| start << 8 | u64::from(*byte));
    format!("{start:0HASH_LETTERS$x}")
}

/// Writes a private file that a start reads, unless it holds that already: others may be reading it just now. The error
/// names the path.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    let written = file::read_if_there(path).and_then(|found| match found {
        Some(found) if found == content => Ok(()),
        _ => file::write_atomically(path, content, 0o600),
    });
    written.map_err(|error| format!("{}: {error}", path.display()))
}

/// Whether the launch's supervisor runs, which keeps the last screen before it goes.
fn is_supervised(key: &TerminalKey) -> bool {
    matches!(launch::started(&key.session_dir), Ok(Some(started))
        if crate::platform::process::is_running(started.supervisor).unwrap_or(false))
}

#[async_trait]
impl<M: Multiplexer> Runtime for Multiplexed<M> {
    fn kind(&self) -> &RuntimeKind {
        &self.kind
    }

    async fn preflight(&self) -> Result<Option<String>, RuntimeError> {
        self.installed().await.map(|(_, version)| Some(version))
    }

    async fn create(&self, spec: &TerminalSpec) -> Result<ProcessIdentity, RuntimeError> {
        create::create(self, spec).await
    }

    async fn probe(&self, keys: &[TerminalKey]) -> HashMap<SessionId, Liveness> {
        let all = keys.to_vec();
        let look = tokio::task::spawn_blocking(move || {
            all.into_iter().map(|key| (launch::probe_terminal(&key), key)).collect::<Vec<_>>()
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
        Ok(shown::trimmed(&self.shown(key, Shown::Screen).await?, None))
    }

    async fn output(&self, key: &TerminalKey, lines: usize) -> Result<String, RuntimeError> {
        Ok(shown::trimmed(&self.shown(key, Shown::Everything).await?, Some(lines)))
    }

    async fn input(&self, key: &TerminalKey, bytes: &[u8]) -> Result<(), RuntimeError> {
        match launch::probe_terminal(key) {
            Liveness::Alive(_) => {}
            Liveness::Dead(_) => return Err(self.no_terminal(key)),
            Liveness::Unknown(cause) => return Err(self.failed("type into the terminal", cause)),
        }
        let typed = self.multiplexer.server(key).type_bytes(bytes).await;
        typed.map_err(|cause| self.failed("type into the terminal", cause))
    }

    async fn attach(&self, key: &TerminalKey, newcomer: Newcomer) -> Result<Attached, RuntimeError> {
        const ACTION: &str = "attach to the terminal";
        match launch::probe_terminal(key) {
            Liveness::Alive(_) => {}
            Liveness::Dead(_) => return Err(self.no_terminal(key)),
            Liveness::Unknown(cause) => return Err(self.failed(ACTION, cause)),
        }
        let server = self.multiplexer.server(key);
        let client = self.multiplexer.client(&server).await.map_err(|cause| self.failed(ACTION, cause))?;
        let audience = self.audiences.of(server.directory());
        view::attach(client, newcomer, &audience, &self.kind, &key.session_dir)
            .await
            .map_err(|error| self.failed(ACTION, error))
    }

    async fn ended(&self, key: &TerminalKey) {
        launch::ended(&key.session_dir).await;
    }

    async fn remarks(&self, key: &TerminalKey) -> Vec<String> {
        launch::remarks(&key.session_dir)
    }

    async fn has_launched(&self, key: &TerminalKey, marks: &Marks) -> bool {
        launch::has_launched(&key.session_dir, marks)
    }

    async fn set_aside(&self, key: &TerminalKey) -> Result<(), RuntimeError> {
        let server = self.multiplexer.server(key);
        let _turn = self.turns.of(server.directory()).lock_owned().await;
        launch::set_aside(&self.kind, key, create::end_earlier(&server, &key.session_dir)).await
    }

    async fn put_back(&self, key: &TerminalKey) -> Result<(), RuntimeError> {
        let server = self.multiplexer.server(key);
        let _turn = self.turns.of(server.directory()).lock_owned().await;
        launch::put_back(&self.kind, key, create::end_earlier(&server, &key.session_dir)).await
    }

    async fn forget_aside(&self, key: &TerminalKey) -> Result<(), RuntimeError> {
        launch::forget_aside(&self.kind, key)
    }

    async fn stop(&self, key: &TerminalKey, grace: Duration) -> Result<Option<Exit>, RuntimeError> {
        let server = self.multiplexer.server(key);
        let _turn = self.turns.of(server.directory()).lock_owned().await;
        let stopped = launch::stop_terminal(key, grace).await;
        // The server goes too when something of the agent could not be ended.
        let ended = end::end(&server).await;
        let exit = stopped.map_err(|error| self.failed("end the agent", error))?;
        ended.map_err(|error| self.failed("end the terminal", error))?;
        Ok(exit)
    }
}
