//! Getting at the bytes, past no link.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{MAX_BYTES, NAME};
use crate::ports::project_file::ProjectFileError;
use crate::ports::repo::Repository;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Not blocking: a named pipe would be waited for before it could be looked at.
const FILE: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Why there are no bytes.
#[derive(Debug)]
pub(super) enum Refusal {
    Unreadable(String),
    NotAFile(&'static str),
    TooLarge,
}

impl Refusal {
    pub(super) fn of(self, path: &Path) -> ProjectFileError {
        let path = path.to_owned();
        match self {
            Self::Unreadable(cause) => ProjectFileError::Unreadable { path, cause },
            Self::NotAFile(what) => ProjectFileError::NotAFile { path, what },
            Self::TooLarge => ProjectFileError::TooLarge { path, max_bytes: MAX_BYTES },
        }
    }
}

fn unreadable(cause: impl std::fmt::Display) -> Refusal {
    Refusal::Unreadable(cause.to_string())
}

/// From the main checkout, as it is on disk.
pub(super) fn from_checkout(repository: &Repository) -> Result<Option<Vec<u8>>, Refusal> {
    let directory = rustix::fs::open(&repository.path, DIRECTORY, Mode::empty()).map_err(unreadable)?;
    let file = match rustix::fs::openat(&directory, NAME, FILE, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(Refusal::NotAFile("a symbolic link")),
        // A socket.
        Err(Errno::NXIO) => return Err(Refusal::NotAFile("no file with text")),
        Err(errno) => return Err(unreadable(errno)),
    };
    let stat = rustix::fs::fstat(&file).map_err(unreadable)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Refusal::NotAFile("a directory")),
        _ => return Err(Refusal::NotAFile("no file with text")),
    }
    let mut content = Vec::new();
    // One byte more tells whether there is more; the size on record may grow meanwhile.
    File::from(file).take(MAX_BYTES + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > MAX_BYTES { Err(Refusal::TooLarge) } else { Ok(Some(content)) }
}

/// From the commit of a bare repository's `HEAD`.
pub(super) fn from_head(repository: &Repository) -> Result<Option<Vec<u8>>, Refusal> {
    if repository.is_unborn {
        return Ok(None);
    }
    let options = gix::open::Options::isolated().open_path_as_is(true).strict_config(false);
    // Nothing that could run is looked at; whether git trusts the repository is asked of git, before anything is made.
    let options = options.bail_if_untrusted(false).with(gix::sec::Trust::Full);
    let opened = options.open(&repository.common_dir).map_err(unreadable)?.to_thread_local();
    let tree = opened.head_tree().map_err(unreadable)?;
    let Some(entry) = tree.lookup_entry([NAME]).map_err(unreadable)? else { return Ok(None) };
    if entry.mode().is_link() {
        return Err(Refusal::NotAFile("a symbolic link"));
    }
    if !entry.mode().is_blob() {
        return Err(Refusal::NotAFile("a directory"));
    }
    if opened.find_header(entry.object_id()).map_err(unreadable)?.size() > MAX_BYTES {
        return Err(Refusal::TooLarge);
    }
    Ok(Some(entry.object().map_err(unreadable)?.detach().data))
}
