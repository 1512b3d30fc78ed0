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
/// - Everything is asked in the process of a hook, while the agent waits: it is quick, waits for nobody, and changes nothing. The same question
///   has the same answer for as long as the agent's own record is the same.
/// - `event` is the hook's name and `payload` what it was given, as for [`Agent::interpret`](super::agent::Agent::interpret). What is not known
///   takes no text, and whatever they hold, nothing here fails.
/// - A call's route fits what [`Agent::interpret`](super::agent::Agent::interpret) makes of it: by [`Route::EndOfTurn`] the turn would be over,
///   by [`Route::NextPrompt`] one begins, by [`Route::BetweenTools`] it goes on. So who waits beside an idle agent is told when it is idle.
/// - The record of a handover lies where whoever works in the workspace can write. Nothing fails because of what is there, and no text counts as
///   taken because that says so.
pub trait TextHooks: Send + Sync {
    /// By which route text can be handed over in this hook; `None` when it takes none. Never by [`Route::Wake`], which who waits beside an
    /// idle agent takes unasked, nor by [`Route::Terminal`].
    fn route(&self, event: &str, payload: &Value) -> Option<Route>;

    /// The answer that hands text over by this route, so that the agent reads it byte for byte; never [that of a hook that has
    /// none](HookAnswer::default). For [`Route::Wake`] it is the answer of who began to wait in this hook. [`Route::Terminal`] is no hook's.
    fn hand_over(&self, event: &str, route: Route, text: &str) -> HookAnswer;

    /// How much text the agent takes at once by this route, in bytes; what is longer it is told where to read. At least 1024: what tells that
    /// has to find room.
    fn most_bytes(&self, route: Route) -> usize;

    /// Where the agent's own record stands now, for [`seen`](TextHooks::seen) to look from there on. It is kept beside the message and
    /// has 32 KiB as JSON at most.
    fn trace(&self, payload: &Value) -> Value;

    /// What became of text with this id in it, that was handed over so. What stood in the agent's record before is not it. Once the agent has
    /// taken it, it is [`Taken`](Seen::Taken) for every later call, or [`Unknown`](Seen::Unknown): anything else would have it handed over again.
    fn seen(&self, event: &str, payload: &Value, id: &MessageId, handover: &Handover) -> Seen;
}
