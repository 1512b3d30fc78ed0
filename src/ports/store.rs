//! What is on record? The stores keep projects, sessions and the change log; one adapter implements all three, so that a
//! change and its log entry are one transaction.

use async_trait::async_trait;

use crate::domain::Timestamp;
use crate::domain::change::{Change, NewChange};
use crate::domain::id::{ProjectId, SessionId};
use crate::domain::project::Project;
use crate::domain::session::Session;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A record of that id is there already.
    #[error("{what} {id} is on record already")]
    Exists {
        /// `project` or `session`.
        what: &'static str,
        /// The id.
        id: String,
    },
    /// There is no such record.
    #[error("there is no {what} {id}")]
    Missing {
        /// `project` or `session`.
        what: &'static str,
        /// The id.
        id: String,
    },
    /// Somebody else wrote the record since it was read.
    #[error("session {0} was changed by somebody else")]
    Conflict(SessionId),
    /// The project still has sessions that are not over.
    #[error("project {0} still has live sessions")]
    InUse(ProjectId),
    /// The session is not over.
    #[error("session {0} is not over")]
    NotOver(SessionId),
    /// Entries of the change log that were asked for were trimmed.
    #[error("changes {} to {} are not on record any more", since + 1, oldest - 1)]
    ChangesGone {
        /// The number after which they were asked for.
        since: u64,
        /// The oldest entry that is on record, or the next one to come when there is none: who has read what the trimmed
        /// ones told goes on from here.
        oldest: u64,
    },
    /// What is on record makes no sense to this version of ao.
    #[error("the record of {id} cannot be read: {cause}")]
    Corrupt {
        /// The record.
        id: String,
        /// Why.
        cause: String,
    },
    /// The database cannot be written, for a reason outside: a full disk, a read-only file system. Nothing was recorded.
    #[error("cannot {action}: {cause}")]
    Unwritable {
        /// What was attempted.
        action: &'static str,
        /// The cause.
        cause: String,
    },
    /// The database failed.
    #[error("the database failed to {action}: {cause}")]
    Failed {
        /// What was attempted.
        action: &'static str,
        /// The cause.
        cause: String,
    },
}

/// The register of projects: the only one, shared by everything that asks.
#[async_trait]
pub trait ProjectStore: Send + Sync {
    /// Registers a project and logs `project.added`.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the id or the path is registered already.
    async fn add_project(&self, project: &Project) -> Result<(), StoreError>;

    /// A project; `Ok(None)` when there is none of that id.
    ///
    /// # Errors
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn project(&self, id: &ProjectId) -> Result<Option<Project>, StoreError>;

    /// Every project, by id.
    ///
    /// # Errors
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn projects(&self) -> Result<Vec<Project>, StoreError>;

    /// Takes a project off the register and logs `project.removed`. Its ended sessions stay on record, and its session
    /// numbers are not given out again.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::InUse`] while a session of it is not over.
    async fn remove_project(&self, id: &ProjectId, at: Timestamp) -> Result<(), StoreError>;

    /// Records that a person accepted the project's `ao.toml` as it is when its SHA-256 digest is `digest` (hexadecimal),
    /// and logs `project.trusted`. Accepting it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such project.
    async fn trust(&self, id: &ProjectId, digest: &str, at: Timestamp) -> Result<(), StoreError>;

    /// Whether that content was accepted for that project. Nothing is accepted for a project that was removed since, also
    /// when its id is registered again.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn is_trusted(&self, id: &ProjectId, digest: &str) -> Result<bool, StoreError>;

    /// Reserves the next session number of a project, from 1. A number is given out once, also when the caller never
    /// uses it, and across restarts.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is no such project.
    async fn reserve_session_number(&self, id: &ProjectId) -> Result<u32, StoreError>;
}

/// Which sessions to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Only this project's.
    pub project: Option<ProjectId>,
    /// Also those that are over.
    pub include_terminated: bool,
    /// Only those that come after this one, which need not be there any more.
    pub after: Option<SessionId>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// The records of sessions.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Records a new session with its changes. Its version becomes 1.
    ///
    /// # Errors
    /// [`StoreError::Exists`]; [`StoreError::Missing`] when its project is not registered.
    async fn insert_session(&self, session: &mut Session, changes: &[NewChange]) -> Result<(), StoreError>;

    /// A session; `Ok(None)` when there is none of that id.
    ///
    /// # Errors
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn session(&self, id: &SessionId) -> Result<Option<Session>, StoreError>;

    /// Sessions by project and number.
    ///
    /// # Errors
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn sessions(&self, filter: &SessionFilter) -> Result<Vec<Session>, StoreError>;

    /// Writes a changed session and its changes in one transaction; `session.updated_at` is the time of the changes, and
    /// the version grows by one. Written durably before it answers.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the record's version is not the one given: read again. [`StoreError::Missing`], also for the
    /// project of a session that is not over: one whose project was removed cannot begin again.
    async fn update_session(&self, session: &mut Session, changes: &[NewChange]) -> Result<(), StoreError>;

    /// The sessions that are over and whose records last changed before `before`, of removed projects too; the one that
    /// changed longest ago first.
    ///
    /// # Errors
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn over_since(&self, before: Timestamp) -> Result<Vec<SessionId>, StoreError>;

    /// Removes the record of a session that is over, and logs `session.removed` at `at`. Its number is not given out
    /// again, and what the log tells of it stays there.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::NotOver`]; [`StoreError::Conflict`] when the record's version is not
    /// `version`.
    async fn remove_session(&self, id: &SessionId, version: u64, at: Timestamp) -> Result<(), StoreError>;
}

/// Which changes to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    /// Only those with a greater number.
    pub since: u64,
    /// Only this session's.
    pub session: Option<SessionId>,
    /// At most so many.
    pub limit: u32,
}

/// What happened, in order. Entries are written by the other stores, in the transaction of what they tell.
///
/// # Contract
/// - Numbers grow by one from 1 and are never reused, also when the entries that bore them were trimmed.
/// - None is ever missing between the oldest entry on record and the newest: only the oldest ones are trimmed.
/// - Who asks for entries of which some were trimmed is told so, and never given the rest in their place.
#[async_trait]
pub trait ChangeLog: Send + Sync {
    /// Changes by number.
    ///
    /// # Errors
    /// [`StoreError::ChangesGone`] when the entry after `filter.since` was trimmed, whatever else the filter says.
    /// [`StoreError::Failed`] or [`StoreError::Corrupt`].
    async fn changes(&self, filter: &ChangeFilter) -> Result<Vec<Change>, StoreError>;

    /// Trims the oldest entries, so that the newest `keep` stay, but at most `at_most` of them: a long backlog is worked
    /// off in parts, between which others write. Gives how many went.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn trim_changes(&self, keep: u64, at_most: u32) -> Result<u64, StoreError>;

    /// The number of the newest entry there ever was, 0 when there was none.
    ///
    /// # Errors
    /// [`StoreError::Failed`].
    async fn last_seq(&self) -> Result<u64, StoreError>;

    /// Waits until an entry greater than `seq` may be there. Wakes are told in-process, never polled for.
    async fn wait_beyond(&self, seq: u64);
}
