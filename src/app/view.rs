//! The shape in which things are shown, to programs over HTTP and `--json` and to people by the command line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::approval::{AnsweredRequest, PendingRequest};
use crate::domain::exit::Exit;
use crate::domain::id::{AgentKind, AgentSessionId, ProjectId, RuntimeKind, SessionId};
use crate::domain::permission::PermissionMode;
use crate::domain::phase::{EndReason, Phase, Step};
use crate::domain::session::{Activity, Session, SessionKind};
use crate::domain::status::Status;

/// A session as it is shown. The fields are part of the public contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionView {
    /// The id.
    pub id: SessionId,
    /// The project.
    pub project: ProjectId,
    /// The machine it runs on; `local`.
    pub node: String,
    /// Worker or orchestrator.
    pub kind: SessionKind,
    /// The agent.
    pub agent: AgentKind,
    /// The runtime.
    pub runtime: RuntimeKind,
    /// What a person is shown, derived when read.
    pub status: Status,
    /// The step that is being taken, while it is built.
    pub step: Option<Step>,
    /// What the agent last reported to be doing.
    pub activity: Activity,
    /// Why its last turn failed, until another one begins.
    #[serde(default)]
    pub turn_failure: Option<String>,
    /// How much the agent may do unasked.
    pub permission_mode: PermissionMode,
    /// The branch.
    pub branch: String,
    /// What the branch started from.
    pub base: Option<String>,
    /// The workspace's directory.
    pub workspace: PathBuf,
    /// The task.
    pub prompt: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// The issue it works on.
    pub issue: Option<String>,
    /// The session's own arguments for the agent's command line.
    pub agent_args: Vec<String>,
    /// The agent's own id for the conversation.
    pub agent_session_id: Option<AgentSessionId>,
    /// The agent's process id, while it is live.
    pub pid: Option<u32>,
    /// The permission decision it waits for; of several the oldest that can be answered.
    pub pending_request: Option<PendingRequest>,
    /// The others that it waits for: its subagents ask for themselves. Oldest first.
    #[serde(default)]
    pub other_requests: Vec<PendingRequest>,
    /// What became of the requests before, the newest last.
    #[serde(default)]
    pub answered_requests: Vec<AnsweredRequest>,
    /// Its pull request. Nothing follows pull requests yet: always null.
    pub pull_request: Option<serde_json::Value>,
    /// How it ended, once it is over.
    pub exit: Option<ExitView>,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When its record last changed.
    pub updated_at: Timestamp,
    /// When its activity was last reported.
    pub last_activity_at: Timestamp,
    /// Its place in the line while it waits for one to become free: 1 is the next. Only
    /// where a session is shown or sessions are listed.
    pub place_in_line: Option<usize>,
    /// What a person should know of how it was built or taken down, oldest first.
    pub notes: Vec<String>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExitView {
    /// `killed`, `exited`, `spawn_failed` or `lost`.
    pub reason: String,
    /// The agent's exit code, when it returned one.
    pub code: Option<i32>,
    /// The signal that ended the agent, when one did.
    pub signal: Option<i32>,
    /// The step that failed, for a failed spawn.
    pub step: Option<Step>,
    /// Why, for a failed spawn.
    pub cause: Option<String>,
    /// The end of what the agent printed, when it was kept.
    pub output_tail: Option<String>,
}

impl SessionView {
    /// Shows a session as it is at a time.
    #[must_use]
    pub fn of(session: &Session, now: Timestamp) -> Self {
        let Session { id, spec, phase, facts, created_at, updated_at, version: _ } = session;
        let is_live = *phase == Phase::Live;
        Self {
            id: id.clone(),
            project: id.project(),
            node: "local".to_owned(),
            kind: spec.kind,
            agent: spec.agent.clone(),
            runtime: spec.runtime.clone(),
            status: Status::of(session, now),
            step: if let Phase::Provisioning { step } = phase { Some(*step) } else { None },
            activity: facts.activity,
            turn_failure: facts.turn_failure.clone(),
            permission_mode: spec.permission_mode,
            branch: spec.branch.clone(),
            base: facts.resolved_base.clone().or_else(|| spec.base.clone()),
            workspace: spec.workspace.clone(),
            prompt: spec.prompt.clone(),
            name: spec.name.clone(),
            issue: spec.issue.clone(),
            agent_args: spec.agent_args.clone(),
            agent_session_id: facts.agent_session_id.clone(),
            pid: facts.process.filter(|_| is_live).map(|process| process.pid),
            other_requests: facts.requests.others().cloned().collect(),
            answered_requests: facts.requests.answers(),
            pending_request: facts.requests.first().cloned(),
            pull_request: None,
            exit: ExitView::of(session),
            created_at: *created_at,
            updated_at: *updated_at,
            last_activity_at: facts.activity_at,
            place_in_line: None,
            notes: facts.notes.clone(),
        }
    }
}

impl ExitView {
    fn of(session: &Session) -> Option<Self> {
        let Phase::Terminated { reason } = &session.phase else { return None };
        let exit = match reason {
            EndReason::Exited(exit) => Some(*exit),
            _ => session.facts.exit,
        };
        let (name, step, cause) = match reason {
            EndReason::Killed => ("killed", None, None),
            EndReason::Exited(_) => ("exited", None, None),
            EndReason::SpawnFailed { step, cause } => ("spawn_failed", Some(*step), Some(cause.clone())),
            EndReason::Lost => ("lost", None, None),
        };
        Some(Self {
            reason: name.to_owned(),
            code: exit.and_then(|exit| if let Exit::Code(code) = exit { Some(code) } else { None }),
            signal: exit.and_then(|exit| if let Exit::Signal(signal) = exit { Some(signal) } else { None }),
            step,
            cause,
            output_tail: session.facts.output_tail.clone(),
        })
    }
}
