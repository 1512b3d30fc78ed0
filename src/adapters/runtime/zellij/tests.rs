//! What needs no zellij: refusals before anything is started.

use super::*;
use crate::ports::runtime::RuntimeError;

fn settings(path_var: &str, socket_dir: &Path, config_dir: &Path) -> ZellijSettings {
    ZellijSettings {
        path_var: path_var.to_owned(),
        ao_program: "/opt/ao".into(),
        env: BTreeMap::new(),
        socket_dir: socket_dir.to_owned(),
        config_dir: config_dir.to_owned(),
    }
}

/// A program named zellij that prints `version`.
fn zellij_that_prints(dir: &Path, version: &str) -> ZellijSettings {
    zellij_that(dir, &format!("echo '{version}'"))
}

/// A program named zellij that runs a script.
fn zellij_that(dir: &Path, script: &str) -> ZellijSettings {
    let program = dir.join("zellij");
    crate::executable::write(&program, format!("#!/bin/sh\n{script}\n"));
    settings(dir.to_str().unwrap(), dir, dir)
}

async fn refusal(settings: ZellijSettings) -> (String, String) {
    match runtime(settings).preflight().await {
        Err(RuntimeError::Unusable { cause, hint, .. }) => (cause, hint),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_missing_zellij_is_refused_with_where_it_was_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (cause, hint) = refusal(settings(dir.path().to_str().unwrap(), dir.path(), dir.path())).await;
    assert!(cause.contains(dir.path().to_str().unwrap()), "{cause}");
    assert!(hint.contains("0.44.3"), "{hint}");
}

#[tokio::test]
async fn an_old_zellij_is_refused_with_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    let (cause, hint) = refusal(zellij_that_prints(dir.path(), "zellij 0.43.1")).await;
    assert!(cause.contains("0.43.1") && cause.contains("0.44.3"), "{cause}");
    assert!(hint.contains("install"), "{hint}");
}

#[tokio::test]
async fn a_new_enough_zellij_is_accepted_and_one_that_is_none_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let accepted = runtime(zellij_that_prints(dir.path(), "zellij 0.44.3")).preflight().await;
    assert_eq!(accepted.unwrap().as_deref(), Some("0.44.3"));
    assert!(refusal(zellij_that_prints(dir.path(), "hello")).await.0.contains("hello"));
}

#[tokio::test]
async fn a_socket_directory_that_is_too_long_is_refused_with_its_length() {
    let long = format!("/{}", "d".repeat(MAX_SOCKET_DIR_BYTES));
    let (cause, hint) = refusal(settings("/usr/bin", Path::new(&long), Path::new("/c"))).await;
    assert!(cause.contains(&long.len().to_string()) && cause.contains(&long), "{cause}");
    assert!(hint.contains("AO_DATA_DIR") && hint.contains("shorter"), "{hint}");
}

/// As the real one does: it panics when it cannot write its log below `TMPDIR`, and makes its cache.
#[tokio::test]
async fn zellij_is_asked_without_a_directory_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let zellij =
        zellij_that(dir.path(), "mkdir \"$TMPDIR/log\" && mkdir -p \"$XDG_CACHE_HOME/zellij\" && echo 'zellij 0.45.1'");
    let (data, temp) = (dir.path().join("data"), dir.path().join("temp"));
    std::fs::create_dir(&temp).unwrap();
    let mut settings = ZellijSettings { config_dir: data.join("zellij"), socket_dir: data.join("run"), ..zellij };
    settings.env.insert("TMPDIR".to_owned(), temp.to_str().unwrap().to_owned());
    settings.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    assert_eq!(runtime(settings).preflight().await.unwrap().as_deref(), Some("0.45.1"));
    assert!(!data.exists(), "the data directory was made");
    assert_eq!(std::fs::read_dir(&temp).unwrap().count(), 0, "something was left");
}

#[tokio::test]
async fn a_daemon_that_is_killed_while_it_asks_zellij_leaves_no_temporary_directory() {
    let dir = tempfile::tempdir().unwrap();
    let temp = dir.path().join("temp");
    std::fs::create_dir(&temp).unwrap();
    let mut settings = zellij_that(dir.path(), "test -z \"$(ls -A \"${0%/*}/temp\")\" && echo 'zellij 0.45.1'");
    settings.env.insert("TMPDIR".to_owned(), temp.to_str().unwrap().to_owned());
    settings.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    assert_eq!(runtime(settings).preflight().await.unwrap().as_deref(), Some("0.45.1"));
}

#[tokio::test]
async fn why_zellij_does_not_work_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let panic = "thread 'main' (7) panicked at src/logging.rs:26:41:\ncould not\nnote: run with `RUST_BACKTRACE=1`";
    let (cause, _) =
        refusal(zellij_that(dir.path(), &format!("echo \"{}\" >&2; exit 101", panic.replace('`', "")))).await;
    assert!(cause.ends_with(": could not"), "{cause}");
    let (cause, _) = refusal(zellij_that(dir.path(), "printf '\\nno library\\nmore\\n' >&2; exit 1")).await;
    assert!(cause.ends_with(": no library"), "{cause}");
}
