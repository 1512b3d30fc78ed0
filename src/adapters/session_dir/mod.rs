//! A directory per session below the data directory.

use std::fs::{DirEntry, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::domain::Timestamp;
use crate::domain::id::SessionId;
use crate::platform::file;
use crate::ports::session_dir::{SessionDir, SessionDirError, SessionDirs};

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

    async fn list(&self) -> Result<Vec<SessionDir>, SessionDirError> {
        let root = self.root.clone();
        let listed = tokio::task::spawn_blocking(move || list(&root)).await.map_err(io::Error::other);
        let failed = |source| SessionDirError { action: "list", path: self.root.clone(), source };
        listed.and_then(|listed| listed).map_err(failed)
    }

    async fn remove_but(&self, session: &SessionId, files: &[String]) -> Result<(), SessionDirError> {
        let (path, files) = (self.path(session), files.to_vec());
        let cleared = tokio::task::spawn_blocking(move || clear_but(&path, &files)).await.map_err(io::Error::other);
        let failed = |source| SessionDirError { action: "remove", path: self.path(session), source };
        cleared.and_then(|cleared| cleared).map_err(failed)
    }
}

fn clear_but(directory: &Path, files: &[String]) -> io::Result<()> {
    match std::fs::symlink_metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Also one that leads to a directory: that is another's.
        Ok(found) if found.is_symlink() => return file::remove_if_there(directory),
        Ok(_) => {}
        Err(error) => return Err(error),
    }
    let entries = std::fs::read_dir(directory)?;
    let mut is_empty = true;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else if kind.is_file() && files.iter().any(|name| *name == *entry.file_name().to_string_lossy()) {
            is_empty = false;
        } else {
            file::remove_if_there(&entry.path())?;
        }
    }
    if is_empty { std::fs::remove_dir(directory) } else { Ok(()) }
}

fn list(root: &Path) -> io::Result<Vec<SessionDir>> {
    let entries = match std::fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Some(session) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        match look(&entry) {
            Ok(Some(changed_at)) => listed.push(SessionDir { session, changed_at }),
            Ok(None) => {}
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    listed.sort_by(|one: &SessionDir, other| one.session.cmp(&other.session));
    Ok(listed)
}

/// When the directory last changed; `None` when it is none that ao made.
fn look(entry: &DirEntry) -> io::Result<Option<Timestamp>> {
    // Of the entry itself: a link is not followed.
    let metadata = entry.metadata()?;
    let is_private = metadata.permissions().mode() & 0o777 == 0o700;
    if !metadata.is_dir() || !is_private || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Ok(None);
    }
    let mut newest = changed_at(&metadata)?;
    for inner in std::fs::read_dir(entry.path())? {
        newest = newest.max(changed_at(&inner?.metadata()?)?);
    }
    Ok(Some(newest))
}

fn changed_at(metadata: &Metadata) -> io::Result<Timestamp> {
    Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)
}
