//! Why a use case was refused or failed, in a form both the command line and HTTP can show.

use crate::fault::Injected;
use crate::ports::agent::AgentError;
use crate::ports::project_file::ProjectFileError;
use crate::ports::repo::RepoError;
use crate::ports::runtime::RuntimeError;
use crate::ports::session_dir::SessionDirError;
use crate::ports::setup::{SetupError, Stage};
use crate::ports::spool::SpoolError;
use crate::ports::store::StoreError;
use crate::ports::workspace::WorkspaceError;

/// The code of a workspace that somebody still works on.
pub(super) const WORKSPACE_BUSY: &str = "workspace_busy";

/// What kind of failure it is; picks the HTTP status and the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was asked for makes no sense.
    Invalid,
    /// There is no such thing.
    NotFound,
    /// There is such a thing, and its state does not allow it.
    Refused,
    /// Changes that were asked for were trimmed. Who asks for those after `oldest - 1` gets all there are.
    Gone {
        /// The oldest change on record, or the next one to come.
        oldest: u64,
    },
    /// It could not be done, for a reason the user can understand and mend.
    Failed,
    /// It could not be done, for a reason inside ao. Details go to the log.
    Internal,
}

/// Why a use case was refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct AppError {
    /// The kind of failure.
    pub kind: ErrorKind,
    /// A stable code, for programs.
    pub code: &'static str,
    /// What was attempted and why it failed.
    pub message: String,
    /// What to do next, for people: in the words of the command line (`ao ls`, `--queue`, `config.toml`), which programs that embed ao
    /// may have to say in words of their own. They go by `code`.
    pub hint: Option<String>,
}

impl AppError {
    /// An error without a hint.
    #[must_use]
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), hint: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The message with its hint, on one line, for a record.
    #[must_use]
    pub fn full(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} ({hint})", self.message),
            None => self.message.clone(),
        }
    }

    pub(super) fn hint_opt(mut self, hint: Option<&str>) -> Self {
        self.hint = hint.map(str::to_owned);
        self
    }
}

impl From<Injected> for AppError {
    fn from(injected: Injected) -> Self {
        Self::new(ErrorKind::Internal, "internal", injected.to_string())
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        let (kind, code) = match &error {
            StoreError::Exists { .. } => (ErrorKind::Refused, "exists"),
            StoreError::Missing { .. } => (ErrorKind::NotFound, "not_found"),
            StoreError::InUse(_) => (ErrorKind::Refused, "in_use"),
            StoreError::NotOver(_) => (ErrorKind::Refused, "not_over"),
            StoreError::ChangesGone { oldest, .. } => (ErrorKind::Gone { oldest: *oldest }, "changes_gone"),
            StoreError::Unwritable { .. } => (ErrorKind::Failed, "store_unwritable"),
            StoreError::Conflict(_) | StoreError::Corrupt { .. } | StoreError::Failed { .. } => {
                (ErrorKind::Internal, "internal")
            }
        };
        let hint = match &error {
            StoreError::Unwritable { .. } => {
                Some("nothing was recorded; make room on the disk of the data directory, or make it writable")
            }
            StoreError::InUse(_) => Some("end its sessions first: ao ls, ao kill"),
            StoreError::Missing { what: "project", .. } => Some("list the projects there are with: ao project ls"),
            StoreError::ChangesGone { .. } => {
                Some("read the sessions anew, and go on from the oldest change; keep_changes says how many are kept")
            }
            _ => None,
        };
        Self::new(kind, code, error.to_string()).hint_opt(hint)
    }
}

impl From<RepoError> for AppError {
    fn from(error: RepoError) -> Self {
        let (kind, code, hint) = match &error {
            RepoError::UnknownProject(_) => {
                (ErrorKind::NotFound, "unknown_project", Some("list the projects there are with: ao project ls"))
            }
            RepoError::Moved { .. } => (
                ErrorKind::Failed,
                "repository_moved",
                Some(
                    "move it back, or register its new place under the same id: ao project rm ID, then ao project add PATH --id ID",
                ),
            ),
            RepoError::NotARepository { .. } => {
                (ErrorKind::Failed, "not_a_repository", Some("make it one with: git init, and commit something"))
            }
            RepoError::Corrupt { .. } => {
                (ErrorKind::Failed, "repository_corrupt", Some("see what git says there: git fsck"))
            }
            RepoError::Store { .. } => (ErrorKind::Internal, "internal", None),
        };
        Self::new(kind, code, error.to_string()).hint_opt(hint)
    }
}

impl From<AgentError> for AppError {
    fn from(error: AgentError) -> Self {
        let (kind, code) = match &error {
            AgentError::NotFound { .. } => (ErrorKind::Failed, "agent_not_found"),
            AgentError::TooOld { .. } => (ErrorKind::Failed, "agent_too_old"),
            AgentError::Broken { .. } => (ErrorKind::Failed, "agent_broken"),
            AgentError::Refused(_) => (ErrorKind::Invalid, "agent_refused"),
            AgentError::File { .. } => (ErrorKind::Failed, "agent_file"),
        };
        Self::new(kind, code, error.to_string()).hint_opt(error.hint())
    }
}

impl From<RuntimeError> for AppError {
    fn from(error: RuntimeError) -> Self {
        let (kind, code) = match &error {
            RuntimeError::Unusable { .. } => (ErrorKind::Failed, "runtime_unusable"),
            RuntimeError::CannotCreate { .. } => (ErrorKind::Failed, "terminal_failed"),
            RuntimeError::NoTerminal { .. } => (ErrorKind::Refused, "no_terminal"),
            RuntimeError::Failed { .. } => (ErrorKind::Failed, "runtime_failed"),
        };
        Self::new(kind, code, error.to_string()).hint_opt(error.hint())
    }
}

impl From<WorkspaceError> for AppError {
    fn from(error: WorkspaceError) -> Self {
        let (kind, code, hint) = match &error {
            WorkspaceError::ToolUnusable(_) => (ErrorKind::Failed, "git_unusable", Some("check it with: ao doctor")),
            WorkspaceError::BranchExists { .. } => (
                ErrorKind::Refused,
                "branch_exists",
                Some(
                    "a spawn names another one with --branch; a restore needs this one: git branch -m gives it another name",
                ),
            ),
            WorkspaceError::BranchInUse { .. } => {
                (ErrorKind::Refused, "branch_in_use", Some("switch that checkout to another branch, then try again"))
            }
            WorkspaceError::InvalidBranch { .. } => (ErrorKind::Invalid, "invalid_branch", None),
            WorkspaceError::UnknownBase { .. } => (
                ErrorKind::Invalid,
                "unknown_base",
                Some("name a branch, a tag or a commit; git branch -a lists branches"),
            ),
            WorkspaceError::Unsupported { .. } => (ErrorKind::Refused, "unsupported_repository", None),
            WorkspaceError::NotOurs { .. } => (ErrorKind::Refused, "workspace_not_ours", None),
            WorkspaceError::Busy { .. } => (
                ErrorKind::Refused,
                WORKSPACE_BUSY,
                Some(
                    "once that has ended: of a session that is not over it is taken away by itself, else by ao cleanup",
                ),
            ),
            WorkspaceError::Failed { .. } => (ErrorKind::Failed, "workspace_failed", None),
        };
        Self::new(kind, code, error.to_string()).hint_opt(hint)
    }
}

impl From<ProjectFileError> for AppError {
    fn from(error: ProjectFileError) -> Self {
        match error {
            ProjectFileError::Mistake { .. } => {
                Self::new(ErrorKind::Invalid, "project_file_mistake", error.to_string())
                    .hint("correct it, or take it out for the default")
            }
            ProjectFileError::Unreadable { .. }
            | ProjectFileError::NotAFile { .. }
            | ProjectFileError::TooLarge { .. } => {
                Self::new(ErrorKind::Failed, "project_file_unusable", error.to_string())
            }
        }
    }
}

impl From<SetupError> for AppError {
    fn from(error: SetupError) -> Self {
        let (code, hint) = match &error {
            SetupError::Failed { .. } => ("setup_failed", None),
            SetupError::TimedOut { stage: Stage::Setup, .. } => {
                ("setup_timed_out", Some("setup_timeout_s in ao.toml says how long it may take"))
            }
            SetupError::TimedOut { stage: Stage::Teardown, .. } => {
                ("setup_timed_out", Some("teardown_timeout_s in ao.toml says how long it may take"))
            }
            SetupError::Broken { .. } => ("setup_broken", None),
        };
        Self::new(ErrorKind::Failed, code, error.to_string()).hint_opt(hint)
    }
}

impl From<SessionDirError> for AppError {
    fn from(error: SessionDirError) -> Self {
        Self::new(ErrorKind::Failed, "session_dir", error.to_string())
    }
}

impl From<SpoolError> for AppError {
    fn from(error: SpoolError) -> Self {
        Self::new(ErrorKind::Failed, "spool", error.to_string())
    }
}
