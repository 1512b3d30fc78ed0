//! Sessions, what is asked for when one is spawned, and what became of it.

use std::path::PathBuf;

use super::{object, same_schema, words};
use crate::app::follow::{OutputLines, Unseen};
use crate::app::kill::WorkspaceFate;
use crate::app::restore::{RestoreAttempt, RestoreRefusal};
use crate::app::spawn::{SpawnDefaults, SpawnRequest};
use crate::app::view::{ExitView, SessionView};
use crate::app::wait::{WaitFor, WaitOutcome};
use crate::domain::Timestamp;
use crate::domain::approval::{AnsweredRequest, PendingRequest};
use crate::domain::id::{AgentKind, AgentSessionId, ProjectId, RuntimeKind, SessionId};
use crate::domain::permission::PermissionMode;
use crate::domain::phase::Step;
use crate::domain::preserved::PreservedWork;
use crate::domain::session::{Activity, SessionKind};
use crate::domain::status::Status;
use crate::ports::setup::Stage;
use crate::ports::workspace::{Head, OnWork, Removal};

object! {
    /// One agent on one task.
    Session(SessionView) {
        /// The id.
        id: SessionId,
        /// The project.
        project: ProjectId,
        /// The machine it runs on; `local`.
        node: String,
        /// Worker or orchestrator.
        kind: SessionKind,
        /// The agent.
        agent: AgentKind,
        /// The runtime.
        runtime: RuntimeKind,
        /// What a person is shown, derived when read.
        status: Status,
        /// The step that is being taken, while it is built.
        step: Option<Step>,
        /// What the agent last reported to be doing.
        activity: Activity,
        /// Why its last turn failed, until another one begins.
        turn_failure: Option<String>,
        /// How much the agent may do unasked.
        permission_mode: PermissionMode,
        /// The branch.
        branch: String,
        /// What the branch started from.
        base: Option<String>,
        /// The workspace's directory.
        #[schema(value_type = String)]
        workspace: PathBuf,
        /// The task.
        prompt: Option<String>,
        /// A name for people.
        name: Option<String>,
        /// The issue it works on.
        issue: Option<String>,
        /// The session's own arguments for the agent's command line.
        agent_args: Vec<String>,
        /// The agent's own id for the conversation.
        agent_session_id: Option<AgentSessionId>,
        /// The agent's process id, while it is live.
        pid: Option<u32>,
        /// The permission decision it waits for; of several the oldest that can be answered.
        pending_request: Option<PendingRequest>,
        /// The others that it waits for: its subagents ask for themselves. Oldest first.
        other_requests: Vec<PendingRequest>,
        /// What became of the requests before, the newest last.
        answered_requests: Vec<AnsweredRequest>,
        /// Its pull request. Nothing follows pull requests yet: always null.
        pull_request: Option<serde_json::Value>,
        /// How it ended, once it is over.
        exit: Option<ExitView>,
        /// When it was recorded.
        created_at: Timestamp,
        /// When its record last changed.
        updated_at: Timestamp,
        /// When its activity was last reported.
        last_activity_at: Timestamp,
        /// Its place in the line while it waits for one to become free: 1 is the next.
        place_in_line: Option<usize>,
        /// What a person should know of how it was built or taken down, oldest first.
        notes: Vec<String>,
    }
}

object! {
    /// Lines of a terminal. One on the screen that changed is told again as it is then.
    Lines(OutputLines) {
        /// The lines, in order.
        lines: Vec<String>,
        /// Lines that came before them and could not be told.
        unseen: Option<Unseen>,
    }
}

object! {
    /// Lines that went by.
    UnseenLines(Unseen) {
        /// How many; null where that is not known, nor whether there were any.
        lines: Option<u64>,
    }
}

object! {
    /// How a session ended.
    SessionExit(ExitView) {
        /// `killed`, `exited`, `spawn_failed` or `lost`.
        reason: String,
        /// The agent's exit code, when it returned one.
        code: Option<i32>,
        /// The signal that ended the agent, when one did.
        signal: Option<i32>,
        /// The step that failed, for a failed spawn.
        step: Option<Step>,
        /// Why, for a failed spawn.
        cause: Option<String>,
        /// The end of what the agent printed, when it was kept.
        output_tail: Option<String>,
    }
}

object! {
    /// What to spawn. Only the project is needed; the rest has defaults.
    #[serde(deny_unknown_fields)]
    Spawn(SpawnRequest) {
        /// The project.
        project: ProjectId,
        /// The agent; null for the repository's, else the configured one.
        agent: Option<AgentKind>,
        /// The task; any length, any text.
        prompt: Option<String>,
        /// The branch to make; null for the repository's prefix (`ao/`) and the session.
        branch: Option<String>,
        /// What the branch starts from; null for what the repository names, else the remote's default branch.
        base: Option<String>,
        /// How much the agent may do unasked; null for the repository's mode, else the configured one.
        permission_mode: Option<PermissionMode>,
        /// The runtime's name, or `auto`; null for the configured one.
        runtime: Option<String>,
        /// The issue it works on.
        issue: Option<String>,
        /// A name for people.
        name: Option<String>,
        /// Worker or orchestrator.
        #[serde(default)]
        kind: SessionKind,
        /// More arguments for the agent's command line.
        #[serde(default)]
        agent_args: Vec<String>,
        /// Wait in line when the limit of live agents is reached, instead of being refused.
        #[serde(default)]
        queue: bool,
        /// What counts where neither this request nor the repository says anything.
        #[serde(default)]
        defaults: SpawnDefaults,
    }
}

object! {
    /// The caller's own configuration, which may be another than the daemon's. What the repository says wins over it.
    #[serde(deny_unknown_fields)]
    Defaults(SpawnDefaults) {
        /// The agent; null for the daemon's.
        agent: Option<AgentKind>,
        /// How much the agent may do unasked; null for the daemon's.
        permission_mode: Option<PermissionMode>,
        /// The runtime's name, or `auto`; null for the daemon's.
        runtime: Option<String>,
    }
}

words! {
    /// What a session is for.
    Kind(SessionKind) {
        Worker = "worker",
        Orchestrator = "orchestrator",
    }
}

words! {
    /// What a person is shown of a session.
    SessionStatus(Status) {
        Queued = "queued",
        Starting = "starting",
        Working = "working",
        Idle = "idle",
        NeedsInput = "needs_input",
        Blocked = "blocked",
        NoSignal = "no_signal",
        Terminated = "terminated",
        Failed = "failed",
    }
}

words! {
    /// What an agent last reported to be doing.
    AgentActivity(Activity) {
        Starting = "starting",
        Active = "active",
        Idle = "idle",
        WaitingInput = "waiting_input",
        Blocked = "blocked",
        Exited = "exited",
    }
}

words! {
    /// A step of building a session.
    BuildStep(Step) {
        Recorded = "recorded",
        Workspace = "workspace",
        Setup = "setup",
        Prepared = "prepared",
        Launched = "launched",
    }
}

words! {
    /// How much an agent may do without asking.
    Autonomy(PermissionMode) {
        Default = "default",
        AcceptEdits = "accept-edits",
        Auto = "auto",
        Plan = "plan",
        BypassPermissions = "bypass-permissions",
    }
}

words! {
    /// What to wait for: `ready` to take work, its turn being over, a permission decision, or its end.
    AwaitedState(WaitFor) {
        Ready = "ready",
        Idle = "idle",
        Blocked = "blocked",
        Exit = "exit",
    }
}

words! {
    /// How a wait ended.
    Outcome(WaitOutcome) {
        Reached = "reached",
        Ended = "ended",
        TimedOut = "timed_out",
    }
}

words! {
    /// When a project's commands run.
    SetupStage(Stage) {
        Setup = "setup",
        Teardown = "teardown",
    }
}

words! {
    /// What becomes of a workspace that holds uncommitted work: it is kept, or the work is saved and it goes.
    UncommittedWork(OnWork) {
        Keep = "keep",
        Preserve = "preserve",
    } skip { PreserveAll }
}

object! {
    /// One session of several that were to be restored.
    Attempt(RestoreAttempt) {
        /// The session.
        session: SessionId,
        /// Why it could not even be begun; null when it is under way.
        refusal: Option<RestoreRefusal>,
    }
}

object! {
    /// Why a restore was not begun.
    AttemptRefusal(RestoreRefusal) {
        /// A stable code, for programs.
        code: String,
        /// What was attempted and why it was refused.
        message: String,
        /// What to do next.
        hint: Option<String>,
        /// Whether it is the state that does not allow it, and not something that is broken.
        by_state: bool,
    }
}

object! {
    /// Uncommitted work that was saved as commits in the session's repository.
    SavedWork(PreservedWork) {
        /// The reference that holds it.
        reference: String,
        /// The commit it is.
        commit: String,
    }
}

/// What became of a session's workspace.
#[derive(utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum Workspace {
    /// It was looked at.
    Settled(Removal),
    /// It could not be settled; killing again tries again.
    Unsettled {
        /// Why.
        cause: String,
    },
}
same_schema!(WorkspaceFate, Workspace);
const _: fn(WorkspaceFate) -> Workspace = |real| match real {
    WorkspaceFate::Settled(removal) => Workspace::Settled(removal),
    WorkspaceFate::Unsettled { cause } => Workspace::Unsettled { cause },
};

/// What became of a workspace that was to be removed.
#[derive(utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
#[expect(dead_code, reason = "only its schema is used")]
enum WorkspaceRemoval {
    /// The directory is gone, files that git ignores with it.
    Removed {
        /// Whether the branch went with it: no commit went with the branch.
        branch_deleted: bool,
        /// The session's saved work, as the repository holds it now.
        preserved: Option<PreservedWork>,
        /// The reference that would hold work which is in no commit yet.
        would_save: Option<String>,
        /// What it was on, where that was not the branch that was made for it.
        left: Option<Head>,
    },
    /// It was kept.
    Kept {
        /// Why, for a person.
        reason: String,
    },
    /// There was no directory.
    Missing {
        /// Whether a branch without commits of its own was deleted.
        branch_deleted: bool,
        /// As in `removed`.
        preserved: Option<PreservedWork>,
        /// As in `removed`.
        would_save: Option<String>,
        /// As in `removed`.
        left: Option<Head>,
    },
}
same_schema!(Removal, WorkspaceRemoval);
const _: fn(Removal) -> WorkspaceRemoval = |real| match real {
    Removal::Removed { branch_deleted, preserved, would_save, left } => {
        WorkspaceRemoval::Removed { branch_deleted, preserved, would_save, left }
    }
    Removal::Kept { reason } => WorkspaceRemoval::Kept { reason },
    Removal::Missing { branch_deleted, preserved, would_save, left } => {
        WorkspaceRemoval::Missing { branch_deleted, preserved, would_save, left }
    }
};

/// What a workspace is on.
#[derive(utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum CheckedOut {
    /// A branch.
    Branch(String),
    /// A commit, and no branch.
    Commit(String),
}
same_schema!(Head, CheckedOut);
const _: fn(Head) -> CheckedOut = |real| match real {
    Head::Branch(name) => CheckedOut::Branch(name),
    Head::Commit(id) => CheckedOut::Commit(id),
};
