//! Prompts of any length and content arrive at the model byte for byte, and show in no process listing.

use std::io::Write;
use std::process::Stdio;

use crate::claude::claude_sandbox;
use crate::model_server::{ModelServer, Turn, marker};
use crate::sandbox::{BOUND, Sandbox};
use crate::tools::{RUNTIMES, claude, has_runtime};

/// The prompts, each with the marker of its script at its end.
fn prompts() -> Vec<String> {
    let end = marker("listen");
    vec![
        format!("quotes ' \" ` and $(touch pwned) $HOME \\ %s\n\n\ttabs and\nlines 🦀 größe e\u{301} 日本 {end}"),
        format!("-x --dangerously begins with a dash {end}"),
        format!("200 KB: {} {end}", "0123456789 äöü 🦀\n".repeat(200 * 1024 / 22)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_prompt_arrives_byte_for_byte_on_every_runtime() {
    let Some(program) = claude() else { return };
    for runtime in RUNTIMES.into_iter().filter(|runtime| has_runtime(runtime)) {
        let server = ModelServer::start().await;
        server.script("listen", vec![Turn::text("heard")]);
        let sandbox = claude_sandbox(&server, &program);
        for (n, prompt) in prompts().iter().enumerate() {
            // From a file and from standard input in turn.
            let file = sandbox.path("task.md");
            std::fs::write(&file, prompt).unwrap();
            let source = if n % 2 == 0 { "-" } else { file.to_str().unwrap() };
            let args = ["spawn", "--runtime", runtime, "--wait", "idle", "--json", "--prompt-file", source];
            let run = with_input(&sandbox, &args, prompt).await;
            let session: serde_json::Value = serde_json::from_str(&run).unwrap();
            assert_eq!(session["prompt"].as_str().unwrap(), prompt, "{runtime}");
            let start: String = prompt.chars().take(60).collect();
            server.wait_for_request(|request| request.has_user_text(prompt), BOUND).await;
            let needle = &start[..12.min(start.len())];
            for (_, command) in sandbox.processes() {
                assert!(!command.contains(needle), "{runtime}: {command}");
            }
            assert!(!sandbox.worktree(session["id"].as_str().unwrap()).join("pwned").exists());
            sandbox.ao(&["kill", session["id"].as_str().unwrap()]).await.ok();
        }
    }
}

/// Runs `ao` with text on its standard input; insists on success and gives its standard output.
async fn with_input(sandbox: &Sandbox, args: &[&str], input: &str) -> String {
    let mut command = sandbox.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        // One that reads a file instead may have closed it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    });
    let output = tokio::time::timeout(BOUND, output).await.unwrap().unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), sandbox.log());
    String::from_utf8(output.stdout).unwrap()
}
