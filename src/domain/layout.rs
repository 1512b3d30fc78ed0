//! Where things live: every path below the data directory.

use std::path::{Path, PathBuf};

use super::id::{ProjectId, SessionId};

/// The name of the API's socket, in the directory for sockets.
pub const API_SOCKET: &str = "ao.sock";

/// The data directory. Absolute, so that its paths mean the same to every process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// A data directory by its absolute path; `None` for a relative one.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Option<Self> {
        let path = path.into();
        path.is_absolute().then_some(Self(path))
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The database.
    #[must_use]
    pub fn db(&self) -> PathBuf {
        self.0.join("ao.db")
    }

    /// The directory of all workspaces.
    #[must_use]
    pub fn worktrees(&self) -> PathBuf {
        self.0.join("worktrees")
    }

    /// A session's workspace.
    #[must_use]
    pub fn worktree(&self, project: &ProjectId, session: &SessionId) -> PathBuf {
        self.worktrees().join(project.as_str()).join(session.as_str())
    }

    /// The directory of all sessions' private files.
    #[must_use]
    pub fn sessions(&self) -> PathBuf {
        self.0.join("sessions")
    }

    /// A session's private files: the agent's settings, the prompt, the launch specification.
    #[must_use]
    pub fn session_dir(&self, session: &SessionId) -> PathBuf {
        self.sessions().join(session.as_str())
    }

    /// Reports that hooks made while no daemon ran.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    /// The bearer token.
    #[must_use]
    pub fn token(&self) -> PathBuf {
        self.0.join("token")
    }

    /// What the one daemon of this directory holds locked.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("daemon.lock")
    }

    /// The log of a daemon in the background.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("daemon.log")
    }

    /// What the running daemon says about itself.
    #[must_use]
    pub fn run_file(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// Sockets, as far as their paths fit; see `platform::socket`.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        self.0.join("run")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_contract() {
        let dir = DataDir::new("/d").unwrap();
        let session: SessionId = "my-app-3".parse().unwrap();
        let paths = [
            (dir.db(), "/d/ao.db"),
            (dir.worktree(&session.project(), &session), "/d/worktrees/my-app/my-app-3"),
            (dir.session_dir(&session), "/d/sessions/my-app-3"),
            (dir.spool(), "/d/spool"),
            (dir.token(), "/d/token"),
            (dir.lock(), "/d/daemon.lock"),
            (dir.log(), "/d/daemon.log"),
            (dir.run_file(), "/d/run.json"),
            (dir.sockets(), "/d/run"),
        ];
        for (path, expected) in paths {
            assert_eq!(path, Path::new(expected));
        }
    }

    #[test]
    fn a_relative_data_directory_is_none() {
        assert_eq!(DataDir::new("data"), None);
    }
}
