//! Making a workspace.
//!
//! The order, and what a `kill -9` leaves for [`remove`](super::remove) after each step:
//!
//! 1. `/.ao/` in `info/exclude`; the fetch; the base. Nothing.
//! 2. The branch, marked in its reflog. An empty branch that is known to be ao's.
//! 3. `git worktree add --lock --reason "ao: <session>"`: git writes that lock as the first file of the entry, before any
//!    file of the checkout. An entry that is known to be half-made, with any part of the directory.
//! 4. `ao-session` in the entry, then the unlock. A complete workspace.

use std::sync::Arc;

use super::entry::{self, Entry, Ownership};
use super::git::{Call, GitError};
use super::remove::{is_there, not_ours, take_away};
use super::{GitWorkspace, Turn, base, blocking, branch, exclude, failed};
use crate::ports::workspace::{Checkout, WorkspaceError, WorkspaceRequest};

/// What is refused before anything is changed.
pub(super) async fn check(git: &GitWorkspace, request: &WorkspaceRequest) -> Result<(), WorkspaceError> {
    let repository = &request.repository;
    git.version().await?;
    let call = git.git.at(&repository.path).args(["rev-parse", "--git-dir"]);
    call.text().await.map_err(|error| unsupported(request, error.complaint()))?;
    if rustix::fs::access(&repository.common_dir, rustix::fs::Access::WRITE_OK).is_err() {
        return Err(unsupported(request, format!("{} is not writable", repository.common_dir.display())));
    }
    if is_there(&request.path)? {
        return Err(not_ours(&request.path, "a directory is there already"));
    }
    branch::check_name(&git.git, repository, &request.branch).await
}

pub(super) async fn create(git: &GitWorkspace, request: &WorkspaceRequest) -> Result<Checkout, WorkspaceError> {
    check(git, request).await?;
    let repository = &request.repository;
    let common = repository.common_dir.clone();
    blocking(move || exclude::ensure(&common))
        .await
        .map_err(|error| fault(format!("cannot write info/exclude: {error}")))?;
    let base = base::find(&git.git, &git.fetches, repository, request.base.as_deref(), request.fetch_timeout).await?;
    let turn = git.turn(repository).await;
    clear_the_place(request).await?;
    make_branch(git, request, &base.commit, &turn).await?;
    let mut notes = base.notes;
    match check_out(git, request, &mut notes, &turn).await {
        Ok(()) => {
            notes.extend(particulars(git, request).await);
            Ok(Checkout { base: base.name, base_commit: base.commit, notes })
        }
        Err(cause) => Err(undo(git, request, cause, turn).await),
    }
}

/// An entry without its directory (deleted by hand) is in git's way: it goes if it is this session's.
async fn clear_the_place(request: &WorkspaceRequest) -> Result<(), WorkspaceError> {
    let Some(entry) = look(request).await? else { return Ok(()) };
    if entry.ownership(&request.session) == Ownership::Foreign {
        return Err(not_ours(&request.path, "the repository has a worktree of somebody else's registered there"));
    }
    if entry.checkout.as_deref().is_some_and(|checkout| checkout.symlink_metadata().is_ok()) {
        return Err(not_ours(&request.path, "the session has a worktree already"));
    }
    let path = request.path.clone();
    blocking(move || take_away(&entry, &path)).await.map_err(|error| fault(error.to_string()))
}

async fn look(request: &WorkspaceRequest) -> Result<Option<Entry>, WorkspaceError> {
    let (common, path) = (request.repository.common_dir.clone(), request.path.clone());
    let session = request.session.clone();
    blocking(move || entry::find(&common, &path, &session)).await.map_err(|error| fault(error.to_string()))
}

async fn make_branch(
    git: &GitWorkspace,
    request: &WorkspaceRequest,
    commit: &str,
    turn: &Turn,
) -> Result<(), WorkspaceError> {
    let (repository, name) = (&request.repository, &request.branch);
    match branch::make(&git.git, repository, name, commit, &request.session, Arc::clone(turn)).await {
        Ok(()) => Ok(()),
        // Somebody was faster than the check; ask again for the exact reason.
        Err(error) => {
            branch::check_name(&git.git, repository, name).await?;
            Err(failed("make", &error))
        }
    }
}

async fn check_out(
    git: &GitWorkspace,
    request: &WorkspaceRequest,
    notes: &mut Vec<String>,
    turn: &Turn,
) -> Result<(), String> {
    let reason = entry::lock_reason(&request.session);
    // One worker a core: 65,536 files in 5.2 to 5.6 s instead of 7 to 11 s on two cores (git 2.47); small trees are as quick.
    let call = git.git.at(&request.repository.path).config("checkout.workers=0");
    let call = call.args(["worktree", "add", "--quiet", "--lock", "--reason", &reason, "--"]);
    let added = call
        .arg(&request.path)
        .arg(&request.branch)
        .timeout(git.git.settings().checkout_timeout)
        .change_to_the_end(Arc::clone(turn))
        .await;
    let entry = look(request).await.map_err(|error| error.to_string())?;
    let Some(entry) = entry.filter(|entry| entry.ownership(&request.session) == Ownership::HalfMade) else {
        return Err(
            added.map_or_else(|error| error.complaint(), |_| "git made no worktree that can be found".to_owned())
        );
    };
    if let Err(error) = added {
        // The entry stays only when everything but the hook went well; the checkout tells for certain.
        if !is_complete(git.git.worktree(&entry.admin, &request.path)).await {
            return Err(error.complaint());
        }
        notes.push(format!("the repository's post-checkout hook failed: {}", error.complaint()));
    }
    entry.mark_owned(&request.session).map_err(|error| format!("cannot mark the worktree as ao's: {error}"))?;
    let unlock = git.git.at(&request.repository.path).args(["worktree", "unlock", "--"]).arg(&request.path);
    unlock.change().await.map(drop).map_err(|error| error.complaint())
}

/// Whether the index and all tracked files are there as committed.
async fn is_complete(call: Call) -> bool {
    let status = call.args(["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"]);
    matches!(status.text().await.as_deref(), Ok(""))
}

/// What a person should know of this kind of checkout.
async fn particulars(git: &GitWorkspace, request: &WorkspaceRequest) -> Vec<String> {
    let mut notes = Vec::new();
    if request.path.join(".gitmodules").is_file() {
        notes.push(
            "its submodules are not checked out; `git submodule update --init` in the workspace does that".to_owned(),
        );
    }
    let attributes = std::fs::read_to_string(request.path.join(".gitattributes")).unwrap_or_default();
    if attributes.contains("filter=lfs") {
        let smudge = git.git.at(&request.path).args(["config", "--get-regexp", r"^filter\.lfs\.(smudge|process)$"]);
        if matches!(smudge.answer().await, Ok(None)) {
            notes.push("its Git LFS files are pointers, for Git LFS is not set up (`git lfs install`)".to_owned());
        }
    }
    notes
}

/// Takes back what was built; gives the error to report.
async fn undo(git: &GitWorkspace, request: &WorkspaceRequest, cause: String, turn: Turn) -> WorkspaceError {
    let mut left = Vec::new();
    match look(request).await {
        Ok(Some(entry)) if entry.ownership(&request.session) != Ownership::Foreign => {
            let path = request.path.clone();
            if let Err(error) = blocking(move || take_away(&entry, &path)).await {
                left.push(format!("the directory {} ({error})", request.path.display()));
            }
        }
        Ok(_) => {}
        Err(error) => left.push(format!("the worktree ({error})")),
    }
    let (repository, name) = (&request.repository, &request.branch);
    let deleted: Result<bool, GitError> = branch::take_back(&git.git, repository, name, &request.session, turn).await;
    if !matches!(deleted, Ok(true)) {
        left.push(format!("the branch {name}"));
    }
    if left.is_empty() { fault(cause) } else { fault(format!("{cause}\nThis is left: {}", left.join(", "))) }
}

fn fault(cause: String) -> WorkspaceError {
    WorkspaceError::Failed { action: "make", cause }
}

fn unsupported(request: &WorkspaceRequest, cause: String) -> WorkspaceError {
    WorkspaceError::Unsupported { repository: request.repository.path.clone(), cause }
}
