//! Text on its way to an agent.

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::id::{MessageId, SessionId};

/// Text for one session's agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The message's id.
    pub id: MessageId,
    /// The session it is for.
    pub session: SessionId,
    /// The session that sent it; `None` when a person did.
    pub from: Option<SessionId>,
    /// The text. Never empty.
    pub body: String,
    /// When it was accepted.
    pub created_at: Timestamp,
}
