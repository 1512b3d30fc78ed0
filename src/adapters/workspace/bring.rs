//! Bringing files of the project's checkout into a workspace: what a project needs to run and git does not hold, such as
//! `.env` or installed packages.
//!
//! Only what git ignores in the workspace is brought: anything else would be listed as untracked, pass for work and keep
//! the workspace for good, and git has no list of exclusions for one worktree alone. A pattern with a slash at its end
//! (`node_modules/`) is for directories and does not cover a link in a directory's place.
//!
//! What is there is never overwritten, so it can be repeated. A copy is made in `.ao/` and moved to its place when it
//! is complete.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::git::Git;
use super::{blocking, failed, tree};
use crate::domain::setup::inner_path;
use crate::platform::file;
use crate::ports::repo::Repository;
use crate::ports::workspace::WorkspaceError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Copy,
    Link,
}

pub(super) async fn bring(
    git: &Git,
    workspace: &Path,
    repository: &Repository,
    copy: &[PathBuf],
    link: &[PathBuf],
) -> Result<Vec<String>, WorkspaceError> {
    let wanted = || copy.iter().map(|path| (path, How::Copy)).chain(link.iter().map(|path| (path, How::Link)));
    for (path, _) in wanted() {
        check(path).map_err(|why| fault(path, &format!("it {why}")))?;
    }
    if wanted().next().is_none() {
        return Ok(Vec::new());
    }
    if repository.is_bare {
        return Ok(vec!["nothing was copied or linked, for the repository has no checkout".to_owned()]);
    }
    let mut notes = Vec::new();
    let stop = StopOnDrop::default();
    for (path, how) in wanted() {
        let (from, to) = (repository.path.clone(), workspace.to_owned());
        let name = path.clone();
        let looked =
            blocking(move || look(&from, &to, &name)).await.map_err(|error| fault(path, &error.to_string()))?;
        let source = match looked {
            Ok(source) => source,
            Err(note) => {
                notes.extend(note);
                continue;
            }
        };
        if !is_ignored(git, workspace, path, how == How::Copy && source.is_dir).await? {
            notes.push(format!(
                "{} was not brought, for git would list it as untracked: have it ignored (a pattern that ends with / does \
                 not cover links)",
                path.display()
            ));
            continue;
        }
        let (workspace, name, stop) = (workspace.to_owned(), path.clone(), Arc::clone(&stop.0));
        let done = blocking(move || place(&source.path, &workspace, &name, how, &stop)).await;
        notes.extend(done.map_err(|error| fault(path, &error.to_string()))?);
    }
    Ok(notes)
}

/// Whether the path is one that `ao.toml` may name, spelled as it was recorded.
fn check(path: &Path) -> Result<(), &'static str> {
    if inner_path(path)? == path { Ok(()) } else { Err("is spelled with a . in it") }
}

/// What is to be brought.
struct Source {
    path: PathBuf,
    is_dir: bool,
}

/// Looks at both sides; gives the source, or a note where there is nothing to bring. Blocks.
fn look(from: &Path, workspace: &Path, name: &Path) -> io::Result<Result<Source, Option<String>>> {
    let shown = name.display();
    let source = from.join(name);
    let path = match source.canonicalize() {
        Ok(path) => path,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Err(Some(format!("{shown} was not brought, for {} is not there", source.display()))));
        }
        Err(error) => return Err(error),
    };
    if !path.starts_with(from.canonicalize()?) {
        let outside = path.display();
        return Ok(Err(Some(format!("{shown} was not brought, for it is a link to {outside}, outside the project"))));
    }
    let metadata = path.metadata()?;
    if !metadata.is_dir() && !metadata.is_file() {
        return Ok(Err(Some(format!("{shown} was not brought, for it is neither a file nor a directory"))));
    }
    let mut place = workspace.to_owned();
    for part in name.components() {
        place.push(part);
        match place.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() && place != workspace.join(name) => {}
            // What an earlier call linked.
            Ok(metadata) if metadata.is_symlink() && std::fs::read_link(&place)? == path => return Ok(Err(None)),
            Ok(_) => {
                let there = place.strip_prefix(workspace).unwrap_or(&place).display();
                return Ok(Err(Some(format!("{shown} was not brought, for the workspace has {there} already"))));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        }
    }
    Ok(Ok(Source { path, is_dir: metadata.is_dir() }))
}

/// Whether git ignores a new file, or directory, of that name in the workspace.
async fn is_ignored(git: &Git, workspace: &Path, name: &Path, as_dir: bool) -> Result<bool, WorkspaceError> {
    let mut path = std::ffi::OsString::from("./");
    path.push(name);
    if as_dir {
        path.push("/");
    }
    let call = git.at(workspace).args(["check-ignore", "--quiet", "--"]).arg(path);
    let answer = call.answer().await.map_err(|error| failed("bring files into", &error))?;
    Ok(answer.is_some())
}

/// Puts the source in its place; the look found it free. Gives notes. Blocks.
fn place(source: &Path, workspace: &Path, name: &Path, how: How, stop: &AtomicBool) -> io::Result<Vec<String>> {
    let target = workspace.join(name);
    let parent = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
    std::fs::create_dir_all(parent)?;
    if how == How::Link {
        std::os::unix::fs::symlink(source, &target)?;
        return Ok(Vec::new());
    }
    let staged = stage(workspace)?;
    let mut skipped = Vec::new();
    let item = staged.join("item");
    let copied = copy(source, &item, stop, &mut skipped).and_then(|()| {
        rustix::fs::renameat_with(rustix::fs::CWD, &item, rustix::fs::CWD, &target, NO_REPLACE).map_err(Into::into)
    });
    let cleared = tree::delete(&staged);
    copied.and(cleared)?;
    Ok(skipped
        .into_iter()
        .map(|path| format!("{} was not brought, for it is neither a file nor a directory", path.display()))
        .collect())
}

const NO_REPLACE: rustix::fs::RenameFlags = rustix::fs::RenameFlags::NOREPLACE;

/// What staged copies are named after.
const STAGED: &str = "bring";

/// A new directory in the workspace's `.ao`, which the repository may not have as a link. Those that a killed daemon left go:
/// they may be as large as what was to be copied.
fn stage(workspace: &Path) -> io::Result<PathBuf> {
    let own = workspace.join(".ao");
    let mut make = std::fs::DirBuilder::new();
    make.mode(0o750);
    match own.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(io::Error::other(format!("{} is no directory", own.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make.create(&own)?,
        Err(error) => return Err(error),
    }
    for left in file::abandoned(&own, STAGED) {
        tree::delete(&left)?;
    }
    let staged = own.join(file::staging_name(STAGED));
    tree::delete(&staged)?;
    make.create(&staged)?;
    Ok(staged)
}

/// Copies a file or a tree with modes and times; links in it as links. What is neither is skipped.
fn copy(source: &Path, target: &Path, stop: &AtomicBool, skipped: &mut Vec<PathBuf>) -> io::Result<()> {
    if stop.load(Ordering::Relaxed) {
        return Err(io::Error::other("it was called off"));
    }
    let metadata = source.symlink_metadata()?;
    if metadata.is_symlink() {
        std::os::unix::fs::symlink(std::fs::read_link(source)?, target)
    } else if metadata.is_file() {
        copy_file(source, target, &metadata)
    } else if metadata.is_dir() {
        std::fs::DirBuilder::new().mode(0o700).create(target)?;
        for item in std::fs::read_dir(source)? {
            let name: &OsStr = &item?.file_name();
            copy(&source.join(name), &target.join(name), stop, skipped)?;
        }
        let directory = File::open(target)?;
        directory.set_modified(metadata.modified()?)?;
        directory.set_permissions(metadata.permissions())
    } else {
        skipped.push(source.to_owned());
        Ok(())
    }
}

/// Copies a file; where the file system can, the two share their content until one is written to.
fn copy_file(source: &Path, target: &Path, metadata: &Metadata) -> io::Result<()> {
    let mut from = File::open(source)?;
    let mode = metadata.permissions().mode() & 0o777;
    let mut to = OpenOptions::new().write(true).create_new(true).mode(mode | 0o200).open(target)?;
    if !share_content(&to, &from) {
        io::copy(&mut from, &mut to)?;
    }
    to.set_modified(metadata.modified()?)?;
    to.set_permissions(std::fs::Permissions::from_mode(mode))
}

#[cfg(target_os = "linux")]
fn share_content(to: &File, from: &File) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn share_content(_to: &File, _from: &File) -> bool {
    false
}

/// Ends a copy whose caller went away.
#[derive(Debug, Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn fault(path: &Path, cause: &str) -> WorkspaceError {
    WorkspaceError::Failed { action: "bring files into", cause: format!("{}: {cause}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_daemon_had_copied_so_far_goes() {
        let workspace = tempfile::tempdir().unwrap();
        let name = format!(".{STAGED}.{}.0.tmp", u32::MAX);
        let left = workspace.path().join(".ao").join(name).join("item");
        std::fs::create_dir_all(left.join("node_modules")).unwrap();
        // As a copied directory may be.
        std::fs::set_permissions(&left, std::fs::Permissions::from_mode(0o500)).unwrap();
        let staged = stage(workspace.path()).unwrap();
        let others = std::fs::read_dir(workspace.path().join(".ao")).unwrap().map(|item| item.unwrap().path());
        assert_eq!(others.collect::<Vec<_>>(), [staged]);
    }
}
