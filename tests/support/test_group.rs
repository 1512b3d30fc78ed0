//! A control group for one test, where the machine lets this user make some.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ao::platform::cgroup::{Group, place};

/// A group below the one this process is in. Dropping it ends and removes everything in it.
pub(crate) struct TestGroup(PathBuf);

impl TestGroup {
    /// Makes one; `None`, said on stderr, where that is not possible: few machines that run tests hand groups over. To root
    /// they belong where they are mounted to be written, and there that is a failure.
    pub(crate) fn make() -> Option<Self> {
        let made = place::own().ok().flatten().map(|own| {
            let path = own.join(format!("test-of-ao-{}", uuid::Uuid::new_v4().simple()));
            std::fs::create_dir(&path).map(|()| path)
        });
        match made {
            Some(Ok(path)) => Some(Self(path)),
            Some(Err(error)) => {
                let may =
                    !rustix::process::geteuid().is_root() || error.kind() == std::io::ErrorKind::ReadOnlyFilesystem;
                assert!(may, "root cannot make a control group, so nothing of them would be tested: {error}");
                Self::skip(&error.to_string())
            }
            None => Self::skip("they are not mounted"),
        }
    }

    fn skip(why: &str) -> Option<Self> {
        // Not `eprintln`, which the test harness keeps to itself when a test passes.
        let _ = writeln!(std::io::stderr(), "skipped: no control groups can be made here: {why}");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The agents' groups in it.
    pub(crate) fn agents(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.0).unwrap().flatten().map(|entry| entry.path());
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("ao-")).collect()
    }
}

impl Drop for TestGroup {
    fn drop(&mut self) {
        let group = Group::at(&self.0);
        let _ = group.kill();
        for _ in 0..100 {
            let mut below: Vec<PathBuf> =
                std::fs::read_dir(&self.0).into_iter().flatten().flatten().map(|e| e.path()).collect();
            below.retain(|path| path.is_dir());
            if below.iter().all(|path| std::fs::remove_dir(path).is_ok()) && std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The group a process is in, as `/proc` names it.
pub(crate) fn group_of(pid: u32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned()
}
