//! Directories and files reached one name at a time, each relative to the handle of the one before and never through a
//! symbolic link. What is planted between two steps cannot lead anywhere else.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::ports::messenger::MessengerError;

const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o750);
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const NEW_FILE: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

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

    /// Makes a file (0600, whatever the umask) that must not be there, with this content, and syncs it. On `Err` no file is left.
    pub(super) fn write_new(&self, name: &str, content: &[u8]) -> Result<(), MessengerError> {
        let path = self.path.join(name);
        let handle =
            fs::openat(&self.handle, name, NEW_FILE, FILE_MODE).map_err(|errno| refusal("make", &path, errno))?;
        let mut file = std::fs::File::from(handle);
        let written = fs::fchmod(&file, FILE_MODE)
            .map_err(io::Error::from)
            .and_then(|()| io::Write::write_all(&mut file, content))
            .and_then(|()| file.sync_all());
        written.map_err(|source| {
            self.discard(name);
            MessengerError::File { action: "write", path, source }
        })
    }

    /// Gives a file of this directory another name, which must be free, and syncs the directory.
    pub(super) fn rename_new(&self, from: &str, to: &str) -> Result<(), MessengerError> {
        fs::renameat_with(&self.handle, from, &self.handle, to, RenameFlags::NOREPLACE)
            .map_err(|errno| refusal("rename a file to", &self.path.join(to), errno))?;
        self.sync()
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
        let Ok(stat) = fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
        let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
        (SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).elapsed().is_ok_and(|elapsed| elapsed > age)
    }

    /// Removes a file of this directory, as far as that is possible: called when something else failed already, or for tidiness.
    pub(super) fn discard(&self, name: &str) {
        let _ = fs::unlinkat(&self.handle, name, AtFlags::empty());
    }

    /// Where it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn sync(&self) -> Result<(), MessengerError> {
        fs::fsync(&self.handle).map_err(|errno| refusal("sync", &self.path, errno))
    }
}

/// What an error of a call that follows no links means.
fn refusal(action: &'static str, path: &Path, errno: Errno) -> MessengerError {
    match errno {
        Errno::LOOP | Errno::NOTDIR | Errno::EXIST => MessengerError::Planted { path: path.to_owned() },
        _ => MessengerError::File { action, path: path.to_owned(), source: errno.into() },
    }
}
