//! Which worktrees of a repository ao made.

use std::path::Path;

use super::entry::{Entry, resolved};
use super::{GitWorkspace, blocking, failed};
use crate::ports::repo::Repository;
use crate::ports::workspace::{OwnedWorkspace, WorkspaceError};

/// Every worktree that bears ao's mark and whose directory is, or was, below `root`. One that a killed git had not yet
/// given a directory is in none; [`remove`](super::remove) finds it by its session.
pub(super) async fn owned(
    git: &GitWorkspace,
    repository: &Repository,
    root: &Path,
) -> Result<Vec<OwnedWorkspace>, WorkspaceError> {
    let common = repository.common_dir.clone();
    let entries = blocking(move || Entry::all(&common)).await.map_err(|error| WorkspaceError::Failed {
        action: "list",
        cause: format!("cannot read the worktrees of {}: {error}", repository.path.display()),
    })?;
    let root = resolved(root);
    let mut owned = Vec::new();
    for entry in entries {
        if let (Some(owner), Some(path)) = (entry.owner(), &entry.checkout)
            && path.starts_with(&root)
        {
            let branch = entry.branch(&git.git).await.map_err(|error| failed("list", &error))?;
            owned.push(OwnedWorkspace { session: owner.session().clone(), path: path.clone(), branch });
        }
    }
    Ok(owned)
}
