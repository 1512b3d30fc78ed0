//! What an agent's hook told.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::id::{AgentKind, SessionId};

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
