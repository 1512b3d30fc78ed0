//! What does somebody who is attached to an agent's terminal see, and what do they type?

use std::fmt;

use async_trait::async_trait;

use super::runtime::{RuntimeError, TerminalSize};
use crate::domain::exit::Exit;

/// Somebody who comes to a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newcomer {
    /// The size of their own terminal.
    pub size: TerminalSize,
    /// Whether they only watch: the agent's terminal keeps the size it has without them, and what they would type is not typed.
    pub is_watching: bool,
}

/// One viewer of a terminal, as [`Runtime::attach`](super::runtime::Runtime::attach) gives it. Leaves when its parts are dropped.
pub struct Attached {
    /// What the viewer sees.
    pub view: Box<dyn TerminalView>,
    /// What the viewer does.
    pub keys: Box<dyn TerminalKeys>,
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached").finish_non_exhaustive()
    }
}

/// Something to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The size of the agent's terminal, as it is now: smaller than the viewer's where another one has less room, larger where the viewer only
    /// watches.
    Size(TerminalSize),
    /// What the viewer's terminal has to be written to show what the agent's does. The first one does that from whatever was there. It asks
    /// the viewer's terminal nothing, and ends in no sequence begun.
    Picture(Vec<u8>),
    /// The agent has ended; nothing follows.
    Ended(Exit),
}

/// What a viewer sees.
///
/// # Contract
/// - Each picture holds what changed since the one before. A viewer that asks for the next one late is given fewer, never half of one, and
///   nothing is kept for it meanwhile but what it sees.
/// - The size is told at the beginning and whenever it changes. A runtime that cannot tell it tells none.
/// - Where the agent's terminal is the larger one, a picture shows the part of it that holds the cursor.
#[async_trait]
pub trait TerminalView: Send {
    /// What is to see next, which is waited for. Not to be asked again after the answer was not waited for.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] when the terminal cannot be seen any more although its agent may run.
    async fn next(&mut self) -> Result<Seen, RuntimeError>;
}

/// What a viewer does.
#[async_trait]
pub trait TerminalKeys: Send {
    /// Types bytes, as the viewer's keyboard gave them. May wait while the agent does not read; nothing is typed for an agent that has ended.
    /// What was typed before its viewer left is typed, unless the agent does not read it within a second.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] when the terminal is not there any more.
    async fn type_bytes(&mut self, bytes: &[u8]) -> Result<(), RuntimeError>;

    /// The viewer's terminal has another size. The next picture shows everything anew.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`] when the terminal is not there any more.
    async fn resize(&mut self, size: TerminalSize) -> Result<(), RuntimeError>;
}
