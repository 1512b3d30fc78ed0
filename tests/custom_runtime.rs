//! The runtime of `examples/custom_runtime.rs` keeps the contract of its port, as everybody's own can be shown to; and the example runs.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test is its own edge, and panics to fail")]

#[path = "../examples/custom_runtime.rs"]
#[allow(dead_code, reason = "its main is for people")]
mod example;
mod pty_fixture;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ao::adapters::runtime::pty::PtyRuntime;
use ao::ports::runtime::Runtime;
use ao::testing::runtime::RuntimeFixture;

struct Journalled(pty_fixture::Pty);

impl RuntimeFixture for Journalled {
    fn runtime(&self) -> Arc<dyn Runtime> {
        let pty = PtyRuntime::new(PathBuf::from(env!("CARGO_BIN_EXE_ao")), self.root().join("sockets"));
        Arc::new(example::Journalled::new(pty, self.root().join("journal")).unwrap())
    }

    fn root(&self) -> &Path {
        self.0.root()
    }

    fn base_env(&self) -> BTreeMap<String, String> {
        self.0.base_env()
    }
}

ao::runtime_contract_tests!(Journalled(pty_fixture::Pty::new()));

#[tokio::test(flavor = "multi_thread")]
async fn the_example_runs_and_its_journal_tells_of_the_session() {
    let fixture = pty_fixture::Pty::new();
    let journal = example::run(Path::new(env!("CARGO_BIN_EXE_ao")), fixture.base_env()).await.unwrap();
    assert!(journal.starts_with("app-1 starts /") && journal.ends_with("/sh\n"), "{journal:?}");
}
