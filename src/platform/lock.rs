//! Locking a data directory: a lock on a file, which the kernel gives up when the holder dies, however it dies.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::process;

/// The lock. Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Its name, when it is a program of somebody's that embeds ao; `None` for an `ao` of its own.
    pub program: Option<String>,
}

/// Why a lock was not got.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it.
    #[error("it is locked")]
    Held {
        /// Who, as far as the file tells.
        holder: Option<Holder>,
    },
    /// The file system refused.
    #[error(transparent)]
    File(#[from] io::Error),
}

impl Lock {
    /// Takes the lock at once or not at all, and writes into the file who holds it: this process's id, and `program`, the name of a program
    /// that embeds ao. For messages only.
    ///
    /// # Errors
    /// [`LockError::Held`] while somebody else has it.
    pub fn acquire(path: &Path, program: Option<&str>) -> Result<Self, LockError> {
        // Never truncated on opening: the file tells who holds the lock.
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        while !try_flock(&file, FlockOperation::NonBlockingLockExclusive)? {
            // A shared lock can be had while only `is_locked` is in the way, which lets go at once.
            if !try_flock(&file, FlockOperation::NonBlockingLockShared)? {
                return Err(LockError::Held { holder: named_in(&mut file) });
            }
            flock(&file, FlockOperation::Unlock).map_err(io::Error::from)?;
            std::thread::yield_now();
        }
        let lock = Self { file };
        lock.write(program)?;
        Ok(lock)
    }

    fn write(&self, program: Option<&str>) -> io::Result<()> {
        let mut file = &self.file;
        file.set_len(0)?;
        file.rewind()?;
        let program = program.map(|name| format!("{name}\n")).unwrap_or_default();
        // One write: who reads it meanwhile finds all or nothing.
        file.write_all(format!("{}\n{program}", std::process::id()).as_bytes())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not do: a child that another thread just forked shares the lock until it runs its program, which
        // closes the file (it is close-on-exec).
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Whether somebody holds the lock right now. Keeps nothing and makes no file.
#[must_use]
pub fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    match try_flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(true) => {
            let _ = flock(&file, FlockOperation::Unlock);
            false
        }
        Ok(false) => true,
        Err(_) => false,
    }
}

/// Who holds the lock right now; `None` when nobody does, or the file does not tell.
#[must_use]
pub fn holder(path: &Path) -> Option<Holder> {
    if !is_locked(path) {
        return None;
    }
    named_in(&mut File::open(path).ok()?)
}

/// Whether the lock was got.
fn try_flock(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Who is named in the file. The holder may not have written itself yet, and the one before, which was killed, would mislead: so it is told
/// only while a process of that id runs.
fn named_in(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let (pid, program) = text.split_once('\n')?;
    let pid = process::identity(pid.parse().ok()?).ok()??.pid;
    Some(Holder { pid, program: Some(program.trim_end().to_owned()).filter(|name| !name.is_empty()) })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Child, ChildStdout, Command, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn one_holder_at_a_time_and_the_second_learns_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!is_locked(&path));
        let lock = Lock::acquire(&path, None).unwrap();
        assert!(is_locked(&path));
        let Err(LockError::Held { holder }) = Lock::acquire(&path, None) else { panic!("taken twice") };
        assert_eq!(holder, Some(Holder { pid: std::process::id(), program: None }));
        assert_eq!(super::holder(&path), holder);
        drop(lock);
        assert!(!is_locked(&path));
        assert_eq!(super::holder(&path), None, "the file names who had it");
        let lock = Lock::acquire(&path, Some("an editor")).unwrap();
        let expected = Holder { pid: std::process::id(), program: Some("an editor".to_owned()) };
        assert_eq!(super::holder(&path), Some(expected));
        drop(lock);
        let _lock = Lock::acquire(&path, None).unwrap();
        let nobody_of_before = super::holder(&path).unwrap();
        assert_eq!(nobody_of_before.program, None);
    }

    #[test]
    fn who_only_asks_never_keeps_a_daemon_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        drop(Lock::acquire(&path, None).unwrap());
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let _ = is_locked(&path);
                    }
                });
            }
            let taken = (0..2000).all(|_| Lock::acquire(&path, None).is_ok());
            is_over.store(true, Ordering::Relaxed);
            assert!(taken, "refused, with nobody holding it");
        });
    }

    #[test]
    fn the_holder_is_not_named_when_the_file_does_not_tell() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let _lock = Lock::acquire(&path, None).unwrap();
        for text in ["", "nonsense", "4294967295"] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(Lock::acquire(&path, None), Err(LockError::Held { holder: None })), "{text:?}");
        }
    }

    /// The variable that makes [`in_another_process`] hold a lock: the path of the lock file.
    const LOCK_FILE: &str = "AO_TEST_LOCK_FILE";

    /// A child that holds the lock until its standard input closes; killed when dropped.
    struct Other(Child, BufReader<ChildStdout>);

    impl Other {
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
            let output = BufReader::new(child.stdout.take().unwrap());
            let mut holder = Self(child, output);
            // It holds the lock once it says so; at the end of its output it never will.
            assert!(holder.1.by_ref().lines().map_while(Result::ok).any(|line| line.ends_with("locked")));
            holder
        }
    }

    impl Drop for Other {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    #[ignore = "the other process of i11_two_processes_never_hold_the_lock_of_one_data_directory"]
    #[expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a helper talks to the test that started it")]
    fn in_another_process() {
        let Some(path) = std::env::var_os(LOCK_FILE) else { return };
        let _lock = Lock::acquire(Path::new(&path), None).unwrap();
        println!("locked");
        let _ = io::stdin().read_to_end(&mut Vec::new());
    }

    #[test]
    fn i11_two_processes_never_hold_the_lock_of_one_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.lock");
        let mut holder = Other::start(&path);
        assert!(is_locked(&path));
        let Err(LockError::Held { holder: named }) = Lock::acquire(&path, None) else { panic!("taken twice") };
        assert_eq!(named.map(|named| named.pid), Some(holder.0.id()));
        // A daemon that is killed leaves no lock behind.
        holder.0.kill().unwrap();
        holder.0.wait().unwrap();
        assert!(!is_locked(&path));
        let lock = Lock::acquire(&path, None).unwrap();
        // The lock does not pass to a program that was started meanwhile.
        let _other = Other::start(&dir.path().join("other.lock"));
        drop(lock);
        Lock::acquire(&path, None).unwrap();
    }

    #[test]
    fn a_daemon_that_ends_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.lock");
        let mut holder = Other::start(&path);
        assert!(is_locked(&path));
        drop(holder.0.stdin.take());
        assert!(holder.0.wait().unwrap().success());
        Lock::acquire(&path, None).unwrap();
    }
}
