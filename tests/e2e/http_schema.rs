//! The API tried by its own description: schemathesis makes requests up from the document that a daemon serves, and looks whether each answer is
//! one that the document allows. Nothing may break off (500), and nothing may be answered that is not described.

use std::process::Command;

use crate::http_client::Port;
use crate::sandbox::Sandbox;
use crate::tools;

/// How many requests are made up for each operation, beside those that follow from the description by rule.
const EXAMPLES: &str = "10";

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_that_the_document_does_not_allow() {
    let Some(program) = tools::schemathesis() else { return };
    let mut sandbox = Sandbox::new();
    // What it asks for is done: no agent that is installed here may be found.
    sandbox.env.insert("PATH".into(), "/usr/bin:/bin".into());
    let port = Port::of(&sandbox).await;
    // The ids of the document's examples.
    sandbox.ao(&["spawn", "--agent", "command", "--runtime", "pty", "--", "sleep", "3600"]).await.ok();
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis/schemathesis.toml");
    let mut command = Command::new(program);
    command.args(["--config-file", config, "run"]);
    command.arg(format!("http://{}/api/v1/openapi.json", port.address));
    command.arg("--header").arg(format!("Authorization: Bearer {}", port.token));
    // It would be the last request. (Of the token's renewal it sees that TCP has none.)
    command.args(["--exclude-path", "/api/v1/daemon/stop"]);
    // Of a session that lives it never ends.
    command.args(["--exclude-path", "/api/v1/sessions/{id}/output/stream"]);
    command.args(["--max-examples", EXAMPLES, "--no-color"]);
    command.current_dir(sandbox.path("home")).env_clear().envs(&sandbox.env).stdin(std::process::Stdio::null());
    let run = sandbox.run_within(command, 4 * crate::sandbox::BOUND).await;
    assert_eq!(run.code, 0, "{}\n{}\n{}", run.stdout, run.stderr, sandbox.log());
    assert!(run.stdout.contains("Tested:"), "nothing was tried: {}", run.stdout);
    assert_eq!(port.get("/readyz").await.status, 200, "the daemon is not well after it");
}
