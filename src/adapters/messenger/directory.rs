//! Directories and files reached one name at a time, each relative to the handle of the one before and never through a
//! symbolic link. What is planted between two steps cannot lead anywhere else.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::inotify::WatchFlags;
use rustix::fs::{self, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::ports::messenger::MessengerError;

const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o750);
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How often a lock that another process has is tried for.
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// An open directory. The path is for error messages only.
pub(super) struct Directory {
    handle: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory that is there.
    pub(super) fn open(path: &Path) -> Result<Self, MessengerError> {
        let handle = fs::open(path, DIRECTORY, Mode::empty()).map_err(|errno| refusal("open", path, errno))?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// Opens a directory inside this one, after making it when it is not there. Its mode becomes 0750, whatever the umask.
    pub(super) fn make(&self, name: &str) -> Result<Self, MessengerError> {
        let path = self.path.join(name);
        let is_new = match fs::mkdirat(&self.handle, name, DIRECTORY_MODE) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(refusal("make", &path, errno)),
        };
        let inner = self.enter(name)?;
        let found = fs::fstat(&inner.handle).map_err(|errno| refusal("look at", &path, errno))?;
        if Mode::from_raw_mode(found.st_mode & 0o7777) != DIRECTORY_MODE {
            fs::fchmod(&inner.handle, DIRECTORY_MODE).map_err(|errno| refusal("change the mode of", &path, errno))?;
        }
        if is_new {
            self.sync()?;
        }
        Ok(inner)
    }

    /// Opens a directory inside this one.
    pub(super) fn enter(&self, name: &str) -> Result<Self, MessengerError> {
        let path = self.path.join(name);
        let handle =
            fs::openat(&self.handle, name, DIRECTORY, Mode::empty()).map_err(|errno| refusal("open", &path, errno))?;
        Ok(Self { handle, path })
    }

    /// Whether both are handles of one directory.
    pub(super) fn is(&self, other: &Self) -> Result<bool, MessengerError> {
        let identity = |of: &Self| {
            let stat = fs::fstat(&of.handle).map_err(|errno| refusal("look at", &of.path, errno))?;
            Ok::<_, MessengerError>((stat.st_dev, stat.st_ino))
        };
        Ok(identity(self)? == identity(other)?)
    }

    /// The names in this directory that are text, in no order.
    pub(super) fn names(&self) -> Result<Vec<String>, MessengerError> {
        let failed = |errno| refusal("list", &self.path, errno);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.handle).map_err(failed)? {
            if let Ok(name) = CStr::to_str(entry.map_err(failed)?.file_name()) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Makes a file (0600, whatever the umask) that must not be there, with this content. On `Err` no file is left.
    pub(super) fn write_new(&self, name: &str, content: &[u8]) -> Result<(), MessengerError> {
        self.make_file(name, content, |_| Ok(()))
    }

    /// As [`write_new`](Self::write_new), and syncs it.
    pub(super) fn write_new_synced(&self, name: &str, content: &[u8]) -> Result<(), MessengerError> {
        self.make_file(name, content, std::fs::File::sync_all)
    }

    fn make_file(
        &self,
        name: &str,
        content: &[u8],
        finish: fn(&std::fs::File) -> io::Result<()>,
    ) -> Result<(), MessengerError> {
        let path = self.path.join(name);
        let handle =
            fs::openat(&self.handle, name, NEW_FILE, FILE_MODE).map_err(|errno| refusal("make", &path, errno))?;
        let mut file = std::fs::File::from(handle);
        let written = fs::fchmod(&file, FILE_MODE)
            .map_err(io::Error::from)
            .and_then(|()| io::Write::write_all(&mut file, content))
            .and_then(|()| finish(&file));
        written.map_err(|source| {
            self.discard(name);
            MessengerError::File { action: "write", path, source }
        })
    }

    /// Gives a file of this directory another name, which must be free. Nothing is synced.
    pub(super) fn rename_new(&self, from: &str, to: &str) -> Result<(), MessengerError> {
        self.hand_to(from, self, to)
    }

    /// Gives a file of this directory a name in another one, which must be free there. Neither is synced.
    pub(super) fn hand_to(&self, from: &str, other: &Self, to: &str) -> Result<(), MessengerError> {
        fs::renameat_with(&self.handle, from, &other.handle, to, RenameFlags::NOREPLACE)
            .map_err(|errno| refusal("rename a file to", &other.path.join(to), errno))
    }

    /// Gives a file of this directory another name, in the place of whatever bears it. Nothing is synced.
    pub(super) fn rename_over(&self, from: &str, to: &str) -> Result<(), MessengerError> {
        fs::renameat(&self.handle, from, &self.handle, to)
            .map_err(|errno| refusal("rename a file to", &self.path.join(to), errno))
    }

    /// Gives a file of this directory a second name in another one, unless something bears that there.
    pub(super) fn link_to(&self, from: &str, other: &Self, to: &str) -> Result<(), MessengerError> {
        match fs::linkat(&self.handle, from, &other.handle, to, AtFlags::empty()) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(refusal("link a file to", &other.path.join(to), errno)),
        }
    }

    /// The content of a regular file of at most `limit_bytes`; `None` for what is none, or is not there.
    pub(super) fn read(&self, name: &str, limit_bytes: u64) -> Result<Option<Vec<u8>>, MessengerError> {
        let path = self.path.join(name);
        // Without waiting: opening a pipe for reading would wait for whoever writes to it.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let handle = match fs::openat(&self.handle, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            handle => handle.map_err(|errno| refusal("open", &path, errno))?,
        };
        let stat = fs::fstat(&handle).map_err(|errno| refusal("look at", &path, errno))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        let mut content = Vec::new();
        let file = std::fs::File::from(handle);
        let read = io::Read::read_to_end(&mut io::Read::take(file, limit_bytes + 1), &mut content);
        read.map_err(|source| MessengerError::File { action: "read", path, source })?;
        Ok((content.len() as u64 <= limit_bytes).then_some(content))
    }

    /// Takes the lock of that name in this directory, a file, and waits for it about so long at most.
    pub(super) fn lock(&self, name: &str, at_most: Duration) -> Result<Lock, MessengerError> {
        let path = self.path.join(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = fs::openat(&self.handle, name, flags, FILE_MODE).map_err(|errno| refusal("open", &path, errno))?;
        let mut tries = at_most.as_millis() / LOCK_PAUSE.as_millis();
        loop {
            match fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock(file)),
                Err(Errno::WOULDBLOCK) if tries > 0 => std::thread::sleep(LOCK_PAUSE),
                Err(errno) => return Err(refusal("lock", &path, errno)),
            }
            tries -= 1;
        }
    }

    /// Whether somebody has the lock of that name. Takes it for a moment, if not, beside others who look.
    pub(super) fn is_locked(&self, name: &str) -> Result<bool, MessengerError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match fs::openat(&self.handle, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(false),
            file => file.map_err(|errno| refusal("open", &path, errno))?,
        };
        match fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                drop(Lock(file));
                Ok(false)
            }
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(refusal("look at the lock", &path, errno)),
        }
    }

    /// When a file of that name was last written to; `None` when it is not there.
    pub(super) fn changed_at(&self, name: &str) -> Result<Option<SystemTime>, MessengerError> {
        match fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(changed(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(refusal("look at", &self.path.join(name), errno)),
        }
    }

    /// Makes a file of that name, empty, where there is none, and sets the time of its last change to now.
    pub(super) fn touch(&self, name: &str) -> Result<(), MessengerError> {
        let path = self.path.join(name);
        let now = fs::Timestamps {
            last_access: fs::Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT },
            last_modification: fs::Timespec { tv_sec: 0, tv_nsec: fs::UTIME_NOW },
        };
        match fs::utimensat(&self.handle, name, &now, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => fs::openat(&self.handle, name, NEW_FILE, FILE_MODE)
                .map(drop)
                .map_err(|errno| refusal("make", &path, errno)),
            touched => touched.map_err(|errno| refusal("touch", &path, errno)),
        }
    }

    /// Watches this directory for what is asked, and for being taken away or moved itself; in the place of what was asked before.
    pub(super) fn watch(&self, inotify: &OwnedFd, wanted: WatchFlags) -> Result<(), MessengerError> {
        // By the handle, so that no link planted meanwhile leads the watch elsewhere.
        let path = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        let own = WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF;
        fs::inotify::add_watch(inotify, path.as_str(), wanted | own | WatchFlags::ONLYDIR)
            .map(drop)
            .map_err(|errno| refusal("watch", &self.path, errno))
    }

    /// Whether a regular file of that name is here; something else of that name is refused.
    pub(super) fn has_file(&self, name: &str) -> Result<bool, MessengerError> {
        let path = self.path.join(name);
        match fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(true),
            Ok(_) => Err(MessengerError::Planted { path }),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(refusal("look at", &path, errno)),
        }
    }

    /// Whether a file of that name was last changed longer ago than `age`; false when that cannot be told.
    pub(super) fn is_older(&self, name: &str, age: Duration) -> bool {
        let Ok(Some(changed)) = self.changed_at(name) else { return false };
        changed.elapsed().is_ok_and(|elapsed| elapsed > age)
    }

    /// Removes a file of this directory, as far as that is possible: called when something else failed already, or for tidiness.
    pub(super) fn discard(&self, name: &str) {
        let _ = fs::unlinkat(&self.handle, name, AtFlags::empty());
    }

    /// Where it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn sync(&self) -> Result<(), MessengerError> {
        fs::fsync(&self.handle).map_err(|errno| refusal("sync", &self.path, errno))
    }
}

/// A lock on a directory's file, held until it is dropped or this process ends.
pub(super) struct Lock(OwnedFd);

impl Lock {
    /// What holds the lock for as long as it is open anywhere.
    pub(super) fn handle(&self) -> &OwnedFd {
        &self.0
    }

    /// Makes this the content of the locked file.
    pub(super) fn write(&self, content: &[u8]) -> io::Result<()> {
        fs::ftruncate(&self.0, 0)?;
        rustix::io::pwrite(&self.0, content, 0).map(drop).map_err(io::Error::from)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not do: a child that another thread just forked shares the lock until it runs its program.
        let _ = fs::flock(&self.0, FlockOperation::Unlock);
    }
}

fn changed(stat: &fs::Stat) -> SystemTime {
    let (seconds, nanoseconds) =
        (u64::try_from(stat.st_mtime).unwrap_or(0), u32::try_from(stat.st_mtime_nsec).unwrap_or(0));
    SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
}

/// What an error of a call that follows no links means.
fn refusal(action: &'static str, path: &Path, errno: Errno) -> MessengerError {
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::EXIST => MessengerError::Planted { path: path.to_owned() },
        _ => MessengerError::File { action, path: path.to_owned(), source: errno.into() },
    }
}
