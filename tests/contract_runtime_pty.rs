//! The `pty` runtime keeps the contract of its port.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test is its own edge, and panics to fail")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ao::adapters::runtime::pty::PtyRuntime;
use ao::ports::runtime::Runtime;
use ao::testing::runtime::RuntimeFixture;

struct Pty {
    root: tempfile::TempDir,
}

impl Pty {
    fn new() -> Self {
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

ao::runtime_contract_tests!(Pty::new());
