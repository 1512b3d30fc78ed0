//! What speaks against removing a workspace: work that would be lost with it.
//!
//! Ignored files are no work (build results and caches, by the million): they go with the checkout, also those that a
//! person wrote by hand. Repositories inside ignored directories are looked through all the same.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::blocking;
use super::entry::Entry;
use super::git::{Call, Git, GitError};
use super::tree;

/// Room for the listing of some millions of files.
const MAX_LISTING_BYTES: usize = 256 * 1024 * 1024;

/// What git leaves in the administrative directory while an operation waits to be continued.
const UNFINISHED: &[(&str, &str)] = &[
    ("MERGE_HEAD", "a merge"),
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase or the application of a patch"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("sequencer", "a cherry-pick or revert"),
];

/// The reason to keep the checkout, if there is one. What cannot be found out is an error, and a reason too.
pub(super) async fn reason(git: &Git, entry: &Entry, checkout: &Path) -> Result<Option<String>, GitError> {
    for (name, what) in UNFINISHED {
        if entry.admin.join(name).symlink_metadata().is_ok() {
            return Ok(Some(format!("{what} is not finished")));
        }
    }
    let top = || git.worktree(&entry.admin, checkout).timeout(git.settings().checkout_timeout);
    if let Some(changes) = changes(top(), checkout).await? {
        return Ok(Some(changes));
    }
    if loose_head(&top()).await? {
        return Ok(Some("it is on no branch, and its commits are on none".to_owned()));
    }
    let (root, modules) = (checkout.to_owned(), entry.admin.join("modules"));
    let inside = blocking(move || Ok((tree::nested_checkouts(&root)?, tree::git_directories(&modules)?))).await;
    let (checkouts, modules) =
        inside.map_err(|error| GitError::Unusable(format!("cannot look through it: {error}")))?;
    for nested in checkouts {
        if let Some(found) = nested_reason(git, entry, checkout, &nested).await? {
            let name = nested.strip_prefix(checkout).unwrap_or(&nested);
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
async fn changes(call: Call, root: &Path) -> Result<Option<String>, GitError> {
    let status = call.clone().args(["status", "--porcelain", "-z", "--no-renames"]);
    let status = status.args(["--untracked-files=normal", "--ignore-submodules=none"]).text().await?;
    match status.split('\0').filter(|line| !line.is_empty()).count() {
        0 => {}
        1 => return Ok(Some("1 uncommitted change".to_owned())),
        count => return Ok(Some(format!("{count} uncommitted changes"))),
    }
    let files = call.args(["ls-files", "-v", "-z"]).max_output_bytes(MAX_LISTING_BYTES).bytes().await?;
    let root = root.to_owned();
    blocking(move || hidden(&files, &root))
        .await
        .map_err(|error| GitError::Unusable(format!("cannot look at its files: {error}")))
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
async fn loose_head(call: &Call) -> Result<bool, GitError> {
    if call.clone().args(["symbolic-ref", "--quiet", "HEAD"]).answer().await?.is_some() {
        return Ok(false);
    }
    let own = call.clone().args(["rev-list", "--max-count=1", "HEAD", "--not", "--branches", "--remotes", "--tags"]);
    Ok(!own.text().await?.is_empty())
}

async fn nested_reason(git: &Git, entry: &Entry, top: &Path, nested: &Path) -> Result<Option<String>, GitError> {
    let call = || git.worktree(&nested.join(".git"), nested).timeout(git.settings().checkout_timeout);
    if let Some(changes) = changes(call(), nested).await? {
        return Ok(Some(changes));
    }
    let common = call().args(["rev-parse", "--path-format=absolute", "--git-common-dir"]).text().await?;
    let common = PathBuf::from(common);
    let common = common.canonicalize().unwrap_or(common);
    let vanishes = [top, &entry.admin].iter().any(|gone| common.starts_with(super::entry::resolved(gone)));
    let lost = if vanishes { has_unpublished(call()).await? } else { loose_head(&call()).await? };
    Ok(lost.then(|| "commits that are on no remote".to_owned()))
}

/// Whether a repository has commits that no remote-tracking branch and no tag holds, stashes included.
async fn has_unpublished(call: Call) -> Result<bool, GitError> {
    let mut own = call.clone().args(["rev-list", "--max-count=1", "--branches", "--glob=refs/stash"]);
    if call.args(["rev-parse", "--verify", "--quiet", "HEAD"]).answer().await?.is_some() {
        own = own.arg("HEAD");
    }
    Ok(!own.args(["--not", "--remotes", "--tags"]).text().await?.is_empty())
}
