//! The `pty` runtime: needs nothing installed. Each session has a [`holder`], a process of this same binary that owns the agent's
//! terminal and outlives the daemon.
//!
//! | Module | Holds |
//! | --- | --- |
//! | [`holder`] | the process: terminal, agent, end |
//! | [`protocol`] | what is spoken on its socket |
//! | `server`, `client` | both sides of it |
//! | `viewers`, `view` | those who are attached, in the holder and in the daemon |
//! | `paint` | what shows it to those who are attached |
//! | `screen`, `limits` | the model of what the terminal shows, and what keeps it small |
//! | `scrolled`, `line_log`, `lines` | the lines that scroll off: seen, on disk, and read by number |
//! | [`scrollback`] | the raw output on disk |
//!
//! Beside the records of every launch ([`super::launch`]) a session's `terminal/` directory holds: `socket` (the path of the holder's
//! socket), `scrollback.log` and `scrollback.old.log` (raw output, by default at most 4 MiB together), `lines/` (about as much of the lines that scrolled off), `holder.log` (what the holder complained about),
//! and after the end `screen.txt` and `output.txt`.

mod client;
pub mod holder;
mod limits;
mod line_log;
mod lines;
pub(super) mod paint;
pub mod protocol;
pub(super) mod screen;
pub mod scrollback;
mod scrolled;
mod server;
mod view;
mod viewers;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

pub(super) use self::view::after_the_end;

use self::client::AskError;
use self::protocol::Request;
use self::screen::{HISTORY_LINES, Screen, last_lines};
use self::scrollback::SCROLLBACK_BYTES;
use super::launch::{self, LaunchSpec};
use crate::domain::exit::Exit;
use crate::domain::id::{RuntimeKind, SessionId};
use crate::domain::session::ProcessIdentity;
use crate::fault::{self, Point};
use crate::platform::detached::Detached;
use crate::platform::{file, socket};
use crate::ports::runtime::{
    LAUNCH_ID_VARIABLE, LinesFrom, Liveness, Marks, NumberedLines, Runtime, RuntimeError, TerminalKey, TerminalSpec,
};
use crate::ports::terminal_view::{Attached, Newcomer};

/// How long a new terminal may take until its agent is seen running. Much, because a loaded machine is slow, not broken.
const START_BOUND: Duration = Duration::from_secs(20);
/// How long a holder may take to answer.
const ANSWER_BOUND: Duration = Duration::from_secs(5);
/// How long a look at all terminals may take.
const PROBE_BOUND: Duration = Duration::from_secs(2);
/// The longest path a socket can have everywhere (macOS: 103 bytes), with room for the unfinished name.
const MAX_SOCKET_PATH_BYTES: usize = 100;

/// How much raw output a screen is made of again, in bytes: more than its lines can hold, as a rule.
const REREAD_BYTES: u64 = 4 * 1024 * 1024;

const SCREEN_FILE: &str = "screen.txt";
const OUTPUT_FILE: &str = "output.txt";
const SOCKET_FILE: &str = "socket";
const LOG_FILE: &str = "holder.log";

/// Terminals held by processes of ao's own.
#[derive(Debug)]
pub struct PtyRuntime {
    kind: RuntimeKind,
    ao_program: PathBuf,
    socket_dir: PathBuf,
    scrollback_bytes: u64,
}

impl PtyRuntime {
    /// `ao_program` is the absolute path of this binary, which holds terminals when called as `ao holder`. `socket_dir` is where holders
    /// put their sockets: a directory of this user alone (made when it is missing), with a path short enough for sockets in it.
    /// Terminals that run already keep theirs, wherever it is.
    ///
    /// # Panics
    /// Never: the name is valid.
    #[must_use]
    pub fn new(ao_program: PathBuf, socket_dir: PathBuf) -> Self {
        #[expect(clippy::expect_used, reason = "`pty` is a valid name")]
        let kind = RuntimeKind::new("pty").expect("a lower-case word");
        Self { kind, ao_program, socket_dir, scrollback_bytes: SCROLLBACK_BYTES }
    }

    /// Keeps so many bytes of each new terminal's raw output on disk, instead of [`SCROLLBACK_BYTES`].
    #[must_use]
    pub fn keeping(self, scrollback_bytes: u64) -> Self {
        Self { scrollback_bytes, ..self }
    }

    fn unusable(&self, cause: String, hint: &str) -> RuntimeError {
        RuntimeError::Unusable { runtime: self.kind.clone(), cause, hint: hint.to_owned() }
    }

    fn failed(&self, action: &'static str, cause: &dyn fmt::Display) -> RuntimeError {
        RuntimeError::Failed { runtime: self.kind.clone(), action, cause: cause.to_string() }
    }

    fn no_terminal(&self, key: &TerminalKey) -> RuntimeError {
        RuntimeError::NoTerminal { runtime: self.kind.clone(), session: key.session.clone() }
    }

    fn cannot_create(&self, cause: &dyn fmt::Display) -> RuntimeError {
        let cause = cause.to_string();
        RuntimeError::CannotCreate { runtime: self.kind.clone(), cause, exit: None, output_tail: String::new() }
    }

    /// Makes the terminal. On an error something of it may be left.
    async fn try_create(&self, spec: &TerminalSpec) -> Result<ProcessIdentity, Trouble> {
        let session_dir = std::path::absolute(&spec.key.session_dir)?;
        socket::make_private(&self.socket_dir)?;
        let launch = LaunchSpec::new(spec)?;
        let socket = self.socket_dir.join(format!("{}.sock", launch.id.simple()));
        launch.write(&session_dir)?;
        let directory = launch::directory(&session_dir);
        file::write_atomically(&directory.join(SOCKET_FILE), socket.as_os_str().as_bytes(), 0o600)?;
        let mut holder = self.start_holder(spec, &session_dir, &socket)?;
        fault::reach(Point::PtyHolderStarted)?;
        tokio::select! {
            started = launch::await_start(&session_dir, START_BOUND) => match started {
                Err(launch::StartError::Abandoned) => Self::after_holder(&session_dir, holder.await).await,
                started => Ok(started?),
            },
            ended = &mut holder => Self::after_holder(&session_dir, ended).await,
        }
    }

    /// The holder is gone already: its agent ran and ended, or never ran.
    async fn after_holder(
        session_dir: &Path,
        ended: Result<io::Result<ExitStatus>, tokio::task::JoinError>,
    ) -> Result<ProcessIdentity, Trouble> {
        match launch::await_start(session_dir, Duration::ZERO).await {
            Err(launch::StartError::TimedOut(_) | launch::StartError::Abandoned) => {}
            known => return Ok(known?),
        }
        let how = match ended {
            Ok(Ok(status)) => format!("it ended with {status}"),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let log = file::read_if_there(&launch::directory(session_dir).join(LOG_FILE))?.unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        Err(Trouble(format!("the terminal's holder did not start the agent: {how} {}", last_lines(&log, 5))))
    }

    /// Starts the holder. The task collects it when it ends, and leaves it alone when this process ends first.
    fn start_holder(
        &self,
        spec: &TerminalSpec,
        session_dir: &Path,
        socket: &Path,
    ) -> io::Result<JoinHandle<io::Result<ExitStatus>>> {
        let bytes = self.scrollback_bytes.to_string();
        let args: [OsString; 7] = [
            "holder".into(),
            "--session-dir".into(),
            session_dir.into(),
            "--socket".into(),
            socket.into(),
            "--scrollback-bytes".into(),
            bytes.into(),
        ];
        let mut env = spec.base_env.clone();
        // The holder belongs to no launch, also when ao itself runs inside of one.
        env.remove(LAUNCH_ID_VARIABLE);
        let log = launch::directory(session_dir).join(LOG_FILE);
        let mut child = Detached::new(&self.ao_program, &args, &env, &log)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{error}: {}", self.ao_program.display())))?;
        Ok(tokio::spawn(async move { child.wait().await }))
    }

    /// Ends what is left of a terminal and forgets it.
    async fn undo(&self, session_dir: &Path) -> io::Result<()> {
        launch::stop(session_dir, Duration::ZERO).await?;
        remove_socket(session_dir)?;
        launch::discard(session_dir)
    }

    /// Asks the holder; `None` when there is no agent any more and what it left must answer.
    async fn ask(
        &self,
        key: &TerminalKey,
        action: &'static str,
        request: &Request,
        body: &[u8],
    ) -> Result<Option<Vec<u8>>, RuntimeError> {
        self.ask_by(key, action, async |socket| client::ask(socket, request, body).await).await
    }

    /// The same in whatever way the holder is asked.
    async fn ask_by<T>(
        &self,
        key: &TerminalKey,
        action: &'static str,
        ask: impl AsyncFnOnce(&Path) -> Result<T, AskError>,
    ) -> Result<Option<T>, RuntimeError> {
        if LaunchSpec::read(&key.session_dir).map_err(|error| self.failed(action, &error))?.is_none() {
            return Err(self.no_terminal(key));
        }
        if matches!(launch::probe_terminal(key), Liveness::Dead(_)) {
            return Ok(None);
        }
        let Some(socket) = socket_of(&key.session_dir).map_err(|error| self.failed(action, &error))? else {
            return Ok(None);
        };
        match tokio::time::timeout(ANSWER_BOUND, ask(&socket)).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(AskError::Ended)) => Ok(None),
            Ok(Err(AskError::Unreachable(_))) if !is_alive(&key.session_dir) => Ok(None),
            Ok(Err(error)) => Err(self.failed(action, &error)),
            Err(_elapsed) => Err(self.failed(action, &format!("no answer within {} s", ANSWER_BOUND.as_secs()))),
        }
    }

    /// A text the holder gives while it is there, and its files afterwards.
    async fn text(
        &self,
        key: &TerminalKey,
        action: &'static str,
        request: &Request,
        kept: &'static str,
    ) -> Result<String, RuntimeError> {
        if let Some(answer) = self.ask(key, action, request, b"").await? {
            return Ok(String::from_utf8_lossy(&answer).into_owned());
        }
        let session_dir = key.session_dir.clone();
        let read = tokio::task::spawn_blocking(move || kept_text(&session_dir, kept)).await;
        read.map_err(|error| self.failed(action, &error))?.map_err(|error| self.failed(action, &error))
    }
}

/// Why a terminal could not be made.
struct Trouble(String);

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<fault::Injected> for Trouble {
    fn from(injected: fault::Injected) -> Self {
        Self(injected.into())
    }
}

impl From<launch::StartError> for Trouble {
    fn from(error: launch::StartError) -> Self {
        Self(error.to_string())
    }
}

/// Calls the launch off when it is dropped, so that a holder that has not taken it yet never does.
struct CallOff<'a>(&'a Path);

impl Drop for CallOff<'_> {
    fn drop(&mut self) {
        // When it was taken, or cannot be written, the records say so to whoever looks next.
        let _ = launch::call_off(self.0);
    }
}

fn is_alive(session_dir: &Path) -> bool {
    matches!(launch::probe(session_dir), Liveness::Alive(_))
}

/// Where the session's holder listens; `None` when that is not on record.
fn socket_of(session_dir: &Path) -> io::Result<Option<PathBuf>> {
    let path = file::read_if_there(&launch::directory(session_dir).join(SOCKET_FILE))?;
    Ok(path.map(|path| PathBuf::from(std::ffi::OsStr::from_bytes(&path))))
}

/// Removes a socket that its holder could not remove any more.
fn remove_socket(session_dir: &Path) -> io::Result<()> {
    let Some(socket) = socket_of(session_dir)? else { return Ok(()) };
    file::remove_if_there(&socket.with_extension("new"))?;
    file::remove_if_there(&socket)
}

/// Ends what an earlier holder left that was killed: its launch's records, which are about to go, are what it is found by.
async fn end_earlier(session_dir: &Path) -> io::Result<()> {
    launch::stop(session_dir, Duration::ZERO).await?;
    remove_socket(session_dir)
}

/// The last screen or output; made again from the raw output when the holder could not keep it.
fn kept_text(session_dir: &Path, name: &str) -> io::Result<String> {
    let directory = launch::directory(session_dir);
    if let Some(text) = file::read_if_there(&directory.join(name))? {
        return Ok(String::from_utf8_lossy(&text).into_owned());
    }
    let Some(spec) = LaunchSpec::read(session_dir)? else { return Ok(String::new()) };
    let mut screen = Screen::new(spec.size);
    screen.feed(&scrollback::scrollback(REREAD_BYTES).read_last(&directory, REREAD_BYTES)?);
    Ok(if name == SCREEN_FILE { screen.text() } else { screen.output(usize::MAX) })
}

#[async_trait]
impl Runtime for PtyRuntime {
    fn kind(&self) -> &RuntimeKind {
        &self.kind
    }

    async fn preflight(&self) -> Result<Option<String>, RuntimeError> {
        if !file::is_executable(&self.ao_program) {
            let cause = format!("{} cannot be executed", self.ao_program.display());
            return Err(self.unusable(cause, "install ao where this user may execute it"));
        }
        let longest = self.socket_dir.join(format!("{}.sock", uuid::Uuid::nil().simple()));
        if longest.as_os_str().len() > MAX_SOCKET_PATH_BYTES {
            let cause = format!("{} is too long a path for a socket", longest.display());
            return Err(self.unusable(cause, "choose a shorter data directory"));
        }
        if let Err(error) = rustix::fs::access("/dev/ptmx", rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK)
        {
            let cause = format!("no pseudo-terminal can be opened: /dev/ptmx: {error}");
            return Err(self.unusable(cause, "mount devpts"));
        }
        Ok(None)
    }

    async fn create(&self, spec: &TerminalSpec) -> Result<ProcessIdentity, RuntimeError> {
        let session_dir = &spec.key.session_dir;
        launch::refuse_unless_dead(&spec.key).map_err(|cause| self.cannot_create(&cause))?;
        self.preflight().await?;
        end_earlier(session_dir).await.map_err(|error| self.cannot_create(&error))?;
        let call_off = CallOff(session_dir);
        let created = self.try_create(spec).await;
        drop(call_off);
        match created {
            Ok(agent) => Ok(agent),
            Err(Trouble(cause)) => match self.undo(session_dir).await {
                Ok(()) => Err(self.cannot_create(&cause)),
                Err(left) => Err(self.failed("undo a failed start", &format!("{left}, after: {cause}"))),
            },
        }
    }

    async fn probe(&self, keys: &[TerminalKey]) -> HashMap<SessionId, Liveness> {
        let asked = keys.to_vec();
        let look = tokio::task::spawn_blocking(move || {
            asked.into_iter().map(|key| (key.session.clone(), launch::probe_terminal(&key))).collect()
        });
        let unknown =
            |why: &str| keys.iter().map(|key| (key.session.clone(), Liveness::Unknown(why.to_owned()))).collect();
        match tokio::time::timeout(PROBE_BOUND, look).await {
            Ok(Ok(seen)) => seen,
            Ok(Err(error)) => unknown(&error.to_string()),
            Err(_elapsed) => unknown("reading the terminals' records took too long"),
        }
    }

    async fn screen(&self, key: &TerminalKey) -> Result<String, RuntimeError> {
        self.text(key, "show the screen", &Request::Screen, SCREEN_FILE).await
    }

    async fn lines(&self, key: &TerminalKey, from: LinesFrom) -> Result<Option<NumberedLines>, RuntimeError> {
        self.numbered(key, from).await
    }

    async fn output(&self, key: &TerminalKey, lines: usize) -> Result<String, RuntimeError> {
        // The model has no more.
        if lines > HISTORY_LINES
            && let Some(text) = self.kept_lines(key, lines).await?
        {
            return Ok(text);
        }
        let text = self.text(key, "show the output", &Request::Output { lines }, OUTPUT_FILE).await?;
        Ok(last_lines(&text, lines).to_owned())
    }

    async fn input(&self, key: &TerminalKey, bytes: &[u8]) -> Result<(), RuntimeError> {
        match self.ask(key, "type into the terminal", &Request::Input, bytes).await? {
            Some(_) => Ok(()),
            None => Err(self.no_terminal(key)),
        }
    }

    async fn attach(&self, key: &TerminalKey, newcomer: Newcomer) -> Result<Attached, RuntimeError> {
        let (kind, session_dir) = (&self.kind, &key.session_dir);
        let attach = async |socket: &Path| view::attach(socket, newcomer, kind, session_dir).await;
        self.ask_by(key, "attach to the terminal", attach).await?.ok_or_else(|| self.no_terminal(key))
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
        launch::set_aside(&self.kind, key, end_earlier(&key.session_dir)).await
    }

    async fn put_back(&self, key: &TerminalKey) -> Result<(), RuntimeError> {
        launch::put_back(&self.kind, key, end_earlier(&key.session_dir)).await
    }

    async fn forget_aside(&self, key: &TerminalKey) -> Result<(), RuntimeError> {
        launch::forget_aside(&self.kind, key)
    }

    async fn stop(&self, key: &TerminalKey, grace: Duration) -> Result<Option<Exit>, RuntimeError> {
        let stopped = launch::stop_terminal(key, grace).await;
        stopped
            .and_then(|exit| remove_socket(&key.session_dir).map(|()| exit))
            .map_err(|error| self.failed("end the agent", &error))
    }
}
