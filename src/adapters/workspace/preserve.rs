//! Work that was in no commit, saved as commits that a reference of ao's own holds.
//!
//! The shape is that of a stash (`git stash apply <commit>` takes it): a commit with the tree of all files that git does
//! not ignore, its first parent what `HEAD` was, its second the index. So commits that are on no branch are held
//! too. Work that was saved before and not put back since is the second parent of the second: nothing is ever
//! dropped. Each names its [owner](super::owner): where one of that name in another data directory has the reference, it
//! is left alone, and another one is used. ao signs these commits itself, for the user's identity may be missing.

use std::path::Path;
use std::sync::Arc;

use super::Turn;
use super::entry::Entry;
use super::git::{Call, Git, GitError};
use super::keep;
use super::owner::Owner;
use super::snapshot::{Camera, Snapshot};
use crate::domain::id::SessionId;
use crate::domain::preserved::PreservedWork;
use crate::fault::{self, Injected, Point};
use crate::ports::repo::Repository;

/// Who the commits are by.
const IDENTITY: &[(&str, &str)] = &[
    ("GIT_AUTHOR_NAME", "ao"),
    ("GIT_AUTHOR_EMAIL", "ao@localhost"),
    ("GIT_COMMITTER_NAME", "ao"),
    ("GIT_COMMITTER_EMAIL", "ao@localhost"),
];

/// The line of the message that names what `HEAD` named.
pub(super) const HEAD: &str = "Head: ";
/// The line of the message that names the work that was saved before.
const EARLIER: &str = "Earlier: ";
/// The line of the message that names whose it is.
const OWNER: &str = "Owner: ";
/// What stands for a `HEAD` that is on no branch.
pub(super) const DETACHED: &str = "detached";

/// How often work that changes while it is saved is saved again.
const ATTEMPTS: u32 = 3;

/// Saved work, as it is in the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    /// The commit that holds it.
    pub(super) commit: String,
    /// What it holds.
    pub(super) snapshot: Snapshot,
    /// The branch that `HEAD` was on; `None` for none.
    pub(super) branch: Option<String>,
    /// Work that was saved before it, and not put back since.
    pub(super) earlier: Option<String>,
}

/// Why work was not saved.
#[derive(Debug)]
pub(super) enum Unsaved {
    /// Saving it would lose some of it.
    Keep(String),
    /// It could not be done, or not be found out whether it was.
    Failed(GitError),
    /// It never stood still.
    Changing,
}

impl From<Injected> for Unsaved {
    fn from(injected: Injected) -> Self {
        Self::Failed(GitError::Unusable(injected.into()))
    }
}

impl From<GitError> for Unsaved {
    fn from(error: GitError) -> Self {
        Self::Failed(error)
    }
}

/// A commit that a reference of ao's own names.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) commit: String,
    pub(super) parents: Vec<String>,
    pub(super) message: String,
}

/// What was found at a reference of the session's.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) held: Option<Held>,
    /// The reference that holds it or is free to.
    pub(super) reference: String,
}

/// The repository and the session whose saved work it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Store<'a> {
    pub(super) git: &'a Git,
    pub(super) repository: &'a Repository,
    pub(super) session: &'a SessionId,
    /// The workspace's directory.
    pub(super) path: &'a Path,
}

impl Store<'_> {
    /// The reference that holds the session's saved work, or would.
    pub(super) async fn reference(&self) -> Result<String, GitError> {
        let (_, reference) = self.look().await?;
        Ok(reference)
    }

    pub(super) fn call(&self) -> Call {
        self.git.at(&self.repository.path)
    }

    /// A call that makes commits of ao's own, on the disk before it answers.
    pub(super) fn signed(&self) -> Call {
        let call = IDENTITY.iter().fold(self.call(), |call, (name, value)| call.env(name, value));
        call.config("core.fsync=all")
    }

    /// The line of a commit's message that says whose it is.
    pub(super) fn signature(&self) -> String {
        format!("{OWNER}{}", Owner::new(self.session, self.path))
    }

    /// The work that is saved for the session.
    pub(super) async fn held(&self) -> Result<Option<PreservedWork>, GitError> {
        let (commit, reference) = self.look().await?;
        Ok(commit.map(|commit| PreservedWork { reference, commit }))
    }

    /// The saved work's commit, and the reference that holds it or is free to.
    async fn look(&self) -> Result<(Option<String>, String), GitError> {
        let found = self.find(&PreservedWork::reference_of(self.session)).await?;
        Ok((found.held.map(|held| held.commit), found.reference))
    }

    /// What a reference of the session's holds; where one of that name in another data directory has it, another
    /// reference is looked at.
    pub(super) async fn find(&self, usual: &str) -> Result<Found, GitError> {
        let owner = Owner::new(self.session, self.path);
        // No name of work that was put aside: that ends in a commit.
        let other = format!("{usual}.at{}", owner.place());
        let format = "--format=%(refname)%00%(objectname)%00%(parent)%00%(contents)%00";
        let shown = self.call().args(["for-each-ref", format, usual, &other]).text().await?;
        let fields: Vec<_> = shown.split('\0').collect();
        let mut reference = usual;
        let mut held = None;
        for fields in fields.chunks_exact(4) {
            let [name, commit, parents, message] = [fields[0].trim_start(), fields[1], fields[2], fields[3]];
            let parents = parents.split_whitespace().map(str::to_owned).collect();
            let this = Held { commit: commit.to_owned(), parents, message: message.to_owned() };
            if name == other {
                return Ok(Found { held: Some(this), reference: other });
            }
            if name == usual {
                let mark = message.lines().find_map(|line| Owner::parse(line.strip_prefix(OWNER)?));
                if mark.is_none_or(|mark| owner.made(&mark)) {
                    held = Some(this);
                } else {
                    reference = &other;
                }
            }
        }
        Ok(Found { held, reference: reference.to_owned() })
    }

    /// Reads a commit of saved work; `None` when it is not there, or none that ao made.
    pub(super) async fn read(&self, commit: &str) -> Result<Option<Saved>, GitError> {
        let format = "--format=%H%x00%T%x00%P%x00%B";
        let call =
            self.call().config("log.showSignature=false").args(["show", "--no-patch", "--encoding=UTF-8", format]);
        let shown = call.args(["--end-of-options", &format!("{commit}^{{commit}}")]).output().await?;
        if !shown.status.success() {
            return Ok(None);
        }
        let text = shown.text();
        let fields: Vec<_> = text.splitn(4, '\0').collect();
        let [commit, files, parents, message] = fields[..] else { return Ok(None) };
        let Some((head, staged)) = parents.split_once(' ') else { return Ok(None) };
        let line = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let Some(branch) = line(HEAD).filter(|_| !staged.contains(' ')) else { return Ok(None) };
        let index = self.call().args(["rev-parse", "--verify", "--end-of-options", &format!("{staged}^{{tree}}")]);
        let index = index.text().await?;
        let snapshot = Snapshot { head: head.to_owned(), index, files: files.to_owned() };
        let branch = branch.strip_prefix("refs/heads/").map(str::to_owned);
        Ok(Some(Saved { commit: commit.to_owned(), snapshot, branch, earlier: line(EARLIER) }))
    }

    /// Saves what a checkout holds. Neither it nor its index is changed. On success the reference was read back, every
    /// object is there, every file comes back from them as it is, and a last look found nothing else than what was
    /// saved.
    pub(super) async fn save(&self, entry: &Entry, checkout: &Path, turn: &Turn) -> Result<PreservedWork, Unsaved> {
        let earlier = self.not_put_back(entry).await?;
        let camera = Camera::new(self.git, entry, checkout).await?;
        let mut seen = camera.take().await?;
        fault::reach(Point::WorkspaceWorkSeen)?;
        for _ in 0..ATTEMPTS {
            let unfaithful = camera.first_unfaithful(&seen).await?;
            let mut now = camera.take().await?;
            if now == seen {
                if let Some(name) = unfaithful {
                    let name = name.display();
                    let cause = format!("git would not give {name} back as it is (a filter or its line endings)");
                    return Err(Unsaved::Keep(cause));
                }
                let work = self.record(entry, &seen, earlier.as_deref(), turn).await?;
                fault::reach(Point::WorkspaceWorkSaved)?;
                now = camera.take().await?;
                if now == seen {
                    return Ok(work);
                }
            }
            seen = now;
        }
        Err(Unsaved::Changing)
    }

    /// Saves what is left of a checkout whose directory is gone: commits that are on no branch, and what was staged.
    pub(super) async fn rescue(&self, entry: &Entry, turn: &Turn) -> Result<(), GitError> {
        if self.is_left_behind(entry).await? {
            let left = Camera::new(self.git, entry, &entry.admin).await?.take_without_files().await?;
            let held = self.held().await?.map(|held| held.commit);
            self.record(entry, &left, held.as_deref(), turn).await?;
        }
        Ok(())
    }

    /// The same for an entry that is to go with all that it holds. Gives what of that cannot be saved: then nothing was.
    pub(super) async fn rescue_all(&self, entry: &Entry, turn: &Turn) -> Result<Option<String>, GitError> {
        if let Some(lost) = keep::loose_reference(&self.git.at(&entry.admin).git_dir(&entry.admin)).await? {
            return Ok(Some(format!("{lost}, and would be lost; make one of them first")));
        }
        self.rescue(entry, turn).await.map(|()| None)
    }

    /// Whether [`rescue`](Self::rescue) would save something: there is something, and not all of it is saved already.
    pub(super) async fn is_left_behind(&self, entry: &Entry) -> Result<bool, GitError> {
        let call = || self.git.at(&entry.admin).git_dir(&entry.admin);
        let commit = call().args(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).answer().await?;
        // On a branch without a commit.
        let Some(commit) = commit else { return Ok(false) };
        let index_is = async |tree: &str| {
            let same = call().args(["diff-index", "--cached", "--quiet", tree, "--"]).answer().await;
            match same {
                Ok(same) => Ok(same.is_some()),
                // An index that cannot be read holds nothing any more.
                Err(GitError::Refused { .. }) => Ok(tree == commit),
                Err(error) => Err(error),
            }
        };
        if index_is(&commit).await? && !keep::loose_head(&call()).await? {
            return Ok(false);
        }
        let saved = match self.held().await? {
            Some(held) => self.read(&held.commit).await?,
            None => None,
        };
        match saved {
            Some(saved) if saved.snapshot.head == commit => Ok(!index_is(&saved.snapshot.index).await?),
            _ => Ok(true),
        }
    }

    /// Makes the commits and the reference, and reads them back. `earlier` is held by them.
    async fn record(
        &self,
        entry: &Entry,
        work: &Snapshot,
        earlier: Option<&str>,
        turn: &Turn,
    ) -> Result<PreservedWork, GitError> {
        let held = self.held().await?;
        let branch = entry.branch(self.git).await?;
        if let Some(held) = &held
            && let Some(saved) = self.read(&held.commit).await?
            && saved.snapshot == *work
            && saved.branch == branch
        {
            self.check(&held.commit).await?;
            return Ok(held.clone());
        }
        let (old, reference) = self.look().await?;
        let commit = self.commit(work, branch.as_deref(), earlier).await?;
        let session = self.session;
        let update = self.call().config("core.fsync=all").args(["update-ref", "--create-reflog", "-m"]);
        let update = update.arg(format!("ao: preserved the work of {session}"));
        // With the old value: nothing that somebody else put there is replaced.
        let update = update.args([reference.clone(), commit.clone(), old.unwrap_or_default()]);
        update.change_to_the_end(Arc::clone(turn)).await?;
        self.check(&commit).await?;
        Ok(PreservedWork { reference, commit })
    }

    async fn commit(&self, work: &Snapshot, branch: Option<&str>, earlier: Option<&str>) -> Result<String, GitError> {
        let call = || self.signed().arg("commit-tree");
        let session = self.session;
        let mut staged = call().args([&work.index, "-p", &work.head]);
        if let Some(earlier) = earlier {
            staged = staged.args(["-p", earlier]);
        }
        let staged = staged.args(["-m", &format!("ao: what {session} had staged")]).text().await?;
        let head = branch.map_or_else(|| DETACHED.to_owned(), |branch| format!("refs/heads/{branch}"));
        let mut message = format!(
            "ao: what {session} had not committed\n\nIts first parent is what was checked out, its second what was staged.\n\n\
             {HEAD}{head}\n{}\n",
            self.signature()
        );
        if let Some(earlier) = earlier {
            message.push_str(&format!("{EARLIER}{earlier}\n"));
        }
        call().args([&work.files, "-p", &work.head, "-p", &staged, "-m", &message]).text().await
    }

    /// Whether the reference is the commit, and all that it holds and no branch does is there.
    async fn check(&self, commit: &str) -> Result<(), GitError> {
        let held = self.held().await?;
        if held.as_ref().is_none_or(|held| held.commit != commit) {
            return Err(GitError::Unusable(format!("{} is not what was just written", self.reference().await?)));
        }
        let walk = self.call().timeout(self.git.settings().checkout_timeout);
        walk.args(["rev-list", "--objects", "--quiet", commit, "--not", "--branches"]).text().await.map(drop)
    }

    /// Gives the reference another name, where a session is new and so cannot have saved work: an earlier one was called the
    /// same, and its data directory was made anew. Gives a note of it.
    pub(super) async fn put_aside(&self, turn: &Turn) -> Result<Option<String>, GitError> {
        let Some(held) = self.held().await? else { return Ok(None) };
        let usual = PreservedWork::reference_of(self.session);
        let aside = self.set_aside(&usual, &held.reference, &held.commit, turn).await?;
        Ok(Some(format!("work of an earlier session of that name was found; {aside} holds it now")))
    }

    /// Gives a reference of the session's another name, which no session looks at; gives that.
    pub(super) async fn set_aside(
        &self,
        usual: &str,
        reference: &str,
        commit: &str,
        turn: &Turn,
    ) -> Result<String, GitError> {
        let aside = format!("{usual}.{commit}");
        let make = self.call().args(["update-ref", "--create-reflog", "-m", "ao: put aside", &aside, commit]);
        make.change_to_the_end(Arc::clone(turn)).await?;
        let delete = self.call().args(["update-ref", "-d", reference, commit]);
        delete.change_to_the_end(Arc::clone(turn)).await?;
        Ok(aside)
    }

    /// The saved work that will be held once this checkout is gone: what was put back into it is in it, and what came of
    /// that is what counts.
    pub(super) async fn not_put_back(&self, entry: &Entry) -> Result<Option<String>, GitError> {
        let Some(held) = self.held().await? else { return Ok(None) };
        if entry.put_back.as_ref() != Some(&held.commit) {
            return Ok(Some(held.commit));
        }
        Ok(self.read(&held.commit).await?.and_then(|saved| saved.earlier))
    }

    /// Lets go of saved work that was put back into the checkout, but not of what was saved before it.
    pub(super) async fn let_go(&self, entry: &Entry, turn: &Turn) -> Result<(), GitError> {
        let Some(held) = self.held().await?.filter(|held| entry.put_back.as_ref() == Some(&held.commit)) else {
            return Ok(());
        };
        let call = self.call().args(["update-ref", "-m", "ao: put back"]);
        let call = match self.not_put_back(entry).await? {
            Some(earlier) => call.args([&held.reference, &earlier, &held.commit]),
            None => call.args(["-d", &held.reference, &held.commit]),
        };
        call.change_to_the_end(Arc::clone(turn)).await.map(drop)
    }
}
