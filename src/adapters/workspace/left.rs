//! What a workspace was on when it went, where that was not the branch that was made for its session.
//!
//! Git drops a worktree's `HEAD` with the worktree, and a record that ao wrote elsewhere could not be written together with
//! that: so the repository itself is told, before anything is deleted, by the same kind of commit as [saved
//! work](super::preserve). `refs/ao/left/<session>` names it. It is told anew by every removal, and taken away by one that has
//! nothing to tell; one that takes a restore back leaves it, unless it saves work or the directory is not there. What is told
//! anew holds what was told before, where nothing else does: then also the session's own branch is told.

use std::sync::Arc;

use super::Turn;
use super::entry::Entry;
use super::git::GitError;
use super::preserve::{DETACHED, Found, HEAD, Held, Store};
use crate::ports::workspace::Head;

/// What a workspace was on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) head: Head,
    /// The commit that was.
    pub(super) commit: String,
}

impl Left {
    /// The branch; `None` when it was on none.
    pub(super) fn branch(&self) -> Option<&str> {
        match &self.head {
            Head::Branch(branch) => Some(branch),
            Head::Commit(_) => None,
        }
    }
}

impl Store<'_> {
    fn left_reference(&self) -> String {
        format!("refs/ao/left/{}", self.session)
    }

    /// What the session's workspace was on when it went, where that is on record.
    pub(super) async fn left(&self) -> Result<Option<Left>, GitError> {
        let Some(Held { parents, message, .. }) = self.find(&self.left_reference()).await?.held else {
            return Ok(None);
        };
        let Some(commit) = parents.into_iter().next() else { return Ok(None) };
        let Some(name) = message.lines().find_map(|line| line.strip_prefix(HEAD)) else { return Ok(None) };
        let branch = name.strip_prefix("refs/heads/").map(str::to_owned);
        Ok(Some(Left { head: branch.map_or_else(|| Head::Commit(commit.clone()), Head::Branch), commit }))
    }

    /// What a workspace is on, where that is not `branch`; `None` also when it is on a branch without a commit.
    pub(super) async fn elsewhere(&self, entry: &Entry, branch: &str) -> Result<Option<Left>, GitError> {
        Ok(self.on(entry).await?.filter(|on| on.branch() != Some(branch)))
    }

    /// What a workspace is on; `None` when that is a branch without a commit.
    async fn on(&self, entry: &Entry) -> Result<Option<Left>, GitError> {
        let on = entry.branch(self.git).await?;
        let call = self.git.at(&entry.admin).git_dir(&entry.admin);
        let commit = call.args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).answer().await?;
        Ok(commit.map(|commit| Left { head: on.map_or_else(|| Head::Commit(commit.clone()), Head::Branch), commit }))
    }

    /// Puts on record what a workspace that is to go is on, where that is not `branch`, or what was told before has to be held.
    pub(super) async fn leave(&self, entry: &Entry, branch: &str, turn: &Turn) -> Result<(), GitError> {
        let found = self.find(&self.left_reference()).await?;
        let mut before = match &found.held {
            Some(held) => self.held_alone(held).await?,
            None => Vec::new(),
        };
        let Some(left) = self.on(entry).await?.filter(|on| !before.is_empty() || on.branch() != Some(branch)) else {
            return if before.is_empty() { self.forget_left(turn).await } else { Ok(()) };
        };
        if self.left().await?.as_ref() == Some(&left) {
            return Ok(());
        }
        let name = left.branch().map_or_else(|| DETACHED.to_owned(), |branch| format!("refs/heads/{branch}"));
        let session = self.session;
        let message =
            format!("ao: what {session} was on when its workspace went\n\n{HEAD}{name}\n{}\n", self.signature());
        let tree = format!("{}^{{tree}}", left.commit);
        before.retain(|commit| *commit != left.commit);
        let mut make = self.signed().arg("commit-tree").args([&tree, "-p", &left.commit]);
        for commit in &before {
            make = make.args(["-p", commit]);
        }
        let commit = make.args(["-m", &message]).text().await?;
        let update = self.call().config("core.fsync=all").args(["update-ref", "-m", "ao: left"]);
        let update = update.args([found.reference, commit, found.held.map_or_else(String::new, |held| held.commit)]);
        update.change_to_the_end(Arc::clone(turn)).await.map(drop)
    }

    /// The commits told of that are on no branch, remote-tracking branch or tag.
    async fn held_alone(&self, held: &Held) -> Result<Vec<String>, GitError> {
        let mut alone = Vec::new();
        for told in &held.parents {
            let own =
                self.call().args(["rev-list", "--max-count=1", told, "--not", "--branches", "--remotes", "--tags"]);
            if !own.text().await?.is_empty() {
                alone.push(told.clone());
            }
        }
        Ok(alone)
    }

    /// Takes that off the record, unless nothing else holds the commit. Gives whether nothing is on it.
    pub(super) async fn release_left(&self, turn: &Turn) -> Result<bool, GitError> {
        if let Some(held) = self.find(&self.left_reference()).await?.held
            && !self.held_alone(&held).await?.is_empty()
        {
            return Ok(false);
        }
        self.forget_left(turn).await?;
        Ok(true)
    }

    /// Takes off the record what an earlier session of that name told; what nothing else holds gets another name, and a note.
    pub(super) async fn put_left_aside(&self, turn: &Turn) -> Result<Option<String>, GitError> {
        if self.release_left(turn).await? {
            return Ok(None);
        }
        let usual = self.left_reference();
        let Found { held: Some(held), reference } = self.find(&usual).await? else { return Ok(None) };
        let aside = self.set_aside(&usual, &reference, &held.commit, turn).await?;
        Ok(Some(format!("an earlier session of that name left commits that are on no branch; {aside} holds them now")))
    }

    /// Takes that off the record.
    pub(super) async fn forget_left(&self, turn: &Turn) -> Result<(), GitError> {
        let found = self.find(&self.left_reference()).await?;
        let Some(held) = found.held else { return Ok(()) };
        let delete = self.call().args(["update-ref", "-d", &found.reference, &held.commit]);
        delete.change_to_the_end(Arc::clone(turn)).await.map(drop)
    }
}
