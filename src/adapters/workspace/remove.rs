//! Taking a workspace away, whole or half-made.
//!
//! | What is there | What happens |
//! | --- | --- |
//! | entry complete, directory | the look for work; kept, or (its work saved) marked `ao-removing` and taken away |
//! | entry half-made or `ao-removing`, directory or none | taken away: no agent was in it, or the look is done |
//! | entry complete, directory out of [reach](super::place) | kept |
//! | entry complete, directory deleted | what it still holds is saved; it is taken away, unless a person locked it or moved the checkout |
//! | no entry, directory | refused: not ours |
//! | no entry, no directory | success |
//! | no repository | the directory, if there, is kept |
//!
//! A git that still checks it out is given a few seconds, then [ended](super::orphan).
//!
//! What is written once the last look has gone past it goes with the directory. Nothing is waited for between that look and
//! the deletion, so that is as long as git takes to go through the workspace: milliseconds in a small one.
//!
//! Where the checkout is gone at the end, the branch goes too if it is ao's and empty, and with a restore that is taken back
//! the branch that it made. Every step can be done
//! again after a `kill -9`: the directory goes first, the entry's marks last.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::entry::{self, Entry, Ownership};
use super::keep::{self, Work};
use super::left::Left;
use super::owner::Owner;
use super::preserve::{Store, Unsaved};
use super::{GitWorkspace, Turn, blocking, branch, failed, git, orphan, place, tree};
use crate::domain::id::SessionId;
use crate::domain::preserved::PreservedWork;
use crate::fault::{self, Point};
use crate::ports::repo::Repository;
use crate::ports::workspace::{OnWork, Removal, WorkspaceError, WorkspaceRef};

pub(super) async fn remove(
    git: &GitWorkspace,
    workspace: &WorkspaceRef,
    on_work: OnWork,
) -> Result<Removal, WorkspaceError> {
    let Some(repository) = &workspace.repository else { return without_repository(workspace) };
    let (path, session) = (&workspace.path, &workspace.session);
    let store = Store { git: &git.git, repository, session, path };
    orphan::end(path).await?;
    let mut found = find(git, repository, path, session).await?;
    if let Some(entry) = found.entry.as_mut().filter(|_| on_work == OnWork::PreserveAll) {
        // For good: also a later removal is not to let go of it.
        entry.unmark_put_back().map_err(|error| fault(format!("cannot note that its saved work stays: {error}")))?;
    }
    if let Verdict::Keep(reason) = judge(git, workspace, repository, &found, on_work).await? {
        return Ok(kept(&reason));
    }
    let turn = git.turn(repository).await;
    // Others may have had the repository for long, and the look itself takes its time: what is there now is what counts.
    let found = see(repository, path, session).await?;
    let verdict = judge(git, workspace, repository, &found, on_work).await?;
    if let Verdict::Keep(reason) = verdict {
        return Ok(kept(&reason));
    }
    if let Some(entry) = &found.entry {
        if let Some(reason) = settle(&store, &found, entry, path, &verdict, &turn).await? {
            return Ok(kept(&reason));
        }
        if entry.ownership(session) == Ownership::Complete && tells(workspace, on_work, &verdict, found.there) {
            let left = store.leave(entry, &workspace.branch, &turn).await;
            left.map_err(|error| failed("remove", &error))?;
        }
        fault::reach(Point::WorkspaceWorkSettled).map_err(|injected| fault(injected.into()))?;
        let (entry, checkout) = (entry.clone(), path.clone());
        let done = blocking(move || take_away(&entry, &checkout)).await;
        done.map_err(|error| fault(format!("cannot delete {}: {error}", path.display())))?;
    } else {
        entry::sweep_empty(&repository.common_dir, path);
    }
    drop(turn);
    fault::reach(Point::WorkspaceEntryRemoved).map_err(|injected| fault(injected.into()))?;
    let deleted = settle_branch(git, workspace, repository, on_work).await.map_err(|error| failed("remove", &error))?;
    fault::reach(Point::WorkspaceBranchSettled).map_err(|injected| fault(injected.into()))?;
    let preserved = store.held().await.map_err(|error| failed("remove", &error))?;
    let left = told(&store, workspace).await.map_err(|error| failed("remove", &error))?;
    let left = left.filter(|left| left.branch().is_none_or(|branch| deleted.as_deref() != Some(branch)));
    let branch_deleted = deleted.as_ref() == Some(&workspace.branch);
    Ok(Gone { branch_deleted, preserved, would_save: None, left }.answer(found.there))
}

/// Whether a removal tells what the workspace was on. Not that of a session on no record, which nobody would ask for. One that
/// takes a restore back leaves what was told before it, unless it saves work, which is to come back on what it was made on, or
/// the directory is not there: then the entry may be older than the restore, and is all that knows.
fn tells(workspace: &WorkspaceRef, on_work: OnWork, verdict: &Verdict, there: bool) -> bool {
    !workspace.branch.is_empty() && (on_work != OnWork::PreserveAll || *verdict == Verdict::Save || !there)
}

/// What was told of the workspace: what it was on, where that was not its own branch.
async fn told(store: &Store<'_>, workspace: &WorkspaceRef) -> Result<Option<Left>, git::GitError> {
    Ok(store.left().await?.filter(|left| left.branch() != Some(&workspace.branch)))
}

/// Sees to the work of a workspace that is to go. Gives why it is kept instead, if it is.
async fn settle(
    store: &Store<'_>,
    found: &Found,
    entry: &Entry,
    path: &Path,
    verdict: &Verdict,
    turn: &Turn,
) -> Result<Option<String>, WorkspaceError> {
    let settled = match verdict {
        Verdict::Save if found.there => match store.save(entry, path, turn).await {
            Ok(_) => Ok(()),
            Err(Unsaved::Keep(reason)) => return Ok(Some(reason)),
            Err(Unsaved::Failed(error)) => Err(error),
            Err(Unsaved::Changing) => return Err(busy(path, "files in it change all the time")),
        },
        Verdict::Save => store.rescue(entry, turn).await,
        _ if found.is_complete(store.session) => store.let_go(entry, turn).await,
        _ => Ok(()),
    };
    Ok(settled.err().map(|error| format!("its work cannot be saved: {error}")))
}

/// Deletes the session's branch where it holds nothing of its own; of a restore that is taken back, the branch that it made.
/// Gives which. Both can be repeated when the workspace is gone.
async fn settle_branch(
    git: &GitWorkspace,
    workspace: &WorkspaceRef,
    repository: &Repository,
    on_work: OnWork,
) -> Result<Option<String>, git::GitError> {
    let (name, owner) = (settled_branch(workspace, on_work), Owner::new(&workspace.session, &workspace.path));
    let Some(name) = name else { return Ok(None) };
    let turn = git.turn(repository).await;
    let deleted = if on_work == OnWork::PreserveAll
        && branch::delete_if_unused(&git.git, repository, name, &owner, Arc::clone(&turn)).await?
    {
        true
    } else if *name == workspace.branch {
        let base = workspace.base_commit.as_deref();
        branch::delete_if_empty(&git.git, repository, name, &owner, base, turn).await?
    } else {
        false
    };
    Ok(deleted.then(|| name.clone()))
}

/// The branch that a removal looks at, to delete it if it holds nothing.
fn settled_branch(workspace: &WorkspaceRef, on_work: OnWork) -> Option<&String> {
    match on_work {
        OnWork::PreserveAll => workspace.made_branch.as_ref(),
        OnWork::Keep | OnWork::Preserve => Some(&workspace.branch),
    }
}

/// What [`remove`] would answer; reads only.
pub(super) async fn assess(
    git: &GitWorkspace,
    workspace: &WorkspaceRef,
    on_work: OnWork,
) -> Result<Removal, WorkspaceError> {
    let Some(repository) = &workspace.repository else { return without_repository(workspace) };
    let (path, session) = (&workspace.path, &workspace.session);
    let found = find(git, repository, path, session).await?;
    let verdict = judge(git, workspace, repository, &found, on_work).await?;
    if let Verdict::Keep(reason) = verdict {
        return Ok(kept(&reason));
    }
    let failed = |error: git::GitError| failed("assess", &error);
    let base = workspace.base_commit.as_deref();
    let owner = Owner::new(session, path);
    let goes = match settled_branch(workspace, on_work) {
        Some(branch) if *branch == workspace.branch => {
            branch::goes(&git.git, repository, branch, &owner, base, Some(path)).await
        }
        _ => Ok(None),
    };
    let store = Store { git: &git.git, repository, session, path };
    let reference = store.reference().await.map_err(failed)?;
    let saves = verdict == Verdict::Save;
    let commit = match &found.entry {
        // What is held already goes on being held by what would be saved.
        _ if saves => None,
        Some(entry) if found.is_complete(session) && on_work != OnWork::PreserveAll => {
            store.not_put_back(entry).await.map_err(failed)?
        }
        _ => store.held().await.map_err(failed)?.map(|held| held.commit),
    };
    let would_save = saves.then(|| reference.clone());
    let preserved = commit.map(|commit| PreservedWork { reference, commit });
    let left = match &found.entry {
        Some(entry)
            if entry.ownership(session) == Ownership::Complete && tells(workspace, on_work, &verdict, found.there) =>
        {
            store.elsewhere(entry, &workspace.branch).await.map_err(failed)?
        }
        _ => told(&store, workspace).await.map_err(failed)?,
    };
    let gone = Gone { branch_deleted: goes.map_err(failed)?.is_some(), preserved, would_save, left };
    Ok(gone.answer(found.there))
}

/// What is told of a workspace that is gone, or would be.
#[derive(Default)]
struct Gone {
    branch_deleted: bool,
    preserved: Option<PreservedWork>,
    would_save: Option<String>,
    left: Option<Left>,
}

impl Gone {
    fn answer(self, was_there: bool) -> Removal {
        let Self { branch_deleted, preserved, would_save, left } = self;
        let left = left.map(|left| left.head);
        if was_there {
            Removal::Removed { branch_deleted, preserved, would_save, left }
        } else {
            Removal::Missing { branch_deleted, preserved, would_save, left }
        }
    }
}

fn without_repository(workspace: &WorkspaceRef) -> Result<Removal, WorkspaceError> {
    if is_there(&workspace.path)? {
        Ok(kept("its repository is gone, so what the directory holds cannot be found out"))
    } else {
        Ok(Gone::default().answer(false))
    }
}

/// What is there of a workspace; an entry is this session's.
pub(super) struct Found {
    there: bool,
    pub(super) entry: Option<Entry>,
}

impl Found {
    /// Whether the directory is there with all that was put back into it: what came of that is what counts.
    fn is_complete(&self, session: &SessionId) -> bool {
        self.there && self.entry.as_ref().is_some_and(|entry| entry.ownership(session) == Ownership::Complete)
    }

    /// Whether it is a workspace, here or out of reach, and not only what one left.
    pub(super) fn is_whole(&self, path: &Path, session: &SessionId) -> bool {
        self.entry.as_ref().filter(|entry| entry.ownership(session) == Ownership::Complete).is_some_and(|entry| {
            self.there || entry.elsewhere(path).is_some() || place::out_of_reach(entry, path).is_some()
        })
    }
}

pub(super) async fn find(
    git: &GitWorkspace,
    repository: &Repository,
    path: &Path,
    session: &SessionId,
) -> Result<Found, WorkspaceError> {
    orphan::wait(path).await?;
    // A create that was dropped keeps its turn until its git has ended.
    drop(git.turn(repository).await);
    see(repository, path, session).await
}

async fn see(repository: &Repository, path: &Path, session: &SessionId) -> Result<Found, WorkspaceError> {
    let there = is_there(path)?;
    let entry = look(repository, path, session).await?;
    match &entry {
        None if there => Err(not_ours(path, "no worktree of the repository is there")),
        Some(entry) if entry.ownership(session) == Ownership::Foreign => {
            Err(not_ours(path, "it is a worktree that somebody else made, or of another session"))
        }
        _ => Ok(Found { there, entry }),
    }
}

/// What is to be done with a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It is kept.
    Keep(String),
    /// It holds work, which is to be saved first.
    Save,
    /// It goes.
    Go,
}

pub(super) async fn look(
    repository: &Repository,
    path: &Path,
    session: &SessionId,
) -> Result<Option<Entry>, WorkspaceError> {
    let (common, path, session) = (repository.common_dir.clone(), path.to_owned(), session.clone());
    let cause = format!("cannot read the worktrees of {}", repository.path.display());
    blocking(move || entry::find(&common, &path, &session)).await.map_err(|error| fault(format!("{cause}: {error}")))
}

async fn judge(
    git: &GitWorkspace,
    workspace: &WorkspaceRef,
    repository: &Repository,
    found: &Found,
    on_work: OnWork,
) -> Result<Verdict, WorkspaceError> {
    let (path, session) = (&workspace.path, &workspace.session);
    let Some(entry) = &found.entry else { return Ok(Verdict::Go) };
    if let Some(elsewhere) = entry.elsewhere(path) {
        return if found.there {
            Err(not_ours(path, "the session's worktree was moved elsewhere"))
        } else {
            Ok(Verdict::Keep(format!("it was moved to {}", elsewhere.display())))
        };
    }
    if let Some(reason) = entry.foreign_lock(session) {
        return Ok(Verdict::Keep(format!("the worktree is locked ({reason}); `git worktree unlock` releases it")));
    }
    if found.there {
        check_link(entry, path)?;
    }
    if entry.ownership(session) == Ownership::HalfMade {
        if let Some(reason) = entry.bereft().filter(|_| found.there) {
            return Ok(Verdict::Keep(reason.to_owned()));
        }
        return Ok(Verdict::Go);
    }
    if !found.there
        && let Some(reason) = place::out_of_reach(entry, path)
    {
        return Ok(Verdict::Keep(reason));
    }
    let work = if found.there {
        keep::look(&git.git, entry, path, on_work).await
    } else {
        // There is nothing to keep it in, so what the entry still holds is saved in any case.
        left_behind(&Store { git: &git.git, repository, session, path }, entry).await
    };
    Ok(match work {
        Ok(None) => Verdict::Go,
        Ok(Some(Work::Savable(_))) if on_work != OnWork::Keep || !found.there => Verdict::Save,
        Ok(Some(Work::Savable(reason) | Work::Unsavable(reason))) => Verdict::Keep(reason),
        // Something that cannot be found out is never taken for absence of work.
        Err(error) => Verdict::Keep(format!("it cannot be found out whether it holds work: {error}")),
    })
}

/// The work in an entry whose directory is gone.
async fn left_behind(store: &Store<'_>, entry: &Entry) -> Result<Option<Work>, git::GitError> {
    if let Some(lost) = keep::loose_reference(&store.git.at(&entry.admin).git_dir(&entry.admin)).await? {
        return Ok(Some(Work::Unsavable(lost)));
    }
    Ok(store.is_left_behind(entry).await?.then(|| Work::Savable(String::new())))
}

/// The directory must be the entry's: its `.git` is a file that names it. Half-made, it may not be there yet.
pub(super) fn check_link(entry: &Entry, path: &Path) -> Result<(), WorkspaceError> {
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
    fault::reach(Point::WorkspaceRemovingMarked)?;
    tree::delete(checkout)?;
    fault::reach(Point::WorkspaceDirectoryDeleted)?;
    let admin = &entry.admin;
    // Without `gitdir` every git overlooks the entry.
    crate::platform::file::remove_if_there(&admin.join("gitdir"))?;
    fault::reach(Point::WorkspaceEntryHidden)?;
    // What is left bears one that says whose it is, up to the last.
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
        if mark == "ao-removing" {
            fault::reach(Point::WorkspaceEntryUnmarked)?;
        }
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

fn busy(path: &Path, cause: &str) -> WorkspaceError {
    WorkspaceError::Busy { path: path.to_owned(), cause: cause.to_owned() }
}

fn fault(cause: String) -> WorkspaceError {
    WorkspaceError::Failed { action: "remove", cause }
}

fn kept(reason: &str) -> Removal {
    Removal::Kept { reason: reason.to_owned() }
}

#[cfg(feature = "fault-points")]
#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        /// Where what this thread does fails.
        static FAILS_AT: Cell<Option<Point>> = const { Cell::new(None) };
    }

    #[test]
    fn i06_what_a_removal_leaves_that_is_cut_off_between_two_marks_is_the_sessions() {
        fault::install(Box::new(|point| FAILS_AT.get() == Some(point)));
        let session: SessionId = "app-1".parse().unwrap();
        for (what, marks) in [
            ("complete", &[("HEAD", "ref: refs/heads/ao/app-1\n"), ("ao-session", "app-1\n")][..]),
            ("locked too", &[("ao-session", "app-1\n"), ("locked", "ao: app-1")]),
            ("half-made", &[("HEAD", "ref: refs/heads/ao/app-1\n"), ("locked", "ao: app-1")]),
        ] {
            let scratch = tempfile::tempdir().unwrap();
            let common = scratch.path().join("common");
            let (admin, checkout) = (common.join("worktrees/app-1"), scratch.path().join("app-1"));
            std::fs::create_dir_all(&admin).unwrap();
            for (name, content) in marks {
                std::fs::write(admin.join(name), content).unwrap();
            }
            let find = || entry::find(&common, &checkout, &session).unwrap();
            FAILS_AT.set(Some(Point::WorkspaceEntryUnmarked));
            take_away(&find().unwrap(), &checkout).unwrap_err();
            FAILS_AT.set(None);
            let left: Vec<_> = std::fs::read_dir(&admin).unwrap().map(|item| item.unwrap().file_name()).collect();
            let entry = find().unwrap_or_else(|| panic!("{what}: {left:?} is nobody's"));
            assert_eq!(entry.ownership(&session), Ownership::HalfMade, "{what}: {left:?}");
            take_away(&entry, &checkout).unwrap();
            assert!(!admin.exists(), "{what}");
        }
    }
}
