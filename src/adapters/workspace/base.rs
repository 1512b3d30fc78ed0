//! What a branch starts from.
//!
//! With no base named: the remote's default branch, fetched first. With a base named: that name, on both sides. Where a
//! local branch and its remote-tracking branch share the name, the one that contains the other is taken: commits that
//! a person made and did not push yet are wanted, and so are commits that others pushed. Where the two have
//! diverged, a name that was given means the local branch, as it does to git, and the default means the
//! remote's, since that is what the work will be merged into; a note says so.
//!
//! A base may come from an `ao.toml` that nobody has accepted. What the remote is asked for is therefore the name of a branch and
//! nothing that git reads more into (`+main:refs/stash` would be a refspec, `main:file` a file), and a reference is looked up by
//! its whole name before anything is made of it.

use std::path::Path;
use std::time::Duration;

use super::fetch::{self, Fetches};
use super::git::{Git, GitError};
use crate::ports::repo::Repository;
use crate::ports::workspace::WorkspaceError;

/// What a branch starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) name: String,
    pub(super) commit: String,
    pub(super) notes: Vec<String>,
}

/// Finds the base, after a fetch where there is a remote and `fetch_timeout` is not zero.
pub(super) async fn find(
    git: &Git,
    fetches: &Fetches,
    repository: &Repository,
    asked: Option<&str>,
    fetch_timeout: Duration,
) -> Result<Base, WorkspaceError> {
    let failed = |error: GitError| super::failed("make", &error);
    let refs = Refs { git, at: &repository.path };
    let remote = fetch::remote(git, repository).await.map_err(failed)?;
    let mut problem = None;
    if let (Some(remote), false) = (&remote, fetch_timeout.is_zero()) {
        let wanted = refs.branch_to_fetch(repository, remote, asked).await.map_err(failed)?;
        problem = fetches.fetch(git, repository, remote, wanted.as_deref(), fetch_timeout).await.err();
    }
    let base = refs.choose(repository, remote.as_deref(), asked).await.map_err(failed)?;
    let Some(mut base) = base else { return Err(no_base(repository, asked, problem)) };
    if let Some(problem) = problem {
        base.notes.insert(0, format!("{problem}; started from the last known {}", base.name));
    }
    Ok(base)
}

/// Finds out, without changing anything, whether [`find`] would give a base.
pub(super) async fn preflight(
    git: &Git,
    repository: &Repository,
    asked: Option<&str>,
    fetch_timeout: Duration,
) -> Result<(), WorkspaceError> {
    let failed = |error: GitError| super::failed("make", &error);
    let refs = Refs { git, at: &repository.path };
    let remote = fetch::remote(git, repository).await.map_err(failed)?;
    if refs.choose(repository, remote.as_deref(), asked).await.map_err(failed)?.is_some() {
        return Ok(());
    }
    if let (Some(remote), false) = (&remote, fetch_timeout.is_zero()) {
        let branch = asked.map(|asked| without_remote(asked, remote));
        let may_be_there = match branch {
            Some(branch) => refs.is_well_formed(&format!("refs/heads/{branch}")).await.map_err(failed)?,
            None => true,
        };
        if may_be_there && fetch::remote_has(git, repository, remote, branch, fetch_timeout).await {
            return Ok(());
        }
    }
    Err(no_base(repository, asked, None))
}

fn no_base(repository: &Repository, asked: Option<&str>, problem: Option<String>) -> WorkspaceError {
    let unknown = |base: String| WorkspaceError::UnknownBase { base, repository: repository.path.clone() };
    match (asked, problem) {
        (Some(base), None) => unknown(base.to_owned()),
        (Some(base), Some(problem)) => WorkspaceError::Unsupported {
            repository: repository.path.clone(),
            cause: format!("{base:?} names no commit there, and {problem}"),
        },
        (None, _) if repository.is_unborn => WorkspaceError::Unsupported {
            repository: repository.path.clone(),
            cause: "it has no commit yet; make the first one, for example with \
                    `git commit --allow-empty -m start`"
                .to_owned(),
        },
        (None, _) => unknown("HEAD".to_owned()),
    }
}

/// A branch of the remote as the remote calls it.
fn without_remote<'a>(name: &'a str, remote: &str) -> &'a str {
    name.strip_prefix(remote).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name)
}

struct Refs<'a> {
    git: &'a Git,
    at: &'a Path,
}

impl Refs<'_> {
    async fn commit(&self, name: &str) -> Result<Option<String>, GitError> {
        // In two steps: appended to `branch:path`, `^{commit}` would be part of the path.
        let Some(object) = self.object(name).await? else { return Ok(None) };
        self.object(&format!("{object}^{{commit}}")).await
    }

    async fn object(&self, name: &str) -> Result<Option<String>, GitError> {
        let call = self.git.at(self.at).args(["rev-parse", "--verify", "--quiet", "--end-of-options", name]);
        let found = call.output().await?;
        // Exit code 1 for an unknown name, 128 for one that cannot be parsed or is not of this type.
        Ok(found.status.success().then(|| found.text()))
    }

    /// The commit of exactly this reference. `rev-parse` alone would take what is no reference's name for more than a name.
    async fn reference(&self, name: &str) -> Result<Option<String>, GitError> {
        let call = self.git.at(self.at).args(["show-ref", "--verify", "--quiet", "--", name]);
        // Exit code 1 or, also for a name that no reference can have, 128.
        if call.output().await?.status.success() { self.commit(name).await } else { Ok(None) }
    }

    async fn is_well_formed(&self, name: &str) -> Result<bool, GitError> {
        Ok(self.git.at(self.at).args(["check-ref-format", name]).output().await?.status.success())
    }

    async fn contains(&self, whole: &str, part: &str) -> Result<bool, GitError> {
        Ok(self.git.at(self.at).args(["merge-base", "--is-ancestor", part, whole]).answer().await?.is_some())
    }

    /// The remote's default branch, as far as the repository knows it.
    async fn default_branch(&self, repository: &Repository, remote: &str) -> Result<Option<String>, GitError> {
        let head = format!("refs/remotes/{remote}/HEAD");
        let prefix = format!("refs/remotes/{remote}/");
        let target = self.git.at(self.at).args(["symbolic-ref", "--quiet", &head]).answer().await?;
        if let Some(branch) = target.as_deref().and_then(|target| target.strip_prefix(&prefix)) {
            return Ok(Some(branch.to_owned()));
        }
        for branch in repository.head_branch.iter().map(String::as_str).chain(["main", "master"]) {
            if self.reference(&format!("{prefix}{branch}")).await?.is_some() {
                return Ok(Some(branch.to_owned()));
            }
        }
        Ok(None)
    }

    /// The one branch whose fetch is enough, where that is known: it is quick also when the remote has thousands.
    async fn branch_to_fetch(
        &self,
        repository: &Repository,
        remote: &str,
        asked: Option<&str>,
    ) -> Result<Option<String>, GitError> {
        let branch = match asked {
            Some(asked) if without_remote(asked, remote) != "HEAD" => Some(without_remote(asked, remote).to_owned()),
            _ => self.default_branch(repository, remote).await?,
        };
        let Some(branch) = branch else { return Ok(None) };
        let known = self.reference(&format!("refs/remotes/{remote}/{branch}")).await?.is_some();
        Ok(known.then_some(branch))
    }

    async fn choose(
        &self,
        repository: &Repository,
        remote: Option<&str>,
        asked: Option<&str>,
    ) -> Result<Option<Base>, GitError> {
        if let Some(asked) = asked {
            return self.choose_named(remote, asked).await;
        }
        if let Some(remote) = remote
            && let Some(branch) = self.default_branch(repository, remote).await?
            && let Some(base) = self.both_sides(Some(remote), &branch, false).await?
        {
            return Ok(Some(base));
        }
        let name = repository.head_branch.clone().unwrap_or_else(|| "HEAD".to_owned());
        let commit = self.commit("HEAD").await?;
        Ok(commit.map(|commit| Base { name, commit, notes: Vec::new() }))
    }

    async fn choose_named(&self, remote: Option<&str>, asked: &str) -> Result<Option<Base>, GitError> {
        if let Some(base) = self.both_sides(remote, asked, true).await? {
            return Ok(Some(base));
        }
        let commit = self.commit(asked).await?;
        Ok(commit.map(|commit| Base { name: asked.to_owned(), commit, notes: Vec::new() }))
    }

    /// The local or the remote-tracking branch of this name, by the rule at the top.
    async fn both_sides(&self, remote: Option<&str>, branch: &str, local_wins: bool) -> Result<Option<Base>, GitError> {
        let tracking = remote.map(|remote| format!("{remote}/{branch}"));
        let there = match &tracking {
            Some(name) => self.reference(&format!("refs/remotes/{name}")).await?.map(|commit| (name.clone(), commit)),
            None => None,
        };
        let here = self.reference(&format!("refs/heads/{branch}")).await?.map(|commit| (branch.to_owned(), commit));
        let plain = |(name, commit)| Base { name, commit, notes: Vec::new() };
        let (here, there) = match (here, there) {
            (Some(here), Some(there)) => (here, there),
            (here, there) => return Ok(here.or(there).map(plain)),
        };
        if self.contains(&there.1, &here.1).await? {
            return Ok(Some(plain(there)));
        }
        if self.contains(&here.1, &there.1).await? {
            let note = format!("{} has commits that are not in {}; they are included", here.0, there.0);
            return Ok(Some(Base { notes: vec![note], ..plain(here) }));
        }
        let (taken, left) = if local_wins { (here, there) } else { (there, here) };
        let note = format!("{} and {} have diverged; started from {}", taken.0, left.0, taken.0);
        Ok(Some(Base { notes: vec![note], ..plain(taken) }))
    }
}
