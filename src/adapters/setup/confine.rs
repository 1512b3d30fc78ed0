//! The control group of a session's commands: on record before it is made, so that a later process finds what is in it.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::platform::cgroup::Group;
use crate::platform::file;
use crate::ports::runtime::Confinement;

const RECORD: &str = "setup.group";

/// The group on record; `None` when there is none.
pub(super) fn on_record(session_dir: &Path) -> io::Result<Option<Group>> {
    let path = file::read_if_there(&session_dir.join(RECORD))?;
    Ok(path.map(|path| Group::at(OsString::from_vec(path))))
}

/// Whether one is on record, also where that cannot be read: who ends what is in it says so then.
pub(super) fn is_on_record(session_dir: &Path) -> bool {
    !matches!(on_record(session_dir), Ok(None))
}

/// Makes a group for a session's commands. One that is still on record is taken: something of it could not be ended.
/// It counts on from what the kernel has killed in it.
pub(super) fn make(session_dir: &Path, confinement: &Confinement) -> io::Result<Group> {
    let group = on_record(session_dir)?.map_or_else(|| record_new(session_dir, &confinement.parent), Ok)?;
    group.create(confinement.memory_max_bytes)?;
    Ok(group)
}

/// A group of its own below `parent`. Named as an agent's is, so that a daemon that a command starts leaves it too.
fn record_new(session_dir: &Path, parent: &Path) -> io::Result<Group> {
    let session = session_dir.file_name().unwrap_or_default().to_string_lossy();
    let unique = uuid::Uuid::new_v4().simple().to_string();
    let group = Group::of_agent(parent, &format!("{session}-{}", &unique[..8]));
    file::write_atomically(&session_dir.join(RECORD), group.path().as_os_str().as_bytes(), 0o600)?;
    Ok(group)
}

/// Removes the group on record, which has nothing in it any more, and its record. One that stays is in nobody's way, and is tried again.
pub(super) async fn settle(session_dir: &Path) {
    let settled = async {
        let Some(group) = on_record(session_dir)? else { return Ok(()) };
        group.remove().await?;
        file::remove_if_there(&session_dir.join(RECORD))
    };
    if let Err(error) = settled.await {
        tracing::warn!(%error, "the control group of a project's commands stays");
    }
}
