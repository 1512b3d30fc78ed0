//! Is a directory that is not there deleted, or only out of reach?
//!
//! The disk it is on may not be mounted, or what holds it may have been moved away: its path is as empty as one that a person
//! deleted, and yet all its work is there. So the directory that holds workspaces bears a sign ([`SIGN`]), a name that was made
//! up for it, and a worktree's administrative directory a copy of that. Only where the two are the same is a checkout that is not there
//! known to be gone: a mount point without its disk has no sign, and one that something was made in since has another.

use std::io;
use std::path::Path;

use super::entry::Entry;
use crate::platform::file::{make_atomically, read_if_there, sweep};

/// In the directory that holds workspaces.
const SIGN: &str = ".ao-place";

/// The name of the place where a checkout is, made up where it has none. Blocks.
pub(super) fn name_of(checkout: &Path) -> io::Result<Vec<u8>> {
    let holder = checkout.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let sign = holder.join(SIGN);
    sweep(holder, SIGN);
    if let Some(name) = read_if_there(&sign)? {
        return Ok(name);
    }
    let unique = uuid::Uuid::new_v4().simple().to_string();
    make_atomically(&sign, format!("{unique}\n").as_bytes(), 0o600)?;
    std::fs::read(&sign)
}

/// Why it cannot be told whether a checkout that is not there was deleted; `None` where it was. Of one that was made before
/// there were signs it can never be told.
pub(super) fn out_of_reach(entry: &Entry, checkout: &Path) -> Option<String> {
    let sign = checkout.parent().map(|holder| read_if_there(&holder.join(SIGN)));
    if let (Some(made_in), Some(Ok(Some(name)))) = (&entry.place, &sign)
        && *made_in == name.trim_ascii_end()
    {
        return None;
    }
    Some(format!(
        "its directory is out of reach: what held it is moved away, or on a disk that is not mounted; if it is deleted for good, \
         `git worktree remove {}` in the repository gives it up",
        checkout.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_keeps_its_name_and_nothing_of_a_killed_daemon() {
        let dir = tempfile::tempdir().unwrap();
        // No process ever has that number.
        let left = dir.path().join(format!(".{SIGN}.{}.0.tmp", u32::MAX));
        std::fs::write(&left, "half a na").unwrap();
        let name = name_of(&dir.path().join("app-1")).unwrap();
        std::fs::write(&left, "half a na").unwrap();
        assert_eq!(name_of(&dir.path().join("app-2")).unwrap(), name);
        let items = std::fs::read_dir(dir.path()).unwrap().map(|item| item.unwrap().file_name());
        assert_eq!(items.collect::<Vec<_>>(), [SIGN]);
    }
}
