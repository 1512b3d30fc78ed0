//! Directory trees: finding the repositories in one, deleting one. Neither follows a symbolic link. Both block.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Every directory below `root`, itself included, parents before their children. Repositories' own `.git` directories are
/// left out.
fn directories(root: &Path, mut visit: impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        visit(&directory)?;
        for item in std::fs::read_dir(&directory)? {
            let item = item?;
            if item.file_type()?.is_dir() && item.file_name() != ".git" {
                waiting.push(item.path());
            }
        }
    }
    Ok(())
}

/// A repository below a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nested {
    /// The top of its checkout; of a bare one, itself.
    pub(super) directory: PathBuf,
    pub(super) is_bare: bool,
}

/// The repositories below `root`, not itself, those around others before them.
pub(super) fn nested_repositories(root: &Path) -> io::Result<Vec<Nested>> {
    let mut found = Vec::new();
    directories(root, |directory| {
        let is_checkout = is_git_link(&directory.join(".git"))?;
        if directory != root && (is_checkout || is_git_directory(directory)) {
            found.push(Nested { directory: directory.to_owned(), is_bare: !is_checkout });
        }
        Ok(())
    })?;
    Ok(found)
}

fn is_git_directory(directory: &Path) -> bool {
    directory.join("HEAD").symlink_metadata().is_ok() && directory.join("objects").is_dir()
}

/// Whether it is a `.git` that means something: a directory with a `HEAD`, or a file that points to one.
fn is_git_link(dot_git: &Path) -> io::Result<bool> {
    match dot_git.symlink_metadata() {
        Ok(metadata) if metadata.is_file() => Ok(std::fs::read(dot_git)?.starts_with(b"gitdir:")),
        Ok(_) => Ok(dot_git.join("HEAD").symlink_metadata().is_ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The git directories below `root`: those of a worktree's submodules.
pub(super) fn git_directories(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !root.is_dir() {
        return Ok(found);
    }
    directories(root, |directory| {
        if is_git_directory(directory) {
            found.push(directory.to_owned());
        }
        Ok(())
    })?;
    Ok(found)
}

/// Deletes a directory with all it holds, read-only directories included (module caches make them). Success when it is
/// not there.
pub(super) fn delete(root: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(root)?;
            std::fs::remove_dir_all(root)
        }
        done => done,
    }
}

fn open_up(root: &Path) -> io::Result<()> {
    let mut waiting = vec![root.to_owned()];
    while let Some(directory) = waiting.pop() {
        let mode = directory.symlink_metadata()?.permissions().mode();
        if mode & 0o700 != 0o700 {
            std::fs::set_permissions(&directory, Permissions::from_mode(mode | 0o700))?;
        }
        for item in std::fs::read_dir(&directory)? {
            let item = item?;
            if item.file_type()?.is_dir() {
                waiting.push(item.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i06_deleting_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, tree) = (dir.path().join("outside"), dir.path().join("tree"));
        std::fs::create_dir_all(outside.join("kept")).unwrap();
        std::fs::create_dir_all(tree.join("sub")).unwrap();
        std::os::unix::fs::symlink(&outside, tree.join("sub/link")).unwrap();
        std::fs::create_dir(tree.join("closed")).unwrap();
        std::fs::write(tree.join("closed/file"), "").unwrap();
        std::fs::set_permissions(tree.join("closed"), Permissions::from_mode(0o555)).unwrap();
        assert_eq!(nested_repositories(&tree).unwrap(), []);
        delete(&tree).unwrap();
        delete(&tree).unwrap();
        assert!(outside.join("kept").is_dir());
        assert!(!tree.exists());
    }
}
