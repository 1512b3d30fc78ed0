//! What needs no tmux: refusals before anything is started.

use std::path::Path;

use super::*;
use crate::ports::runtime::RuntimeError;

fn settings(path_var: &str, socket_dir: &Path) -> TmuxSettings {
    let socket_dir = socket_dir.to_owned();
    TmuxSettings { path_var: path_var.to_owned(), ao_program: "/opt/ao".into(), env: BTreeMap::new(), socket_dir }
}

/// A program named tmux that runs a script.
fn tmux_that(dir: &Path, script: &str) -> TmuxSettings {
    crate::executable::write(dir.join("tmux"), format!("#!/bin/sh\n{script}\n"));
    settings(dir.to_str().unwrap(), dir)
}

async fn refusal(settings: TmuxSettings) -> (String, String) {
    match runtime(settings).preflight().await {
        Err(RuntimeError::Unusable { cause, hint, .. }) => (cause, hint),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_missing_tmux_is_refused_with_where_it_was_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (cause, hint) = refusal(settings(dir.path().to_str().unwrap(), dir.path())).await;
    assert!(cause.contains(dir.path().to_str().unwrap()), "{cause}");
    assert!(hint.contains("3.2"), "{hint}");
}

#[tokio::test]
async fn an_old_tmux_is_refused_with_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    let (cause, hint) = refusal(tmux_that(dir.path(), "echo 'tmux 3.1c'")).await;
    assert!(cause.contains("3.1c") && cause.contains("3.2"), "{cause}");
    assert!(hint.contains("install"), "{hint}");
}

#[tokio::test]
async fn a_new_enough_tmux_is_accepted_and_one_that_is_none_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let accepted = runtime(tmux_that(dir.path(), "echo 'tmux 3.2a'")).preflight().await;
    assert_eq!(accepted.unwrap().as_deref(), Some("3.2a"));
    assert!(refusal(tmux_that(dir.path(), "echo hello")).await.0.contains("hello"));
    let (cause, _) = refusal(tmux_that(dir.path(), "echo 'tmux: need UTF-8 locale' >&2; exit 1")).await;
    assert!(cause.ends_with(": tmux: need UTF-8 locale"), "{cause}");
}

#[tokio::test]
async fn a_socket_directory_that_is_too_long_is_refused_with_its_length() {
    let long = format!("/{}", "d".repeat(MAX_SOCKET_DIR_BYTES));
    let (cause, hint) = refusal(settings("/usr/bin", Path::new(&long))).await;
    assert!(cause.contains(&long.len().to_string()) && cause.contains(&long), "{cause}");
    assert!(hint.contains("AO_DATA_DIR") && hint.contains("shorter"), "{hint}");
}
