//! Writing a file as a whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::process;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Replaces a file's content: written to a temporary name beside it, synced, renamed, and the directory synced. A reader
/// sees the old content or the new. `mode` is the new file's, for example `0o600`.
///
/// # Errors
/// The cause; the file is as it was, and no temporary file is left.
pub fn write_atomically(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    stage(path, content, mode)?.move_to(path)
}

/// Like [`write_atomically`], but never in the place of a file that is there, whoever made it: that is success too.
///
/// # Errors
/// The cause; no temporary file is left.
pub fn make_atomically(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let staged = stage(path, content, mode)?;
    // A link, other than a rename, fails where another process was first.
    match std::fs::hard_link(&staged.0, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_directory_of(path),
    }
}

/// Like [`write_atomically`], but into the room of a longer file in the same directory, which becomes the new one: this needs no room of
/// its own, so it succeeds on a full disk, where the file system writes over what is there.
///
/// # Errors
/// The cause; `path` is as it was, and what `room` holds is not known.
pub fn write_into(room: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(room)?;
    file.write_all(content)?;
    file.set_len(content.len() as u64)?;
    file.sync_all()?;
    Staged(room.to_owned()).move_to(path)
}

/// Like [`write_atomically`], but only where the file still holds `expected` (`None`: is not there) just before the rename;
/// gives whether it did. A file that is replaced keeps its mode; `mode` is for a new one. What another program writes between
/// the look and the rename, some microseconds, is lost: take that program's lock where it has one.
///
/// # Errors
/// The cause; the file is as it was, and no temporary file is left.
pub fn replace_if_unchanged(path: &Path, expected: Option<&[u8]>, content: &[u8], mode: u32) -> io::Result<bool> {
    let mode = path.metadata().map_or(mode, |metadata| metadata.permissions().mode() & 0o777);
    let staged = stage(path, content, mode)?;
    if read_if_there(path)?.as_deref() != expected {
        return Ok(false);
    }
    staged.move_to(path).map(|()| true)
}

/// A complete new file beside the one it is to replace; removed when dropped before that.
struct Staged(PathBuf);

fn stage(path: &Path, content: &[u8], mode: u32) -> io::Result<Staged> {
    Staged::beside(path, |staged| write_new(staged, content, mode))
}

/// A name for what is to become `name` in the same directory once it is complete. It bears this process's number, by which
/// [`abandoned`] knows it again.
#[must_use]
pub fn staging_name(name: &str) -> String {
    format!(".{name}.{}.{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// What was to become files of a directory whose names begin with `name`, and will not: the process that was at it does
/// not run, or it is older than [`ABANDONED_AFTER`], for numbers of processes are used again. Names and numbers are all
/// that counts, so only those are to ask who share the directory with no other machine or container.
#[must_use]
pub fn abandoned(directory: &Path, name: &str) -> Vec<PathBuf> {
    let staged = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let staged = staged.filter(|entry| is_staged_for(entry, name));
    let abandoned = staged.filter(|entry| writer_is_gone(&entry.file_name().to_string_lossy()) || is_old(entry));
    abandoned.map(|entry| entry.path()).collect()
}

/// Whether an entry was to become a file whose name begins with `name`.
fn is_staged_for(entry: &std::fs::DirEntry, name: &str) -> bool {
    let staged = entry.file_name();
    let staged = staged.to_string_lossy();
    staged.strip_prefix('.').is_some_and(|rest| rest.starts_with(name)) && is_staged(&staged)
}

/// Removes the files among what is [`abandoned`], as far as that is possible.
pub fn sweep(directory: &Path, name: &str) {
    for file in abandoned(directory, name) {
        let _ = std::fs::remove_file(file);
    }
}

/// Removes whatever was to become this one file, however young and whoever is at it: the caller knows that nobody is. So nothing is
/// left where a process of the writer's number runs, as in a container that is started again. Success when there is none.
///
/// # Errors
/// The cause.
pub fn remove_staged_of(path: &Path) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if is_staged_for(&entry, &format!("{name}.")) {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

/// Whether the process whose number the name bears does not run. One that cannot be looked at does.
fn writer_is_gone(staged: &str) -> bool {
    let number = staged.rsplit('.').nth(2).and_then(|number| number.parse().ok());
    number.is_some_and(|number| matches!(process::identity(number), Ok(None)))
}

fn is_old(entry: &std::fs::DirEntry) -> bool {
    let changed = entry.metadata().and_then(|metadata| metadata.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > ABANDONED_AFTER))
}

/// Makes a path a symbolic link to `target`; one that is there is replaced in one step.
///
/// # Errors
/// The operating system's.
pub fn link_atomically(target: &Path, path: &Path) -> io::Result<()> {
    Staged::beside(path, |staged| std::os::unix::fs::symlink(target, staged))?.move_to(path)
}

/// How old a temporary file is that nobody will rename any more: its writer was killed.
pub const ABANDONED_AFTER: Duration = Duration::from_secs(60 * 60);

/// Whether a file of this name is one that [`write_atomically`] had not renamed yet.
#[must_use]
pub fn is_staged(name: &str) -> bool {
    name.starts_with('.') && Path::new(name).extension().is_some_and(|extension| extension == "tmp")
}

/// Removes the temporary files of a directory that killed writers left more than [`ABANDONED_AFTER`] ago, as far as that is
/// possible.
pub fn sweep_staged(directory: &Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if is_staged(&entry.file_name().to_string_lossy()) && is_old(&entry) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

impl Staged {
    /// A name of its own beside `path`, where nothing is yet.
    fn beside(path: &Path, make: impl Fn(&Path) -> io::Result<()>) -> io::Result<Self> {
        let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        loop {
            let staged = Self(directory.join(staging_name(&name)));
            match make(&staged.0) {
                // A killed process of the same number left it, as in a container that is started again. Dropping it removes it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                outcome => return outcome.map(|()| staged),
            }
        }
    }

    fn move_to(self, path: &Path) -> io::Result<()> {
        std::fs::rename(&self.0, path)?;
        sync_directory_of(path)
    }
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After the rename there is nothing of that name.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes a directory and its missing parents, each private to the user (0700). One that is there keeps its mode.
///
/// # Errors
/// The cause.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Reads a file; `None` when it is not there. What stands there instead of one, as a pipe that nobody writes, is not waited for.
///
/// # Errors
/// The cause.
pub fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Removes a file; success when it is not there.
///
/// # Errors
/// The cause.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The one path of a directory, however it is spelled: absolute, without links and `..`. What is not there yet is taken as it is
/// spelled.
///
/// # Errors
/// When the current directory is needed and cannot be told.
pub fn real_path(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let found = path.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    let Some((ancestor, mut real)) = found else { return Ok(path) };
    for part in path.strip_prefix(ancestor).into_iter().flat_map(Path::components) {
        // What is not there is no link either.
        if part == Component::ParentDir {
            real.pop();
        } else {
            real.push(part);
        }
    }
    Ok(real)
}

/// The absolute path of a program: as it is when it holds a `/`, else the first executable file of that name in the
/// directories of `path`, which has the form of the `PATH` variable.
#[must_use]
pub fn find_program(name: &str, path: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return is_executable(Path::new(name)).then(|| PathBuf::from(name));
    }
    std::env::split_paths(path)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
}

/// Whether the path names a regular file that this user may execute.
#[must_use]
pub fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_path_before_and_after_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::os::unix::fs::symlink("real", root.join("link")).unwrap();
        let spelled = ["real/a/b", "link/a/b", "link/a/../a/b/", "./real/../link/a/./b"];
        for made in [false, true] {
            if made {
                create_private_dir(&root.join("real/a/b")).unwrap();
            }
            for spelled in spelled {
                assert_eq!(real_path(&root.join(spelled)).unwrap().as_os_str(), root.join("real/a/b"), "{spelled}");
            }
        }
    }

    #[test]
    fn a_pipe_in_a_files_place_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(read_if_there(&pipe).unwrap(), Some(Vec::new()));
        let _writer = OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
        read_if_there(&pipe).unwrap_err();
    }

    #[test]
    fn a_file_is_replaced_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomically(&path, b"one", 0o600).unwrap();
        write_atomically(&path, b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_file_takes_the_room_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let (room, path) = (dir.path().join("room"), dir.path().join("f"));
        assert!(write_into(&room, &path, b"one").is_err(), "there is no room");
        write_atomically(&room, &[b' '; 64], 0o600).unwrap();
        write_into(&room, &path, b"one").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        for content in [b"one", b"two"] {
            make_atomically(&path, content, 0o600).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), b"one");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("d");
        std::fs::create_dir(&path).unwrap();
        assert!(write_atomically(&path, b"x", 0o600).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_changed_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert!(replace_if_unchanged(&path, None, b"one", 0o640).unwrap());
        assert!(!replace_if_unchanged(&path, None, b"two", 0o600).unwrap());
        assert!(!replace_if_unchanged(&path, Some(b"other"), b"two", 0o600).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert!(replace_if_unchanged(&path, Some(b"one"), b"two", 0o600).unwrap());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640, "the mode is kept");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn only_old_temporary_files_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        let staged = stage(&dir.path().join("f.json"), b"x", 0o600).unwrap();
        std::fs::write(dir.path().join(".new.tmp"), "").unwrap();
        for old in [staged.0.clone(), dir.path().join("f.json"), dir.path().join(".hidden")] {
            let file = File::options().create(true).append(true).open(old).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        sweep_staged(dir.path());
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut left: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, [".hidden", ".new.tmp", "f.json"]);
    }

    #[test]
    fn what_a_process_that_is_gone_was_writing_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        // No process ever has that number.
        let left = format!(".run.json.{}.0.tmp", u32::MAX);
        let under_way = stage(&dir.path().join("run.json"), b"x", 0o600).unwrap();
        let other = format!(".other.json.{}.0.tmp", u32::MAX);
        let long_ago = format!(".run.json.{}.999999.tmp", std::process::id());
        for name in [left.as_str(), &other, &long_ago, "run.json", ".run.json.bak"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let file = File::options().append(true).open(dir.path().join(&long_ago)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        sweep(dir.path(), "run.");
        let is_there = |name: &str| dir.path().join(name).exists();
        assert!(!is_there(&left) && !is_there(&long_ago));
        assert!(under_way.0.exists() && [&other, "run.json", ".run.json.bak"].into_iter().all(is_there));
    }

    #[test]
    fn what_a_process_of_the_same_number_left_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let next = NEXT.load(Ordering::Relaxed);
        for number in next..next + 1000 {
            std::fs::write(dir.path().join(format!(".f.{}.{number}.tmp", std::process::id())), "").unwrap();
        }
        write_atomically(&path, b"one", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn one_files_temporary_files_are_removed_however_young_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.json");
        remove_staged_of(&dir.path().join("none/f.json")).unwrap();
        let own = staging_name("f.json");
        let names = ["f.json", ".f.json", &own, ".f.json.8.31.tmp", ".f.jsonl.7.0.tmp", ".g.json.7.0.tmp"];
        for name in names {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        remove_staged_of(&path).unwrap();
        let entries = std::fs::read_dir(dir.path()).unwrap();
        let mut left: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, [".f.json", ".f.jsonl.7.0.tmp", ".g.json.7.0.tmp", "f.json"]);
    }

    #[test]
    fn programs_are_found_on_the_path_only_when_executable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        std::fs::write(dir.path().join("tool"), "").unwrap();
        assert_eq!(find_program("tool", path), None);
        std::fs::set_permissions(dir.path().join("tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_program("tool", path), Some(dir.path().join("tool")));
        assert_eq!(find_program("tool", "relative"), None);
    }
}
