//! `/.ao/` in the repository's `info/exclude`, once: the rest of that file is the user's and stays byte for byte.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::blocking;
use crate::ports::repo::Repository;

const LINE: &[u8] = b"/.ao/";

/// Sees to it that the repository has the line; the error is a sentence.
pub(super) async fn ensure_in(repository: &Repository) -> Result<(), String> {
    let common = repository.common_dir.clone();
    blocking(move || ensure(&common)).await.map_err(|error| format!("cannot write info/exclude: {error}"))
}

/// Adds the line unless it is there. Safe against any number of callers in any number of processes: it is read and
/// appended under a lock on the file itself. Blocks.
fn ensure(common_dir: &Path) -> io::Result<()> {
    let info = common_dir.join("info");
    std::fs::create_dir_all(&info)?;
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(info.join("exclude"))?;
    flock(&file, FlockOperation::LockExclusive)?;
    let mut content = Vec::new();
    file.read_to_end(&mut content)?;
    if content.split(|&byte| byte == b'\n').any(|line| line.trim_ascii_end() == LINE) {
        return Ok(());
    }
    let mut addition = Vec::new();
    if content.last().is_some_and(|&byte| byte != b'\n') {
        addition.push(b'\n');
    }
    addition.extend_from_slice(LINE);
    addition.push(b'\n');
    file.write_all(&addition)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_added_once_and_the_rest_is_kept() {
        for (before, after) in [
            (None, &b"/.ao/\n"[..]),
            (Some(&b""[..]), b"/.ao/\n"),
            (Some(b"*.tmp\n"), b"*.tmp\n/.ao/\n"),
            (Some(b"no end\xff"), b"no end\xff\n/.ao/\n"),
            (Some(b"/.ao/\r\nb\n"), b"/.ao/\r\nb\n"),
            (Some(b"#/.ao/\n"), b"#/.ao/\n/.ao/\n"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("info/exclude");
            if let Some(before) = before {
                std::fs::create_dir(dir.path().join("info")).unwrap();
                std::fs::write(&path, before).unwrap();
            }
            ensure(dir.path()).unwrap();
            ensure(dir.path()).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), after);
        }
    }

    #[test]
    fn i15_many_at_once_add_one_line() {
        let dir = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| ensure(dir.path()).unwrap());
            }
        });
        assert_eq!(std::fs::read(dir.path().join("info/exclude")).unwrap(), b"/.ao/\n");
    }
}
