//! Marking a workspace as trusted, so that Claude Code does not wait on its safety question where nobody sees it.
//!
//! Claude Code trusts a directory when its configuration says so of the main checkout of the directory's repository, or of the
//! directory itself. (A directory above the repository counted in 2.1.197 and no longer in 2.1.330.) The workspace itself is
//! the narrowest that works, and it is marked only when its repository is not trusted. That the user asked for an agent in
//! this repository is the consent.
//!
//! To mark the main checkout would be one mark for all sessions, and too much: the permissions that the repository's own
//! `.claude/settings.json` gives would hold, unasked, for ao's agents and for the user's own later runs. With the workspace
//! marked, 2.1.197 does not let them hold, and 2.1.330 asks about them in the agent's terminal: that answer is the user's.
//! So that marks do not add up, a new one replaces those of this project's workspaces that are gone.
//!
//! The file belongs to Claude Code and holds the user's login, so it is written under Claude Code's own lock (a directory
//! beside it, stale after 10 s without a change), as a whole, through a symbolic link if it is one, with every other key in
//! its place, and only when it still holds what was read: Claude Code writes without its lock when the lock is taken.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::platform::file::{read_if_there, replace_if_unchanged};
use crate::ports::agent::AgentError;

const PROJECTS: &str = "projects";
const ACCEPTED: &str = "hasTrustDialogAccepted";

/// Claude Code holds its lock for milliseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(15);
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// What Claude Code itself takes for a lock whose holder died.
const LOCK_STALE: Duration = Duration::from_secs(10);

/// How often a file that somebody else writes at the same time is tried again.
const ATTEMPTS: u32 = 50;

/// Makes sure that Claude Code trusts the workspace. Gives whether it had to be marked.
pub(super) async fn ensure(config: &Path, workspace: &Path, repository: &Path) -> Result<bool, AgentError> {
    let workspace = real_name(workspace)?;
    let repository = real_name(repository)?;
    let target = follow(config).map_err(|source| failed("read", config, source))?;
    let is_trusted = |root: &Map<String, Value>| trusts(root, &workspace) || trusts(root, &repository);
    let mut marked = false;
    for _ in 0..ATTEMPTS {
        let (_, root) = read(&target)?;
        // Also after marking: a write without the lock may have taken it away again.
        if is_trusted(&root) {
            return Ok(marked);
        }
        let lock = Lock::take(config).await?;
        let (found, mut root) = read(&target)?;
        if !is_trusted(&root) {
            forget_removed_siblings(&mut root, Path::new(&workspace));
            mark(&mut root, &workspace).map_err(|source| failed("change", &target, source))?;
            let text = serde_json::to_vec_pretty(&root).map_err(|error| failed("change", &target, error.into()))?;
            marked |= replace_if_unchanged(&target, found.as_deref(), &text, 0o600)
                .map_err(|source| failed("write", &target, source))?;
        }
        drop(lock);
    }
    Err(failed("write", &target, io::Error::other("another program keeps changing it")))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> AgentError {
    AgentError::File { action, path: path.to_owned(), source }
}

/// The name Claude Code knows a directory by: with every symbolic link followed.
fn real_name(directory: &Path) -> Result<String, AgentError> {
    match directory.canonicalize() {
        Ok(real) => super::utf8(&real),
        Err(error) if error.kind() == io::ErrorKind::NotFound => super::utf8(directory),
        Err(source) => Err(failed("find", directory, source)),
    }
}

/// The file itself where `path` is a symbolic link to it.
fn follow(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match std::fs::read_link(path) {
            // A link to a file that is not there yet.
            Ok(target) => Ok(path.parent().unwrap_or(path).join(target)),
            Err(_) => Ok(path.to_owned()),
        },
        other => other,
    }
}

/// The file as it is (`None` when there is none) and what it says.
type Found = (Option<Vec<u8>>, Map<String, Value>);

fn read(path: &Path) -> Result<Found, AgentError> {
    let found = read_if_there(path).map_err(|source| failed("read", path, source))?;
    let root = match &found {
        Some(text) => serde_json::from_slice(text).map_err(|error| failed("understand", path, error.into()))?,
        None => Map::new(),
    };
    Ok((found, root))
}

fn trusts(root: &Map<String, Value>, directory: &str) -> bool {
    let project = root.get(PROJECTS).and_then(|projects| projects.get(directory));
    project.and_then(|project| project.get(ACCEPTED)) == Some(&Value::Bool(true))
}

/// Takes away the marks of workspaces that lay beside this one and are gone. A mark that holds more than ao writes is Claude
/// Code's own by now, and stays.
fn forget_removed_siblings(root: &mut Map<String, Value>, workspace: &Path) {
    let only_marked = json!({ ACCEPTED: true });
    if let Some(projects) = root.get_mut(PROJECTS).and_then(Value::as_object_mut) {
        projects.retain(|directory, project| {
            let directory = Path::new(directory);
            let is_sibling = directory != workspace && directory.parent() == workspace.parent();
            !(is_sibling && *project == only_marked && matches!(directory.try_exists(), Ok(false)))
        });
    }
}

fn mark(root: &mut Map<String, Value>, directory: &str) -> io::Result<()> {
    let no_object = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{what} is not an object"));
    let projects = root.entry(PROJECTS).or_insert_with(|| json!({}));
    let projects = projects.as_object_mut().ok_or_else(|| no_object("`projects`"))?;
    let project = projects.entry(directory).or_insert_with(|| json!({}));
    let project = project.as_object_mut().ok_or_else(|| no_object("the directory's entry in `projects`"))?;
    project.insert(ACCEPTED.to_owned(), Value::Bool(true));
    Ok(())
}

/// Claude Code's lock on its configuration: a directory beside it (also beside a symbolic link, not beside its target).
struct Lock(PathBuf);

impl Lock {
    async fn take(config: &Path) -> Result<Self, AgentError> {
        let mut path = config.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let taken = tokio::time::timeout(LOCK_TIMEOUT, async {
            while !try_lock(&path)? {
                tokio::time::sleep(LOCK_RETRY).await;
            }
            Ok(())
        });
        match taken.await {
            Ok(Ok(())) => Ok(Self(path)),
            Ok(Err(source)) => Err(failed("lock", config, source)),
            Err(_elapsed) => Err(failed("lock", config, io::ErrorKind::TimedOut.into())),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // It is gone when another program took it for stale.
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn try_lock(path: &Path) -> io::Result<bool> {
    match std::fs::create_dir(path) {
        Ok(()) => return Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    // Its holder may let it go at any moment.
    let Ok(changed) = path.metadata().and_then(|metadata| metadata.modified()) else { return Ok(false) };
    if changed.elapsed().is_ok_and(|age| age > LOCK_STALE) {
        let _ = std::fs::remove_dir(path);
    }
    Ok(false)
}

#[cfg(test)]
#[path = "trust_tests.rs"]
mod tests;
