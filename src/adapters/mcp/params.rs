//! What the tools are given. The comments are what agents read; a field that is not known is refused, so that a typing error in one
//! is not an answer to another question.

use rmcp::schemars::{self, JsonSchema};
use serde::Deserialize;

use crate::app::wait::WaitFor;
use crate::domain::id::{AgentKind, ProjectId, RequestId, SessionId};
use crate::domain::permission::PermissionMode;
use crate::domain::session::SessionKind;

const KINDS: [SessionKind; 2] = [SessionKind::Worker, SessionKind::Orchestrator];
const STATES: [WaitFor; 4] = [WaitFor::Ready, WaitFor::Idle, WaitFor::Blocked, WaitFor::Exit];

/// How long a call waits for what may never come, unless told otherwise.
const WAIT_SECONDS: u64 = 600;
/// How long a spawn waits for its agent, unless told otherwise: a project's setup may be under way first.
const READY_SECONDS: u64 = 300;
/// How much of a terminal is given, unless told otherwise.
const OUTPUT_LINES: usize = 100;
/// How many messages are listed, unless told otherwise.
const MESSAGES: usize = 20;

/// `spawn`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SpawnParams {
    /// The task, complete: the agent knows nothing of your conversation.
    #[schemars(length(min = 1))]
    pub(super) prompt: String,
    /// The project's id. Default: the one of the repository you work in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) project: Option<ProjectId>,
    /// The kind of agent, for example claude-code. Default: what the project or the user configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) agent: Option<AgentKind>,
    /// The branch to make. Default: ao/ and the session's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) branch: Option<String>,
    /// What the branch starts from, for example main or another session's branch. Default: the repository's main branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) base: Option<String>,
    /// How much the agent may do unasked. One that may do too little for its task stops and waits for a person. Default: what the
    /// project or the user configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String", extend("enum" = PermissionMode::ALL))]
    pub(super) permission_mode: Option<PermissionMode>,
    /// The issue it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) issue: Option<String>,
    /// A name to know it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) name: Option<String>,
    /// worker does a task, orchestrator coordinates workers. Default: worker.
    #[serde(default)]
    #[schemars(with = "String", extend("enum" = KINDS))]
    pub(super) kind: SessionKind,
    /// More arguments for the agent's command line; the whole command for the agent named command.
    #[serde(default)]
    pub(super) agent_args: Vec<String>,
    /// Wait in line for a place when the limit of live agents is reached, instead of being refused.
    #[serde(default)]
    pub(super) queue: bool,
    /// How long to wait for the agent to be ready, in seconds.
    #[serde(default = "ready_seconds")]
    pub(super) timeout_s: u64,
}

/// `ls`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LsParams {
    /// Also those that are over.
    #[serde(default)]
    pub(super) all: bool,
    /// Only this project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) project: Option<ProjectId>,
}

/// `show` and `kill`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionParams {
    /// The session's id, for example app-1.
    #[schemars(with = "String")]
    pub(super) session: SessionId,
}

/// `approve`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveParams {
    /// The session's id, for example app-1.
    #[schemars(with = "String")]
    pub(super) session: SessionId,
    /// The request that is meant, as show has it in `pending_request.id`: refused when that is not open any more.
    #[schemars(with = "String")]
    pub(super) request: RequestId,
}

/// `deny`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DenyParams {
    /// The session's id, for example app-1.
    #[schemars(with = "String")]
    pub(super) session: SessionId,
    /// The request that is meant, as show has it in `pending_request.id`: refused when that is not open any more.
    #[schemars(with = "String")]
    pub(super) request: RequestId,
    /// Why; the agent is told, and goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub(super) reason: Option<String>,
}

/// `output`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputParams {
    /// The session's id, for example app-1.
    #[schemars(with = "String")]
    pub(super) session: SessionId,
    /// How many lines, from the end.
    #[serde(default = "output_lines")]
    pub(super) lines: usize,
}

/// `send`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SendParams {
    /// The session's id, for example app-1.
    #[schemars(with = "String")]
    pub(super) session: SessionId,
    /// The text. Who sends it is added.
    pub(super) message: String,
    /// How long to wait until the agent was seen to have taken it, in seconds. Default: not at all.
    #[serde(default)]
    pub(super) wait_s: u64,
}

/// `messages`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MessagesParams {
    /// The session's id, for example app-1.
    #[schemars(with = "String")]
    pub(super) session: SessionId,
    /// How many, the newest.
    #[serde(default = "messages")]
    pub(super) last: usize,
}

/// `wait`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitParams {
    /// The sessions' ids; all of them are waited for.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub(super) sessions: Vec<SessionId>,
    /// ready: the agent takes work; idle: its turn is over; blocked: it waits for a permission decision; exit: the session is over.
    #[serde(rename = "for")]
    #[schemars(with = "String", extend("enum" = STATES))]
    pub(super) state: WaitFor,
    /// How long to wait at most, in seconds.
    #[serde(default = "wait_seconds")]
    pub(super) timeout_s: u64,
}

fn ready_seconds() -> u64 {
    READY_SECONDS
}

fn wait_seconds() -> u64 {
    WAIT_SECONDS
}

fn output_lines() -> usize {
    OUTPUT_LINES
}

fn messages() -> usize {
    MESSAGES
}
