//! A directory per session below the data directory.

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::domain::id::SessionId;
use crate::platform::file;
use crate::ports::session_dir::{SessionDirError, SessionDirs};

/// Keeps each session's private files in `<root>/<session>/`.
#[derive(Debug, Clone)]
pub struct FileSessionDirs {
    root: PathBuf,
}

impl FileSessionDirs {
    /// Keeps them below `root`, which is made when needed.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }
}

#[async_trait]
impl SessionDirs for FileSessionDirs {
    fn path(&self, session: &SessionId) -> PathBuf {
        self.root.join(session.as_str())
    }

    async fn make(&self, session: &SessionId) -> Result<PathBuf, SessionDirError> {
        let path = self.path(session);
        match file::create_private_dir(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(SessionDirError { action: "make", path, source }),
        }
    }

    async fn remove(&self, session: &SessionId) -> Result<(), SessionDirError> {
        let path = self.path(session);
        match tokio::fs::remove_dir_all(&path).await {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(SessionDirError { action: "remove", path, source })
            }
            _ => Ok(()),
        }
    }
}
