//! The `zellij` runtime with the real zellij: the contract of every runtime, what every multiplexer has to get right, and what
//! only zellij can get wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test: it fails by panicking, and the edge is where the environment is read"
)]

mod multiplexer;

use std::path::Path;
use std::sync::Arc;

use ao::adapters::runtime::zellij::{self, ZellijSettings};
use ao::ports::runtime::Runtime;

use crate::multiplexer::{Fixture, GRACE, Multiplexer, environment, path_var, until};

const ZELLIJ: Multiplexer =
    Multiplexer { name: "zellij", runtime: |root| Arc::new(zellij::runtime(settings(root))), server: " --server " };

multiplexer_tests!(ZELLIJ);

fn settings(root: &Path) -> ZellijSettings {
    let (socket_dir, config_dir) = (root.join("s"), root.join("c"));
    std::fs::create_dir_all(&socket_dir).unwrap();
    std::fs::create_dir_all(&config_dir).unwrap();
    let ao_program = env!("CARGO_BIN_EXE_ao").into();
    ZellijSettings { path_var: path_var(), ao_program, env: environment(), socket_dir, config_dir }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_found_usable_before_its_directories_are_made() {
    let Some(fixture) = Fixture::new(&ZELLIJ).await else { return };
    let data = fixture.root.join("data");
    let (socket_dir, config_dir) = (data.join("run"), data.join("zellij"));
    let runtime = zellij::runtime(ZellijSettings { socket_dir, config_dir, ..settings(&fixture.root) });
    runtime.preflight().await.unwrap();
    assert!(!data.exists(), "the data directory was made");
}

/// A killed daemon leaves the client that it had just started to make a session; that makes its directory again.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_still_makes_a_session_is_ended_with_it() {
    let Some(fixture) = Fixture::new(&ZELLIJ).await else { return };
    let spec = fixture.spec(1, "/bin/sleep", &["600"]);
    fixture.runtime.create(&spec).await.unwrap();
    let socket_dir = std::fs::read_dir(fixture.root.join("s")).unwrap().next().unwrap().unwrap().path();
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    // A shell with the client's arguments and environment, of which the first is its script.
    std::fs::write(fixture.root.join("attach"), "sleep 1; mkdir -p \"$ZELLIJ_SOCKET_DIR\"; sleep 1").unwrap();
    let mut client = std::process::Command::new("/bin/sh");
    client.env_clear().envs(environment()).env("ZELLIJ_SOCKET_DIR", &socket_dir).current_dir(&fixture.root);
    let mut client = client.args(["attach", "--create-background", "shop-1"]).spawn().unwrap();
    until("the client runs", || fixture.processes().iter().any(|(_, cmdline)| cmdline.contains("attach"))).await;
    fixture.runtime.stop(&spec.key, GRACE).await.unwrap();
    client.wait().unwrap();
    fixture.nothing_is_left().await;
}
