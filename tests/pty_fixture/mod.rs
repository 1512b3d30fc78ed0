//! The `pty` runtime of the binary under test, in a directory of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ao::adapters::runtime::pty::PtyRuntime;
use ao::ports::runtime::Runtime;
use ao::testing::runtime::RuntimeFixture;

/// A runtime in a temporary directory.
pub(crate) struct Pty {
    root: tempfile::TempDir,
}

impl Pty {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }
}

impl RuntimeFixture for Pty {
    fn runtime(&self) -> Arc<dyn Runtime> {
        let ao = PathBuf::from(env!("CARGO_BIN_EXE_ao"));
        Arc::new(PtyRuntime::new(ao, self.root.path().join("sockets")))
    }

    fn root(&self) -> &Path {
        self.root.path()
    }

    fn base_env(&self) -> BTreeMap<String, String> {
        let mut env = BTreeMap::from([("HOME".to_owned(), self.root.path().display().to_string())]);
        for name in ["PATH", "AO_TEST_RUN"] {
            env.extend(std::env::var(name).ok().map(|value| (name.to_owned(), value)));
        }
        env
    }
}
