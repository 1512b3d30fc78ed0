//! The directory of report files keeps the contract of spools.

use std::sync::Arc;

use ao::adapters::spool::FileSpool;
use ao::ports::spool::ReportSpool;
use ao::testing::spool::SpoolFixture;
use tempfile::TempDir;

struct FileFixture(TempDir);

impl SpoolFixture for FileFixture {
    fn open(&self) -> Arc<dyn ReportSpool> {
        Arc::new(FileSpool::new(self.0.path().join("data/größe spool")))
    }

    fn open_bounded(&self, bytes: u64) -> Arc<dyn ReportSpool> {
        Arc::new(FileSpool::new(self.0.path().join("data/größe spool")).keeping(bytes))
    }
}

#[expect(clippy::unwrap_used, reason = "a test panics when it fails")]
fn fixture() -> FileFixture {
    FileFixture(tempfile::tempdir().unwrap())
}

ao::spool_contract!(fixture());
