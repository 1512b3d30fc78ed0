//! The control group of a launch: made by its supervisor, which starts the agent from inside of it and goes back out.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tokio::process::Child;

use super::{Bounds, FORMAT_VERSION, LaunchSpec, record};
use crate::platform::cgroup::{Group, place};

const REMARKS: &str = "remarks.json";

#[derive(Debug, Serialize, Deserialize)]
struct Remarks {
    version: u32,
    remarks: Vec<String>,
}

/// Starts an agent in the control group of its launch, if it has one. The agent is born there: what it starts, however soon,
/// is there too. An agent that cannot be bounded runs all the same, and that is put on record.
///
/// # Errors
/// Those of `spawn`.
pub(in super::super) fn start(
    session_dir: &Path,
    spec: &LaunchSpec,
    spawn: impl FnOnce() -> io::Result<Child>,
) -> io::Result<Child> {
    let Some(bounds) = &spec.bounds else { return spawn() };
    let home = match step_in(bounds) {
        Ok(home) => home,
        Err(error) => {
            tracing::warn!(%error, "the agent runs without bounds");
            add_remark(
                session_dir,
                format!("its agent ran without a control group, so nothing bounded its memory: {error}"),
            );
            return spawn();
        }
    };
    let spawned = spawn();
    if let Err(error) = home.enter() {
        // It stays a member, and is spared when the group is ended.
        tracing::warn!(%error, "the agent's control group cannot be left again");
    }
    spawned
}

/// Moves this process into the group. Gives the one it came from.
fn step_in(bounds: &Bounds) -> io::Result<Group> {
    let home = place::own()?.ok_or_else(|| io::Error::other("control groups are not mounted here"))?;
    let home = Group::at(home);
    // A process that could not go back would end with its agent: tried first.
    home.enter()?;
    let group = Group::at(&bounds.group);
    group.create(bounds.memory_max_bytes)?;
    group.enter()?;
    Ok(home)
}

/// After the agent's end: puts on record when it ran out of memory, and removes its group.
pub(in super::super) async fn settle(session_dir: &Path, spec: &LaunchSpec) {
    let Some((bounds, group)) = spec.bounds.as_ref().zip(spec.group()) else { return };
    if let Some(ended) = group.ran_out_of_memory(0, bounds.memory_max_bytes) {
        add_remark(session_dir, format!("its agent {ended}"));
    }
    if let Err(error) = group.remove().await {
        tracing::warn!(%error, "an ended agent's control group stays");
    }
}

/// What a person should know of how the launch on record ran.
#[must_use]
pub fn remarks(session_dir: &Path) -> Vec<String> {
    record::read(session_dir, REMARKS).ok().flatten().map(|Remarks { remarks, .. }| remarks).unwrap_or_default()
}

/// Puts on record what a person should know of the launch. A remark that cannot be written is not worth an agent.
pub(in super::super) fn add_remark(session_dir: &Path, remark: String) {
    let mut remarks = remarks(session_dir);
    if remarks.contains(&remark) {
        return;
    }
    remarks.push(remark);
    if let Err(error) = record::write(session_dir, REMARKS, &Remarks { version: FORMAT_VERSION, remarks }) {
        tracing::warn!(%error, "a remark could not be put on record");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_kept_in_order_and_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(super::super::directory(dir.path())).unwrap();
        assert_eq!(remarks(dir.path()), [""; 0]);
        for remark in ["one", "two", "one"] {
            add_remark(dir.path(), remark.to_owned());
        }
        assert_eq!(remarks(dir.path()), ["one", "two"]);
    }
}
