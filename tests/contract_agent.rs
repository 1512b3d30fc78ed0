//! The contract of the `Agent` port, for every adapter.
#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

#[path = "support/executable.rs"]
mod executable;

use std::collections::BTreeMap;
use std::path::Path;

use ao::adapters::agent::claude_code::{ClaudeCode, ClaudeCodeSettings};
use ao::adapters::agent::command::{CommandAgent, CommandAgentSettings, CommandLine};
use ao::domain::id::AgentKind;
use ao::testing::agent::{Fixture, check_all};

const PATH: &str = "/usr/bin:/bin";

/// A program that answers `--version` like Claude Code; nothing else of it is run here.
fn claude_code(root: &Path, is_root: bool) -> ClaudeCode {
    let program = root.join("claude");
    crate::executable::write(&program, "#!/bin/sh\necho '2.1.197 (Claude Code)'\n");
    ClaudeCode::new(ClaudeCodeSettings {
        program: Some(program),
        path_var: PATH.to_owned(),
        home: root.to_owned(),
        config_dir: None,
        env: BTreeMap::from([("PATH".to_owned(), PATH.to_owned())]),
        is_root,
    })
}

fn command(kind: &str, command: CommandLine) -> CommandAgent {
    let settings = CommandAgentSettings { path_var: PATH.to_owned(), env: BTreeMap::new() };
    CommandAgent::new(AgentKind::new(kind).unwrap(), command, settings)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[tokio::test]
async fn claude_code_keeps_the_contract() {
    for is_root in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let agent = claude_code(root.path(), is_root);
        check_all(&agent, &Fixture::new(root.path(), words(&["--model", "opus"]))).await;
    }
}

#[tokio::test]
async fn a_command_from_the_arguments_keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    let agent = command("command", CommandLine::default());
    check_all(&agent, &Fixture::new(root.path(), words(&["sh", "-c", "exit 3"]))).await;
}

#[tokio::test]
async fn a_configured_command_keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    let agent = command("my-tool", CommandLine::from_line("sh -x").unwrap());
    check_all(&agent, &Fixture::new(root.path(), words(&["a b"]))).await;
}
