//! Giving an ended session its workspace again.
//!
//! | What is there | What happens |
//! | --- | --- |
//! | the session's worktree, complete | it is used as it is |
//! | a half-made one, or one whose removal was cut off | taken away, then made anew: it holds no work that is not saved |
//! | an entry whose directory is out of [reach](super::place) | refused |
//! | an entry whose directory was deleted by hand | what it still holds is saved, and what it was on [told](super::left); it is taken away, then made anew; refused when it cannot be saved |
//! | nothing | made anew |
//! | anything else | refused |
//!
//! Made anew means on the branch it was on: the one an entry names that was not taken away, else the one that it
//! [left](super::left), else the one its saved work names, else the one that was made for the session, under its present
//! name; that last one is also taken where the branch is gone, with a note. Where it is gone too it is made again, at the
//! commit the work was made on, else where it started. Work is put back only onto the commit it was made on; where the branch has moved
//! on, it stays where it is held and a note says how to get it.

use std::path::Path;
use std::sync::Arc;

use super::checkout::{Site, Target};
use super::entry::{Entry, Ownership, resolved};
use super::git::{Git, GitError};
use super::left::Left;
use super::owner::Owner;
use super::preserve::{Saved, Store};
use super::remove::{check_link, find, is_there, not_ours, take_away};
use super::{GitWorkspace, Turn, blocking, branch, exclude, failed, orphan, place};
use crate::ports::workspace::{Head, ReopenRequest, Reopened, ToMake, WorkspaceError};

/// What is done to have the workspace again.
struct Plan {
    target: Target,
    /// Where the target, a branch, is to be made; `None` when it is there.
    make_at: Option<String>,
    /// The work that can be put back.
    work: Option<Saved>,
    notes: Vec<String>,
}

pub(super) async fn reopen(git: &GitWorkspace, request: &ReopenRequest) -> Result<Reopened, WorkspaceError> {
    let site = Site { session: &request.session, repository: &request.repository, path: &request.path };
    site.check(git).await?;
    orphan::end(site.path).await?;
    exclude::ensure_in(site.repository).await.map_err(fault)?;
    let turn = git.turn(site.repository).await;
    let there = is_there(site.path)?;
    let entry = site.look().await?;
    if let Some(entry) = &entry {
        check_place(&site, entry, there)?;
        if there && entry.ownership(site.session) == Ownership::Complete {
            return still_there(git, request, entry).await;
        }
    } else if there {
        return Err(not_ours(site.path, "no worktree of the repository is there"));
    }
    let store = Store { git: &git.git, repository: site.repository, session: site.session, path: site.path };
    if let Some(entry) = entry.as_ref().filter(|entry| entry.ownership(site.session) == Ownership::Complete) {
        let lost = store.rescue_all(entry, &turn).await.map_err(|error| failed("reopen", &error))?;
        lost.map_or(Ok(()), |lost| Err(fault(lost)))?;
    }
    let plan = plan(git, request, entry.as_ref(), &store).await?;
    check_free(git, request, &plan.target).await?;
    if let Some(entry) = entry {
        if entry.ownership(site.session) == Ownership::Complete {
            // What it was on goes with it, and whether the next one is made nobody knows.
            let left = store.leave(&entry, &request.branch, &turn).await;
            left.map_err(|error| failed("reopen", &error))?;
        }
        let path = site.path.to_owned();
        blocking(move || take_away(&entry, &path)).await.map_err(|error| fault(error.to_string()))?;
    }
    let (notes, branch) = make(git, &site, plan, turn).await?;
    Ok(Reopened { notes, made: true, branch })
}

/// What [`reopen`] would make; reads only. What it would save first changes nothing about that: it is on a commit that is there.
pub(super) async fn to_make(git: &GitWorkspace, request: &ReopenRequest) -> Result<ToMake, WorkspaceError> {
    let ReopenRequest { session, repository, path, .. } = request;
    let found = find(git, repository, path, session).await?;
    if found.is_whole(path, session) {
        return Ok(ToMake::default());
    }
    let store = Store { git: &git.git, repository, session, path };
    let plan = plan(git, request, found.entry.as_ref(), &store).await?;
    let branch = match plan.target {
        Target::Branch(name) if plan.make_at.is_some() => Some(name),
        _ => None,
    };
    Ok(ToMake { workspace: true, branch })
}

/// Refuses a place that somebody else's worktree has, or that this session's has left.
fn check_place(site: &Site<'_>, entry: &Entry, there: bool) -> Result<(), WorkspaceError> {
    if entry.ownership(site.session) == Ownership::Foreign {
        return Err(not_ours(site.path, "the repository has a worktree of somebody else's registered there"));
    }
    if let Some(elsewhere) = entry.elsewhere(site.path) {
        let cause = format!("the session's worktree was moved to {}; move it back", elsewhere.display());
        return Err(not_ours(site.path, &cause));
    }
    if there {
        check_link(entry, site.path)?;
        return entry.bereft().map_or(Ok(()), |cause| Err(not_ours(site.path, cause)));
    }
    match entry.foreign_lock(site.session) {
        Some(reason) => Err(not_ours(
            site.path,
            &format!("its directory is not there, and it is locked ({reason}); `git worktree unlock` releases it"),
        )),
        None if entry.ownership(site.session) == Ownership::Complete => {
            place::out_of_reach(entry, site.path).map_or(Ok(()), |cause| Err(fault(cause)))
        }
        None => Ok(()),
    }
}

/// Uses the worktree that is there. One that lost the way to its repository, which was moved, gets it back.
async fn still_there(git: &GitWorkspace, request: &ReopenRequest, entry: &Entry) -> Result<Reopened, WorkspaceError> {
    let mut notes = Vec::new();
    let bound_to = git.git.at(&request.path).args(["rev-parse", "--absolute-git-dir"]).text().await;
    if !bound_to.is_ok_and(|admin| resolved(Path::new(&admin)) == resolved(&entry.admin)) {
        let repair = git.git.at(&request.repository.path).args(["worktree", "repair", "--"]).arg(&request.path);
        repair.change().await.map_err(|error| failed("reopen", &error))?;
        notes.push(format!(
            "it was bound to its repository again, which is at {} now",
            request.repository.path.display()
        ));
    }
    let branch = entry.branch(&git.git).await.map_err(|error| failed("reopen", &error))?;
    Ok(Reopened { notes, made: false, branch })
}

/// What was saved, as the repository holds it, else as it was recorded.
async fn saved_work(request: &ReopenRequest, store: &Store<'_>) -> Result<Result<Option<Saved>, String>, GitError> {
    let held = store.held().await?;
    let Some(work) = held.as_ref().or(request.preserved.as_ref()) else { return Ok(Ok(None)) };
    Ok(match store.read(&work.commit).await? {
        Some(saved) => Ok(Some(saved)),
        None if held.is_some() => Err(format!("{} holds no work that ao saved; it was left alone", work.reference)),
        None => Err(format!("the work that was saved as {} is not in the repository any more", work.commit)),
    })
}

async fn plan(
    git: &GitWorkspace,
    request: &ReopenRequest,
    entry: Option<&Entry>,
    store: &Store<'_>,
) -> Result<Plan, WorkspaceError> {
    let failed = |error: GitError| failed("reopen", &error);
    let (git, repository) = (&git.git, &request.repository);
    let (work, mut notes) = match saved_work(request, store).await.map_err(failed)? {
        Ok(work) => (work, Vec::new()),
        Err(note) => (None, vec![note]),
    };
    let left = was_on(request, entry, store, work.as_ref()).await.map_err(failed)?;
    if let Some(Head::Commit(commit)) = left.as_ref().map(|left| &left.head) {
        notes.push(format!("it is on no branch, as it was, at {commit}"));
        let work = fitting(work, commit, "it is on another commit than when", &mut notes);
        return Ok(Plan { target: Target::Commit(commit.clone()), make_at: None, work, notes });
    }
    let mut name = left.as_ref().and_then(Left::branch).unwrap_or(&request.branch).to_owned();
    let mut found = on_branch(git, request, &name, work.as_ref(), &mut notes).await?;
    if found.is_none() && work.is_none() && name != request.branch {
        name.clone_from(&request.branch);
        found = on_branch(git, request, &name, None, &mut notes).await?;
    }
    if let Some(Left { head: Head::Branch(gone), commit }) = &left
        && found.as_ref().map_or(*gone != name, |(found, tip)| found != gone && tip != commit)
    {
        notes.push(format!("branch {gone}, which it was on, is gone; its last commit was {commit}"));
    }
    if let Some((name, tip)) = found {
        let work = fitting(work, &tip, &format!("branch {name} has moved since"), &mut notes);
        return Ok(Plan { target: Target::Branch(name), make_at: None, work, notes });
    }
    let Some(start) = work.as_ref().map(|work| work.snapshot.head.clone()).or_else(|| request.base_commit.clone())
    else {
        return Err(fault(format!("its branch {name} is gone, and what it started from is not on record")));
    };
    let there = git.at(&repository.path).args(["cat-file", "-e", &format!("{start}^{{commit}}")]);
    if !there.output().await.map_err(failed)?.status.success() {
        return Err(fault(format!("its branch {name} is gone, and so is {start}, which it started from")));
    }
    notes.push(format!("its branch {name} was gone, and was made again at {start}"));
    Ok(Plan { target: Target::Branch(name), make_at: Some(start), work, notes })
}

/// What the session was on: as an entry has it whose directory was deleted, else as it was told when the workspace went, else
/// as its saved work has it. `None` stands for its own branch.
async fn was_on(
    request: &ReopenRequest,
    entry: Option<&Entry>,
    store: &Store<'_>,
    work: Option<&Saved>,
) -> Result<Option<Left>, GitError> {
    if let Some(entry) = entry.filter(|entry| entry.ownership(store.session) == Ownership::Complete) {
        return store.elsewhere(entry, &request.branch).await;
    }
    if let Some(left) = store.left().await? {
        return Ok(Some(left));
    }
    Ok(work.map(|Saved { branch, snapshot, .. }| {
        let commit = snapshot.head.clone();
        Left { head: branch.clone().map_or_else(|| Head::Commit(commit.clone()), Head::Branch), commit }
    }))
}

/// The work if it was made on that commit; else a note says how to get it.
fn fitting(work: Option<Saved>, commit: &str, otherwise: &str, notes: &mut Vec<String>) -> Option<Saved> {
    let work = work?;
    if work.snapshot.head == commit {
        return Some(work);
    }
    let saved = &work.commit;
    notes.push(format!("{otherwise} its uncommitted work was saved; `git stash apply --index {saved}` gets that"));
    None
}

/// The branch to be on and where it is: the one of this name, else the one that was made for the session, under its
/// present name. One that the work does not fit is no substitute. One of the session's own name that was made for another
/// one since is refused; one that the session had gone to by itself is a note.
async fn on_branch(
    git: &Git,
    request: &ReopenRequest,
    name: &str,
    work: Option<&Saved>,
    notes: &mut Vec<String>,
) -> Result<Option<(String, String)>, WorkspaceError> {
    let failed = |error: GitError| failed("reopen", &error);
    let (repository, owner) = (&request.repository, Owner::new(&request.session, &request.path));
    let mut taken = None;
    if let Some(place) = branch::find(git, repository, name).await.map_err(failed)? {
        let another = branch::made_for_another(git, repository, name, &owner).await.map_err(failed)?;
        taken = another.map(|another| format!("branch {name} was made for {another}"));
        if taken.is_none() || name != request.branch {
            notes.extend(taken);
            let is_known = branch::is_made_for(git, repository, name, &owner).await.map_err(failed)?;
            if name == request.branch && !is_known {
                notes.push(format!("branch {name} is not known to be the one that was made for it"));
            }
            return Ok(Some((name.to_owned(), place.tip)));
        }
    }
    for name in branch::made_for(git, repository, &owner).await.map_err(failed)? {
        if let Some(place) = branch::find(git, repository, &name).await.map_err(failed)?
            && work.is_none_or(|work| work.snapshot.head == place.tip)
        {
            return Ok(Some((name, place.tip)));
        }
    }
    match taken {
        Some(taken) => Err(fault(format!("{taken}; `git branch -m` gives it another name, and then this works"))),
        None => Ok(None),
    }
}

/// Refuses a branch that another checkout is on.
async fn check_free(git: &GitWorkspace, request: &ReopenRequest, target: &Target) -> Result<(), WorkspaceError> {
    let Target::Branch(branch) = target else { return Ok(()) };
    let place = branch::find(&git.git, &request.repository, branch).await;
    let place = place.map_err(|error| failed("reopen", &error))?;
    match place.and_then(|place| place.checkout) {
        Some(checkout) if resolved(&checkout) != resolved(&request.path) => {
            Err(WorkspaceError::BranchInUse { branch: branch.clone(), checkout })
        }
        _ => Ok(()),
    }
}

/// Gives notes, and the branch.
async fn make(
    git: &GitWorkspace,
    site: &Site<'_>,
    plan: Plan,
    turn: Turn,
) -> Result<(Vec<String>, Option<String>), WorkspaceError> {
    let Plan { target, make_at, work, mut notes } = plan;
    let branch = match &target {
        Target::Branch(name) => Some(name.clone()),
        Target::Commit(_) => None,
    };
    let made_branch = branch.as_deref().filter(|_| make_at.is_some());
    if let (Some(name), Some(start)) = (made_branch, &make_at) {
        branch::make_new(&git.git, site.repository, name, start, &site.owner(), Arc::clone(&turn)).await?;
    }
    match site.check_out(git, &target, work.as_ref(), &turn).await {
        Ok(more) => {
            notes.extend(more);
            Ok((notes, branch))
        }
        Err(cause) => Err(fault(site.undo(git, made_branch, cause, turn).await)),
    }
}

fn fault(cause: String) -> WorkspaceError {
    WorkspaceError::Failed { action: "reopen", cause }
}
