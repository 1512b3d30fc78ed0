//! `examples/embed.rs` does what it says.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test is its own edge, and panics to fail")]

#[path = "../examples/embed.rs"]
#[allow(dead_code, reason = "its main is for people")]
mod example;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[tokio::test(flavor = "multi_thread")]
async fn it_spawns_an_agent_that_takes_a_message_and_ends() {
    let home = tempfile::tempdir().unwrap();
    let mut env = BTreeMap::from([("HOME".to_owned(), home.path().display().to_string())]);
    for name in ["PATH", "AO_TEST_RUN"] {
        env.extend(std::env::var(name).ok().map(|value| (name.to_owned(), value)));
    }
    let ao = Path::new(env!("CARGO_BIN_EXE_ao"));
    example::run(ao, env, |line| SAID.lock().unwrap().push(line.to_owned())).await.unwrap();
    let said = SAID.lock().unwrap().join("\n");
    for expected in [
        "spawned changes-1 on branch ao/changes-1",
        "changes-1 is ",
        "the message is acknowledged",
        "done: write the changelog",
        "  session.terminated",
    ] {
        assert!(said.contains(expected), "nothing of {expected:?} in:\n{said}");
    }
}
