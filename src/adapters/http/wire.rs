//! Request and answer shapes of the API. [`crate::app::view`] and [`crate::app::spawn::SpawnRequest`] are the rest of it.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::app::kill::WorkspaceFate;
use crate::app::restore::RestoreAttempt;
use crate::app::view::SessionView;
use crate::app::wait::WaitOutcome;
use crate::domain::Timestamp;
use crate::domain::approval::{AnsweredRequest, Verdict};
use crate::domain::change::Change;
use crate::domain::exit::Exit;
use crate::domain::id::{MessageId, ProjectId, RequestId};
use crate::ports::workspace::OnWork;

/// The largest request body taken, in bytes: a prompt may be long.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// The longest a request may be held open waiting, in milliseconds; clients ask again.
pub const MAX_WAIT_MS: u64 = 30_000;

/// What is accepted by who wants events as a stream.
pub const EVENT_STREAM: &str = "text/event-stream";
/// The header with the id of the last event that was seen, in lower case.
pub const LAST_EVENT_ID: &str = "last-event-id";
/// The name of the event that ends a stream, with an [`ErrorBody`] that says why.
pub const DROPPED_EVENT: &str = "dropped";
/// The name of the event that ends a stream of output: the session is over.
pub const END_EVENT: &str = "end";

/// What a terminal's WebSocket tells in a text frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TerminalNews {
    /// The size of the agent's terminal: what all viewers have room for.
    Resize {
        /// Lines.
        rows: u16,
        /// Columns.
        cols: u16,
    },
    /// The agent has ended; nothing follows.
    Exit {
        /// How.
        exit: Exit,
    },
}

/// What a viewer tells a terminal's WebSocket in a text frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ViewerNews {
    /// The viewer's terminal has another size.
    Resize {
        /// Lines.
        rows: u16,
        /// Columns.
        cols: u16,
    },
}

/// The most things that a page of a list has.
pub const MAX_PAGE: u32 = 1000;

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// What is on it, in the list's order.
    pub items: Vec<T>,
    /// The `cursor` of the page after it; null on the last one.
    pub next: Option<String>,
}

/// A daemon will stop.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Stopping {
    /// Always true.
    pub stopping: bool,
}

/// There is a new token.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Renewed {
    /// Always true.
    pub renewed: bool,
}

/// A project was taken off the register.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Removed {
    /// Which one.
    pub removed: ProjectId,
}

/// A report was taken in.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Taken {}

/// Asks to register the repository a directory is in.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddProject {
    /// The directory, absolute.
    #[schema(value_type = String, pattern = "^/")]
    pub path: PathBuf,
    /// The id to register it under; made from the directory's name when missing.
    #[serde(default)]
    pub id: Option<ProjectId>,
}

/// Accepts a project's file for a person who has seen it.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// The digest of the content they saw.
    pub digest: String,
}

/// A session was recorded and is being built.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Accepted {
    /// The recorded session.
    pub session: SessionView,
    /// Changes after this number tell its progress.
    pub seq: u64,
}

/// Asks for a session's end.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KillRequest {
    /// What becomes of a workspace that holds uncommitted work.
    #[serde(default)]
    pub on_work: OnWork,
}

/// Text for a session's agent.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// The text.
    pub body: String,
    /// The message's id, made up by the sender: asked for again, the message that was accepted under it is answered, and none is added. One is
    /// made when it is missing.
    #[serde(default)]
    pub id: Option<MessageId>,
}

/// A decision about what a session's agent asks permission for.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionRequest {
    /// Whether it may.
    pub decision: Verdict,
    /// Why; the agent is told when it may not.
    #[serde(default)]
    pub reason: Option<String>,
    /// The request that is meant, refused when that is not open any more; without it the one that was asked first.
    #[serde(default)]
    pub request: Option<RequestId>,
}

/// What was decided.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DecisionAnswer {
    /// The request with its decision.
    pub request: AnsweredRequest,
    /// The session as it is now.
    pub session: SessionView,
}

/// Asks to build ended sessions again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// Wait in line when the limit of live agents is reached, instead of being refused.
    #[serde(default)]
    pub queue: bool,
}

/// What asking to restore every session that was cut short came to.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RestoreAllAnswer {
    /// Each of them.
    pub attempts: Vec<RestoreAttempt>,
    /// Changes after this number tell their progress.
    pub seq: u64,
}

/// What a kill did.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KillAnswer {
    /// The session, now over.
    pub session: SessionView,
    /// What became of its workspace.
    pub workspace: WorkspaceFate,
}

/// Text of a terminal.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TerminalText {
    /// The text.
    pub text: String,
}

/// How a wait ended.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WaitAnswer {
    /// Whether the state was reached.
    pub outcome: WaitOutcome,
    /// The session as it is now.
    pub session: SessionView,
}

/// A run of changes.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Changes {
    /// By number, without gaps unless a filter was given: where the next one asked for was trimmed, the answer is the error
    /// `changes_gone`.
    pub changes: Vec<Change>,
    /// The newest change's number when it was looked, whatever the filter.
    #[serde(default)]
    pub last_seq: u64,
}

/// What a daemon tells about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DaemonInfo {
    /// Its process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// The name of the program that embeds ao and serves this; `None` for a daemon of ao's own.
    #[serde(default)]
    pub program: Option<String>,
    /// Its data directory.
    #[schema(value_type = String)]
    pub data_dir: PathBuf,
    /// Its socket.
    #[schema(value_type = String)]
    pub socket: PathBuf,
    /// The address of its TCP port, for example `127.0.0.1:40123`; `None` where it has none.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub http: Option<SocketAddr>,
    /// Whether it has settled what an earlier daemon left.
    pub ready: bool,
    /// When it started.
    pub started_at: Timestamp,
    /// What bounds its agents; `None` from a daemon that is too old to tell.
    #[serde(default)]
    pub bounds: Option<AgentBounds>,
}

/// What bounds agents. A daemon decides it when it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentBounds {
    /// How many may be live at once.
    #[schema(value_type = usize, minimum = 1)]
    pub max_live_agents: NonZeroUsize,
    /// Their control groups.
    pub groups: AgentGroups,
}

/// Whether each agent has a control group of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AgentGroups {
    /// It has.
    Made {
        /// Where they are made.
        place: String,
        /// Whether memory can be bounded there.
        bounds_memory: bool,
        /// How much memory each may use; `None` for as much as there is.
        memory_max_bytes: Option<u64>,
    },
    /// It has not.
    Absent {
        /// What is missing.
        why: String,
        /// What to do about it.
        advice: String,
    },
}

/// An error as JSON: `{"error": {…}}`.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ErrorDetail {
    /// A stable code.
    #[schema(schema_with = super::codes::schema)]
    pub code: String,
    /// What was attempted and why it failed.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Finds this request in the daemon's log.
    pub request_id: String,
    /// With `changes_gone`: the oldest change on record, or the next one to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::cleanup::CleanupRequest;

    #[test]
    fn nobody_outside_may_ask_for_what_only_a_restore_does() {
        for (on_work, is_taken) in [("keep", true), ("preserve", true), ("preserve_all", false)] {
            let body = format!(r#"{{"on_work":"{on_work}"}}"#);
            assert_eq!(serde_json::from_str::<KillRequest>(&body).is_ok(), is_taken, "{body}");
            assert_eq!(serde_json::from_str::<CleanupRequest>(&body).is_ok(), is_taken, "{body}");
        }
    }
}
