//! Claude Code. Everything stated about it here was seen by running 2.1.197 and 2.1.330; `tests/claude_real.rs` sees it again.
//!
//! | Module | Holds |
//! | --- | --- |
//! | `install` | finding the program, its version |
//! | `arguments` | which of the user's arguments ao refuses |
//! | `conversation` | the id a session's conversation gets, and whether one was saved |
//! | `settings` | the settings file: hooks, the bypass warning, what is not asked |
//! | `coordination` | what a session that coordinates others is given: ao's tools |
//! | `prompt` | the prompt file, and what Claude Code does with some prompts |
//! | `trust` | marking a workspace as trusted in Claude Code's own configuration |
//! | `report` | what its hooks mean |
//! | `permission` | how it is told what was decided about a permission |
//! | `text` | how it takes text through them |
//!
//! # How the prompt gets in
//! Standard input is the prompt file. Claude Code reads it to its end, takes the whole of it as the first prompt, and opens
//! `/dev/tty` for the keyboard, so the terminal stays usable; for that it needs a controlling terminal, and standard output
//! on it. Nothing of the prompt stands in an argument.

mod arguments;
mod conversation;
mod coordination;
mod install;
#[cfg(test)]
mod named_tests;
mod permission;
mod prompt;
mod report;
mod settings;
mod text;
mod trust;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::id::{AgentKind, AgentSessionId};
use crate::domain::observation::Signal;
use crate::domain::permission::PermissionMode;
use crate::platform::file::write_atomically;
use crate::ports::agent::{Agent, AgentCommand, AgentError, AgentInstallation, LaunchPlan, LaunchRequest};
use crate::ports::permission_hooks::PermissionHooks;
use crate::ports::text_hooks::TextHooks;

#[cfg(feature = "fuzzing")]
pub(crate) use text::told_by;

/// The name of this agent.
pub const KIND: &str = "claude-code";

/// What Claude Code puts into the environment of the programs it runs. When ao itself was started by one of them, none of
/// these may reach ao's agents: they say that the agent belongs to that other conversation, and some are its secrets.
pub const NESTED_SESSION_VARIABLES: [&str; 14] = [
    "AI_AGENT",
    "CLAUDECODE",
    "CLAUDE_CODE_CHILD_NOTES_DIR",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_EXECPATH",
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_MESSAGING_TOKEN",
    "CLAUDE_CODE_SESSION_ATTENDED",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_EFFORT",
    "CLAUDE_PID",
    "CLAUDE_PROJECT_DIR",
];

/// Where Claude Code is and what it is run with.
#[derive(Debug, Clone)]
pub struct ClaudeCodeSettings {
    /// The program from the configuration: a path, or a name to look up on `path_var`. `None` looks for `claude`.
    pub program: Option<PathBuf>,
    /// The value of `PATH`.
    pub path_var: String,
    /// The user's home directory.
    pub home: PathBuf,
    /// The value of `CLAUDE_CONFIG_DIR`, where the user set it.
    pub config_dir: Option<PathBuf>,
    /// The complete environment that `claude --version` runs in.
    pub env: BTreeMap<String, String>,
    /// Whether ao runs as root, which Claude Code refuses to bypass permissions for outside a sandbox.
    pub is_root: bool,
}

/// The `claude-code` agent.
#[derive(Debug, Clone)]
pub struct ClaudeCode {
    kind: AgentKind,
    /// Arguments of every launch, before the session's own.
    args: Vec<String>,
    settings: ClaudeCodeSettings,
}

impl ClaudeCode {
    /// An adapter with these settings.
    ///
    /// # Panics
    /// Never: its name is a valid agent name.
    #[must_use]
    pub fn new(settings: ClaudeCodeSettings) -> Self {
        #[expect(clippy::expect_used, reason = "the constant is a valid name")]
        let kind = AgentKind::new(KIND).expect("`claude-code` is a valid agent name");
        Self::named(kind, Vec::new(), settings)
    }

    /// An agent of another name, with arguments that every launch of it gets before the session's own.
    #[must_use]
    pub fn named(kind: AgentKind, args: Vec<String>, settings: ClaudeCodeSettings) -> Self {
        Self { kind, args, settings }
    }

    /// Where Claude Code keeps conversations and, with `CLAUDE_CONFIG_DIR`, its configuration.
    fn config_dir(&self) -> PathBuf {
        self.settings.config_dir.clone().unwrap_or_else(|| self.settings.home.join(".claude"))
    }

    /// The file in which Claude Code keeps what it was told about directories.
    fn config_file(&self) -> PathBuf {
        let old_place = self.config_dir().join(".config.json");
        if old_place.exists() {
            return old_place;
        }
        self.settings.config_dir.as_ref().unwrap_or(&self.settings.home).join(".claude.json")
    }

    async fn plan(&self, request: &LaunchRequest, conversation: Conversation) -> Result<LaunchPlan, AgentError> {
        let own_args = [self.args.as_slice(), &request.args].concat();
        arguments::check(&own_args)?;
        let program = install::locate(&self.kind, &self.settings)?;
        let mut notes = Vec::new();

        let (flag, id, wants_prompt) = match conversation {
            Conversation::New(id) => ("--session-id", id, true),
            Conversation::Saved(id) => ("--resume", id, false),
        };
        let mut args = vec![flag.to_owned(), id.to_string()];
        args.extend(["--permission-mode".to_owned(), settings::permission_mode(request.permission_mode).to_owned()]);
        // Not the last of ours: it takes every argument that follows.
        if let Some(servers) = coordination::write_servers(request)? {
            args.extend(["--mcp-config".to_owned(), servers]);
        }
        args.extend(["--settings".to_owned(), settings::write(&self.kind, request)?]);
        if let Some(system_prompt) = &request.system_prompt {
            let path = request.session_dir.join("system-prompt.txt");
            write(&path, system_prompt.as_bytes())?;
            args.extend(["--append-system-prompt-file".to_owned(), utf8(&path)?]);
        }
        // Last, because some of Claude Code's options take every argument that follows.
        args.extend(own_args);

        let mut stdin = None;
        if let Some(text) = request.prompt.as_deref().filter(|_| wants_prompt) {
            stdin = Some(prompt::write(request, text)?);
            notes.extend(prompt::note(text));
        }
        if trust::ensure(&self.config_file(), &request.workspace, &request.repository).await? {
            notes.push(format!("marked {} as trusted in Claude Code's configuration", request.workspace.display()));
        }

        let mut env = BTreeMap::new();
        if let Some(config_dir) = &self.settings.config_dir {
            env.insert("CLAUDE_CONFIG_DIR".to_owned(), utf8(config_dir)?);
        }
        if self.settings.is_root && request.permission_mode == PermissionMode::BypassPermissions {
            env.insert("IS_SANDBOX".to_owned(), "1".to_owned());
            notes.push("set IS_SANDBOX=1: Claude Code bypasses permissions as root only where it says so".to_owned());
        }
        let command = AgentCommand { program, args, env, stdin };
        Ok(LaunchPlan { command, agent_session_id: Some(id), resumes: !wants_prompt, notes })
    }
}

/// Which conversation a launch leads to.
enum Conversation {
    New(AgentSessionId),
    Saved(AgentSessionId),
}

#[async_trait]
impl Agent for ClaudeCode {
    fn kind(&self) -> &AgentKind {
        &self.kind
    }

    fn reports(&self) -> bool {
        true
    }

    async fn preflight(&self, args: &[String]) -> Result<AgentInstallation, AgentError> {
        arguments::check(&[&self.args, args].concat())?;
        install::check(&self.kind, &self.settings).await
    }

    async fn prepare(&self, request: &LaunchRequest) -> Result<LaunchPlan, AgentError> {
        let id = conversation::unused_id(&self.config_dir(), request)?;
        self.plan(request, Conversation::New(id)).await
    }

    async fn prepare_resume(
        &self,
        request: &LaunchRequest,
        conversation: &AgentSessionId,
    ) -> Result<LaunchPlan, AgentError> {
        if conversation::is_saved(&self.config_dir(), conversation) {
            return self.plan(request, Conversation::Saved(conversation.clone())).await;
        }
        // An agent that ended before its first turn saved nothing, and Claude Code refuses to resume that.
        let mut plan = self.prepare(request).await?;
        plan.notes.push(format!("conversation {conversation} was never saved, so the task starts from its beginning"));
        Ok(plan)
    }

    fn text_hooks(&self) -> Option<&dyn TextHooks> {
        Some(&text::ClaudeText)
    }

    fn permission_hooks(&self) -> Option<&dyn PermissionHooks> {
        Some(&permission::ClaudePermission)
    }

    fn interpret(&self, event: &str, payload: &Value) -> Vec<Signal> {
        report::signals(event, payload)
    }
}

/// Writes a file of the session, for the user's eyes only.
fn write(path: &Path, content: &[u8]) -> Result<(), AgentError> {
    write_atomically(path, content, 0o600).map_err(|source| AgentError::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// Writes a value into a file of the session.
fn write_json(path: &Path, value: &Value) -> Result<(), AgentError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| AgentError::File {
        action: "write",
        path: path.to_owned(),
        source: error.into(),
    })?;
    text.push(b'\n');
    write(path, &text)
}

/// A path as text, for an argument or a setting.
fn utf8(path: &Path) -> Result<String, AgentError> {
    path.to_str().map(ToOwned::to_owned).ok_or_else(|| {
        AgentError::Refused(format!("Claude Code cannot be given the path {}: it is not UTF-8", path.display()))
    })
}
