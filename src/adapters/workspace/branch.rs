//! The session's branch: made only when new, marked as ao's, deleted only when no commit goes with it.
//!
//! The mark is the branch's first reflog entry (`ao: made for <owner>`), which git writes in the same transaction as
//! the branch, moves when the branch is renamed and deletes with it. Nothing has to be written before or after, so there
//! is no moment at which a branch of somebody else could be taken for ao's. Reflogs expire (git's default: 90 days);
//! a branch whose mark is gone is kept.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Turn;
use super::entry::resolved;
use super::git::{Git, GitError};
use super::owner::Owner;
use crate::ports::repo::Repository;
use crate::ports::workspace::WorkspaceError;

/// Where ao keeps references of its own.
const OWN_REFERENCES: &str = "refs/ao/";

/// Room for the reflogs' marks of a repository, in bytes.
const MAX_LISTING_BYTES: usize = 64 * 1024 * 1024;

fn reference(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

/// What a mark starts with; the owner follows.
const MARK: &str = "ao: made for ";

/// Where a branch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The commit.
    pub(super) tip: String,
    /// The checkout that is on it.
    pub(super) checkout: Option<PathBuf>,
}

/// Finds the branch; `None` when there is none.
pub(super) async fn find(git: &Git, repository: &Repository, branch: &str) -> Result<Option<Place>, GitError> {
    let reference = reference(branch);
    let format = "--format=%(refname)%00%(objectname)%00%(worktreepath)";
    let shown = git.at(&repository.path).args(["for-each-ref", format, &reference]).bytes().await?;
    for line in shown.split(|&byte| byte == b'\n') {
        let fields: Vec<_> = line.splitn(3, |&byte| byte == 0).collect();
        if let [name, tip, checkout] = fields[..]
            && name == reference.as_bytes()
        {
            let checkout = (!checkout.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(checkout)));
            return Ok(Some(Place { tip: String::from_utf8_lossy(tip).into_owned(), checkout }));
        }
    }
    Ok(None)
}

/// The branches that ao made for the session, whatever they are called by now: the mark goes along with a new name.
pub(super) async fn made_for(git: &Git, repository: &Repository, owner: &Owner) -> Result<Vec<String>, GitError> {
    let call = git.at(&repository.path).config("log.showSignature=false");
    let call = call.args(["log", "--walk-reflogs", "--branches", "--format=%gD"]);
    let call = call.arg(format!("--grep-reflog=^{MARK}{}", owner.session())).max_output_bytes(MAX_LISTING_BYTES);
    let mut names = Vec::new();
    for line in call.text().await?.lines() {
        let name = line.rsplit_once("@{").map_or(line, |(name, _)| name);
        let name = name.strip_prefix("refs/heads/").unwrap_or(name);
        if started_from(git, repository, &reference(name), owner).await?.is_some() {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// Whom ao made the branch for, where that is somebody else.
pub(super) async fn made_for_another(
    git: &Git,
    repository: &Repository,
    branch: &str,
    owner: &Owner,
) -> Result<Option<Owner>, GitError> {
    let made = made_by(git, repository, &reference(branch)).await?;
    Ok(made.map(|(_, mark)| mark).filter(|mark| !owner.made(mark)))
}

/// Whether ao is known to have made the branch for it.
pub(super) async fn is_made_for(
    git: &Git,
    repository: &Repository,
    branch: &str,
    owner: &Owner,
) -> Result<bool, GitError> {
    Ok(started_from(git, repository, &reference(branch), owner).await?.is_some())
}

/// Whether the branch is there.
pub(super) async fn exists(git: &Git, repository: &Repository, branch: &str) -> Result<bool, GitError> {
    let call = git.at(&repository.path).args(["show-ref", "--verify", "--quiet", &reference(branch)]);
    Ok(call.answer().await?.is_some())
}

/// Whether a branch of this name could be made.
pub(super) async fn check_name(git: &Git, repository: &Repository, branch: &str) -> Result<(), WorkspaceError> {
    let invalid = |cause: String| WorkspaceError::InvalidBranch { branch: branch.to_owned(), cause };
    let failed = |error: GitError| super::failed("make", &error);
    let valid =
        git.at(&repository.path).args(["check-ref-format", "--branch", branch]).output().await.map_err(failed)?;
    // `--branch` also takes `@{-1}`, which it expands.
    if !valid.status.success() || valid.text() != branch {
        return Err(invalid("git does not allow it (see `git help check-ref-format`)".to_owned()));
    }
    if exists(git, repository, branch).await.map_err(failed)? {
        return Err(WorkspaceError::BranchExists { branch: branch.to_owned(), repository: repository.path.clone() });
    }
    for (at, _) in branch.match_indices('/') {
        let parent = &branch[..at];
        if exists(git, repository, parent).await.map_err(failed)? {
            return Err(invalid(format!(
                "there is a branch {parent:?}, and git cannot hold both: choose another prefix"
            )));
        }
    }
    let below = format!("{}/", reference(branch));
    let call = git.at(&repository.path).args(["for-each-ref", "--count=1", "--format=%(refname:short)", &below]);
    let child = call.text().await.map_err(failed)?;
    if child.is_empty() {
        Ok(())
    } else {
        Err(invalid(format!("there is a branch {child:?}, and git cannot hold both: choose another name")))
    }
}

/// Makes the branch at the commit, marked as the session's; never takes over one that is there.
async fn make(
    git: &Git,
    repository: &Repository,
    branch: &str,
    commit: &str,
    owner: &Owner,
    turn: Turn,
) -> Result<(), GitError> {
    let call = git.at(&repository.path).args(["update-ref", "--create-reflog", "-m", &format!("{MARK}{owner}")]);
    // An empty old value: the reference must not exist.
    call.args([&reference(branch), commit, ""]).change_to_the_end(turn).await.map(drop)
}

/// As [`make`]; when it fails, the error says what is in the way.
pub(super) async fn make_new(
    git: &Git,
    repository: &Repository,
    branch: &str,
    commit: &str,
    owner: &Owner,
    turn: Turn,
) -> Result<(), WorkspaceError> {
    match make(git, repository, branch, commit, owner, turn).await {
        Ok(()) => Ok(()),
        // Somebody was faster than the check; ask again for the exact reason.
        Err(error) => {
            check_name(git, repository, branch).await?;
            Err(super::failed("make", &error))
        }
    }
}

/// Deletes the branch if ao made it for this session, it holds no commit of its own and no checkout is on it. Gives
/// whether it was deleted.
///
/// Its own are the commits that what it was started from does not reach. That another branch reaches them too changes
/// nothing: that one may be the next to go, and a remote-tracking branch may be pruned. So a branch that was merged
/// or pushed stays, until somebody who knows what became of it takes it away. And a branch without commits of its
/// own stays where nothing else holds what it was started from: it is the last one.
pub(super) async fn delete_if_empty(
    git: &Git,
    repository: &Repository,
    branch: &str,
    owner: &Owner,
    base_commit: Option<&str>,
    turn: Turn,
) -> Result<bool, GitError> {
    match goes(git, repository, branch, owner, base_commit, None).await? {
        Some(tip) => delete(git, repository, branch, &tip, turn).await,
        None => Ok(false),
    }
}

/// Where the branch is, if [`delete_if_empty`] would delete it once the checkout `leaving` is gone.
pub(super) async fn goes(
    git: &Git,
    repository: &Repository,
    branch: &str,
    owner: &Owner,
    base_commit: Option<&str>,
    leaving: Option<&Path>,
) -> Result<Option<String>, GitError> {
    let Some(tip) = tip_if_empty(git, repository, branch, owner, base_commit, leaving).await? else {
        return Ok(None);
    };
    Ok(is_held_elsewhere(git, repository, branch, &tip).await?.then_some(tip))
}

/// As [`delete_if_empty`], for a branch that no agent was ever on: taking it back leaves what was there before it,
/// whether anything else holds that or not.
pub(super) async fn take_back(
    git: &Git,
    repository: &Repository,
    branch: &str,
    owner: &Owner,
    turn: Turn,
) -> Result<bool, GitError> {
    let Some(tip) = tip_if_empty(git, repository, branch, owner, None, None).await? else { return Ok(false) };
    delete(git, repository, branch, &tip, turn).await
}

/// Deletes the branch if all that ever became of it is that ao made it for this session, under this name, no checkout is on it,
/// and something else holds its commit, be it saved work. Gives whether it was deleted.
pub(super) async fn delete_if_unused(
    git: &Git,
    repository: &Repository,
    branch: &str,
    owner: &Owner,
    turn: Turn,
) -> Result<bool, GitError> {
    let Some(place) = find(git, repository, branch).await? else { return Ok(false) };
    // A commit, a reset and another name are each an entry more.
    let log = log_of(git, repository, &reference(branch)).await?;
    let [(start, message)] = &log[..] else { return Ok(false) };
    let made_for = message.strip_prefix(MARK).and_then(Owner::parse);
    if place.checkout.is_some() || *start != place.tip || !made_for.is_some_and(|mark| owner.made(&mark)) {
        return Ok(false);
    }
    if !is_held(git, repository, &place.tip, &[&reference(branch)]).await? {
        return Ok(false);
    }
    delete(git, repository, branch, &place.tip, turn).await
}

/// Where the branch is, if it is this session's, empty and on no checkout but the one named.
async fn tip_if_empty(
    git: &Git,
    repository: &Repository,
    branch: &str,
    owner: &Owner,
    base_commit: Option<&str>,
    leaving: Option<&Path>,
) -> Result<Option<String>, GitError> {
    let Some(place) = find(git, repository, branch).await? else { return Ok(None) };
    if place.checkout.is_some_and(|checkout| leaving.is_none_or(|leaving| resolved(leaving) != resolved(&checkout))) {
        return Ok(None);
    }
    let (reference, tip) = (reference(branch), place.tip);
    let at = |args: &[&str]| git.at(&repository.path).args(args.iter().copied());
    let Some(start) = started_from(git, repository, &reference, owner).await? else { return Ok(None) };
    let mut own = at(&["rev-list", "--max-count=1", &tip, "--not"]);
    for commit in [Some(start.as_str()), base_commit].into_iter().flatten() {
        if at(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).output().await?.status.success() {
            own = own.arg(commit);
        }
    }
    Ok(own.text().await?.is_empty().then_some(tip))
}

/// Whether a branch, tag or the like other than the branch, or the repository's `HEAD`, reaches the commit. Saved work does not
/// count: it goes once it was put back.
async fn is_held_elsewhere(git: &Git, repository: &Repository, branch: &str, commit: &str) -> Result<bool, GitError> {
    is_held(git, repository, commit, &[&reference(branch), &format!("{OWN_REFERENCES}*")]).await
}

/// Whether a reference that no pattern matches, or the repository's `HEAD`, reaches the commit. The `HEAD`s of other
/// checkouts do not count: git drops them with the checkout.
async fn is_held(git: &Git, repository: &Repository, commit: &str, except: &[&str]) -> Result<bool, GitError> {
    let call = git.at(&repository.path).args(["rev-list", "--max-count=1", commit, "--not"]);
    let call = except.iter().fold(call, |call, pattern| call.arg(format!("--exclude={pattern}")));
    Ok(call.args(["--single-worktree", "--all"]).text().await?.is_empty())
}

async fn delete(git: &Git, repository: &Repository, branch: &str, tip: &str, turn: Turn) -> Result<bool, GitError> {
    let at = |args: &[&str]| git.at(&repository.path).args(args.iter().copied());
    // With the old value: a commit made meanwhile makes this fail.
    at(&["update-ref", "-d", &reference(branch), tip]).change_to_the_end(Arc::clone(&turn)).await?;
    // What `git push -u` configured. Mostly there is none, and then nobody's lock is waited for.
    let section = format!("branch.{branch}");
    let names = at(&["config", "--local", "--null", "--name-only", "--list"]).max_output_bytes(MAX_LISTING_BYTES);
    let is_of_section = |name: &str| {
        let key = name.strip_prefix(&section).and_then(|rest| rest.strip_prefix('.'));
        key.is_some_and(|key| !key.contains('.'))
    };
    if names.text().await?.split('\0').any(is_of_section) {
        match at(&["config", "--local", "--remove-section", &section]).change_to_the_end(turn).await {
            // Without its branch it means nothing.
            Err(error @ GitError::Refused { .. }) => {
                tracing::warn!(%error, section, "a branch is gone, and its section stays in git's configuration");
            }
            done => drop(done?),
        }
    }
    Ok(true)
}

/// The commit the branch was made at, if ao made it for this session.
async fn started_from(
    git: &Git,
    repository: &Repository,
    reference: &str,
    owner: &Owner,
) -> Result<Option<String>, GitError> {
    let made = made_by(git, repository, reference).await?;
    Ok(made.filter(|(_, mark)| owner.made(mark)).map(|(commit, _)| commit))
}

/// The commit the branch was made at and for whom, if ao made it.
async fn made_by(git: &Git, repository: &Repository, reference: &str) -> Result<Option<(String, Owner)>, GitError> {
    let entries = log_of(git, repository, reference).await?;
    // A log that lies there from before counts for nothing once somebody made the branch anew.
    let remade = entries.iter().any(|(_, message)| message.starts_with("branch: Created"));
    let first = entries.last().filter(|_| !remade);
    Ok(first.and_then(|(commit, message)| Some((commit.clone(), Owner::parse(message.strip_prefix(MARK)?)?))))
}

/// The entries of a branch's reflog, commit and message, the newest first.
async fn log_of(git: &Git, repository: &Repository, reference: &str) -> Result<Vec<(String, String)>, GitError> {
    let call = git.at(&repository.path).config("log.showSignature=false");
    let log = call.args(["reflog", "show", "--format=%H%x09%gs", reference, "--"]).text().await?;
    let entries = log.lines().filter_map(|line| line.split_once('\t'));
    Ok(entries.map(|(commit, message)| (commit.to_owned(), message.to_owned())).collect())
}
