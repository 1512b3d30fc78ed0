//! Bringing the remote's branches up to date before a workspace is made: bounded, never asking anything, and once for
//! all those who ask at the same time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::git::{Call, Git, GitError};
use crate::ports::repo::Repository;

/// A repository's common directory, the remote, and the branch if it is only one.
type Kind = (PathBuf, String, Option<String>);

/// The last fetch of one kind: when it was begun, and how it ended.
type Last = Arc<Mutex<Option<(Instant, Result<(), String>)>>>;

/// The fetches that were made, so that those who ask while one runs share the next.
#[derive(Debug, Default)]
pub(super) struct Fetches(Lock<HashMap<Kind, Last>>);

/// The remote that counts: `origin`, else the only one, else the one the current branch is set up with.
pub(super) async fn remote(git: &Git, repository: &Repository) -> Result<Option<String>, GitError> {
    let remotes = git.at(&repository.path).arg("remote").text().await?;
    let mut remotes = remotes.lines();
    let (first, second) = (remotes.next(), remotes.next());
    if first.into_iter().chain(second).chain(remotes).any(|remote| remote == "origin") {
        return Ok(Some("origin".to_owned()));
    }
    if second.is_none() {
        return Ok(first.map(str::to_owned));
    }
    let Some(branch) = &repository.head_branch else { return Ok(None) };
    let configured = git.at(&repository.path).args(["config", "--get", &format!("branch.{branch}.remote")]);
    Ok(configured.answer().await?.filter(|remote| remote != "."))
}

impl Fetches {
    /// Fetches one branch, or all. A fetch that was begun after this call counts as this call's.
    ///
    /// The error is a sentence for a person: it is no failure of the spawn.
    pub(super) async fn fetch(
        &self,
        git: &Git,
        repository: &Repository,
        remote: &str,
        branch: Option<&str>,
        timeout: Duration,
    ) -> Result<(), String> {
        let asked_at = Instant::now();
        let key = (repository.common_dir.clone(), remote.to_owned(), branch.map(str::to_owned));
        let last = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        let mut last = last.lock().await;
        if let Some((begun_at, outcome)) = &*last
            && *begun_at >= asked_at
        {
            return outcome.clone();
        }
        let begun_at = Instant::now();
        let outcome = fetch(git, repository, remote, branch, timeout).await;
        *last = Some((begun_at, outcome.clone()));
        outcome
    }
}

async fn fetch(
    git: &Git,
    repository: &Repository,
    remote: &str,
    branch: Option<&str>,
    timeout: Duration,
) -> Result<(), String> {
    if !tracks(git, repository, remote).await {
        return Err(format!("the remote {remote} was not fetched, for this repository has no tracking branches of it"));
    }
    let mut call = quiet(git, repository, timeout).await;
    call = call.args(["fetch", "--quiet", "--no-tags", "--no-prune", "--no-recurse-submodules"]);
    call = call.args(["--no-auto-maintenance", "--no-write-fetch-head", "--end-of-options", remote]);
    // In full: in `+x:y`, a name that git would take for one, the user's references would be written.
    call = call.args(branch.map(|branch| format!("+refs/heads/{branch}:refs/remotes/{remote}/{branch}")));
    match call.change_to_the_end(()).await {
        Ok(_) => Ok(()),
        Err(GitError::TimedOut { .. }) => {
            Err(format!("the remote {remote} did not answer within {} s", timeout.as_secs_f32()))
        }
        Err(error) => {
            let complaint = error.complaint();
            let lines: Vec<_> = complaint.lines().map(str::trim).filter(|line| !line.is_empty()).take(2).collect();
            Err(format!("the remote {remote} could not be fetched ({})", lines.join(" ")))
        }
    }
}

/// Whether the remote, asked now, has the branch, or any.
pub(super) async fn remote_has(
    git: &Git,
    repository: &Repository,
    remote: &str,
    branch: Option<&str>,
    timeout: Duration,
) -> bool {
    let call = quiet(git, repository, timeout).await.args(["ls-remote", "--heads", "--exit-code", remote]);
    let answer = call.args(branch.map(|branch| format!("refs/heads/{branch}"))).output().await;
    answer.is_ok_and(|answer| answer.status.success())
}

/// A call that talks to a remote and must not ask for a password.
async fn quiet(git: &Git, repository: &Repository, timeout: Duration) -> Call {
    let call = git.at(&repository.path).timeout(timeout);
    // Only where the user has not said how ssh is to be run: it must not ask for a password.
    let env = &git.settings().env;
    let configured = git.at(&repository.path).args(["config", "--get", "core.sshCommand"]).answer().await;
    if !env.contains_key("GIT_SSH_COMMAND") && !env.contains_key("GIT_SSH") && matches!(configured, Ok(None)) {
        return call.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
    }
    call
}

/// Whether a fetch changes tracking branches only. In a mirror it would overwrite branches, those of sessions among them.
async fn tracks(git: &Git, repository: &Repository, remote: &str) -> bool {
    let call = git.at(&repository.path).args(["config", "--get-all", &format!("remote.{remote}.fetch")]);
    let Ok(Some(specs)) = call.answer().await else { return false };
    specs.lines().filter_map(|spec| spec.split_once(':')).all(|(_, target)| target.starts_with("refs/remotes/"))
        && specs.contains(':')
}
