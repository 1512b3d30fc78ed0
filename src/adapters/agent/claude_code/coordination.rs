//! What Claude Code is given in a session that coordinates others: ao's commands as tools, from `ao mcp`.
//!
//! # What is not asked
//! The tools of [`UNASKED`] need no question in any permission mode: those that only look, and `send`. Text gives an agent no permission that
//! it was not spawned with, it names its sender, and to answer its workers is what an orchestrator is for. `spawn` and `kill` are asked as
//! the mode says, just as `ao spawn` and `ao kill` in a shell would be: a spawn runs a program with permissions of the caller's choice, so
//! that unasked an agent that may do little could have another do everything, and a kill ends the work of others. Who wants neither asked
//! gives the orchestrator a mode or `--allowedTools` that says so.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::domain::session::SessionKind;
use crate::ports::agent::{AgentError, LaunchRequest};

/// The name of the server, which its tools' names begin with: `mcp__ao__ls`.
const SERVER: &str = "ao";

/// The tools that an orchestrator uses without a question.
const UNASKED: [&str; 6] = ["ls", "messages", "output", "send", "show", "wait"];

/// Writes the file that names the server, where the session's agent is to have it; gives its path.
pub(super) fn write_servers(request: &LaunchRequest) -> Result<Option<String>, AgentError> {
    if !coordinates(request) {
        return Ok(None);
    }
    let path = servers_file(request);
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

fn servers_file(request: &LaunchRequest) -> PathBuf {
    request.session_dir.join("claude-mcp.json")
}

fn servers(request: &LaunchRequest) -> Result<Value, AgentError> {
    let (ao, data_dir) = (super::utf8(&request.ao_program)?, super::utf8(&request.data_dir)?);
    let server = json!({
        "type": "stdio",
        "command": ao,
        "args": ["--data-dir", data_dir, "mcp"],
        // Else the first turn may begin without the tools, or with their names only.
        "alwaysLoad": true,
    });
    Ok(json!({ "mcpServers": { SERVER: server } }))
}
