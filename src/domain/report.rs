//! What an agent's hook told.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::id::{AgentKind, SessionId};

/// Hooks that run at every tool call, in all agents that ao knows.
const ROUTINE: [&str; 4] = ["PreToolUse", "PostToolUse", "PostToolUseFailure", "PostToolBatch"];

/// A field that ao adds to a payload from whose tool input it left something out, for its size.
pub const LEFT_OUT: &str = "ao_left_out";

/// What one call of an agent's hook told, as it travels from `ao hook` to the daemon, by socket or spool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HookReport {
    /// The session whose agent called.
    pub session: SessionId,
    /// The agent whose words these are.
    pub agent: AgentKind,
    /// The hook's name, for example `PostToolUse`.
    pub event: String,
    /// When the hook was called.
    pub at: Timestamp,
    /// What the hook was given.
    pub payload: serde_json::Value,
}

impl HookReport {
    /// Whether it tells no more than that the agent is at work: the next one of its session says as much. Starts, prompts, the
    /// ends of turns and conversations, and what a person is asked are not routine.
    #[must_use]
    pub fn is_routine(&self) -> bool {
        ROUTINE.contains(&self.event.as_str())
    }
}
