//! What Claude Code is given in a session that coordinates others: ao's commands as tools, from `ao mcp`.
//!
//! # What is not asked
//! The tools of [`UNASKED`] need no question in any permission mode: those that only look, and `send`. Text gives an agent no permission that
//! it was not spawned with, it names its sender, and to answer its workers is what an orchestrator is for. `spawn`, `kill`, `approve` and `deny` are
//! asked as the mode says, just as these commands in a shell would be: a spawn runs a program with permissions of the caller's choice, so
//! that unasked an agent that may do little could have another do everything, an approval lets another do what this one may not, and a kill ends the work of others. Who wants neither asked
//! gives the orchestrator a mode or `--allowedTools` that says so.
//!
//! # The first turn
//! Claude Code connects to its servers while it begins with the prompt it was started with, so the first answer was made without the
//! tools. A hook of the prompt therefore waits until `ao mcp` has told of them, which takes about as long as the rest of the start.

use std::io::ErrorKind;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::domain::session::SessionKind;
use crate::ports::agent::{AgentError, LaunchRequest};

/// The name of the server, which its tools' names begin with: `mcp__ao__ls`.
const SERVER: &str = "ao";

/// The tools that an orchestrator uses without a question.
const UNASKED: [&str; 6] = ["ls", "messages", "output", "send", "show", "wait"];

/// How often, and how many times, it is looked whether the tools are there: for 5 s in all.
const LOOK_SECONDS: &str = "0.05";
const LOOKS: u32 = 100;

/// Writes the file that names the server, where the session's agent is to have it; gives its path.
pub(super) fn write_servers(request: &LaunchRequest) -> Result<Option<String>, AgentError> {
    if !coordinates(request) {
        return Ok(None);
    }
    // The last agent's server made it.
    let told = told_file(request);
    match std::fs::remove_file(&told) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            return Err(AgentError::File { action: "remove", path: told, source });
        }
        _ => {}
    }
    let path = request.session_dir.join("claude-mcp.json");
    super::write_json(&path, &servers(request)?)?;
    Ok(Some(super::utf8(&path)?))
}

/// The rules that leave the agent's tools unasked; none for one that does not coordinate.
pub(super) fn allowed(request: &LaunchRequest) -> Vec<String> {
    let tools = UNASKED.iter().filter(|_| coordinates(request));
    tools.map(|tool| format!("mcp__{SERVER}__{tool}")).collect()
}

fn coordinates(request: &LaunchRequest) -> bool {
    request.kind == SessionKind::Orchestrator
}

/// The command of a hook that lasts until Claude Code knows the tools; none for a session that has none.
pub(super) fn wait_for_tools(request: &LaunchRequest) -> Result<Option<String>, AgentError> {
    if !coordinates(request) {
        return Ok(None);
    }
    let told = super::utf8(&told_file(request))?;
    let told = shell_words::quote(&told);
    // A server that does not come, for example because a policy forbids it, is waited for once.
    Ok(Some(format!(
        "i=0; until [ -e {told} ]; do i=$((i+1)); [ $i -lt {LOOKS} ] || : >{told}; sleep {LOOK_SECONDS}; done"
    )))
}

/// What says that Claude Code was told of the tools.
fn told_file(request: &LaunchRequest) -> PathBuf {
    request.session_dir.join("claude-mcp-told")
}

fn servers(request: &LaunchRequest) -> Result<Value, AgentError> {
    let (ao, data_dir) = (super::utf8(&request.ao_program)?, super::utf8(&request.data_dir)?);
    let server = json!({
        "type": "stdio",
        "command": ao,
        "args": ["--data-dir", data_dir, "mcp", "--told-file", super::utf8(&told_file(request))?],
        // Else the model may be given their names only, and has to ask for the rest.
        "alwaysLoad": true,
    });
    Ok(json!({ "mcpServers": { SERVER: server } }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::permission::PermissionMode;

    fn request(root: &std::path::Path, kind: SessionKind) -> LaunchRequest {
        LaunchRequest {
            session: "app-1".parse().unwrap(),
            kind,
            session_dir: root.to_owned(),
            workspace: "/w".into(),
            repository: "/r".into(),
            prompt: None,
            system_prompt: None,
            permission_mode: PermissionMode::Default,
            args: Vec::new(),
            ao_program: "/opt/it's ao/ao".into(),
            data_dir: "/my data".into(),
        }
    }

    #[test]
    fn a_worker_gets_nothing() {
        let root = tempfile::tempdir().unwrap();
        let request = request(root.path(), SessionKind::Worker);
        assert_eq!(write_servers(&request).unwrap(), None);
        assert_eq!((allowed(&request), wait_for_tools(&request).unwrap()), (Vec::new(), None));
        assert_eq!(std::fs::read_dir(&request.session_dir).unwrap().count(), 0);
    }

    #[test]
    fn an_orchestrators_server_is_this_ao_on_this_data_directory() {
        let root = tempfile::tempdir().unwrap();
        let request = request(root.path(), SessionKind::Orchestrator);
        std::fs::write(told_file(&request), "").unwrap();
        let file = write_servers(&request).unwrap().unwrap();
        assert!(!told_file(&request).exists(), "the last agent was told, and not this one");
        let written: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let server = &written["mcpServers"]["ao"];
        assert_eq!(server["command"], "/opt/it's ao/ao");
        let told = told_file(&request);
        assert_eq!(server["args"], json!(["--data-dir", "/my data", "mcp", "--told-file", told]));
        assert_eq!(
            allowed(&request),
            ["ls", "messages", "output", "send", "show", "wait"].map(|tool| format!("mcp__ao__{tool}"))
        );
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test runs the hook's command as Claude Code does")]
    fn the_hook_waits_for_the_tools_and_once_only_when_they_do_not_come() {
        let root = tempfile::tempdir().unwrap();
        let request = request(root.path(), SessionKind::Orchestrator);
        let command = wait_for_tools(&request).unwrap().unwrap().replace("0.05", "0");
        let run = || std::process::Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(run().success());
        assert!(told_file(&request).exists(), "it would be waited for at every prompt");
        std::fs::write(told_file(&request), "kept").unwrap();
        assert!(run().success());
        assert_eq!(std::fs::read_to_string(told_file(&request)).unwrap(), "kept", "it was not waited for");
    }
}
