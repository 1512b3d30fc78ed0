//! Which worktrees of a repository ao made.

use std::path::Path;

use super::entry::{Entry, resolved};
use super::git::GitError;
use super::{GitWorkspace, blocking, failed};
use crate::ports::repo::Repository;
use crate::ports::workspace::{OwnedWorkspace, WorkspaceError};

/// Every worktree that bears ao's mark and whose directory is, or was, below `root`. One whose entry names no directory, not
/// yet or not any more, for it was being made or removed when somebody was killed, is where its mark says.
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
        let Some(mark) = entry.owner() else { continue };
        if let Some(path) = entry.checkout.clone().or_else(|| mark.workspace()).filter(|path| path.starts_with(&root)) {
            let branch = match entry.branch(&git.git).await {
                // The others must not be out of sight because of one.
                Err(error @ GitError::Refused { .. }) => {
                    tracing::warn!(%error, entry = %entry.admin.display(), "which branch a worktree is on cannot be read");
                    None
                }
                branch => branch.map_err(|error| failed("list", &error))?,
            };
            owned.push(OwnedWorkspace { session: mark.session().clone(), path, branch });
        }
    }
    Ok(owned)
}
