//! Where Unix sockets go: their paths have room for 107 bytes, and their directory must be the owner's alone.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The longest path a Unix socket can have, in bytes (`sun_path` holds 108 with the closing NUL).
pub const MAX_PATH_BYTES: usize = 107;

/// How much of that is left free for what is made below the directory, in bytes: zellij puts
/// `/contract_version_N/<session>` there, and a session id has up to 75.
pub const TAIL_BYTES: usize = 64;

/// The private directory for the sockets of a data directory: `<data_dir>/run` when names of [`TAIL_BYTES`] fit in it, else
/// `<parent>/ao-<uid>-<hash of the data directory>`. Pure: nothing is made.
#[must_use]
pub fn directory_for(data_dir: &Path, parent: &Path) -> PathBuf {
    let inside = data_dir.join("run");
    if inside.as_os_str().len() + 1 + TAIL_BYTES <= MAX_PATH_BYTES {
        return inside;
    }
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(data_dir.as_os_str().as_bytes()).into();
    let hash = u32::from_be_bytes([a, b, c, d]);
    parent.join(format!("ao-{}-{hash:08x}", rustix::process::geteuid().as_raw()))
}

/// That of a data directory, on this machine.
#[must_use]
pub fn directory_of(data_dir: &Path) -> PathBuf {
    // Not XDG_RUNTIME_DIR: a shell over ssh, a cron job and a desktop differ in it, and must find the same daemon.
    directory_for(data_dir, Path::new("/tmp"))
}

/// Where the API of a data directory is served.
#[must_use]
pub fn of_daemon(data_dir: &Path) -> PathBuf {
    directory_of(data_dir).join("daemon.sock")
}

/// Makes a directory that only its owner can enter, or checks that one that is there is such: a real directory, ours, 0700.
///
/// # Errors
/// `PermissionDenied` when it is somebody else's, a link, or open to others; else the cause.
pub fn make_private(directory: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let found = std::fs::symlink_metadata(directory)?;
    let refuse =
        |what: &str| Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{} {what}", directory.display())));
    if !found.is_dir() {
        return refuse("is not a directory");
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return refuse("belongs to another user");
    }
    if found.mode() & 0o077 != 0 {
        return refuse("is open to other users; make it private with chmod 700");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_short_data_directory_holds_its_sockets_and_a_long_one_does_not() {
        let parent = Path::new("/tmp");
        assert_eq!(directory_for(Path::new("/home/a/ao"), parent), Path::new("/home/a/ao/run"));
        let long = PathBuf::from(format!("/{}", "d".repeat(60)));
        let directory = directory_for(&long, parent);
        assert!(directory.starts_with(parent), "{directory:?}");
        assert_eq!(directory, directory_for(&long, parent));
        assert_ne!(directory, directory_for(&long.join("x"), parent));
    }

    #[test]
    fn only_a_private_directory_of_ours_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        make_private(&path).unwrap();
        make_private(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(make_private(&path).unwrap_err().to_string().contains("chmod 700"));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(make_private(&link).is_err());
    }
}
