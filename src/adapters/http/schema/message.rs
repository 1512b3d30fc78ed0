//! Messages, the change log, and what hooks report.

use super::{object, same_schema, words};
use crate::domain::Timestamp;
use crate::domain::change::{Change, ChangeKind};
use crate::domain::id::{AgentKind, MessageId, ProjectId, SessionId};
use crate::domain::message::{Message, MessageRecord, MessageState, Route};
use crate::domain::report::HookReport;
use crate::domain::sender::Sender;

object! {
    /// Text for a session's agent, and what became of it.
    SentMessage(MessageRecord) {
        /// The message.
        #[serde(flatten)]
        message: Message,
        /// What became of it.
        state: MessageState,
        /// How the agent was handed it, last.
        via: Option<Route>,
        /// When the agent was handed it, last.
        injected_at: Option<Timestamp>,
        /// When the agent was seen to have taken it.
        acknowledged_at: Option<Timestamp>,
        /// Why it cannot reach the agent, or did not reach the one before.
        error: Option<String>,
    } skip { depth }
}

object! {
    /// Text for a session's agent.
    MessageText(Message) {
        /// The message's id.
        id: MessageId,
        /// The session it is for.
        session: SessionId,
        /// Who sent it: null for a person, `ao`, or a session's id.
        #[schema(value_type = Option<String>)]
        from: Sender,
        /// The text.
        body: String,
        /// When it was accepted.
        created_at: Timestamp,
    }
}

words! {
    /// What became of a message.
    Delivery(MessageState) {
        Queued = "queued",
        Injected = "injected",
        Acknowledged = "acknowledged",
        Returned = "returned",
        Failed = "failed",
    }
}

words! {
    /// How an agent was handed a message.
    DeliveryRoute(Route) {
        BetweenTools = "between_tools",
        EndOfTurn = "end_of_turn",
        NextPrompt = "next_prompt",
        Wake = "wake",
        Terminal = "terminal",
    }
}

object! {
    /// One entry of the change log.
    Event(Change) {
        /// The entry's number: growing by one, never reused.
        seq: u64,
        /// When it was recorded.
        at: Timestamp,
        /// What happened.
        kind: ChangeKind,
        /// The project it concerns.
        project: ProjectId,
        /// The session it concerns, if one.
        session: Option<SessionId>,
        /// Details, an object whose fields depend on the kind.
        data: serde_json::Value,
    }
}

words! {
    /// What happened.
    EventKind(ChangeKind) {
        ProjectAdded = "project.added",
        ProjectRemoved = "project.removed",
        ProjectTrusted = "project.trusted",
        SessionRecorded = "session.recorded",
        SessionQueued = "session.queued",
        SessionRestoring = "session.restoring",
        SessionRestoreFailed = "session.restore_failed",
        SessionStep = "session.step",
        SessionSetup = "session.setup",
        SessionNote = "session.note",
        SessionLive = "session.live",
        SessionReady = "session.ready",
        SessionActivity = "session.activity",
        SessionAsked = "session.asked",
        SessionUnheard = "session.unheard",
        SessionDecided = "session.decided",
        SessionSettled = "session.settled",
        SessionTerminated = "session.terminated",
        SessionWorkspace = "session.workspace",
        SessionRemoved = "session.removed",
        MessageQueued = "message.queued",
        MessageInjected = "message.injected",
        MessageAcknowledged = "message.acknowledged",
        MessageReturned = "message.returned",
        MessageFailed = "message.failed",
    }
}

object! {
    /// What one call of an agent's hook told.
    Report(HookReport) {
        /// The session whose agent called.
        session: SessionId,
        /// The agent whose words these are.
        agent: AgentKind,
        /// The hook's name, for example `PostToolUse`.
        event: String,
        /// When the hook was called.
        at: Timestamp,
        /// What the hook was given.
        payload: serde_json::Value,
    }
}
