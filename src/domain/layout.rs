//! Where things live below the data directory. Pure paths: nothing is read or made.

use std::path::{Path, PathBuf};

use super::id::{ProjectId, SessionId};

/// The data directory of one daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The layout below `root`, which should be absolute.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self(root)
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// The database.
    #[must_use]
    pub fn db(&self) -> PathBuf {
        self.0.join("ao.db")
    }

    /// What is locked while a daemon runs.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("daemon.lock")
    }

    /// The log of a background daemon.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("daemon.log")
    }

    /// What a client on a TCP port has to know.
    #[must_use]
    pub fn token(&self) -> PathBuf {
        self.0.join("token")
    }

    /// What the running daemon tells about itself.
    #[must_use]
    pub fn run_file(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// A link to the `ao` that serves here, for agents and their hooks: it leads to the new place when a later `ao` is in another.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.0.join("bin").join("ao")
    }

    /// Hook reports made while no daemon ran.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.0.join("spool")
    }

    /// The directories of all sessions.
    #[must_use]
    pub fn sessions(&self) -> PathBuf {
        self.0.join("sessions")
    }

    /// A session's private directory.
    #[must_use]
    pub fn session_dir(&self, session: &SessionId) -> PathBuf {
        self.sessions().join(session.as_str())
    }

    /// The workspaces of all sessions.
    #[must_use]
    pub fn worktrees(&self) -> PathBuf {
        self.0.join("worktrees")
    }

    /// A session's workspace.
    #[must_use]
    pub fn worktree(&self, project: &ProjectId, session: &SessionId) -> PathBuf {
        self.worktrees().join(project.as_str()).join(session.as_str())
    }
}
