//! Finding and reading one repository. Everything here blocks.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use crate::ports::repo::{RepoError, Repository};

/// The repository a directory is in.
pub(super) fn discover(directory: &Path) -> Result<Repository, RepoError> {
    let start = match directory.canonicalize() {
        Ok(start) => start,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(RepoError::Moved { path: directory.to_owned() });
        }
        Err(error) => return Err(corrupt(directory, error.to_string())),
    };
    match start.ancestors().find_map(|place| git_place(place).transpose()) {
        Some(Ok(place)) => read(&place),
        Some(Err(error)) => Err(corrupt(&start, error.to_string())),
        None => Err(RepoError::NotARepository { path: directory.to_owned() }),
    }
}

/// The `.git` of a directory, or the directory itself when it is a git directory. As git does, an empty `.git`
/// directory is passed over.
fn git_place(directory: &Path) -> io::Result<Option<PathBuf>> {
    let dot_git = directory.join(".git");
    match dot_git.metadata() {
        Ok(metadata) if !metadata.is_dir() => return Ok(Some(dot_git)),
        Ok(_) if std::fs::read_dir(&dot_git)?.next().is_some() => return Ok(Some(dot_git)),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if dot_git.symlink_metadata().is_ok() {
                return Ok(Some(dot_git));
            }
        }
        Err(error) => return Err(error),
    }
    // A damaged bare repository is to be called so, hence two of its three parts are enough.
    let parts = [directory.join("HEAD").is_file(), directory.join("objects").is_dir(), directory.join("refs").is_dir()];
    let is_git_dir = parts.iter().filter(|part| **part).count() >= 2;
    // The administrative directory of a linked worktree has only a `HEAD` and points to the rest.
    let is_linked = parts[0] && directory.join("commondir").is_file();
    Ok((is_git_dir || is_linked).then(|| directory.to_owned()))
}

fn read(place: &Path) -> Result<Repository, RepoError> {
    let shown = if place.ends_with(".git") { place.parent().unwrap_or(place) } else { place };
    let fail = |error: &dyn Error| corrupt(shown, chain(error));
    check_git_file(place, shown)?;
    let opened = open(place).map_err(|error| fail(&error))?;
    let common_dir = opened.common_dir().canonicalize().map_err(|error| fail(&error))?;
    // What a linked worktree has checked out is its own affair: `HEAD` is the main checkout's.
    let main = open(&common_dir).map_err(|error| fail(&error))?;
    refuse_unreadable_formats(&main, shown)?;
    let path = match main.workdir() {
        Some(checkout) => checkout.canonicalize().map_err(|error| {
            corrupt(shown, format!("its checkout {} cannot be reached: {error}", checkout.display()))
        })?,
        None => common_dir.clone(),
    };
    let head = main.head().map_err(|error| fail(&error))?;
    let head_branch = head.referent_name().map(|name| name.shorten().to_string());
    let is_unborn = head.is_unborn();
    if let Some(id) = head.id() {
        main.find_header(id).map_err(|error| corrupt(shown, format!("the commit of HEAD: {}", chain(&error))))?;
    }
    Ok(Repository { path, common_dir, is_bare: main.workdir().is_none(), head_branch, is_unborn })
}

/// A worktree's or submodule's `.git` is a file that names the git directory; gix does not say which when it is gone.
fn check_git_file(place: &Path, shown: &Path) -> Result<(), RepoError> {
    if place.is_dir() {
        return Ok(());
    }
    let content = std::fs::read(place).map_err(|error| corrupt(shown, format!("its .git file: {error}")))?;
    let content = String::from_utf8_lossy(&content);
    let Some(target) = content.strip_prefix("gitdir:").map(str::trim) else {
        return Err(corrupt(shown, "its .git file does not say where the git directory is".to_owned()));
    };
    if shown.join(target).is_dir() {
        Ok(())
    } else {
        Err(corrupt(shown, format!("its .git file names {target}, which is not there; `git worktree repair` may help")))
    }
}

#[expect(clippy::result_large_err, reason = "gix's own; it is turned into ours by each caller")]
fn open(place: &Path) -> Result<gix::Repository, gix::open::Error> {
    let options = gix::open::Options::isolated().open_path_as_is(true).strict_config(false);
    // Full trust, for the sections that say where the checkout is; nothing that could run is looked at.
    let options = options.bail_if_untrusted(false).with(gix::sec::Trust::Full);
    options.open(place).map(|repository| repository.to_thread_local())
}

/// gix 0.87 does not look at this extension and would find a repository without branches.
fn refuse_unreadable_formats(repository: &gix::Repository, shown: &Path) -> Result<(), RepoError> {
    match repository.config_snapshot().string("extensions.refStorage") {
        Some(format) if **format != b"files"[..] => Err(corrupt(
            shown,
            format!(
                "it keeps its branches as {format}, which ao cannot read; `git refs migrate --ref-format=files` converts it"
            ),
        )),
        _ => Ok(()),
    }
}

fn corrupt(path: &Path, cause: String) -> RepoError {
    RepoError::Corrupt { path: path.to_owned(), cause }
}

/// An error with its causes, each said once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
