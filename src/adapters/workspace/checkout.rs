//! Checking a worktree out, for one that is made and one that is made again, so that ao's marks are never missing.
//!
//! What a `kill -9` leaves for [`remove`](super::remove) after each step:
//!
//! 1. `git worktree add --lock --reason "ao: <owner>"`: git writes that lock as the first file of the entry, before any
//!    file of the checkout. An entry that is known to be half-made, with any part of the directory.
//! 2. Saved work is put back, and the commit noted in `ao-put-back`. Still half-made: the commit holds the work.
//! 3. `ao-place`, then `ao-session` in the entry, then the unlock. A complete workspace.

use std::path::Path;
use std::sync::Arc;

use super::entry::{self, Entry, Ownership};
use super::git::Call;
use super::owner::Owner;
use super::preserve::Saved;
use super::put_back::put_back;
use super::remove::{look, take_away};
use super::{GitWorkspace, Turn, blocking, branch, place};
use crate::domain::id::SessionId;
use crate::fault::{self, Point};
use crate::ports::repo::Repository;
use crate::ports::workspace::WorkspaceError;

/// By which, and the path, a git is known that makes a worktree; `remove` and `reopen` let one finish whose ao was killed.
pub(super) const LOCK: &str = "--lock";

/// A session's place for a checkout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) session: &'a SessionId,
    pub(super) repository: &'a Repository,
    pub(super) path: &'a Path,
}

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A branch.
    Branch(String),
    /// A commit, on no branch.
    Commit(String),
}

impl Site<'_> {
    pub(super) fn owner(&self) -> Owner {
        Owner::new(self.session, self.path)
    }

    pub(super) async fn look(&self) -> Result<Option<Entry>, WorkspaceError> {
        look(self.repository, self.path, self.session).await
    }

    /// What is refused before anything is changed: a repository that cannot be used.
    pub(super) async fn check(&self, git: &GitWorkspace) -> Result<(), WorkspaceError> {
        git.version().await?;
        let call = git.git.at(&self.repository.path).args(["rev-parse", "--git-dir"]);
        call.text().await.map_err(|error| self.unsupported(error.complaint()))?;
        if rustix::fs::access(&self.repository.common_dir, rustix::fs::Access::WRITE_OK).is_err() {
            return Err(self.unsupported(format!("{} is not writable", self.repository.common_dir.display())));
        }
        Ok(())
    }

    pub(super) fn unsupported(&self, cause: String) -> WorkspaceError {
        WorkspaceError::Unsupported { repository: self.repository.path.clone(), cause }
    }

    /// Makes the worktree, on the target and with the work. Gives notes; on an error, what [`undo`](Self::undo) takes back
    /// may be there.
    pub(super) async fn check_out(
        &self,
        git: &GitWorkspace,
        target: &Target,
        work: Option<&Saved>,
        turn: &Turn,
    ) -> Result<Vec<String>, String> {
        let mut notes = Vec::new();
        fault::reach(Point::WorkspaceBranchMade)?;
        let entry = self.add(git, target, &mut notes, turn).await?;
        if let Some(work) = work {
            notes.extend(put_back(&git.git, &entry, self.path, work, turn).await?);
            fault::reach(Point::WorkspaceWorkPutBack)?;
        }
        let place = place::name_of(self.path).and_then(|name| entry.mark_place(&name));
        place.map_err(|error| format!("cannot mark where the worktree is: {error}"))?;
        entry.mark_owned(&self.owner()).map_err(|error| format!("cannot mark the worktree as ao's: {error}"))?;
        fault::reach(Point::WorkspaceMarked)?;
        let unlock = git.git.at(&self.repository.path).args(["worktree", "unlock", "--"]).arg(self.path);
        unlock.change().await.map_err(|error| error.complaint())?;
        fault::reach(Point::WorkspaceUnlocked)?;
        notes.extend(self.particulars(git).await);
        Ok(notes)
    }

    async fn add(
        &self,
        git: &GitWorkspace,
        target: &Target,
        notes: &mut Vec<String>,
        turn: &Turn,
    ) -> Result<Entry, String> {
        let reason = entry::lock_reason(&self.owner());
        // One worker a core: 65,536 files in 5.2 to 5.6 s instead of 7 to 11 s on two cores (git 2.47); small trees are as quick.
        let call = git.git.at(&self.repository.path).config("checkout.workers=0");
        let call = call.args(["worktree", "add", "--quiet", LOCK, "--reason", &reason]);
        let call = match target {
            Target::Branch(branch) => call.arg("--").arg(self.path).arg(branch),
            Target::Commit(commit) => call.args(["--detach", "--"]).arg(self.path).arg(commit),
        };
        let added = call.timeout(git.git.settings().checkout_timeout).change_to_the_end(Arc::clone(turn)).await;
        fault::reach(Point::WorkspaceCheckedOut)?;
        let entry = self.look().await.map_err(|error| error.to_string())?;
        let Some(entry) = entry.filter(|entry| entry.ownership(self.session) == Ownership::HalfMade) else {
            return Err(
                added.map_or_else(|error| error.complaint(), |_| "git made no worktree that can be found".to_owned())
            );
        };
        if let Err(error) = added {
            // The entry stays only when everything but the hook went well; the checkout tells for certain.
            if !is_complete(git.git.worktree(&entry.admin, self.path)).await {
                return Err(error.complaint());
            }
            notes.push(format!("the repository's post-checkout hook failed: {}", error.complaint()));
        }
        Ok(entry)
    }

    /// What a person should know of this kind of checkout.
    async fn particulars(&self, git: &GitWorkspace) -> Vec<String> {
        let mut notes = Vec::new();
        if self.path.join(".gitmodules").is_file() {
            notes.push(
                "its submodules are not checked out; `git submodule update --init` in the workspace does that"
                    .to_owned(),
            );
        }
        let attributes = std::fs::read_to_string(self.path.join(".gitattributes")).unwrap_or_default();
        if attributes.contains("filter=lfs") {
            let smudge = git.git.at(self.path).args(["config", "--get-regexp", r"^filter\.lfs\.(smudge|process)$"]);
            if matches!(smudge.answer().await, Ok(None)) {
                notes.push("its Git LFS files are pointers, for Git LFS is not set up (`git lfs install`)".to_owned());
            }
        }
        notes
    }

    /// Takes back what was built, the branch included where it was made for this. Gives the cause to report, with what is
    /// left.
    pub(super) async fn undo(
        &self,
        git: &GitWorkspace,
        made_branch: Option<&str>,
        cause: String,
        turn: Turn,
    ) -> String {
        let mut left = Vec::new();
        match self.look().await {
            Ok(Some(entry)) if entry.ownership(self.session) != Ownership::Foreign => {
                let path = self.path.to_owned();
                if let Err(error) = blocking(move || take_away(&entry, &path)).await {
                    left.push(format!("the directory {} ({error})", self.path.display()));
                }
            }
            Ok(_) => {}
            Err(error) => left.push(format!("the worktree ({error})")),
        }
        if let Some(name) = made_branch {
            let deleted = branch::take_back(&git.git, self.repository, name, &self.owner(), turn).await;
            if !matches!(deleted, Ok(true)) {
                left.push(format!("the branch {name}"));
            }
        }
        if left.is_empty() { cause } else { format!("{cause}\nThis is left: {}", left.join(", ")) }
    }
}

/// Whether the index and all tracked files are there as committed.
async fn is_complete(call: Call) -> bool {
    let status = call.args(["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"]);
    matches!(status.text().await.as_deref(), Ok(""))
}
