//! Putting saved work back into a fresh checkout of the commit it was made on.

use std::path::Path;
use std::sync::Arc;

use super::Turn;
use super::entry::Entry;
use super::git::{Git, GitError};
use super::preserve::Saved;
use super::snapshot::Camera;
use crate::fault::{self, Point};

/// The git command that writes the files; `remove` and `reopen` let one finish whose ao was killed.
pub(super) const READ_TREE: &str = "read-tree";

/// Makes the files and the index those that were saved, so that `git status` tells the same as then. The work counts as
/// put back only when a look at the outcome finds exactly it; else its reference goes on holding it, and a note says so.
pub(super) async fn put_back(
    git: &Git,
    entry: &Entry,
    checkout: &Path,
    work: &Saved,
    turn: &Turn,
) -> Result<Vec<String>, String> {
    let failed = |error: GitError| format!("the saved work cannot be put back: {}", error.complaint());
    let call = || {
        let call = git.worktree(&entry.admin, checkout).timeout(git.settings().checkout_timeout);
        call.config("submodule.recurse=false")
    };
    let wanted = &work.snapshot;
    call()
        .args([READ_TREE, "--reset", "-u", &wanted.files])
        .change_to_the_end(Arc::clone(turn))
        .await
        .map_err(failed)?;
    fault::reach(Point::WorkspaceFilesPutBack)?;
    call().args([READ_TREE, &wanted.index]).change_to_the_end(Arc::clone(turn)).await.map_err(failed)?;
    // Only to spare the next status the reading of all files; it complains of those that differ.
    call().args(["update-index", "-q", "--refresh"]).output().await.map_err(failed)?;
    let camera = Camera::new(git, entry, checkout).await.map_err(failed)?;
    let is_exact = matches!(camera.take().await, Ok(found) if found == *wanted);
    if !is_exact {
        return Ok(vec![format!(
            "the saved work was put back, but the outcome is not exactly what was saved; {} still holds that",
            work.commit
        )]);
    }
    entry.mark_put_back(&work.commit).map_err(|error| format!("cannot note what was put back: {error}"))?;
    let earlier = work.earlier.as_ref().map(|earlier| {
        format!("work that was saved before is still in {earlier}; `git stash apply --index {earlier}` gets it")
    });
    Ok(earlier.into_iter().collect())
}
