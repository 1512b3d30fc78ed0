//! Taking a workspace away, whole or half-made.
//!
//! | What is there | What happens |
//! | --- | --- |
//! | entry complete, directory | the look for work; kept, or marked `ao-removing` and taken away |
//! | entry half-made or `ao-removing`, directory or none | taken away: no agent was in it, or the look is done |
//! | entry complete, no directory | the entry is taken away, unless a person locked it or moved the checkout |
//! | no entry, directory | refused: not ours |
//! | no entry, no directory | success |
//! | no repository | the directory, if there, is kept |
//!
//! A git that still checks it out is given a few seconds; then the removal fails, to be tried again.
//!
//! Where the checkout is gone at the end, the branch goes too if it is ao's and empty. Every step can be done
//! again after a `kill -9`: the directory goes first, the entry's marks last.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::entry::{self, Entry, Ownership};
use super::{GitWorkspace, blocking, branch, failed, keep, tree};
use crate::domain::id::SessionId;
use crate::platform::process;
use crate::ports::repo::Repository;
use crate::ports::workspace::{Removal, WorkspaceError, WorkspaceRef};

/// How long a git that still checks the workspace out may hold up its removal.
const ORPHAN_WAIT: Duration = Duration::from_secs(5);

pub(super) async fn remove(git: &GitWorkspace, workspace: &WorkspaceRef) -> Result<Removal, WorkspaceError> {
    let path = &workspace.path;
    let there = is_there(path)?;
    let Some(repository) = &workspace.repository else {
        return Ok(if there {
            kept("its repository is gone, so what the directory holds cannot be found out")
        } else {
            Removal::Missing { branch_deleted: false, preserved: None }
        });
    };
    let session = &workspace.session;
    wait_for_orphans(workspace).await?;
    // A create that was dropped keeps its turn until its git has ended.
    drop(git.turn(repository).await);
    let there = there || is_there(path)?;
    let found = look(repository, path, session).await?;
    match (&found, found.as_ref().map(|entry| entry.ownership(session))) {
        (None, _) if there => return Err(not_ours(path, "no worktree of the repository is there")),
        (None, _) => {
            let _turn = git.turn(repository).await;
            entry::sweep_empty(&repository.common_dir, path);
        }
        (Some(_), Some(Ownership::Foreign) | None) => {
            return Err(not_ours(path, "it is a worktree that somebody else made, or of another session"));
        }
        (Some(entry), Some(ownership)) => {
            if let Some(reason) = reason_to_keep(git, workspace, entry, ownership, there).await? {
                return Ok(kept(&reason));
            }
            let _turn = git.turn(repository).await;
            let (entry, checkout) = (entry.clone(), path.clone());
            let done = blocking(move || take_away(&entry, &checkout)).await;
            done.map_err(|error| fault(format!("cannot delete {}: {error}", path.display())))?;
        }
    }
    let base = workspace.base_commit.as_deref();
    let turn = git.turn(repository).await;
    let branch_deleted = branch::delete_if_empty(&git.git, repository, &workspace.branch, session, base, turn)
        .await
        .map_err(|error| failed("remove", &error))?;
    let preserved = None;
    Ok(if there {
        Removal::Removed { branch_deleted, preserved }
    } else {
        Removal::Missing { branch_deleted, preserved }
    })
}

async fn look(repository: &Repository, path: &Path, session: &SessionId) -> Result<Option<Entry>, WorkspaceError> {
    let (common, path, session) = (repository.common_dir.clone(), path.to_owned(), session.clone());
    let cause = format!("cannot read the worktrees of {}", repository.path.display());
    blocking(move || entry::find(&common, &path, &session)).await.map_err(|error| fault(format!("{cause}: {error}")))
}

/// A git that outlived the ao that started it may still be checking out, and would go on writing into what is taken
/// away. It is given a moment to finish; more is for the caller to wait, who may have other sessions to look after.
async fn wait_for_orphans(workspace: &WorkspaceRef) -> Result<(), WorkspaceError> {
    let (reason, path) = (entry::lock_reason(&workspace.session), workspace.path.clone());
    let finished = async {
        loop {
            let (reason, path) = (reason.clone(), path.clone());
            let running =
                blocking(move || process::any_with_arguments(&[reason.as_bytes(), path.as_os_str().as_bytes()]));
            match running.await {
                Ok(false) => return Ok(()),
                Ok(true) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => return Err(fault(format!("cannot look for a git that still works on it: {error}"))),
            }
        }
    };
    let late = || {
        Err(WorkspaceError::Busy {
            path: path.clone(),
            cause: "a git that was started earlier checks it out".to_owned(),
        })
    };
    tokio::time::timeout(ORPHAN_WAIT, finished).await.unwrap_or_else(|_elapsed| late())
}

async fn reason_to_keep(
    git: &GitWorkspace,
    workspace: &WorkspaceRef,
    entry: &Entry,
    ownership: Ownership,
    there: bool,
) -> Result<Option<String>, WorkspaceError> {
    let path = &workspace.path;
    let elsewhere = entry.checkout.as_deref().filter(|checkout| *checkout != entry::resolved(path));
    if let Some(elsewhere) = elsewhere {
        return if there {
            Err(not_ours(path, "the session's worktree was moved elsewhere"))
        } else {
            Ok(Some(format!("it was moved to {}", elsewhere.display())))
        };
    }
    if let Some(reason) = entry.foreign_lock(&workspace.session) {
        return Ok(Some(format!("the worktree is locked ({reason}); `git worktree unlock` releases it")));
    }
    if there {
        check_link(entry, path)?;
    }
    if !there || ownership == Ownership::HalfMade {
        return Ok(None);
    }
    // Something that cannot be found out is never taken for absence of work.
    let reason = keep::reason(&git.git, entry, path).await;
    Ok(reason.unwrap_or_else(|error| Some(format!("it cannot be found out whether it holds work: {error}"))))
}

/// The directory must be the entry's: its `.git` is a file that names it. Half-made, it may not be there yet.
fn check_link(entry: &Entry, path: &Path) -> Result<(), WorkspaceError> {
    let link = path.join(".git");
    match link.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(metadata) if metadata.is_file() => {}
        _ => return Err(not_ours(path, "its .git is not the file that a worktree has")),
    }
    let content = std::fs::read_to_string(&link).unwrap_or_default();
    let target = content.strip_prefix("gitdir:").map(|target| path.join(target.trim()));
    // A target that is not there is a repository that was moved; the entry itself names this directory.
    match target.map(|target| target.canonicalize()) {
        Some(Ok(target)) if target != entry::resolved(&entry.admin) => {
            Err(not_ours(path, "its .git names another repository"))
        }
        None if !content.is_empty() => Err(not_ours(path, "its .git is not the file that a worktree has")),
        _ => Ok(()),
    }
}

/// Takes away the directory, then the entry. Can be repeated from any point on.
pub(super) fn take_away(entry: &Entry, checkout: &Path) -> io::Result<()> {
    entry.mark_removing()?;
    tree::delete(checkout)?;
    let admin = &entry.admin;
    // Without `gitdir` every git overlooks the entry.
    crate::platform::file::remove_if_there(&admin.join("gitdir"))?;
    let marks = ["ao-removing", "locked", "ao-session"];
    for item in std::fs::read_dir(admin)? {
        let item = item?;
        if marks.iter().any(|mark| item.file_name() == *mark) {
            continue;
        }
        if item.file_type()?.is_dir() {
            tree::delete(&item.path())?;
        } else {
            std::fs::remove_file(item.path())?;
        }
    }
    for mark in marks {
        crate::platform::file::remove_if_there(&admin.join(mark))?;
    }
    std::fs::remove_dir(admin)
}

/// Whether a directory is there; anything else in its place is not ours.
pub(super) fn is_there(path: &Path) -> Result<bool, WorkspaceError> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(true),
        Ok(_) => Err(not_ours(path, "it is no directory")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(fault(format!("cannot look at {}: {error}", path.display()))),
    }
}

pub(super) fn not_ours(path: &Path, cause: &str) -> WorkspaceError {
    WorkspaceError::NotOurs { path: path.to_owned(), cause: cause.to_owned() }
}

fn fault(cause: String) -> WorkspaceError {
    WorkspaceError::Failed { action: "remove", cause }
}

fn kept(reason: &str) -> Removal {
    Removal::Kept { reason: reason.to_owned() }
}
