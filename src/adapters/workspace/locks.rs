//! Waiting out the locks of another git.
//!
//! Git takes most of its locks without waiting and gives up when one is held; so does a reader that meets a worktree
//! another git is just setting up (git 2.47: 4 of 100 `worktree add`, 20 at a time, failed with `failed to read
//! …/commondir`). Both pass by themselves.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::Instant;

/// What git met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Conflict {
    /// A lock file that it names.
    Held(PathBuf),
    /// Something that passes, without a file to watch.
    Passing,
}

/// Whether the complaint is about a lock or another call's half-way state, in the words of git under `LC_ALL=C`.
pub(super) fn conflict(complaint: &str) -> Option<Conflict> {
    if let Some((_, rest)) = complaint.split_once("Unable to create '")
        && let Some((path, _)) = rest.split_once("': File exists")
    {
        return Some(Conflict::Held(PathBuf::from(path)));
    }
    if let Some((_, rest)) = complaint.split_once("could not lock config file ")
        && let Some((path, _)) = rest.split_once(": File exists")
    {
        return Some(Conflict::Held(PathBuf::from(format!("{path}.lock"))));
    }
    // `git config --remove-section` does not say why (git 2.47), nor where the file is from here.
    let file = complaint.lines().find_map(|line| Some(line.split_once("could not lock config file ")?.1));
    let is_config = file.is_some_and(|file| !file.contains(": "));
    // Another `worktree add` has made its administrative directory and not yet filled it.
    let half_made = complaint.contains("failed to read") && complaint.contains("/commondir");
    (is_config || half_made).then_some(Conflict::Passing)
}

/// Waits until the lock is gone; `false` when the deadline comes first.
pub(super) async fn wait_out(conflict: &Conflict, attempt: u32, deadline: Instant) -> bool {
    let mut pause = Duration::from_millis(10 << attempt.min(5));
    loop {
        if Instant::now() + pause > deadline {
            return false;
        }
        tokio::time::sleep(pause).await;
        match conflict {
            Conflict::Held(lock) if lock.symlink_metadata().is_ok() => {
                pause = (pause * 2).min(Duration::from_millis(200));
            }
            _ => return true,
        }
    }
}

/// What a person can do about a lock that stays.
pub(super) fn advice(conflict: &Conflict, waited: Duration) -> String {
    match conflict {
        Conflict::Held(lock) => format!(
            "\nThe lock was still there after {} s. If no git is running there, delete {}.",
            waited.as_secs_f32(),
            lock.display()
        ),
        Conflict::Passing => format!("\nIt was still so after {} s.", waited.as_secs_f32()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_complaints_are_told_from_others() {
        let held = |path: &str| Some(Conflict::Held(PathBuf::from(path)));
        let reference =
            "fatal: cannot lock ref 'refs/heads/a': Unable to create '/r/.git/refs/heads/a.lock': File exists.";
        assert_eq!(conflict(reference), held("/r/.git/refs/heads/a.lock"));
        assert_eq!(conflict("error: could not lock config file .git/config: File exists"), held(".git/config.lock"));
        assert_eq!(conflict("error: could not lock config file .git/config: Permission denied"), None);
        assert_eq!(conflict("error: could not lock config file .git/config"), Some(Conflict::Passing));
        assert_eq!(conflict("fatal: failed to read .git/worktrees/x/commondir: Success"), Some(Conflict::Passing));
        assert_eq!(conflict("fatal: cannot lock ref 'refs/heads/a': reference already exists"), None);
        assert_eq!(conflict("fatal: Unable to create '/r/.git/x.lock': Permission denied"), None);
    }

    #[tokio::test]
    async fn a_lock_is_waited_out_within_the_bound() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("a.lock");
        std::fs::write(&lock, "").unwrap();
        let held = Conflict::Held(lock.clone());
        assert!(!wait_out(&held, 0, Instant::now() + Duration::from_millis(60)).await, "it is still there");
        let waiting = tokio::spawn(async move { wait_out(&held, 0, Instant::now() + Duration::from_secs(20)).await });
        std::fs::remove_file(&lock).unwrap();
        assert!(waiting.await.unwrap());
    }
}
