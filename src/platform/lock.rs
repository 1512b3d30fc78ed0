//! The lock on a data directory: two daemons never share one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::process;

/// A held lock; let go when dropped, or by the system when the process ends in whatever way.
///
/// The lock file is never removed: whoever opened it before would hold a lock on a file that nobody finds.
#[derive(Debug)]
pub struct DataDirLock {
    file: File,
}

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("another daemon{} uses this data directory", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    AlreadyLocked {
        /// The process id that it wrote down, if that can be read.
        pid: Option<u32>,
    },
    /// The lock file could not be made, locked or written.
    #[error("cannot lock {path}: {source}")]
    Failed {
        /// The lock file.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl DataDirLock {
    /// Takes the lock in the file at `path`, without waiting. The file is made if needed, and holds this process's id.
    ///
    /// # Errors
    /// [`LockError::AlreadyLocked`] while another process, or another value of this one, holds it.
    pub fn acquire(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Failed { path: path.display().to_string(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(LockError::AlreadyLocked { pid: holder(&mut file) }),
            Err(error) => return Err(failed(error.into())),
        }
        write_pid(&mut file).map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for DataDirLock {
    fn drop(&mut self) {
        // Closing would not do: a child that another thread just forked shares the lock until it runs its program, which
        // closes the file (it is close-on-exec).
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// The id in the file, for a message. The holder may not have written its own yet: an id of the one before, which was
/// killed, would mislead, so it is told only while a process of that id runs.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let pid = text.trim().parse().ok()?;
    process::identity(pid).ok().flatten().map(|identity| identity.pid)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

    use super::*;

    /// The variable that makes [`in_another_process`] hold a lock: the path of the lock file.
    const LOCK_FILE: &str = "AO_TEST_LOCK_FILE";

    fn refused(path: &Path) -> Option<u32> {
        match DataDirLock::acquire(path) {
            Err(LockError::AlreadyLocked { pid }) => pid,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_held_lock_is_refused_and_a_dropped_one_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.lock");
        std::fs::write(&path, "a longer text than a process id").unwrap();
        let lock = DataDirLock::acquire(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(refused(&path), Some(std::process::id()));
        drop(lock);
        assert!(path.exists(), "the file stays");
        DataDirLock::acquire(&path).unwrap();
    }

    #[test]
    fn the_holder_is_not_named_when_the_file_does_not_tell() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.lock");
        let _lock = DataDirLock::acquire(&path).unwrap();
        for text in ["", "nonsense", "4294967295"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(refused(&path), None, "{text:?}");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = DataDirLock::acquire(Path::new("/nonexistent/daemon.lock")).unwrap_err().to_string();
        assert!(error.starts_with("cannot lock /nonexistent/daemon.lock: No such file"), "{error}");
    }

    /// A child that holds the lock until its standard input closes; killed when dropped.
    struct Holder(Child, Option<ChildStdin>, BufReader<ChildStdout>);

    impl Holder {
        #[expect(clippy::disallowed_methods, reason = "the child is this test, and stays alive to hold a lock")]
        fn start(path: &Path) -> Self {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "platform::lock::tests::in_another_process", "--ignored", "--nocapture"])
                .env_clear()
                .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "AO_TEST_RUN"))
                .env(LOCK_FILE, path)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let input = child.stdin.take();
            let output = BufReader::new(child.stdout.take().unwrap());
            let mut holder = Self(child, input, output);
            // It holds the lock once it says so; at the end of its output it never will.
            assert!(holder.2.by_ref().lines().map_while(Result::ok).any(|line| line.ends_with("locked")));
            holder
        }
    }

    impl Drop for Holder {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    #[ignore = "the other process of i11_two_processes_never_hold_the_lock_of_one_data_directory"]
    #[expect(
        clippy::disallowed_methods,
        clippy::print_stdout,
        reason = "a helper process talks to the test that started it"
    )]
    fn in_another_process() {
        let Some(path) = std::env::var_os(LOCK_FILE) else { return };
        let _lock = DataDirLock::acquire(Path::new(&path)).unwrap();
        println!("locked");
        let _ = io::stdin().read_to_end(&mut Vec::new());
    }

    #[test]
    fn i11_two_processes_never_hold_the_lock_of_one_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.lock");
        let mut holder = Holder::start(&path);
        assert_eq!(refused(&path), Some(holder.0.id()));
        // A daemon that is killed leaves no lock behind.
        holder.0.kill().unwrap();
        holder.0.wait().unwrap();
        let lock = DataDirLock::acquire(&path).unwrap();
        // The lock does not pass to a program that was started meanwhile.
        let other = Holder::start(&dir.path().join("other.lock"));
        drop(lock);
        DataDirLock::acquire(&path).unwrap();
        drop(other);
    }

    #[test]
    fn a_daemon_that_ends_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.lock");
        let mut holder = Holder::start(&path);
        refused(&path);
        drop(holder.1.take());
        assert!(holder.0.wait().unwrap().success());
        DataDirLock::acquire(&path).unwrap();
    }
}
