//! Where does an agent's terminal live, and does its process?

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::agent::AgentCommand;
use super::terminal_view::{Attached, Newcomer};
use crate::domain::exit::Exit;
use crate::domain::id::{RuntimeKind, SessionId};
use crate::domain::session::ProcessIdentity;

/// Why a runtime could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// It cannot be used on this machine as it is.
    #[error("the {runtime} runtime cannot be used: {cause}")]
    Unusable {
        /// The runtime.
        runtime: RuntimeKind,
        /// Why.
        cause: String,
        /// What to do about it.
        hint: String,
    },
    /// A terminal could not be made, or was made and the agent never ran in it. Nothing of it is left.
    #[error("cannot start the agent in a {runtime} terminal: {cause}")]
    CannotCreate {
        /// The runtime.
        runtime: RuntimeKind,
        /// Why.
        cause: String,
        /// How the agent's process ended, when it ran and ended at once.
        exit: Option<Exit>,
        /// The end of what was printed, when anything was.
        output_tail: String,
    },
    /// There is no terminal of that session.
    #[error("there is no {runtime} terminal for session {session}")]
    NoTerminal {
        /// The runtime.
        runtime: RuntimeKind,
        /// The session.
        session: SessionId,
    },
    /// The runtime did not answer, or not in time. What it was asked may or may not have happened.
    #[error("the {runtime} runtime failed to {action}: {cause}")]
    Failed {
        /// The runtime.
        runtime: RuntimeKind,
        /// What was attempted.
        action: &'static str,
        /// Why it failed.
        cause: String,
    },
}

impl RuntimeError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Unusable { hint, .. } => Some(hint),
            _ => None,
        }
    }
}

/// Where a session's terminal keeps its files, and which session it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TerminalKey {
    /// The session.
    pub session: SessionId,
    /// The session's private directory (0700), which exists.
    pub session_dir: PathBuf,
    /// The agent's process, as far as it is on record elsewhere: what that directory says can be deleted by anybody.
    pub agent: Option<ProcessIdentity>,
}

/// What a terminal is to run.
#[derive(Debug, Clone)]
pub struct TerminalSpec {
    /// Which terminal.
    pub key: TerminalKey,
    /// The agent's command.
    pub command: AgentCommand,
    /// The whole environment beside `command.env`, which wins.
    pub base_env: BTreeMap<String, String>,
    /// The working directory.
    pub cwd: PathBuf,
    /// The size the terminal starts with, where the runtime lets one choose.
    pub size: TerminalSize,
    /// What bounds the agent's process tree; `None` for nothing.
    pub confinement: Option<Confinement>,
}

/// What bounds an agent's process tree: a control group of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The group (a directory) in which the agent's is made.
    pub parent: PathBuf,
    /// How much memory the agent may use, with everything it starts; `None` for as much as there is.
    pub memory_max_bytes: Option<u64>,
}

/// The size of a terminal in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub cols: u16,
}

impl Default for TerminalSize {
    fn default() -> Self {
        Self { rows: 40, cols: 120 }
    }
}

/// The environment variable that marks every process of one launch of an agent, with a value that was made up for that launch. A service that must
/// outlive the agent that started it (a daemon) removes it from its own environment and makes its own kernel session.
pub const LAUNCH_ID_VARIABLE: &str = "AO_LAUNCH_ID";

/// What a process bears of an agent's launch, also when it has left that one's family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// What [`LAUNCH_ID_VARIABLE`] is in its environment and in those of the processes it descends from.
    pub launches: Vec<String>,
    /// Its control group, a directory.
    pub group: Option<PathBuf>,
}

impl Marks {
    /// Whether it bears none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.launches.is_empty() && self.group.is_none()
    }
}

/// Which lines are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinesFrom {
    /// Those from this number on.
    Number(u64),
    /// The last ones, so many.
    Last(usize),
}

/// Lines of a terminal, numbered from 0 on in the order in which they scroll off its screen. Those of an earlier launch do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NumberedLines {
    /// The number of the first one here.
    pub first: u64,
    /// They, one after the other.
    pub lines: Vec<String>,
    /// Those before this number have scrolled off, and never change; those from it on are on the screen.
    pub settled: u64,
    /// Whether there are no more now: the last one here is the last on the screen.
    pub is_last: bool,
}

impl NumberedLines {
    /// Lines, all fields in order.
    #[must_use]
    pub fn new(first: u64, lines: Vec<String>, settled: u64, is_last: bool) -> Self {
        Self { first, lines, settled, is_last }
    }
}

/// What is known about the agent's process. Three answers: a failed probe is [`Liveness::Unknown`], never death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Liveness {
    /// It runs.
    Alive(ProcessIdentity),
    /// It was seen dead, or nothing of its terminal is left.
    Dead(Exit),
    /// It could not be found out.
    Unknown(String),
}

/// One place where agents' terminals live.
///
/// # Contract
/// - A terminal is named by its session; [`create`](Runtime::create) for a session whose terminal has ended replaces it,
///   for one that still runs it is refused. What the ended one left running, because who would have ended it was killed, ends first.
/// - [`create`](Runtime::create) answers `Ok` only when the agent's process was seen running, and then gives its identity;
///   a process that ran and ended between is reported as running, and the next probe says how it ended. On `Err` no
///   process and no terminal of it is left. Any number of calls may run at once, and none is lost.
/// - The agent is the terminal's only foreground program: when it exits, no shell is left that could take input, and its
///   exit is on record in the session's directory before the probe says [`Liveness::Dead`].
/// - What the agent leaves running in the background ends with it, before its exit is on record.
/// - Terminals outlive this process. An adapter that is made anew finds them by their keys.
/// - [`probe`](Runtime::probe) is one batched look, answers for every key it was given, and never blocks for longer than
///   two seconds.
/// - An agent that the key names and that runs is not dead because the records of its terminal are gone; [`stop`](Runtime::stop) ends it.
/// - What an ended terminal left is lost with the next [`create`](Runtime::create), unless it was [set aside](Runtime::set_aside):
///   then it is there, whoever dies, until it is [put back](Runtime::put_back) or [forgotten](Runtime::forget_aside).
/// - [`stop`](Runtime::stop) is idempotent; a terminal that is not there is success.
/// - Neither the prompt nor an environment value shows in any process's command line, and no environment value is on disk once
///   the agent runs, has ended, was stopped, or could not be started.
/// - What only a shell would expand is passed on as it is: programs are started without a shell.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Its name.
    fn kind(&self) -> &RuntimeKind;

    /// Whether it can be used, and its version where it has one. Changes nothing.
    ///
    /// # Errors
    /// [`RuntimeError::Unusable`] with a hint.
    async fn preflight(&self) -> Result<Option<String>, RuntimeError>;

    /// Makes the terminal and starts the agent in it.
    ///
    /// # Errors
    /// [`RuntimeError::CannotCreate`], after everything was undone.
    async fn create(&self, spec: &TerminalSpec) -> Result<ProcessIdentity, RuntimeError>;

    /// Whether the agents of these terminals run. Answers for each key.
    async fn probe(&self, keys: &[TerminalKey]) -> HashMap<SessionId, Liveness>;

    /// The terminal's screen as lines of text, without trailing blanks; after the agent's end the last one, where it was kept.
    ///
    /// # Errors
    /// [`RuntimeError::NoTerminal`] when there is and was none.
    async fn screen(&self, key: &TerminalKey) -> Result<String, RuntimeError>;

    /// The last `lines` lines of what the terminal showed, scrollback included, as plain text.
    ///
    /// # Errors
    /// [`RuntimeError::NoTerminal`] when there is and was none.
    async fn output(&self, key: &TerminalKey, lines: usize) -> Result<String, RuntimeError>;

    /// The same lines by their numbers, so that who reads them again and again knows which are new and which are gone: from the one that is asked
    /// for, or the first on the screen if that is earlier; a part of them where they are many. They begin later where earlier ones are not kept.
    ///
    /// `None`, the default, of a terminal whose lines nobody counts: then the [`output`](Runtime::output) is compared.
    ///
    /// # Errors
    /// [`RuntimeError::NoTerminal`] when there is and was none.
    async fn lines(&self, key: &TerminalKey, from: LinesFrom) -> Result<Option<NumberedLines>, RuntimeError> {
        let _ = (key, from);
        Ok(None)
    }

    /// Types bytes into the terminal, as a keyboard would.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] when the agent does not take them in time: a beginning of them may have been typed, and what was not
    /// handed to the terminal or its multiplexer by then is never typed later.
    ///
    /// [`RuntimeError::NoTerminal`] when the agent does not run any more: nothing is ever typed for nobody.
    async fn input(&self, key: &TerminalKey, bytes: &[u8]) -> Result<(), RuntimeError>;

    /// Comes as one more viewer. Several may be there at once. The agent's terminal has a size that all who do not only watch have room for,
    /// and keeps it when the last of them leaves. Whoever is slow, stuck or gone holds neither the agent nor another one up.
    ///
    /// # Errors
    /// [`RuntimeError::NoTerminal`] when the agent does not run any more; [`RuntimeError::Failed`], always of a runtime that cannot show its
    /// terminals.
    async fn attach(&self, key: &TerminalKey, newcomer: Newcomer) -> Result<Attached, RuntimeError> {
        let _ = (key, newcomer);
        let cause = "it cannot show its terminals".to_owned();
        Err(RuntimeError::Failed { runtime: self.kind().clone(), action: "attach to the terminal", cause })
    }

    /// Returns as soon as the runtime learns that the agent of this terminal may have ended, without being asked again and again:
    /// by then its exit is on record where it ever will be. It may return early, and the [`probe`](Runtime::probe) says what is
    /// so. A runtime that cannot learn of an end by itself never returns. Dropping the call gives up what it holds.
    async fn ended(&self, key: &TerminalKey) {
        let _ = key;
        std::future::pending::<()>().await;
    }

    /// What a person should know of how the agent of the last launch ran, beside its exit: that it ran out of memory, or
    /// without the bounds it should have had.
    async fn remarks(&self, key: &TerminalKey) -> Vec<String>;

    /// Whether a process with these marks is of this terminal's last launch. Where that cannot be found out it is not known to be.
    async fn has_launched(&self, key: &TerminalKey, marks: &Marks) -> bool;

    /// Sets aside what an ended terminal left, its exit and what it showed: until the next [`create`](Runtime::create) the session has no
    /// terminal. Of a session that has none, that is what is set aside. The caller sees to it that nothing else is set aside already.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] when the agent may still run, or it cannot be moved; everything is where it was then.
    async fn set_aside(&self, key: &TerminalKey) -> Result<(), RuntimeError>;

    /// Makes what was set aside the session's terminal again, in place of what a later one left. Idempotent: when nothing is set aside,
    /// nothing changes.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] when the later terminal's agent may still run, or it cannot be moved; to try again is to go on.
    async fn put_back(&self, key: &TerminalKey) -> Result<(), RuntimeError>;

    /// Removes what was set aside; success when nothing is.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] when something of it is left.
    async fn forget_aside(&self, key: &TerminalKey) -> Result<(), RuntimeError>;

    /// Ends the agent's process tree and its terminal: asks, waits for `grace`, then insists. Gives how the agent ended, when
    /// that is known; `None` when there was nothing to stop.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] when something of it could not be ended.
    async fn stop(&self, key: &TerminalKey, grace: Duration) -> Result<Option<Exit>, RuntimeError>;
}
