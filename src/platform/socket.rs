//! A private directory for Unix sockets, whose path leaves room for their names.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::domain::layout::DataDir;

/// The longest path of a Unix socket, in bytes: `sun_path` less the NUL at its end. Linux has 107, macOS 103.
pub const SOCKET_PATH_MAX_BYTES: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Whether a socket can be bound at the path.
#[must_use]
pub fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= SOCKET_PATH_MAX_BYTES
}

/// A directory in which every socket of a name of up to `name_bytes` bytes can be bound (`a/b` counts as one name of 3):
/// the one in the data directory if it is short enough, else `<fallback_parent>/ao-<uid>-<hash of the data directory>`.
/// The same arguments always give the same directory. Its parent must exist; it is made if needed, for its owner only.
///
/// # Errors
/// When neither is short enough; when what is there is not a directory of this user's that nobody else can enter.
pub fn private_socket_dir(data_dir: &DataDir, fallback_parent: &Path, name_bytes: usize) -> io::Result<PathBuf> {
    let uid = rustix::process::geteuid().as_raw();
    let preferred = data_dir.sockets();
    let fallback = fallback_parent.join(format!("ao-{uid}-{}", short_hash(data_dir.path())));
    let has_room = |directory: &&PathBuf| directory.as_os_str().len() + 1 + name_bytes <= SOCKET_PATH_MAX_BYTES;
    let Some(directory) = [&preferred, &fallback].into_iter().find(has_room) else {
        return Err(io::Error::other(format!(
            "no room for sockets: with a name of {name_bytes} bytes the paths below {} and {} pass the limit of \
             {SOCKET_PATH_MAX_BYTES} bytes; use a shorter data directory",
            preferred.display(),
            fallback.display(),
        )));
    };
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(io::Error::new(error.kind(), format!("cannot make {}: {error}", directory.display())))
        }
        _ => check_private(directory, uid).map(|()| directory.clone()),
    }
}

/// In a directory that everybody can write to, another user may have been there first: with a directory of their own, or a
/// link to one. Ours, once it is there, nobody else can replace: such directories are sticky.
fn check_private(directory: &Path, uid: u32) -> io::Result<()> {
    let found = directory.symlink_metadata()?;
    let trouble = if found.is_symlink() {
        "is a symbolic link".to_owned()
    } else if !found.is_dir() {
        "is not a directory".to_owned()
    } else if found.uid() != uid {
        format!("belongs to user {}, not to {uid}", found.uid())
    } else if found.mode() & 0o077 != 0 {
        format!("is open to other users (mode {:04o})", found.mode() & 0o7777)
    } else {
        return Ok(());
    };
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("cannot keep sockets in {}: it {trouble}; remove it and try again", directory.display()),
    ))
}

fn short_hash(path: &Path) -> String {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(path.as_os_str().as_bytes()).into();
    format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn data_dir(path: &Path) -> DataDir {
        DataDir::new(path).unwrap()
    }

    #[test]
    fn the_longest_name_can_be_bound_and_one_byte_more_moves_it() {
        let root = tempfile::tempdir().unwrap();
        let longest_name = SOCKET_PATH_MAX_BYTES - root.path().join("run").as_os_str().len() - 1;
        let inside = private_socket_dir(&data_dir(root.path()), root.path(), longest_name).unwrap();
        assert_eq!(inside, root.path().join("run"));
        assert_eq!(inside.metadata().unwrap().mode() & 0o7777, 0o700);
        let longest = inside.join("s".repeat(longest_name));
        assert!(fits(&longest));
        drop(UnixListener::bind(longest).unwrap());
        assert!(!fits(&inside.join("s".repeat(longest_name + 1))));
        UnixListener::bind(inside.join("s".repeat(longest_name + 1))).unwrap_err();

        let deep = root.path().join("d".repeat(60));
        std::fs::create_dir(&deep).unwrap();
        let outside = private_socket_dir(&data_dir(&deep), root.path(), 40).unwrap();
        assert_eq!(outside.parent(), Some(root.path()));
        assert_eq!(outside, private_socket_dir(&data_dir(&deep), root.path(), 40).unwrap(), "the same every time");
        drop(UnixListener::bind(outside.join("s".repeat(40))).unwrap());
    }

    #[test]
    fn data_directories_have_socket_directories_of_their_own() {
        let root = tempfile::tempdir().unwrap();
        let deep = |name: &str| data_dir(&root.path().join(name.repeat(90)));
        let one = private_socket_dir(&deep("a"), root.path(), 30).unwrap();
        assert_ne!(one, private_socket_dir(&deep("b"), root.path(), 30).unwrap());
    }

    #[test]
    fn no_room_anywhere_is_said() {
        let root = tempfile::tempdir().unwrap();
        let error = private_socket_dir(&data_dir(root.path()), root.path(), 100).unwrap_err().to_string();
        assert!(error.contains("107 bytes") && error.contains("shorter data directory"), "{error}");
    }

    #[test]
    fn what_is_not_a_private_directory_of_ours_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("run");
        let refusal = || private_socket_dir(&data_dir(root.path()), root.path(), 10).unwrap_err().to_string();

        std::fs::write(&run, "").unwrap();
        assert!(refusal().contains("is not a directory"), "{}", refusal());
        std::fs::remove_file(&run).unwrap();

        let private = root.path().join("elsewhere");
        std::fs::DirBuilder::new().mode(0o700).create(&private).unwrap();
        symlink(&private, &run).unwrap();
        assert!(refusal().contains("is a symbolic link"), "{}", refusal());
        std::fs::remove_file(&run).unwrap();

        std::fs::create_dir(&run).unwrap();
        for mode in [0o750, 0o701] {
            std::fs::set_permissions(&run, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(refusal().contains(&format!("mode {mode:04o}")), "{}", refusal());
        }
        std::fs::set_permissions(&run, std::fs::Permissions::from_mode(0o700)).unwrap();
        private_socket_dir(&data_dir(root.path()), root.path(), 10).unwrap();
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let me = rustix::process::geteuid().as_raw();
        let error = check_private(root.path(), me + 1).unwrap_err().to_string();
        assert!(error.contains(&format!("belongs to user {me}, not to {}", me + 1)), "{error}");
    }

    #[test]
    fn a_missing_parent_is_named() {
        let root = tempfile::tempdir().unwrap();
        let missing = root.path().join("none");
        let error = private_socket_dir(&data_dir(&missing), root.path(), 10).unwrap_err();
        assert!(error.to_string().contains("none/run"), "{error}");
    }
}
