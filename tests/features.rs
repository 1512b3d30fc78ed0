//! What each feature of the library pulls in: whoever takes the core alone must not build a web server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test is its own edge")]

use std::collections::BTreeSet;
use std::process::Command;

/// The crates that a program gets with the library and these features, without its development's.
fn crates_with(features: &str) -> BTreeSet<String> {
    let listed = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{lib}"])
        .args(["--no-default-features", "--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let crates = String::from_utf8(listed.stdout).unwrap();
    let crates: BTreeSet<String> = crates.split_whitespace().map(str::to_owned).collect();
    assert!(crates.contains("ao") && crates.contains("tokio"), "cargo tree lists something else: {crates:?}");
    crates
}

fn found<'a>(crates: &BTreeSet<String>, unwanted: &[&'a str]) -> Vec<&'a str> {
    unwanted.iter().copied().filter(|name| crates.contains(*name)).collect()
}

const HTTP: [&str; 8] =
    ["axum", "http", "hyper", "hyper_util", "tokio_tungstenite", "tower_service", "utoipa", "utoipa_axum"];
const DATABASE: [&str; 4] = ["libsqlite3_sys", "sqlx", "sqlx_core", "sqlx_sqlite"];
/// What terminals are made of: those of zellij and tmux as well as the built-in ones.
const TERMINALS: [&str; 4] = ["alacritty_terminal", "pty_process", "rustix", "vte"];
const PROGRAM: [&str; 6] = ["anyhow", "clap", "clap_complete", "etcetera", "rmcp", "tracing_subscriber"];
const REPOSITORIES: [&str; 2] = ["gix", "toml"];

#[test]
fn the_core_alone_pulls_no_http_no_database_and_no_terminals() {
    let core = crates_with("");
    for unwanted in [&HTTP[..], &DATABASE, &TERMINALS, &PROGRAM, &REPOSITORIES] {
        assert_eq!(found(&core, unwanted), [""; 0]);
    }
}

#[test]
fn the_adapters_pull_no_http_and_nothing_of_the_command_line() {
    let adapters = crates_with("adapters");
    assert_eq!(found(&adapters, &HTTP), [""; 0]);
    assert_eq!(found(&adapters, &PROGRAM), [""; 0]);
    assert_eq!(found(&adapters, &DATABASE), DATABASE, "the names of these crates have changed");
    assert_eq!(found(&adapters, &TERMINALS), TERMINALS, "the names of these crates have changed");
}

#[test]
fn the_api_pulls_no_database_and_nothing_of_the_command_line() {
    let http = crates_with("http");
    assert_eq!(found(&http, &DATABASE), [""; 0]);
    assert_eq!(found(&http, &PROGRAM), [""; 0]);
}

#[test]
fn the_program_has_everything() {
    let all = crates_with("cli");
    for wanted in [&HTTP[..], &DATABASE, &TERMINALS, &PROGRAM, &REPOSITORIES] {
        assert_eq!(found(&all, wanted), wanted, "the names of these crates have changed");
    }
}
