//! The shell keeps the contract of setup runners.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ao::adapters::setup::ShellSetup;
use ao::ports::setup::SetupRunner;
use ao::testing::setup::SetupFixture;
use tempfile::TempDir;

#[path = "support/inherited.rs"]
mod inherited;

struct ShellFixture(TempDir);

impl SetupFixture for ShellFixture {
    fn runner(&self) -> Arc<dyn SetupRunner> {
        Arc::new(ShellSetup::new(env!("CARGO_BIN_EXE_ao").into()))
    }

    fn scratch(&self) -> &Path {
        self.0.path()
    }

    fn env(&self) -> BTreeMap<String, String> {
        inherited::environment().into_iter().collect()
    }
}

#[expect(clippy::unwrap_used, reason = "a test panics when it fails")]
fn fixture() -> ShellFixture {
    ShellFixture(tempfile::tempdir().unwrap())
}

ao::setup_contract!(fixture());
