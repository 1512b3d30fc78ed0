//! What the change log records.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Timestamp;
use super::id::{ProjectId, SessionId};
use super::session::Activity;

/// What happened, by name. The names are part of the public contract of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ChangeKind {
    /// A repository was registered.
    #[serde(rename = "project.added")]
    ProjectAdded,
    /// A repository was taken off the register.
    #[serde(rename = "project.removed")]
    ProjectRemoved,
    /// A person accepted a version of a project's `ao.toml`; `data.digest` names it.
    #[serde(rename = "project.trusted")]
    ProjectTrusted,
    /// A session was recorded; nothing has been built for it yet. `data.branch` is its branch, `data.key` a mark of its `Idempotency-Key`'s use, if one came.
    #[serde(rename = "session.recorded")]
    SessionRecorded,
    /// A session waits in line for a place; `data.ahead` says how many are before it.
    #[serde(rename = "session.queued")]
    SessionQueued,
    /// An ended session is built again.
    #[serde(rename = "session.restoring")]
    SessionRestoring,
    /// A restore failed, and the session is over as it was before; `data.cause` says why.
    #[serde(rename = "session.restore_failed")]
    SessionRestoreFailed,
    /// A session's provisioning took a step; `data.step` names it.
    #[serde(rename = "session.step")]
    SessionStep,
    /// A command of the project's setup or teardown begins; `data.stage` says which, `data.command` is the command.
    #[serde(rename = "session.setup")]
    SessionSetup,
    /// Something a person should know happened on the way; `data.note` says what.
    #[serde(rename = "session.note")]
    SessionNote,
    /// The agent was seen running; `data.pid` is its process id.
    #[serde(rename = "session.live")]
    SessionLive,
    /// The agent reported itself ready for work.
    #[serde(rename = "session.ready")]
    SessionReady,
    /// The agent's activity changed; `data.activity` names it, and `data.turn_failure` why its turn failed, if it did.
    #[serde(rename = "session.activity")]
    SessionActivity,
    /// The agent asks for a permission; `data.request` is the request's id, `data.tool` and `data.about` say for what.
    #[serde(rename = "session.asked")]
    SessionAsked,
    /// No hook waits any more for the answer to a request: only the agent's terminal can give it; `data` is as in `session.asked`, which comes again
    /// should a hook wait after all.
    #[serde(rename = "session.unheard")]
    SessionUnheard,
    /// A request for a permission was decided; `data.decision` says how and by whom, and by which rule, the rest is as in `session.asked`.
    #[serde(rename = "session.decided")]
    SessionDecided,
    /// A request for a permission was answered elsewhere, as on the agent's terminal, or its agent ended before anybody had answered
    /// (`data.agent_ended`); the rest of `data` is as in `session.asked`.
    #[serde(rename = "session.settled")]
    SessionSettled,
    /// The session ended; `data.phase` is how, and why in `data.phase.reason`.
    #[serde(rename = "session.terminated")]
    SessionTerminated,
    /// The session's workspace was removed or kept; `data.removal` says which and what became of its work, `data.note` the same for a person.
    #[serde(rename = "session.workspace")]
    SessionWorkspace,
    /// The record of an ended session was removed, for it was kept long enough.
    #[serde(rename = "session.removed")]
    SessionRemoved,
    /// A message waits for its session's agent; `data.message` is its id, `data.from` the session that sent it, if one did, or `ao`. So it is with each
    /// kind that follows.
    #[serde(rename = "message.queued")]
    MessageQueued,
    /// A message was handed to the agent; `data.via` names the route.
    #[serde(rename = "message.injected")]
    MessageInjected,
    /// The agent was seen to have taken a message.
    #[serde(rename = "message.acknowledged")]
    MessageAcknowledged,
    /// The agent ended before it was seen to have taken a message, which goes to the next one.
    #[serde(rename = "message.returned")]
    MessageReturned,
    /// A message cannot reach the agent; `data.error` says why.
    #[serde(rename = "message.failed")]
    MessageFailed,
}

impl ChangeKind {
    /// The name, for example `session.live`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProjectAdded => "project.added",
            Self::ProjectRemoved => "project.removed",
            Self::ProjectTrusted => "project.trusted",
            Self::SessionRecorded => "session.recorded",
            Self::SessionQueued => "session.queued",
            Self::SessionRestoring => "session.restoring",
            Self::SessionRestoreFailed => "session.restore_failed",
            Self::SessionStep => "session.step",
            Self::SessionSetup => "session.setup",
            Self::SessionNote => "session.note",
            Self::SessionLive => "session.live",
            Self::SessionReady => "session.ready",
            Self::SessionActivity => "session.activity",
            Self::SessionAsked => "session.asked",
            Self::SessionUnheard => "session.unheard",
            Self::SessionDecided => "session.decided",
            Self::SessionSettled => "session.settled",
            Self::SessionTerminated => "session.terminated",
            Self::SessionWorkspace => "session.workspace",
            Self::SessionRemoved => "session.removed",
            Self::MessageQueued => "message.queued",
            Self::MessageInjected => "message.injected",
            Self::MessageAcknowledged => "message.acknowledged",
            Self::MessageReturned => "message.returned",
            Self::MessageFailed => "message.failed",
        }
    }
}

/// A change before the log gave it a number.
#[derive(Debug, Clone, PartialEq)]
pub struct NewChange {
    /// What happened.
    pub kind: ChangeKind,
    /// Details, an object whose fields depend on the kind.
    pub data: serde_json::Value,
}

impl NewChange {
    /// A change with details.
    #[must_use]
    pub fn new(kind: ChangeKind, data: serde_json::Value) -> Self {
        Self { kind, data }
    }

    /// That an agent does something else now.
    #[must_use]
    pub fn activity(activity: Activity) -> Self {
        Self::new(ChangeKind::SessionActivity, json!({ "activity": activity }))
    }

    /// That an agent's turn is over, for something failed.
    #[must_use]
    pub fn turn_failed(activity: Activity, cause: &str) -> Self {
        Self::new(ChangeKind::SessionActivity, json!({ "activity": activity, "turn_failure": cause }))
    }
}

/// One entry of the change log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The entry's number: growing by one, never reused.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    pub kind: ChangeKind,
    /// The project it concerns.
    pub project: ProjectId,
    /// The session it concerns, if one.
    pub session: Option<SessionId>,
    /// Details, an object whose fields depend on the kind.
    pub data: serde_json::Value,
}
