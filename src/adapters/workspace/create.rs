//! Making a workspace.
//!
//! The order, and what a `kill -9` leaves for [`remove`](super::remove) after each step:
//!
//! 1. `/.ao/` in `info/exclude`; the fetch; the base. Nothing.
//! 2. The branch, marked in its reflog. An empty branch that is known to be ao's.
//! 3. The worktree, as [`checkout`](super::checkout) tells.

use std::sync::Arc;

use super::checkout::{Site, Target};
use super::entry::Ownership;
use super::preserve::Store;
use super::remove::{is_there, not_ours, take_away};
use super::{GitWorkspace, Turn, base, blocking, branch, exclude, failed, place};
use crate::fault::{self, Point};
use crate::ports::workspace::{Checkout, WorkspaceError, WorkspaceRequest};

fn site(request: &WorkspaceRequest) -> Site<'_> {
    Site { session: &request.session, repository: &request.repository, path: &request.path }
}

/// What is refused before anything is changed.
pub(super) async fn check(git: &GitWorkspace, request: &WorkspaceRequest) -> Result<(), WorkspaceError> {
    site(request).check(git).await?;
    if is_there(&request.path)? {
        return Err(not_ours(&request.path, "a directory is there already"));
    }
    branch::check_name(&git.git, &request.repository, &request.branch).await
}

pub(super) async fn create(git: &GitWorkspace, request: &WorkspaceRequest) -> Result<Checkout, WorkspaceError> {
    check(git, request).await?;
    let repository = &request.repository;
    exclude::ensure_in(repository).await.map_err(fault)?;
    fault::reach(Point::WorkspaceExcluded).map_err(|injected| fault(injected.into()))?;
    let base = base::find(&git.git, &git.fetches, repository, request.base.as_deref(), request.fetch_timeout).await?;
    let turn = git.turn(repository).await;
    let store = Store { git: &git.git, repository, session: &request.session, path: &request.path };
    clear_the_place(request, &store, &turn).await?;
    let left_aside = store.put_left_aside(&turn).await.map_err(|error| failed("make", &error))?;
    let aside = store.put_aside(&turn).await.map_err(|error| failed("make", &error))?;
    let owner = site(request).owner();
    branch::make_new(&git.git, repository, &request.branch, &base.commit, &owner, Arc::clone(&turn)).await?;
    let mut notes = base.notes;
    notes.extend(left_aside.into_iter().chain(aside));
    match site(request).check_out(git, &Target::Branch(request.branch.clone()), None, &turn).await {
        Ok(more) => {
            notes.extend(more);
            Ok(Checkout { base: base.name, base_commit: base.commit, notes })
        }
        Err(cause) => Err(fault(site(request).undo(git, Some(&request.branch), cause, turn).await)),
    }
}

/// An entry without its directory (deleted by hand) is in git's way: it goes if it is of a session of this name. What that left in it is saved
/// first. On which branch it was is told to nobody: who would ask is no more.
async fn clear_the_place(request: &WorkspaceRequest, store: &Store<'_>, turn: &Turn) -> Result<(), WorkspaceError> {
    let Some(entry) = site(request).look().await? else { return Ok(()) };
    if entry.ownership(&request.session) == Ownership::Foreign {
        return Err(not_ours(&request.path, "the repository has a worktree of somebody else's registered there"));
    }
    if entry.checkout.as_deref().is_some_and(|checkout| checkout.symlink_metadata().is_ok()) {
        return Err(not_ours(&request.path, "the session has a worktree already"));
    }
    if entry.ownership(&request.session) == Ownership::Complete {
        if let Some(cause) = place::out_of_reach(&entry, &request.path) {
            return Err(fault(cause));
        }
        let lost = store.rescue_all(&entry, turn).await.map_err(|error| failed("make", &error))?;
        lost.map_or(Ok(()), |lost| Err(fault(lost)))?;
    }
    let path = request.path.clone();
    blocking(move || take_away(&entry, &path)).await.map_err(|error| fault(error.to_string()))
}

fn fault(cause: String) -> WorkspaceError {
    WorkspaceError::Failed { action: "make", cause }
}
