//! A sandbox with the real Claude Code and a scripted model server.

use std::path::Path;

use crate::model_server::{ModelServer, claude_home};
use crate::sandbox::Sandbox;

/// A sandbox in which `claude` is the real one and talks to the server.
pub(crate) fn claude_sandbox(server: &ModelServer, program: &Path) -> Sandbox {
    let mut sandbox = Sandbox::new();
    let env = claude_home(&sandbox.path("home"), &server.url());
    sandbox.env.extend(env);
    sandbox.install("claude", "");
    let link = sandbox.path("bin/claude");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(program, link).unwrap();
    sandbox
}
