//! How does an agent take text through its own hooks?

use serde_json::Value;

use super::mailbox::Handover;
use crate::domain::id::MessageId;
use crate::domain::message::Route;

/// What a hook answers to its agent: what it prints and how it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HookAnswer {
    /// What it prints on standard output.
    pub stdout: String,
    /// What it prints on standard error.
    pub stderr: String,
    /// Its exit code.
    pub code: u8,
}

/// What became of text that an agent was handed, as its own record tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// It is in the conversation.
    Taken,
    /// The agent has it, and will get to it.
    Held,
    /// The agent's record says nothing of it.
    Missing,
    /// The agent's record cannot be read.
    Unknown,
}

/// An agent whose hooks can hand it text.
///
/// # Contract
/// - Everything is asked in the process of a hook, while the agent waits: it is quick, and changes nothing.
/// - `event` is the hook's name and `payload` what it was given, as for [`Agent::interpret`](super::agent::Agent::interpret).
pub trait TextHooks: Send + Sync {
    /// By which route text can be handed over in this hook; `None` when it takes none.
    fn route(&self, event: &str, payload: &Value) -> Option<Route>;

    /// The answer that hands text over by this route.
    fn hand_over(&self, event: &str, route: Route, text: &str) -> HookAnswer;

    /// How much text the agent takes at once by this route, in bytes; what is longer it is told where to read.
    fn most_bytes(&self, route: Route) -> usize;

    /// Where the agent's own record stands now, for [`seen`](TextHooks::seen) to look from there on.
    fn trace(&self, payload: &Value) -> Value;

    /// What became of text with this id in it, that was handed over so.
    fn seen(&self, event: &str, payload: &Value, id: &MessageId, handover: &Handover) -> Seen;
}
