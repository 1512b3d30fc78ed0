//! Control groups, version 2: each agent in one of its own, so that an agent that runs out of memory ends alone and as a
//! whole, and so that no process of it can step out. Linux only: cgroupfs, and systemd where that owns it.
//!
//! | Module | Holds |
//! | --- | --- |
//! | this | one group: made, entered, emptied, removed |
//! | [`place`] | where agents' groups can be made, and why not |
//! | [`memory`] | how much memory this process's groups leave it |
//! | `manager` | asking systemd for a group that may be divided |

mod manager;
pub mod memory;
pub mod place;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::machine::gibibytes;
use super::tree::Pause;

/// How the name of every agent's group begins.
const PREFIX: &str = "ao-";
/// How long a group whose last process has ended may refuse to go.
const REMOVAL_BOUND: Duration = Duration::from_secs(1);

/// One group, whether or not it exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group(PathBuf);

impl Group {
    /// The group of this directory.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The group of an agent below `parent`: `name` tells it from every other there.
    #[must_use]
    pub fn of_agent(parent: &Path, name: &str) -> Self {
        Self(parent.join(format!("{PREFIX}{name}")))
    }

    /// Whether a group of this name is an agent's, whose name is a session's id and the first eight digits of its launch's.
    /// People name groups of their own after ao too.
    fn is_name_of_agents(name: &str) -> bool {
        let Some((session, launch)) = name.strip_prefix(PREFIX).and_then(|name| name.rsplit_once('-')) else {
            return false;
        };
        let is_launch = launch.len() == 8 && launch.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = session.rsplit_once('-').map(|(_, number)| number).unwrap_or_default();
        is_launch && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it, or takes one that is there. Where memory can be bounded, the kernel ends all of it when it runs out, and with
    /// `memory_max_bytes` it runs out then.
    ///
    /// # Errors
    /// The cause, also when a bound is asked for and cannot be set.
    pub fn create(&self, memory_max_bytes: Option<u64>) -> io::Result<()> {
        match std::fs::create_dir(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(self.explain("make", &error)),
            _ => {}
        }
        if let Some(bytes) = memory_max_bytes {
            self.write("memory.max", &bytes.to_string())?;
        }
        if self.0.join("memory.oom.group").exists() {
            self.write("memory.oom.group", "1")?;
        }
        Ok(())
    }

    /// Moves this process into it. What it starts from now on is born there.
    ///
    /// # Errors
    /// The cause.
    pub fn enter(&self) -> io::Result<()> {
        self.write("cgroup.procs", &std::process::id().to_string())
    }

    /// The processes in it and in groups below it; none when it does not exist.
    ///
    /// # Errors
    /// The cause.
    pub fn members(&self) -> io::Result<Vec<u32>> {
        let mut pids = Vec::new();
        for group in self.with_those_below()? {
            let text = read_if_there(&group.join("cgroup.procs"))?.unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
        }
        Ok(pids)
    }

    /// Kills every process in it and below it at once, also those that are just being started. Does nothing where there is no
    /// such group, or the kernel cannot (before 5.14).
    ///
    /// # Errors
    /// The cause.
    pub fn kill(&self) -> io::Result<()> {
        match self.write("cgroup.kill", "1") {
            Err(error) if is_gone(&error) => Ok(()),
            killed => killed,
        }
    }

    /// How many of its processes the kernel has killed because it ran out of memory; 0 where that is not counted.
    ///
    /// # Errors
    /// The cause.
    pub fn out_of_memory_kills(&self) -> io::Result<u64> {
        let events = read_if_there(&self.0.join("memory.events"))?.unwrap_or_default();
        Ok(events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0))
    }

    /// What a person is to be told when it ran out of memory: `None` when it did not, or that cannot be seen. `kills_before` is what
    /// [`out_of_memory_kills`](Self::out_of_memory_kills) said when that began which this is about, `memory_max_bytes` what it was created with.
    #[must_use]
    pub fn ran_out_of_memory(&self, kills_before: u64, memory_max_bytes: Option<u64>) -> Option<String> {
        if !self.out_of_memory_kills().is_ok_and(|kills| kills > kills_before) {
            return None;
        }
        let limit = memory_max_bytes.map(|bytes| format!(" of the {} it may use", gibibytes(bytes)));
        Some(format!("ran out of memory{}, and was killed as a whole", limit.unwrap_or_default()))
    }

    /// Removes it and those below it, once it is empty. Success when it does not exist.
    ///
    /// # Errors
    /// When a process is still in it after a second, or the cause.
    pub async fn remove(&self) -> io::Result<()> {
        let (deadline, mut pause) = (Instant::now() + REMOVAL_BOUND, Pause::default());
        loop {
            match self.try_remove() {
                // The kernel has not let go of its last process yet.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                    pause.wait().await;
                }
                removed => return removed.map_err(|error| self.explain("remove", &error)),
            }
        }
    }

    fn try_remove(&self) -> io::Result<()> {
        for group in self.with_those_below()?.iter().rev() {
            match std::fs::remove_dir(group) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Its directory and those below it, parents first.
    fn with_those_below(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = vec![self.0.clone()];
        let mut next = 0;
        while let Some(group) = found.get(next).cloned() {
            next += 1;
            let entries = match std::fs::read_dir(&group) {
                Err(error) if is_gone(&error) => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    found.push(entry.path());
                }
            }
        }
        Ok(found)
    }

    /// The files are the kernel's: they are there or not, and one write is one order.
    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let path = self.0.join(file);
        let opened = std::fs::OpenOptions::new().write(true).open(&path);
        let written = opened.and_then(|mut opened| io::Write::write_all(&mut opened, text.as_bytes()));
        written.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    fn explain(&self, what: &str, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("cannot {what} the control group {}: {error}", self.0.display()))
    }
}

/// The content of a file of a group; `None` when there is no such file or group.
fn read_if_there(path: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Err(error) if is_gone(&error) => Ok(None),
        read => read.map(Some),
    }
}

/// Whether an error says that the group is not there. One that is removed while its file is open says `ENODEV`.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_group_that_is_not_there_is_empty_and_is_removed_already() {
        let dir = tempfile::tempdir().unwrap();
        let group = Group::of_agent(dir.path(), "app-1");
        assert_eq!(group.path(), dir.path().join("ao-app-1"));
        assert_eq!(group.members().unwrap(), [0; 0]);
        assert_eq!(group.out_of_memory_kills().unwrap(), 0);
        group.kill().unwrap();
        group.remove().await.unwrap();
    }

    #[test]
    fn kills_for_memory_are_counted_from_the_kernels_events() {
        let dir = tempfile::tempdir().unwrap();
        let events = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 1\n";
        std::fs::write(dir.path().join("memory.events"), events).unwrap();
        let group = Group::at(dir.path());
        assert_eq!(group.out_of_memory_kills().unwrap(), 2);
        let told = group.ran_out_of_memory(0, Some(512 << 20)).unwrap();
        assert_eq!(told, "ran out of memory of the 0.5 GiB it may use, and was killed as a whole");
        assert!(group.ran_out_of_memory(1, None).is_some());
        assert_eq!(group.ran_out_of_memory(2, None), None, "they were killed before");
        std::fs::write(dir.path().join("memory.events"), "oom_kill 0\n").unwrap();
        assert_eq!(group.ran_out_of_memory(0, None), None);
    }
}
