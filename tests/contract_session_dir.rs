//! The directories below the data directory keep the contract of session directories.

use std::sync::Arc;

use ao::adapters::session_dir::FileSessionDirs;
use ao::ports::session_dir::SessionDirs;
use ao::testing::session_dir::SessionDirsFixture;
use tempfile::TempDir;

struct FileFixture(TempDir);

impl SessionDirsFixture for FileFixture {
    fn open(&self) -> Arc<dyn SessionDirs> {
        Arc::new(FileSessionDirs::new(self.0.path().join("data/größe sessions")))
    }
}

#[expect(clippy::unwrap_used, reason = "a test panics when it fails")]
fn fixture() -> FileFixture {
    FileFixture(tempfile::tempdir().unwrap())
}

ao::session_dir_contract!(fixture());
