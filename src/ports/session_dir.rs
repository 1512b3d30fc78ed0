//! Where does a session keep its private files?

use std::path::PathBuf;

use async_trait::async_trait;

use crate::domain::Timestamp;
use crate::domain::id::SessionId;

/// A session's private directory could not be made or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct SessionDirError {
    /// What was attempted.
    pub action: &'static str,
    /// The directory.
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub source: std::io::Error,
}

/// A session's directory that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDir {
    /// Whose it is.
    pub session: SessionId,
    /// When it, or what lies directly in it, last changed.
    pub changed_at: Timestamp,
}

/// Keeps one private directory for each session: agent settings, prompt, launch spec, terminal records. It is outside the
/// workspace and survives the daemon.
///
/// # Contract
/// - The directory's path depends on the session only. Directories are 0700.
/// - Making and removing are idempotent.
/// - Removing follows no link.
#[async_trait]
pub trait SessionDirs: Send + Sync {
    /// The directory's path, whether or not it exists.
    fn path(&self, session: &SessionId) -> PathBuf;

    /// Makes the directory.
    ///
    /// # Errors
    /// [`SessionDirError`].
    async fn make(&self, session: &SessionId) -> Result<PathBuf, SessionDirError>;

    /// The directories that are there, by name: only those that bear a session's name and are surely ao's, which a link, a
    /// file, another user's directory or one that others may read is not.
    ///
    /// # Errors
    /// [`SessionDirError`]; never an answer that leaves some out.
    async fn list(&self) -> Result<Vec<SessionDir>, SessionDirError>;

    /// Removes what is in the directory but for the files of these names, and the directory when none of them is there.
    ///
    /// # Errors
    /// [`SessionDirError`].
    async fn remove_but(&self, session: &SessionId, files: &[String]) -> Result<(), SessionDirError>;

    /// Removes the directory and what is in it.
    ///
    /// # Errors
    /// [`SessionDirError`].
    async fn remove(&self, session: &SessionId) -> Result<(), SessionDirError> {
        self.remove_but(session, &[]).await
    }
}
