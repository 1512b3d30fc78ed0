//! What a checkout holds, as git would commit it: seen through an index of ao's own, so that neither the checkout nor its
//! index is changed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::blocking;
use super::entry::Entry;
use super::git::{Call, Git, GitError};
use super::tree;
use crate::platform::file::remove_if_there;

/// What the names of ao's own indexes and directories in the administrative directory start with.
const SCRATCH: &str = "ao-scratch.";

/// So much of names goes into one call, in bytes: far below what systems take.
const MAX_NAMES_BYTES: usize = 64 * 1024;

/// Room for the listing of some millions of files.
const MAX_LISTING_BYTES: usize = 256 * 1024 * 1024;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// What is checked out, staged and there, as object names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The commit that is checked out.
    pub(super) head: String,
    /// The tree of the index.
    pub(super) index: String,
    /// The tree of all files that git does not ignore.
    pub(super) files: String,
}

/// Takes snapshots of one checkout.
#[derive(Debug)]
pub(super) struct Camera<'a> {
    git: &'a Git,
    entry: &'a Entry,
    checkout: &'a Path,
    scratch: PathBuf,
}

impl<'a> Camera<'a> {
    /// Takes away what a killed ao left in the administrative directory.
    pub(super) async fn new(git: &'a Git, entry: &'a Entry, checkout: &'a Path) -> Result<Self, GitError> {
        let admin = entry.admin.clone();
        blocking(move || sweep(&admin)).await.map_err(|error| unusable("take away an old index", &error))?;
        let unique = format!("{SCRATCH}{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Ok(Self { git, entry, checkout, scratch: entry.admin.join(unique) })
    }

    /// What it holds now. Its objects are in the repository afterwards, written through to the disk.
    pub(super) async fn take(&self) -> Result<Snapshot, GitError> {
        let head = self.plain().args(["rev-parse", "--verify", "--end-of-options", "HEAD^{commit}"]).text().await?;
        let (index, scratch) = (self.entry.admin.join("index"), self.scratch.clone());
        blocking(move || copy_if_there(&index, &scratch)).await.map_err(|error| unusable("copy the index", &error))?;
        let index = self.through_scratch()?.arg("write-tree").text().await?;
        // Without `--sparse` it passes over what is outside a sparse checkout's patterns.
        self.through_scratch()?.args(["add", "--all", "--sparse"]).text().await?;
        let files = self.through_scratch()?.arg("write-tree").text().await?;
        Ok(Snapshot { head, index, files })
    }

    /// As [`take`](Self::take) where the directory is gone: nothing is known of its files but what was staged.
    pub(super) async fn take_without_files(&self) -> Result<Snapshot, GitError> {
        let call = || self.git.at(&self.entry.admin).git_dir(&self.entry.admin).config("core.fsync=all");
        let head = call().args(["rev-parse", "--verify", "--end-of-options", "HEAD^{commit}"]).text().await?;
        let committed = call().args(["rev-parse", "--verify", &format!("{head}^{{tree}}")]).text().await?;
        // With conflicts in it, or unreadable, it gives no tree.
        let index = call().arg("write-tree").text().await.unwrap_or(committed);
        Ok(Snapshot { head, files: index.clone(), index })
    }

    /// The first file whose bytes the snapshot does not give back: git stores some changed, through a filter or by its
    /// line endings, or the file changed since. Looked at is what differs from the commit, and what the checkout's own index
    /// gives as changed: that `add` left nothing out is seen, not believed.
    pub(super) async fn first_unfaithful(&self, taken: &Snapshot) -> Result<Option<PathBuf>, GitError> {
        let listing = async |call: Call| call.max_output_bytes(MAX_LISTING_BYTES).bytes().await;
        let left_out = self.through_scratch()?.args(["ls-files", "--others", "--exclude-standard", "-z"]);
        if let Some(name) = listing(left_out).await?.split(|&byte| byte == 0).find(|name| !name.is_empty()) {
            return Ok(Some(PathBuf::from(OsString::from_vec(name.to_vec()))));
        }
        let saved = self.plain().args(["diff-tree", "-r", "-z", "--no-renames", &taken.head, &taken.files]);
        let seen = self.plain().args(["status", "--porcelain=v2", "-z", "--no-renames", "--untracked-files=no"]);
        let mut changed = changed_files(&listing(saved).await?);
        changed.extend(files_seen_changed(&listing(seen.arg("--ignore-submodules=all")).await?));
        changed.sort_unstable();
        changed.dedup();
        for some in in_portions(&changed) {
            if let Some(name) = self.first_that_comes_back_changed(some.to_vec()).await? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    async fn first_that_comes_back_changed(&self, names: Vec<PathBuf>) -> Result<Option<PathBuf>, GitError> {
        let target = self.files_written_back();
        let mut prefix = OsString::from("--prefix=");
        prefix.push(&target);
        prefix.push("/");
        let call = self.through_scratch()?.args(["checkout-index", "--force"]).arg(prefix).arg("--");
        call.args(names.iter().cloned()).text().await?;
        let checkout = self.checkout.to_owned();
        let looked = blocking(move || {
            let mut changed = None;
            for name in names {
                if !is_same(&checkout.join(&name), &target.join(&name))? {
                    changed = Some(name);
                    break;
                }
            }
            tree::delete(&target)?;
            Ok(changed)
        });
        looked.await.map_err(|error| unusable("compare files", &error))
    }

    fn files_written_back(&self) -> PathBuf {
        let mut path = self.scratch.clone().into_os_string();
        path.push(".files");
        PathBuf::from(path)
    }

    fn plain(&self) -> Call {
        let call = self.git.worktree(&self.entry.admin, self.checkout);
        call.timeout(self.git.settings().checkout_timeout)
    }

    fn through_scratch(&self) -> Result<Call, GitError> {
        let Some(scratch) = self.scratch.to_str() else {
            return Err(GitError::Unusable(format!("{} is not UTF-8", self.scratch.display())));
        };
        let mut call = self.plain().env("GIT_INDEX_FILE", scratch);
        // Before 2.36 git has no `core.fsync`, and passes it over.
        for value in ["core.fsync=all", "core.splitIndex=false", "core.safecrlf=false", "add.ignoreErrors=false"] {
            call = call.config(value);
        }
        Ok(call)
    }
}

impl Drop for Camera<'_> {
    fn drop(&mut self) {
        // What stays is swept by the next one, and goes with the administrative directory.
        let _ = remove_if_there(&self.scratch);
        let _ = tree::delete(&self.files_written_back());
    }
}

fn sweep(admin: &Path) -> io::Result<()> {
    for item in std::fs::read_dir(admin)? {
        let item = item?;
        if !item.file_name().as_bytes().starts_with(SCRATCH.as_bytes()) {
            continue;
        }
        if item.file_type()?.is_dir() { tree::delete(&item.path())? } else { remove_if_there(&item.path())? }
    }
    Ok(())
}

/// Copies an index with its age: a file that is no older, git looks into instead of believing its size and times.
fn copy_if_there(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = match File::open(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return remove_if_there(to),
        from => from?,
    };
    let mut copy = File::create(to)?;
    io::copy(&mut from, &mut copy)?;
    copy.set_modified(from.metadata()?.modified()?)
}

/// Whether two files hold the same bytes; one that is not there is not the same.
fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let open = |path: &Path| match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        file => file.map(BufReader::new).map(Some),
    };
    let (Some(mut one), Some(mut other)) = (open(one)?, open(other)?) else { return Ok(false) };
    loop {
        let (left, right) = (one.fill_buf()?, other.fill_buf()?);
        let length = left.len().min(right.len());
        if left[..length] != right[..length] {
            return Ok(false);
        }
        if length == 0 {
            return Ok(left.len() == right.len());
        }
        one.consume(length);
        other.consume(length);
    }
}

/// Each regular file that is new or different on the right side of a raw `diff-tree -z`.
fn changed_files(raw: &[u8]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut parts = raw.split(|&byte| byte == 0);
    while let (Some(change), Some(name)) = (parts.next(), parts.next()) {
        if change.split(|&byte| byte == b' ').nth(1).is_some_and(|mode| mode.starts_with(b"100")) {
            files.push(PathBuf::from(OsString::from_vec(name.to_vec())));
        }
    }
    files
}

/// Each regular file that a `status --porcelain=v2 -z` tells to differ from the index.
fn files_seen_changed(listing: &[u8]) -> Vec<PathBuf> {
    let lines = listing.split(|&byte| byte == 0);
    let files = lines.filter_map(|line| {
        let fields: Vec<_> = line.splitn(9, |&byte| byte == b' ').collect();
        let [b"1", &[_, change], _, _, _, mode, _, _, name] = fields[..] else { return None };
        (change != b'.' && mode.starts_with(b"100")).then(|| PathBuf::from(OsString::from_vec(name.to_vec())))
    });
    files.collect()
}

/// Portions whose names fit one call.
fn in_portions(files: &[PathBuf]) -> impl Iterator<Item = &[PathBuf]> {
    let mut rest = files;
    std::iter::from_fn(move || {
        let mut room = MAX_NAMES_BYTES;
        let fits = rest.iter().take_while(|name| {
            let needed = name.as_os_str().len() + 1;
            let fits = needed <= room;
            room = room.saturating_sub(needed);
            fits
        });
        let (portion, after) = rest.split_at(fits.count().max(1).min(rest.len()));
        rest = after;
        (!portion.is_empty()).then_some(portion)
    })
}

fn unusable(what: &str, error: &io::Error) -> GitError {
    GitError::Unusable(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i05_no_file_is_left_out_of_the_portions() {
        let long = "x".repeat(MAX_NAMES_BYTES + 1);
        for sizes in [&[][..], &[1], &[MAX_NAMES_BYTES, 1], &[1, MAX_NAMES_BYTES, 5, 7], &[MAX_NAMES_BYTES / 2; 5]] {
            let files: Vec<_> = sizes.iter().map(|&size| PathBuf::from(&long[..size])).collect();
            assert_eq!(in_portions(&files).flatten().cloned().collect::<Vec<_>>(), files);
        }
    }

    #[test]
    fn i05_files_are_compared_to_their_last_byte() {
        let dir = tempfile::tempdir().unwrap();
        let long = vec![7; 100_000];
        let mut other = long.clone();
        other[99_999] = 8;
        let contents = [vec![], vec![1], long[..50_000].to_vec(), long, other];
        let files: Vec<_> = (0..contents.len()).map(|number| dir.path().join(number.to_string())).collect();
        for (file, content) in files.iter().zip(&contents) {
            std::fs::write(file, content).unwrap();
        }
        for (one, left) in files.iter().zip(&contents) {
            assert!(!is_same(one, &dir.path().join("none")).unwrap());
            for (other, right) in files.iter().zip(&contents) {
                assert_eq!(is_same(one, other).unwrap(), left == right);
            }
        }
    }

    #[test]
    fn names_of_every_kind_are_read_from_a_raw_diff_and_a_status() {
        let raw = b":000000 100644 0 abc A\0a b\xff\0:100644 000000 abc 0 D\0gone\0:100644 120000 abc def T\0link\0\
                    :100644 100755 abc def M\0tool\0";
        let names = [OsString::from_vec(b"a b\xff".to_vec()), OsString::from("tool")].map(PathBuf::from);
        assert_eq!(changed_files(raw), names);
        let status =
            b"1 .M N... 100644 100644 100644 abc abc a b\xff\x001 M. N... 100644 100644 100644 abc def staged\0\
                       1 .D N... 100644 100644 000000 abc abc gone\x001 .T N... 100644 100644 120000 abc abc link\0\
                       1 MM N... 100644 100644 100755 abc def tool\0? new\0";
        assert_eq!(files_seen_changed(status), names);
    }
}
