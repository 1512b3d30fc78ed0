//! Where does a session keep its private files?

use std::path::PathBuf;

use async_trait::async_trait;

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

/// Keeps one private directory for each session: agent settings, prompt, launch spec, terminal records. It is outside the
/// workspace and survives the daemon.
///
/// # Contract
/// - The directory's path depends on the session only. Directories are 0700.
/// - Both calls are idempotent.
#[async_trait]
pub trait SessionDirs: Send + Sync {
    /// The directory's path, whether or not it exists.
    fn path(&self, session: &SessionId) -> PathBuf;

    /// Makes the directory.
    ///
    /// # Errors
    /// [`SessionDirError`].
    async fn make(&self, session: &SessionId) -> Result<PathBuf, SessionDirError>;

    /// Removes the directory and what is in it.
    ///
    /// # Errors
    /// [`SessionDirError`].
    async fn remove(&self, session: &SessionId) -> Result<(), SessionDirError>;
}
