//! What speaks against removing a workspace: work that would be lost with it.
//!
//! Ignored files are no work (build results and caches, by the million): they go with the checkout, also those that a
//! person wrote by hand. Repositories inside ignored directories, bare ones too, are looked through all the same.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::blocking;
use super::entry::Entry;
use super::git::{Call, Git, GitError};
use super::tree::{self, Nested};
use crate::ports::workspace::OnWork;

/// Room for the listing of some millions of files.
const MAX_LISTING_BYTES: usize = 256 * 1024 * 1024;

const ON_NO_REMOTE: &str = "commits that are on no remote";

/// What git leaves in the administrative directory while an operation waits to be continued.
const UNFINISHED: &[(&str, &str)] = &[
    ("MERGE_HEAD", "a merge"),
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase or the application of a patch"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("sequencer", "a cherry-pick or revert"),
];

/// Work that would go with a checkout, in words for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// Commits can hold it.
    Savable(String),
    /// Saving it as commits would lose some of it, or what is needed to go on.
    Unsavable(String),
}

use Work::{Savable, Unsavable};

/// The work in a checkout, if there is any. With [`OnWork::Keep`] the first that is found, which is quick; with
/// anything else the look goes on after what can be saved. What cannot be found out is an error, and a reason to
/// keep it too.
pub(super) async fn look(git: &Git, entry: &Entry, checkout: &Path, on_work: OnWork) -> Result<Option<Work>, GitError> {
    for (name, what) in UNFINISHED {
        if entry.admin.join(name).symlink_metadata().is_ok() {
            return Ok(Some(Unsavable(format!("{what} is not finished"))));
        }
    }
    let settles =
        |work: &Option<Work>| work.is_some() && (on_work == OnWork::Keep || matches!(work, Some(Unsavable(_))));
    let top = || git.worktree(&entry.admin, checkout).timeout(git.settings().checkout_timeout);
    let mut work = changes(top(), checkout, on_work).await?;
    if settles(&work) {
        return Ok(work);
    }
    if work.is_none() && loose_head(&top()).await? {
        work = Some(Savable("it is on no branch, and its commits are on none".to_owned()));
        if settles(&work) {
            return Ok(work);
        }
    }
    if let Some(lost) = loose_reference(&top()).await? {
        return Ok(Some(Unsavable(lost)));
    }
    Ok(inside(git, entry, checkout).await?.map(Unsavable).or(work))
}

/// Work in the repositories inside the checkout, ignored ones and submodules too: none of it can be saved with the rest.
async fn inside(git: &Git, entry: &Entry, checkout: &Path) -> Result<Option<String>, GitError> {
    let (root, modules) = (checkout.to_owned(), entry.admin.join("modules"));
    let inside = blocking(move || Ok((tree::nested_repositories(&root)?, tree::git_directories(&modules)?))).await;
    let (repositories, modules) =
        inside.map_err(|error| GitError::Unusable(format!("cannot look through it: {error}")))?;
    for nested in &repositories {
        let directory = &nested.directory;
        let found = if nested.is_bare {
            let around = repositories.iter().rfind(|other| {
                !other.is_bare && other.directory != *directory && directory.starts_with(&other.directory)
            });
            let around = match around {
                Some(Nested { directory, .. }) => git.worktree(&directory.join(".git"), directory),
                None => git.worktree(&entry.admin, checkout),
            };
            bare_reason(git, around, directory).await?
        } else {
            nested_reason(git, entry, checkout, directory).await?
        };
        if let Some(found) = found {
            let name = directory.strip_prefix(checkout).unwrap_or(directory);
            return Ok(Some(format!("the repository {} in it has {found}", name.display())));
        }
    }
    for module in modules {
        if has_unpublished(git.worktree(&module, checkout)).await? {
            let name = module.strip_prefix(entry.admin.join("modules")).unwrap_or(&module).to_owned();
            return Ok(Some(format!("its submodule {} has commits that are on no remote", name.display())));
        }
    }
    Ok(None)
}

/// Uncommitted and untracked files. Ignored ones are not work: they go with the checkout.
async fn changes(call: Call, root: &Path, on_work: OnWork) -> Result<Option<Work>, GitError> {
    let status = call.clone().args(["status", "--porcelain=v2", "-z", "--no-renames", "--ignore-submodules=none"]);
    // With each file named, what is listed as a directory is a repository.
    let untracked = if on_work == OnWork::Keep { "normal" } else { "all" };
    let status = status.arg(format!("--untracked-files={untracked}")).max_output_bytes(MAX_LISTING_BYTES);
    let listing = status.bytes().await?;
    let lines = || listing.split(|&byte| byte == 0).filter(|line| !line.is_empty());
    let reason = match lines().count() {
        0 => None,
        1 => Some("1 uncommitted change".to_owned()),
        count => Some(format!("{count} uncommitted changes")),
    };
    if let (Some(reason), OnWork::Keep) = (&reason, on_work) {
        return Ok(Some(Savable(reason.clone())));
    }
    if let Some(reason) = lines().find_map(unsavable) {
        return Ok(Some(Unsavable(reason)));
    }
    let files = call.args(["ls-files", "-v", "-z"]).max_output_bytes(MAX_LISTING_BYTES).bytes().await?;
    let root = root.to_owned();
    let hidden = blocking(move || hidden(&files, &root)).await;
    let hidden = hidden.map_err(|error| GitError::Unusable(format!("cannot look at its files: {error}")))?;
    Ok(hidden.map(Unsavable).or(reason.map(Savable)))
}

/// Why the change on a line of `status --porcelain=v2` cannot be saved as a commit, if it cannot.
fn unsavable(line: &[u8]) -> Option<String> {
    let name = |fields: usize| {
        let path = line.splitn(fields + 1, |&byte| byte == b' ').nth(fields).unwrap_or_default();
        String::from_utf8_lossy(path).into_owned()
    };
    match line {
        [b'u', ..] => Some(format!("{} has conflicts that are not resolved", name(10))),
        [b'1', b' ', b'.', b'A', ..] => {
            Some(format!("{} is only announced to git (`git add --intent-to-add`); add it or `git reset` it", name(8)))
        }
        [b'1', b' ', _, _, b' ', b'S', changes @ ..] if !changes.starts_with(b"...") => {
            Some(format!("its submodule {} has changes", name(8)))
        }
        [b'?', ..] if line.ends_with(b"/") => {
            Some(format!("the repository {} in it cannot be saved with it", name(1).trim_end_matches('/')))
        }
        _ => None,
    }
}

/// The first file that `status` was told to leave out, changed or not: one marked assume-unchanged (a lower-case tag), or
/// one marked skip-worktree (`S`) that is there all the same. In a sparse checkout most of the latter are not. Blocks.
fn hidden(files: &[u8], root: &Path) -> io::Result<Option<String>> {
    for line in files.split(|&byte| byte == 0) {
        let [tag, b' ', name @ ..] = line else { continue };
        let mark = match tag {
            tag if tag.is_ascii_lowercase() => "assume-unchanged",
            b'S' if is_there(&root.join(OsStr::from_bytes(name)))? => "skip-worktree",
            _ => continue,
        };
        let name = String::from_utf8_lossy(name);
        return Ok(Some(format!("{name} is marked {mark}, so its changes cannot be seen")));
    }
    Ok(None)
}

fn is_there(file: &Path) -> io::Result<bool> {
    match file.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether `HEAD` is detached on commits that no branch holds.
pub(super) async fn loose_head(call: &Call) -> Result<bool, GitError> {
    if call.clone().args(["symbolic-ref", "--quiet", "HEAD"]).answer().await?.is_some() {
        return Ok(false);
    }
    let own = call.clone().args(["rev-list", "--max-count=1", "HEAD", "--not", "--branches", "--remotes", "--tags"]);
    Ok(!own.text().await?.is_empty())
}

/// A reference of the worktree's own whose commits no branch holds: it goes with the administrative directory.
pub(super) async fn loose_reference(call: &Call) -> Result<Option<String>, GitError> {
    let own = call.clone().args(["for-each-ref", "--format=%(refname)", "refs/worktree/", "refs/bisect/"]);
    for name in own.text().await?.lines() {
        let own = call.clone().args(["rev-list", "--max-count=1", name, "--not", "--branches", "--remotes", "--tags"]);
        if !own.text().await?.is_empty() {
            return Ok(Some(format!("the commits of {name} are on no branch")));
        }
    }
    Ok(None)
}

/// To git, the files of a bare repository are files like others: `around` sees them where it does not ignore them.
async fn bare_reason(git: &Git, around: Call, bare: &Path) -> Result<Option<String>, GitError> {
    if around.args(["check-ignore", "--quiet", "--"]).arg(bare.join("HEAD")).answer().await?.is_none() {
        return Ok(None);
    }
    let lost = has_unpublished(git.at(bare).git_dir(bare)).await?;
    Ok(lost.then(|| ON_NO_REMOTE.to_owned()))
}

async fn nested_reason(git: &Git, entry: &Entry, top: &Path, nested: &Path) -> Result<Option<String>, GitError> {
    let call = || git.worktree(&nested.join(".git"), nested).timeout(git.settings().checkout_timeout);
    if let Some(Savable(changes) | Unsavable(changes)) = changes(call(), nested, OnWork::Keep).await? {
        return Ok(Some(changes));
    }
    let common = call().args(["rev-parse", "--path-format=absolute", "--git-common-dir"]).text().await?;
    let common = PathBuf::from(common);
    let common = common.canonicalize().unwrap_or(common);
    let vanishes = [top, &entry.admin].iter().any(|gone| common.starts_with(super::entry::resolved(gone)));
    let lost = if vanishes { has_unpublished(call()).await? } else { loose_head(&call()).await? };
    Ok(lost.then(|| ON_NO_REMOTE.to_owned()))
}

/// Whether a repository has commits that no remote-tracking branch and no tag holds, stashes included.
async fn has_unpublished(call: Call) -> Result<bool, GitError> {
    let mut own = call.clone().args(["rev-list", "--max-count=1", "--branches", "--glob=refs/stash"]);
    if call.args(["rev-parse", "--verify", "--quiet", "HEAD"]).answer().await?.is_some() {
        own = own.arg("HEAD");
    }
    Ok(!own.args(["--not", "--remotes", "--tags"]).text().await?.is_empty())
}
