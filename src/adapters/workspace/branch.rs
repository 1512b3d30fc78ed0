//! The session's branch: made only when new, marked as ao's, deleted only when it holds nothing of its own.
//!
//! The mark is the branch's first reflog entry (`ao: made for <session>`), which git writes in the same transaction as
//! the branch, moves when the branch is renamed and deletes with it. Nothing has to be written before or after, so there
//! is no moment at which a branch of somebody else could be taken for ao's. Reflogs expire (git's default: 90 days);
//! a branch whose mark is gone is kept.

use super::Turn;
use super::git::{Git, GitError};
use crate::domain::id::SessionId;
use crate::ports::repo::Repository;
use crate::ports::workspace::WorkspaceError;

fn reference(branch: &str) -> String {
    format!("refs/heads/{branch}")
}

fn mark(session: &SessionId) -> String {
    format!("ao: made for {session}")
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
pub(super) async fn make(
    git: &Git,
    repository: &Repository,
    branch: &str,
    commit: &str,
    session: &SessionId,
    turn: Turn,
) -> Result<(), GitError> {
    let call = git.at(&repository.path).args(["update-ref", "--create-reflog", "-m", &mark(session)]);
    // An empty old value: the reference must not exist.
    call.args([&reference(branch), commit, ""]).change_to_the_end(turn).await.map(drop)
}

/// Deletes the branch if ao made it for this session, it holds no commit of its own and no checkout is on it. Gives
/// whether it was deleted.
///
/// A commit is the branch's own when no other branch and no remote-tracking branch reaches it, and what the branch was
/// started from does not either.
pub(super) async fn delete_if_empty(
    git: &Git,
    repository: &Repository,
    branch: &str,
    session: &SessionId,
    base_commit: Option<&str>,
    turn: Turn,
) -> Result<bool, GitError> {
    let reference = reference(branch);
    let at = |args: &[&str]| git.at(&repository.path).args(args.iter().copied());
    let shown =
        at(&["for-each-ref", "--format=%(refname)%00%(objectname)%00%(worktreepath)", &reference]).text().await?;
    let fields = shown.lines().map(|line| line.split('\0').collect::<Vec<_>>());
    let Some((tip, checkout)) = fields
        .filter_map(|fields| Some((*fields.first()?, (*fields.get(1)?).to_owned(), (*fields.get(2)?).to_owned())))
        .find_map(|(name, tip, checkout)| (name == reference).then_some((tip, checkout)))
    else {
        return Ok(false);
    };
    if !checkout.is_empty() {
        return Ok(false);
    }
    let Some(start) = started_from(git, repository, &reference, session).await? else { return Ok(false) };
    let mut own = at(&["rev-list", "--max-count=1", &tip, "--not"]);
    for commit in [Some(start.as_str()), base_commit].into_iter().flatten() {
        if at(&["cat-file", "-e", &format!("{commit}^{{commit}}")]).output().await?.status.success() {
            own = own.arg(commit);
        }
    }
    // For `--branches`, git takes the pattern without `refs/heads/`.
    let own = own.arg(format!("--exclude={branch}")).arg("--branches").arg("--remotes").text().await?;
    if !own.is_empty() {
        return Ok(false);
    }
    // With the old value: a commit made meanwhile makes this fail.
    at(&["update-ref", "-d", &reference, &tip]).change_to_the_end(turn).await?;
    // What `git push -u` configured. Mostly there is no such section, which is no failure.
    at(&["config", "--local", "--remove-section", &format!("branch.{branch}")]).output().await?;
    Ok(true)
}

/// The commit the branch was made at, if ao made it for this session.
async fn started_from(
    git: &Git,
    repository: &Repository,
    reference: &str,
    session: &SessionId,
) -> Result<Option<String>, GitError> {
    let call = git.at(&repository.path).config("log.showSignature=false");
    let log = call.args(["reflog", "show", "--format=%H%x09%gs", reference, "--"]).text().await?;
    let entries: Vec<_> = log.lines().filter_map(|line| line.split_once('\t')).collect();
    // A log that lies there from before counts for nothing once somebody made the branch anew.
    let remade = entries.iter().any(|(_, message)| message.starts_with("branch: Created"));
    let first = entries.last().filter(|(_, message)| *message == mark(session) && !remade);
    Ok(first.map(|(commit, _)| (*commit).to_owned()))
}
