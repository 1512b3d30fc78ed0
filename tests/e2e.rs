//! The whole of `ao`, run as a user runs it: the real binary, a real daemon, real git, real terminals, and the real Claude
//! Code against a scripted model server. Every test has a home, a data directory and processes of its own.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test reads its environment, starts its own programs, says when it skips, and may panic"
)]

#[path = "support/executable.rs"]
mod executable;
#[path = "support/inherited.rs"]
mod inherited;
#[path = "support/model_server.rs"]
mod model_server;
#[path = "e2e/sandbox.rs"]
mod sandbox;
#[path = "support/test_group.rs"]
mod test_group;
#[path = "e2e/tools.rs"]
mod tools;

#[path = "e2e/agents_that_fail.rs"]
mod agents_that_fail;
#[path = "e2e/approvals.rs"]
mod approvals;
#[path = "e2e/attach.rs"]
mod attach;
#[path = "e2e/attach_keys.rs"]
mod attach_keys;
#[path = "e2e/browser.rs"]
mod browser;
#[path = "e2e/claude.rs"]
mod claude;
#[path = "e2e/claude_sandbox.rs"]
mod claude_sandbox;
#[path = "e2e/cleanup.rs"]
mod cleanup;
#[path = "e2e/command_line.rs"]
mod command_line;
#[path = "e2e/daemon.rs"]
mod daemon;
#[path = "e2e/decisions.rs"]
mod decisions;
#[path = "e2e/descriptors.rs"]
mod descriptors;
#[path = "e2e/ends.rs"]
mod ends;
#[path = "e2e/events.rs"]
mod events;
#[path = "e2e/glass.rs"]
mod glass;
#[path = "e2e/groups.rs"]
mod groups;
#[path = "e2e/help.rs"]
mod help;
#[path = "e2e/http.rs"]
mod http;
#[path = "e2e/http_access.rs"]
mod http_access;
#[path = "e2e/http_browser.rs"]
mod http_browser;
#[path = "e2e/http_client.rs"]
mod http_client;
#[path = "e2e/http_once.rs"]
mod http_once;
#[path = "e2e/http_schema.rs"]
mod http_schema;
#[path = "e2e/json_shapes.rs"]
mod json_shapes;
#[path = "e2e/kill.rs"]
mod kill;
#[path = "e2e/limits.rs"]
mod limits;
#[path = "e2e/live_table.rs"]
mod live_table;
#[path = "e2e/mcp.rs"]
mod mcp;
#[path = "e2e/mcp_claude.rs"]
mod mcp_claude;
#[path = "e2e/message_storm.rs"]
mod message_storm;
#[path = "e2e/messages.rs"]
mod messages;
#[path = "e2e/orchestrator.rs"]
mod orchestrator;
#[path = "e2e/output.rs"]
mod output;
#[path = "e2e/pane.rs"]
mod pane;
#[path = "e2e/project_file.rs"]
mod project_file;
#[path = "e2e/project_setup.rs"]
mod project_setup;
#[path = "e2e/prompts.rs"]
mod prompts;
#[path = "e2e/restore.rs"]
mod restore;
#[path = "e2e/retention.rs"]
mod retention;
#[path = "e2e/senders.rs"]
mod senders;
#[path = "e2e/snapshots.rs"]
mod snapshots;
#[path = "e2e/spawn.rs"]
mod spawn;
#[path = "e2e/typing.rs"]
mod typing;
#[path = "e2e/upgrade.rs"]
mod upgrade;
#[path = "e2e/viewers.rs"]
mod viewers;
#[path = "e2e/wait.rs"]
mod wait;
#[path = "e2e/waiters.rs"]
mod waiters;
