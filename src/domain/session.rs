//! One agent working on one task: what was asked for, where it is in its life, and what has been seen of it.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::change::NewChange;
use super::exit::Exit;
use super::id::{AgentKind, AgentSessionId, RuntimeKind, SessionId};
use super::news::Announced;
use super::permission::PermissionMode;
use super::phase::{EndReason, Phase};
use super::preserved::PreservedWork;
use super::requests::Requests;
use super::setup::ProjectSetup;

/// What a session is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SessionKind {
    /// It does a task.
    #[default]
    Worker,
    /// It coordinates the project's workers.
    Orchestrator,
}

impl SessionKind {
    /// The kind's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Orchestrator => "orchestrator",
        }
    }
}

impl fmt::Display for SessionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the agent is doing, as it last reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activity {
    /// It has not begun its first turn.
    Starting,
    /// It is in a turn.
    Active,
    /// Its turn is over.
    Idle,
    /// It asked the person a question.
    WaitingInput,
    /// It waits for a permission decision.
    Blocked,
    /// Its process is gone.
    Exited,
}

impl Activity {
    /// The activity's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Idle => "idle",
            Self::WaitingInput => "waiting_input",
            Self::Blocked => "blocked",
            Self::Exited => "exited",
        }
    }
}

/// A process, told apart from a later one with the same number by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
    pub start_ticks: u64,
}

/// A tool call, as far as ao looks at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolUse {
    /// The tool's name, for example `Bash`.
    pub tool: String,
    /// The tool's input.
    pub input: serde_json::Value,
    /// The agent's own id for the subagent that calls it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subagent: Option<String>,
    /// Whether the report left something of the input out, for its size.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_cut: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What was asked for when the session was spawned. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSpec {
    /// Worker or orchestrator.
    pub kind: SessionKind,
    /// The agent.
    pub agent: AgentKind,
    /// Whether that agent reports what it does through hooks.
    pub agent_reports: bool,
    /// The runtime; `auto` has been resolved.
    pub runtime: RuntimeKind,
    /// How much the agent may do unasked.
    pub permission_mode: PermissionMode,
    /// A name for people.
    pub name: Option<String>,
    /// The issue it works on.
    pub issue: Option<String>,
    /// The task.
    pub prompt: Option<String>,
    /// More arguments for the agent's command line.
    pub agent_args: Vec<String>,
    /// The branch made for it, for example `ao/app-1`.
    pub branch: String,
    /// What the branch starts from, as asked for; `None` means the project's base.
    pub base: Option<String>,
    /// The workspace's directory.
    pub workspace: PathBuf,
    /// What the project wants done in the workspace.
    pub setup: Option<ProjectSetup>,
}

/// What has been seen of a session. Facts are stored; conclusions are drawn when read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// What the agent is doing, as it last reported.
    pub activity: Activity,
    /// When it last reported that.
    pub activity_at: Timestamp,
    /// When the terminal was asked for.
    pub launched_at: Option<Timestamp>,
    /// When the first report of the agent's hooks came.
    pub first_report_at: Option<Timestamp>,
    /// When the agent said it is ready for work.
    pub ready_at: Option<Timestamp>,
    /// The agent's process.
    pub process: Option<ProcessIdentity>,
    /// The agent's own id for the conversation.
    pub agent_session_id: Option<AgentSessionId>,
    /// The permissions it asked for.
    #[serde(default, alias = "pending_request")]
    pub requests: Requests,
    /// What its branch started from, by name; known once the workspace was made.
    pub resolved_base: Option<String>,
    /// The commit its branch started from.
    pub base_commit: Option<String>,
    /// When somebody asked for its end, or gave it up after it had ended by itself.
    pub kill_requested_at: Option<Timestamp>,
    /// Whether they want its workspace gone, with uncommitted work saved first.
    pub kill_preserves: bool,
    /// Its place in the line, where it waits for one to become free: a lower ticket comes first.
    pub queue_ticket: Option<u64>,
    /// What it was before it was to be restored, while that is under way.
    pub restoring: Option<Box<Restoring>>,
    /// Whether its agent goes on with an earlier conversation, so that no turn begins by itself.
    pub resumed: bool,
    /// Uncommitted work that was saved when its workspace was removed.
    pub preserved: Option<PreservedWork>,
    /// Why its spawn failed, on record before it is undone.
    pub spawn_failure: Option<String>,
    /// How its process ended.
    pub exit: Option<Exit>,
    /// The end of what it printed, kept when it ended.
    pub output_tail: Option<String>,
    /// What a person should know of how it was built or torn down, oldest first.
    pub notes: Vec<String>,
    /// Which news of it the project's orchestrators were told last.
    #[serde(default)]
    pub announced: Option<Announced>,
    /// Why the agent's last turn failed, until another one begins.
    #[serde(default)]
    pub turn_failure: Option<String>,
}

impl Facts {
    /// The facts of a session nothing was seen of yet.
    #[must_use]
    pub fn none_yet(now: Timestamp) -> Self {
        Self {
            activity: Activity::Starting,
            activity_at: now,
            launched_at: None,
            first_report_at: None,
            ready_at: None,
            process: None,
            agent_session_id: None,
            requests: Requests::default(),
            resolved_base: None,
            base_commit: None,
            kill_requested_at: None,
            kill_preserves: false,
            queue_ticket: None,
            restoring: None,
            resumed: false,
            preserved: None,
            spawn_failure: None,
            exit: None,
            output_tail: None,
            notes: Vec::new(),
            announced: None,
            turn_failure: None,
        }
    }
}

/// A session as it was before a restore began. A restore that fails puts it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Restoring {
    /// How it had ended.
    pub reason: EndReason,
    /// What had been seen of it.
    pub facts: Facts,
    /// Whether its workspace was there. One that the restore made anew goes again when the restore fails.
    pub had_workspace: bool,
    /// The branch that the restore makes with it, which goes again too unless anything became of it.
    #[serde(default)]
    pub made_branch: Option<String>,
}

impl Facts {
    /// The facts of a session that is built again: what was seen of its last agent is forgotten, what is known of its
    /// conversation, its branch and its work stays.
    #[must_use]
    pub fn begin_again(&self, restoring: Restoring, now: Timestamp) -> Self {
        Self {
            agent_session_id: self.agent_session_id.clone(),
            resolved_base: self.resolved_base.clone(),
            base_commit: self.base_commit.clone(),
            preserved: self.preserved.clone(),
            notes: self.notes.clone(),
            announced: self.announced.clone(),
            requests: self.requests.of_the_past(),
            restoring: Some(Box::new(restoring)),
            ..Self::none_yet(now)
        }
    }

    /// Its agent's process is gone, and what it asked for with it. Gives the changes worth logging: of what it asked, then of the agent itself.
    pub fn agent_gone(&mut self, now: Timestamp) -> (Vec<NewChange>, Option<NewChange>) {
        let settled = self.requests.end(now);
        if self.activity == Activity::Exited {
            return (settled, None);
        }
        (self.activity, self.activity_at) = (Activity::Exited, now);
        (settled, Some(NewChange::activity(self.activity)))
    }
}

/// A session's record.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// The id.
    pub id: SessionId,
    /// What was asked for.
    pub spec: SessionSpec,
    /// Where it is in its life.
    pub phase: Phase,
    /// What has been seen of it.
    pub facts: Facts,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When its record last changed.
    pub updated_at: Timestamp,
    /// How often its record was written; a writer that read an older one is refused.
    pub version: u64,
}

impl Session {
    /// The record of a session that is about to be provisioned.
    #[must_use]
    pub fn record(id: SessionId, spec: SessionSpec, now: Timestamp) -> Self {
        Self {
            id,
            spec,
            phase: Phase::recorded(),
            facts: Facts::none_yet(now),
            created_at: now,
            updated_at: now,
            version: 0,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `seconds` after the time [`session`] was recorded.
    pub(crate) fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    /// A live session with a prompt, whose agent reports by hooks.
    pub(crate) fn session() -> Session {
        let spec = SessionSpec {
            kind: SessionKind::Worker,
            agent: AgentKind::new("claude-code").unwrap(),
            agent_reports: true,
            runtime: RuntimeKind::new("pty").unwrap(),
            permission_mode: PermissionMode::Default,
            name: None,
            issue: None,
            prompt: Some("do it".into()),
            agent_args: Vec::new(),
            branch: "ao/app-1".into(),
            base: None,
            workspace: "/w/app/app-1".into(),
            setup: None,
        };
        let mut session = Session::record("app-1".parse().unwrap(), spec, at(0));
        session.phase = Phase::Live;
        session.facts.launched_at = Some(at(0));
        session
    }
}
