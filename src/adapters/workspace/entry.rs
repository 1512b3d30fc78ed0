//! A worktree's administrative directory (`<common>/worktrees/<name>`), and the ownership marks in it.
//!
//! | Mark | Written | Means |
//! | --- | --- | --- |
//! | `locked` holding `ao: <owner>` | by git, as the first file of the entry | ao began to make it: no agent was ever in it |
//! | `ao-session` holding the [owner](super::owner) | by ao, when the checkout is complete | ao made it and owns it |
//! | `ao-place` holding a name | by ao, before `ao-session` | the checkout was made in the [place](super::place) of that name |
//! | `ao-put-back` holding a commit | by ao, before `ao-session` | the saved work that is in the checkout, and goes with it |
//! | `ao-removing` | by ao, after the look for work to keep | its removal has begun and is to be finished |
//!
//! Marks go last, and `ao-session` after the others. One without git's own files is what such a removal left, never complete.

use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::git::{Git, GitError};
use super::owner::Owner;
use crate::domain::id::SessionId;
use crate::platform::file::{read_if_there, remove_if_there, write_atomically};

/// What the reason of ao's own lock starts with.
const LOCK_PREFIX: &str = "ao: ";

const SESSION: &str = "ao-session";
const PLACE: &str = "ao-place";
const PUT_BACK: &str = "ao-put-back";
const REMOVING: &str = "ao-removing";

/// One worktree's administrative directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The administrative directory.
    pub(super) admin: PathBuf,
    /// The checkout it says it is of, links resolved as far as it exists.
    pub(super) checkout: Option<PathBuf>,
    /// The saved work that was put back into it.
    pub(super) put_back: Option<String>,
    /// The name of the place it was made in.
    pub(super) place: Option<Vec<u8>>,
    session: Option<String>,
    lock: Option<String>,
    removing: bool,
    /// Git's own files are gone: there is nothing that it could be complete of.
    hollow: bool,
}

/// Whose a worktree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ownership {
    /// The session's, complete.
    Complete,
    /// The session's; it was never finished, or its removal has begun. It holds no work.
    HalfMade,
    /// Somebody else's.
    Foreign,
}

/// What `git worktree add --lock --reason` is told.
pub(super) fn lock_reason(owner: &Owner) -> String {
    format!("{LOCK_PREFIX}{owner}")
}

impl Entry {
    /// Every entry of a repository. Blocks.
    pub(super) fn all(common_dir: &Path) -> io::Result<Vec<Self>> {
        let listing = match std::fs::read_dir(common_dir.join("worktrees")) {
            Ok(listing) => listing,
            // Only a repository that is there has none; one that just vanished is no answer.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return std::fs::metadata(common_dir.join("HEAD")).map(|_| Vec::new());
            }
            Err(error) => return Err(error),
        };
        let mut entries = Vec::new();
        for item in listing {
            let admin = item?.path();
            if admin.is_dir() {
                entries.push(Self::read(admin)?);
            }
        }
        Ok(entries)
    }

    fn read(admin: PathBuf) -> io::Result<Self> {
        let line = |name: &str| -> io::Result<Option<Vec<u8>>> {
            Ok(read_if_there(&admin.join(name))?.map(|content| content.trim_ascii_end().to_vec()))
        };
        let text = |content: Vec<u8>| String::from_utf8_lossy(&content).into_owned();
        // Since git 2.48 the path may be relative to the administrative directory.
        let checkout = line("gitdir")?
            .filter(|path| !path.is_empty())
            .map(|path| admin.join(PathBuf::from(std::ffi::OsString::from_vec(path))))
            .and_then(|dot_git| dot_git.parent().map(resolved));
        let session = line(SESSION)?.map(text);
        let lock = line("locked")?.map(text);
        let place = line(PLACE)?;
        let put_back = line(PUT_BACK)?.map(text);
        let removing = line(REMOVING)?.is_some();
        let hollow = checkout.is_none() && !admin.join("HEAD").try_exists()?;
        Ok(Self { admin, checkout, put_back, place, session, lock, removing, hollow })
    }

    pub(super) fn ownership(&self, session: &SessionId) -> Ownership {
        match self.owner() {
            Some(owner) if owner.session() != session => Ownership::Foreign,
            Some(_) if self.session.is_some() && !self.removing && !self.hollow => Ownership::Complete,
            Some(_) => Ownership::HalfMade,
            None => Ownership::Foreign,
        }
    }

    /// Whose mark it bears, complete or not.
    pub(super) fn owner(&self) -> Option<Owner> {
        Owner::parse(self.session.as_deref().or_else(|| self.own_lock())?)
    }

    /// Why a directory that is there must not go with it, though it is not complete: a removal deletes the directory first, so it
    /// was not that which took git's files away, and what the directory holds nobody looked at.
    pub(super) fn bereft(&self) -> Option<&'static str> {
        let bereft = self.hollow && self.session.is_some() && !self.removing;
        bereft.then_some("the repository has lost its administrative files (gitdir, HEAD)")
    }

    /// What ao's own lock says.
    fn own_lock(&self) -> Option<&str> {
        self.lock.as_deref()?.strip_prefix(LOCK_PREFIX)
    }

    /// The branch its `HEAD` names, or named when its directory was deleted; `None` when on none, also where that is not
    /// written yet or not any more.
    pub(super) async fn branch(&self, git: &Git) -> Result<Option<String>, GitError> {
        let call = git.at(&self.admin).git_dir(&self.admin).args(["symbolic-ref", "--quiet", "HEAD"]);
        let name = match call.answer().await {
            Err(GitError::Refused { .. }) if self.session.is_none() || self.removing || self.hollow => None,
            name => name?,
        };
        Ok(name.and_then(|name| name.strip_prefix("refs/heads/").map(str::to_owned)))
    }

    /// Why a person locked it, if one did.
    pub(super) fn foreign_lock(&self, session: &SessionId) -> Option<&str> {
        let own = self.own_lock().and_then(Owner::parse).is_some_and(|owner| owner.session() == session);
        self.lock.as_deref().filter(|_| !own)
    }

    /// Where its checkout is, if it names another place than `path`.
    pub(super) fn elsewhere(&self, path: &Path) -> Option<&Path> {
        self.checkout.as_deref().filter(|checkout| *checkout != resolved(path))
    }

    /// Marks in which place it was made.
    pub(super) fn mark_place(&self, name: &[u8]) -> io::Result<()> {
        write_atomically(&self.admin.join(PLACE), name, 0o644)
    }

    /// Marks it as complete and owned.
    pub(super) fn mark_owned(&self, owner: &Owner) -> io::Result<()> {
        write_atomically(&self.admin.join(SESSION), format!("{owner}\n").as_bytes(), 0o644)
    }

    /// Marks that this saved work is in the checkout.
    pub(super) fn mark_put_back(&self, commit: &str) -> io::Result<()> {
        write_atomically(&self.admin.join(PUT_BACK), format!("{commit}\n").as_bytes(), 0o644)
    }

    /// Takes that mark away: the saved work is held like any that was not put back.
    pub(super) fn unmark_put_back(&mut self) -> io::Result<()> {
        self.put_back = None;
        remove_if_there(&self.admin.join(PUT_BACK))
    }

    /// Marks that its removal has begun.
    pub(super) fn mark_removing(&self) -> io::Result<()> {
        write_atomically(&self.admin.join(REMOVING), b"", 0o644)
    }
}

/// The path with links resolved as far as it exists.
pub(super) fn resolved(path: &Path) -> PathBuf {
    match path.canonicalize() {
        Ok(path) => path,
        Err(_) => match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => resolved(parent).join(name),
            _ => path.to_owned(),
        },
    }
}

/// The entry of a checkout; one that was moved, or is half-made and names no checkout yet, is found by its mark. Blocks.
pub(super) fn find(common_dir: &Path, checkout: &Path, session: &SessionId) -> io::Result<Option<Entry>> {
    let (owner, checkout) = (Owner::new(session, checkout), resolved(checkout));
    let mut entries = Entry::all(common_dir)?;
    if let Some(at) = entries.iter().position(|entry| entry.checkout.as_deref() == Some(&checkout)) {
        return Ok(Some(entries.swap_remove(at)));
    }
    Ok(entries.into_iter().find(|entry| entry.owner().is_some_and(|mark| owner.made(&mark))))
}

/// Takes away the empty directory that a git killed before its first file leaves: it bears the checkout's name. Blocks.
pub(super) fn sweep_empty(common_dir: &Path, checkout: &Path) {
    if let Some(name) = checkout.file_name() {
        // Fails when it holds anything, which is what makes it safe.
        let _ = std::fs::remove_dir(common_dir.join("worktrees").join(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(files: &[(&str, &str)]) -> (tempfile::TempDir, Entry) {
        let dir = tempfile::tempdir().unwrap();
        let admin = dir.path().canonicalize().unwrap().join("worktrees/x");
        std::fs::create_dir_all(&admin).unwrap();
        for (name, content) in files {
            std::fs::write(admin.join(name), content).unwrap();
        }
        let entry = Entry::read(admin).unwrap();
        (dir, entry)
    }

    #[test]
    fn i06_marks_say_whose_a_worktree_is() {
        const HEAD: (&str, &str) = ("HEAD", "ref: refs/heads/main\n");
        let me: SessionId = "app-1".parse().unwrap();
        for (files, expected) in [
            (&[("locked", "ao: app-1")][..], Ownership::HalfMade),
            (&[HEAD, ("locked", "ao: app-1\n"), ("ao-session", "app-1\n")], Ownership::Complete),
            (&[HEAD, ("ao-session", "app-1\n"), ("locked", "on a stick")], Ownership::Complete),
            (&[("gitdir", "/here/.git"), ("ao-session", "app-1\n")], Ownership::Complete),
            (&[("ao-session", "app-1\n")], Ownership::HalfMade),
            (&[HEAD, ("ao-session", "app-1\n"), ("ao-removing", "")], Ownership::HalfMade),
            (&[("locked", "ao: app-1 at /here")], Ownership::HalfMade),
            (&[HEAD, ("locked", "ao: app-1 at /here"), ("ao-session", "app-1 at /here\n")], Ownership::Complete),
            (&[("ao-session", "app-12 at /here\n")], Ownership::Foreign),
            (&[("ao-session", "?\n"), ("locked", "ao: app-1")], Ownership::Foreign),
            (&[("ao-session", "app-12\n")], Ownership::Foreign),
            (&[("ao-session", "app-12\n"), ("locked", "ao: app-1")], Ownership::Foreign),
            (&[("locked", "initializing")], Ownership::Foreign),
            (&[], Ownership::Foreign),
        ] {
            assert_eq!(entry(files).1.ownership(&me), expected, "{files:?}");
        }
    }

    #[test]
    fn relative_checkout_paths_are_understood() {
        let (dir, entry) = entry(&[("gitdir", "../../checkout/.git\n")]);
        assert_eq!(entry.checkout, Some(dir.path().canonicalize().unwrap().join("checkout")));
        std::fs::create_dir(dir.path().join("checkout")).unwrap();
        let again = Entry::read(entry.admin).unwrap();
        assert_eq!(again.checkout, Some(dir.path().canonicalize().unwrap().join("checkout")));
    }
}
