//! A git that was started earlier and still works on a workspace: for a spawn that was given up, or by an ao that died. It would go on
//! writing into what is taken away.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::checkout::LOCK;
use super::put_back::READ_TREE;
use super::{blocking, git};
use crate::domain::session::ProcessIdentity;
use crate::platform::process;
use crate::platform::tree::{Family, Pause};
use crate::ports::workspace::WorkspaceError;

/// How long it may hold others up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long one that is told to end gets to take its lock files away.
const GRACE: Duration = Duration::from_secs(2);

/// Waits for it for a moment; more is for the caller to wait, who may have other sessions to look after.
pub(super) async fn wait(path: &Path) -> Result<(), WorkspaceError> {
    let left = wait_out(path).await?;
    left.first().map_or(Ok(()), |git| Err(busy(path, &format!("process {}, a git that was started earlier,", git.pid))))
}

/// As [`wait`], and then ends it, with its hooks and filters: nobody waits any more for what it makes, and it may hang for ever.
pub(super) async fn end(path: &Path) -> Result<(), WorkspaceError> {
    let left = wait_out(path).await?;
    let mut failure = None;
    for git in &left {
        tracing::warn!(pid = git.pid, path = %path.display(), "a git that works on a workspace which is given up is ended");
        let family = Family { roots: vec![*git], ..Family::default() };
        // One that cannot be ended spares none of the others.
        if let Err(error) = family.end(Some(*git), GRACE).await {
            failure = Some(busy(path, &format!("process {}, a git that cannot be ended ({error}),", git.pid)));
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    if left.is_empty() { Ok(()) } else { wait(path).await }
}

/// Those that are left when patience is at its end.
async fn wait_out(path: &Path) -> Result<Vec<ProcessIdentity>, WorkspaceError> {
    let (deadline, mut pause) = (Instant::now() + PATIENCE, Pause::default());
    loop {
        let left = running(path).await.map_err(|error| WorkspaceError::Failed {
            action: "remove",
            cause: format!("cannot look for a git that still works on it: {error}"),
        })?;
        if left.is_empty() || Instant::now() >= deadline {
            return Ok(left);
        }
        pause.wait().await;
    }
}

async fn running(path: &Path) -> io::Result<Vec<ProcessIdentity>> {
    let (work_tree, path) = (git::work_tree(path), path.to_owned());
    blocking(move || {
        let mut found = process::with_arguments(&[LOCK.as_bytes(), path.as_os_str().as_bytes()])?;
        found.extend(process::with_arguments(&[work_tree.as_bytes(), READ_TREE.as_bytes()])?);
        Ok(found)
    })
    .await
}

fn busy(path: &Path, by: &str) -> WorkspaceError {
    WorkspaceError::Busy { path: path.to_owned(), cause: format!("{by} writes files into it") }
}
