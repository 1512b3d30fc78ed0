//! The shape of the code: which part may know which. Reads the sources, so that no arrow points outwards unseen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

mod architecture {
    pub(crate) mod paths;
    pub(crate) mod rules;
}

use std::fs;
use std::path::{Path, PathBuf};

use architecture::paths::test_files;
use architecture::rules::{Layer, violations};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The crates of `[dependencies]`, as they are named in code.
fn dependencies() -> Vec<String> {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    manifest["dependencies"].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect()
}

fn violations_in(path: &str, source: &str) -> Vec<String> {
    violations(path, source, &dependencies())
}

#[test]
fn no_arrow_points_outwards() {
    let files = rust_files(&root().join("src"));
    assert!(files.len() > 20, "the sources were not found");
    let sources: Vec<(&str, String)> = files
        .iter()
        .map(|file| (file.strip_prefix(root()).unwrap().to_str().unwrap(), fs::read_to_string(file).unwrap()))
        .collect();
    let tests: Vec<String> = sources.iter().flat_map(|(path, source)| test_files(path, source)).collect();
    let found: Vec<String> = sources
        .iter()
        .filter(|(path, _)| !tests.iter().any(|test| test == path))
        .flat_map(|(path, source)| violations_in(path, source))
        .collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn outward_arrows_are_seen_however_they_are_written() {
    for (path, source) in [
        ("src/domain/session.rs", "use crate::ports::clock::Clock;"),
        ("src/domain/session.rs", "use crate::{domain::id::SessionId, ports::clock};"),
        ("src/domain/session.rs", "use super::super::ports;"),
        ("src/domain/session.rs", "use crate::*;"),
        ("src/domain/session.rs", "fn f() -> std::io::Result<()> { std::fs::remove_file(\"x\") }"),
        ("src/domain/session.rs", "use std::{collections::BTreeMap, process};"),
        ("src/domain/session.rs", "async fn f() { tokio::task::yield_now().await }"),
        ("src/ports/agent.rs", "fn f() -> crate::app::spawn::Spawn { todo!() }"),
        ("src/ports/agent.rs", "use crate::platform::child::Program;"),
        ("src/app/spawn.rs", "use crate::adapters::store::SqliteStore;"),
        ("src/app/spawn/mod.rs", "use super::super::adapters;"),
        ("src/app/spawn.rs", "use sqlx::query;"),
        ("src/adapters/store/mod.rs", "use crate::app::spawn;"),
        ("src/adapters/store/mod.rs", "use super::runtime::pty;"),
        ("src/adapters/store/sessions.rs", "use crate::adapters::{store::rows, clock::SystemClock};"),
        ("src/adapters/http/mod.rs", "use crate::adapters::cli::Command;"),
        ("src/adapters/cli/spawn.rs", "use crate::adapters::workspace::GitWorkspace;"),
        ("src/adapters/cli/spawn.rs", "use crate::adapters::mcp::serve;"),
        ("src/adapters/cli/spawn.rs", "struct S(pub (in_no::T, crate::adapters::mcp::T));"),
        ("src/adapters/mcp/tools.rs", "use crate::adapters::messenger::Inbox;"),
        ("src/adapters/cli/spawn.rs", "use rmcp::ServiceExt;"),
        ("src/adapters/cli/spawn.rs", "macro_rules! m { () => { $crate::adapters::store::Store } }"),
        ("src/adapters/cli/spawn.rs", "fn f() { tokio::select! { _ = crate::adapters::store::open() => {} } }"),
        ("src/platform/child.rs", "use crate::ports::runtime::Runtime;"),
        ("src/testing/store.rs", "use crate::adapters::store::SqliteStore;"),
        ("src/lib.rs", "pub use adapters::store::SqliteStore;"),
        ("src/orchestrator/mod.rs", "use crate::adapters::store::SqliteStore;"),
        ("src/orchestrator/builder.rs", "use crate::adapters::http::Daemon;"),
        ("src/app/spawn.rs", "use crate::orchestrator::Orchestrator;"),
        ("src/adapters/cli/spawn.rs", "use crate::orchestrator::Orchestrator;"),
        ("src/app/spawn.rs", "fn f() { println!(\"x\"); }"),
        ("src/app/spawn.rs", "fn f() { std::eprintln!(\"x\"); }"),
        ("src/adapters/cli/spawn.rs", "use std::process; fn f() { process::exit(1) }"),
        ("src/adapters/agent/claude.rs", "use std::env; fn f() { let _ = env::var(\"HOME\"); }"),
        ("src/adapters/agent/claude.rs", "fn f() { let _ = std::env::home_dir(); }"),
        ("src/adapters/http/serve.rs", "use tokio::signal::unix::signal;"),
        ("src/platform/child.rs", "use anyhow::Context;"),
        ("src/elsewhere/mod.rs", "fn f() {}"),
    ] {
        assert!(!violations_in(path, source).is_empty(), "{path}: {source}");
    }
}

#[test]
fn inward_arrows_are_let_through() {
    for (path, source) in [
        ("src/main.rs", "use ao::adapters::store::SqliteStore; use ao::app::Ao; fn f() { eprintln!(\"x\"); }"),
        ("src/lib.rs", "pub use orchestrator::Orchestrator;"),
        ("src/orchestrator/builder.rs", "use crate::adapters::store::SqliteStore; use crate::platform::lock::Lock;"),
        ("src/domain/session.rs", "use super::id::SessionId; use crate::domain::exit; use std::collections::BTreeMap;"),
        ("src/ports/agent.rs", "use async_trait::async_trait; use super::clock::Clock; use crate::domain::id;"),
        ("src/app/spawn/steps.rs", "use super::super::kill; use crate::{domain::id, ports::agent::Agent};"),
        (
            "src/adapters/store/mod.rs",
            "mod rows; use rows::Row; use self::rows::x; use crate::ports::store; use sqlx::query;",
        ),
        (
            "src/adapters/store/rows.rs",
            "use super::connection; use crate::adapters::store::x; use crate::platform::file;",
        ),
        ("src/adapters/cli/spawn.rs", "use crate::adapters::http::wire::Session; use crate::app::spawn;"),
        (
            "src/adapters/mcp/tools.rs",
            "use crate::adapters::cli::client::Client; use crate::adapters::http::wire::Accepted;",
        ),
        ("src/domain/exit.rs", "#[cfg(test)] mod tests { use crate::adapters::clock::SystemClock; use std::fs; }"),
        ("src/adapters/cli/waiting.rs", "pub(in crate::adapters) mod waiting;"),
        ("src/domain/exit.rs", "/// See [`crate::ports::agent`] and `println!`.\npub fn f() {}"),
        ("src/platform/file.rs", "fn f(p: &str) { let _ = std::env::split_paths(p); }"),
    ] {
        assert_eq!(violations_in(path, source), Vec::<String>::new(), "{path}: {source}");
    }
}

#[test]
fn only_files_declared_for_tests_count_as_tests() {
    let source =
        "#[cfg(test)] mod tests; #[cfg(test)] #[path = \"x_tests.rs\"] mod y; mod rows; #[cfg(test)] mod inline {}";
    assert_eq!(
        test_files("src/app/kill.rs", source),
        ["src/app/kill/tests.rs", "src/app/kill/tests/mod.rs", "src/app/x_tests.rs"]
    );
    assert_eq!(test_files("src/app/mod.rs", "#[cfg(test)] mod a;"), ["src/app/a.rs", "src/app/a/mod.rs"]);
}

/// What a process has once and changes. Several orchestrators live in one, and none may see of another what is in there.
const ONCE_A_PROCESS: [(&str, &str); 7] = [
    // The terminal of the command line.
    ("src/adapters/cli/taken.rs", "BEFORE"),
    // Since when a dead agent's end waits to be recorded: by process, so none is another's.
    ("src/adapters/runtime/launch/overdue.rs", "UNRECORDED"),
    // Names that are not used twice.
    ("src/adapters/spool/mod.rs", "NEXT"),
    ("src/adapters/workspace/snapshot.rs", "NEXT"),
    ("src/platform/file.rs", "NEXT"),
    // Tests make this thread, or this process, fail.
    ("src/adapters/workspace/remove.rs", "FAILS_AT"),
    ("src/fault.rs", "HOOK"),
];

/// The names of statics that can be changed.
fn changeable_statics(source: &str) -> Vec<&str> {
    let is_changeable = |of: &str| ["Atomic", "Cell", "Lock", "Mutex"].iter().any(|word| of.contains(word));
    let declarations = source.lines().filter_map(|line| line.trim_start_matches("pub").split_once("static "));
    let statics = declarations.filter(|(before, _)| before.trim().is_empty() || before.trim_end().ends_with(')'));
    statics
        .filter_map(|(_, rest)| rest.split_once(": "))
        .filter(|(_, of)| is_changeable(of))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn what_a_process_has_once_is_known() {
    let source = "static A: AtomicU64 = x;\npub(super) static B: LazyLock<W> = y;\nfn f(a: &'static str) {}\n    static C: HeaderName = z;";
    assert_eq!(changeable_statics(source), ["A", "B"]);
    let mut found = Vec::new();
    for file in rust_files(&root().join("src")) {
        let path = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        let source = fs::read_to_string(&file).unwrap();
        found.extend(changeable_statics(&source).into_iter().map(|name| (path.clone(), name.to_owned())));
    }
    found.sort();
    let mut known = ONCE_A_PROCESS.map(|(path, name)| (path.to_owned(), name.to_owned()));
    known.sort();
    assert_eq!(found, known, "two orchestrators in one process would share it");
}

#[test]
fn the_map_names_every_part_of_the_code() {
    let map = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let mut parts = Vec::new();
    for directory in ["src", "src/adapters"] {
        for entry in fs::read_dir(root().join(directory)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name != "mod.rs" {
                parts.push(if entry.path().is_dir() { format!("{name}/") } else { name });
            }
        }
    }
    let unnamed: Vec<&String> = parts.iter().filter(|part| !map.contains(part.as_str())).collect();
    assert!(unnamed.is_empty(), "docs/architecture.md does not mention {unnamed:?}");
}

#[test]
fn the_npm_lock_file_records_no_download_addresses() {
    let lock: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(root().join("tests/npm/package-lock.json")).unwrap()).unwrap();
    let packages = lock["packages"].as_object().unwrap();
    assert!(packages.len() > 1);
    for (name, package) in packages {
        assert!(package.get("resolved").is_none(), "{name:?} records where it was downloaded from");
        assert!(name.is_empty() || package.get("integrity").is_some(), "{name:?} records no checksum");
    }
}

#[test]
fn every_folder_of_adapters_is_known_to_the_rules() {
    for entry in fs::read_dir(root().join("src/adapters")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let inner = if entry.path().is_dir() { "/mod.rs" } else { "" };
        let file = format!("src/adapters/{name}{inner}");
        assert!(Layer::of_file(&file).is_some(), "{file}: say in tests/architecture/rules.rs what it may use");
    }
}

/// Who may write sessions' records, beside what tries the stores.
const WRITERS: [(&str, &str); 3] = [
    ("insert_session(", "src/app/spawn.rs"),
    ("update_session(", "src/app/writer.rs"),
    ("remove_session(", "src/app/retention.rs"),
];

/// Calls that write a session's record past the one place for that.
fn writes_past(path: &str, source: &str) -> Vec<String> {
    let has_them = ["src/ports/", "src/testing/", "src/adapters/store/"].iter().any(|part| path.starts_with(part));
    let writes = |(call, home): &(&str, &str)| source.contains(call) && path != *home;
    WRITERS.iter().filter(|writer| !has_them && writes(writer)).map(|(call, _)| format!("{path}: {call}")).collect()
}

#[test]
fn a_sessions_record_is_written_in_one_place() {
    let files = rust_files(&root().join("src"));
    let source = |path: &Path| fs::read_to_string(root().join(path)).unwrap();
    let name = |file: &PathBuf| file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    let found: Vec<String> =
        files.iter().map(name).flat_map(|path| writes_past(&path, &source(Path::new(&path)))).collect();
    assert_eq!(found, [""; 0]);
    for (call, home) in WRITERS {
        assert!(source(Path::new(home)).contains(call), "{home} does not write {call} any more");
        assert_eq!(writes_past("src/app/kill.rs", &format!("store.{call}&session)")).len(), 1);
    }
}
