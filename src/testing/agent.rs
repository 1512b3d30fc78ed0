//! The contract of the [`Agent`] port.
//!
//! Make a [`Fixture`] over an empty directory and call [`check_all`], or single checks, for your adapter:
//!
//! ```no_run
//! # async fn example(agent: impl ao::ports::agent::Agent, args: Vec<String>) {
//! let directory = tempfile::tempdir().unwrap();
//! let fixture = ao::testing::agent::Fixture::new(directory.path(), args);
//! ao::testing::agent::check_all(&agent, &fixture).await;
//! # }
//! ```
//!
//! Of what your agent takes text, decisions and typing by, this checks only what needs no more than that. The suites in
//! [`text_hooks`], [`permission_hooks`] and [`terminal_input`] check the rest, with fixtures that tell how your agent reads its hooks' answers and
//! what its screen shows.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{permission_hooks, terminal_input, text_hooks};
use crate::domain::id::AgentSessionId;
use crate::domain::permission::PermissionMode;
use crate::platform::file::create_private_dir;
use crate::ports::agent::{Agent, AgentError, LaunchPlan, LaunchRequest};

/// A prompt that breaks whatever quotes, expands, trims or parses it.
pub const PROMPT: &str = "\n -x --help \"q\" 'q' $(id) `id` \\n %s ${HOME} 🦀 größe\n\n";

const SYSTEM_PROMPT: &str = "a secret instruction: $(id) \"q\"";

/// A call of one of an agent's hooks.
#[derive(Debug, Clone, PartialEq)]
pub struct HookCall {
    /// The hook's name.
    pub event: String,
    /// What it was given.
    pub payload: Value,
}

impl HookCall {
    /// A call of this hook with this input.
    #[must_use]
    pub fn new(event: &str, payload: Value) -> Self {
        Self { event: event.to_owned(), payload }
    }
}

/// The directories of one session.
#[derive(Debug, Clone)]
pub struct Fixture {
    root: PathBuf,
    args: Vec<String>,
}

impl Fixture {
    /// Makes the directories below `root`, which must exist and be empty. `args` are the user's arguments, for an agent that
    /// needs some.
    ///
    /// # Panics
    /// When the directories cannot be made.
    #[must_use]
    pub fn new(root: &Path, args: Vec<String>) -> Self {
        for name in ["session", "workspace", "repository"] {
            create_private_dir(&root.join(name)).unwrap_or_else(|error| panic!("cannot make {name}: {error}"));
        }
        Self { root: root.to_owned(), args }
    }

    /// What the agent is asked to start.
    #[must_use]
    pub fn request(&self, permission_mode: PermissionMode) -> LaunchRequest {
        LaunchRequest {
            session: crate::domain::id::SessionId::of(&crate::domain::id::ProjectId::from_name("app"), 1),
            kind: crate::domain::session::SessionKind::Worker,
            session_dir: self.root.join("session"),
            workspace: self.root.join("workspace"),
            repository: self.root.join("repository"),
            prompt: Some(PROMPT.to_owned()),
            system_prompt: Some(SYSTEM_PROMPT.to_owned()),
            permission_mode,
            args: self.args.clone(),
            ao_program: PathBuf::from("/opt/it's ao/ao"),
            data_dir: "/data".into(),
        }
    }
}

/// Every check.
///
/// # Panics
/// When the contract is broken.
pub async fn check_all(agent: &dyn Agent, fixture: &Fixture) {
    preflight_changes_nothing(agent, fixture).await;
    the_program_is_absolute_and_the_users_arguments_come_through(agent, fixture).await;
    preparing_twice_leaves_the_same(agent, fixture).await;
    nothing_is_written_outside_the_session_directory(agent, fixture).await;
    texts_stand_in_no_argument_and_no_variable(agent, fixture).await;
    the_prompt_stands_in_a_private_file_byte_for_byte(agent, fixture).await;
    the_permission_mode_reaches_the_launch(agent, fixture).await;
    resuming_keeps_mode_and_arguments_or_is_refused(agent, fixture).await;
    interpreting_garbage_gives_nothing(agent);
    what_it_takes_text_and_decisions_by_takes_anything(agent);
}

/// `preflight` leaves every file as it was.
///
/// # Panics
/// When the contract is broken.
pub async fn preflight_changes_nothing(agent: &dyn Agent, fixture: &Fixture) {
    let before = files(&fixture.root);
    agent.preflight(&fixture.args).await.unwrap_or_else(|error| panic!("preflight failed: {error}"));
    assert_eq!(files(&fixture.root), before, "preflight changed files");
}

/// The program can be run from anywhere, and the user's arguments stand at the end, unchanged (a `command` agent's own
/// program is the first of them).
///
/// # Panics
/// When the contract is broken.
pub async fn the_program_is_absolute_and_the_users_arguments_come_through(agent: &dyn Agent, fixture: &Fixture) {
    let command = prepared(agent, &fixture.request(PermissionMode::Default)).await.command;
    assert!(command.program.is_absolute(), "{} is not absolute", command.program.display());
    let ends_with_all = command.args.ends_with(&fixture.args);
    let ends_with_rest = fixture.args.get(1..).is_some_and(|rest| command.args.ends_with(rest));
    assert!(ends_with_all || ends_with_rest, "{:?} do not end with {:?}", command.args, fixture.args);
}

/// A second `prepare` gives the same command and conversation, and leaves the same files.
///
/// # Panics
/// When the contract is broken.
pub async fn preparing_twice_leaves_the_same(agent: &dyn Agent, fixture: &Fixture) {
    let request = fixture.request(PermissionMode::Default);
    let first = prepared(agent, &request).await;
    let files_after_first = files(&fixture.root);
    let second = prepared(agent, &request).await;
    assert_eq!(first.command, second.command);
    assert_eq!(first.agent_session_id, second.agent_session_id);
    assert_eq!(files(&fixture.root), files_after_first, "the second time left other files");
}

/// The workspace and the repository stay empty.
///
/// # Panics
/// When the contract is broken.
pub async fn nothing_is_written_outside_the_session_directory(agent: &dyn Agent, fixture: &Fixture) {
    prepared(agent, &fixture.request(PermissionMode::BypassPermissions)).await;
    for name in ["workspace", "repository"] {
        let written = files(&fixture.root.join(name));
        assert!(written.is_empty(), "{name} holds {:?}", written.keys());
    }
}

/// Neither prompt nor system prompt shows in a process listing or in the environment.
///
/// # Panics
/// When the contract is broken.
pub async fn texts_stand_in_no_argument_and_no_variable(agent: &dyn Agent, fixture: &Fixture) {
    let command = prepared(agent, &fixture.request(PermissionMode::Default)).await.command;
    for shown in command.args.iter().chain(command.env.values()) {
        for secret in [PROMPT.trim(), SYSTEM_PROMPT] {
            assert!(!shown.contains(secret), "{shown:?} shows {secret:?}");
        }
    }
}

/// A file that only the user reads holds the prompt, and the command names it: as standard input, as an argument or in a
/// variable.
///
/// # Panics
/// When the contract is broken.
pub async fn the_prompt_stands_in_a_private_file_byte_for_byte(agent: &dyn Agent, fixture: &Fixture) {
    let request = fixture.request(PermissionMode::Default);
    let command = prepared(agent, &request).await.command;
    let mut holders = files(&request.session_dir).into_iter().filter(|(_, (content, _))| content == PROMPT.as_bytes());
    let (path, (_, mode)) = holders.next().unwrap_or_else(|| panic!("no file holds the prompt"));
    assert_eq!(mode, 0o600, "{} can be read by others", path.display());
    let named = path.to_string_lossy().into_owned();
    let in_text = command.args.iter().chain(command.env.values()).any(|text| text.contains(&named));
    assert!(in_text || command.stdin == Some(path), "the command does not name the prompt's file");
}

/// Two modes never give the same command and files: the mode reaches the agent somehow.
///
/// # Panics
/// When the contract is broken.
pub async fn the_permission_mode_reaches_the_launch(agent: &dyn Agent, fixture: &Fixture) {
    let mut seen = Vec::new();
    for mode in PermissionMode::ALL {
        let request = fixture.request(mode);
        let command = prepared(agent, &request).await.command;
        let launch = (command.args, command.env, files(&request.session_dir));
        assert!(!seen.contains(&launch), "{mode} starts it like another mode");
        seen.push(launch);
    }
}

/// `prepare_resume` carries mode and arguments like `prepare`, or is refused as a whole.
///
/// # Panics
/// When the contract is broken.
pub async fn resuming_keeps_mode_and_arguments_or_is_refused(agent: &dyn Agent, fixture: &Fixture) {
    let conversation = AgentSessionId::new("0b7c0f5e-6a53-5c36-9f5b-0e6f6d2d8a11")
        .unwrap_or_else(|error| panic!("a conversation id: {error}"));
    let mut seen = Vec::new();
    for mode in PermissionMode::ALL {
        let request = fixture.request(mode);
        let plan = match agent.prepare_resume(&request, &conversation).await {
            Ok(plan) => plan,
            Err(AgentError::Refused(reason)) => {
                assert!(!reason.is_empty() && seen.is_empty(), "refused for {mode} and not for others");
                continue;
            }
            Err(error) => panic!("resuming failed: {error}"),
        };
        assert!(plan.command.args.ends_with(&fixture.args), "{:?} lost the arguments", plan.command.args);
        let launch = (plan.command.args, plan.command.env, files(&request.session_dir));
        assert!(!seen.contains(&launch), "{mode} resumes like another mode");
        seen.push(launch);
    }
}

/// `interpret` takes anything, and an event nobody knows means nothing.
///
/// # Panics
/// When the contract is broken.
pub fn interpreting_garbage_gives_nothing(agent: &dyn Agent) {
    for payload in &garbage() {
        for event in KNOWN_EVENTS {
            let signals = agent.interpret(event, payload);
            assert_eq!(signals, agent.interpret(event, payload), "{event} is not read the same twice");
            assert!(agent.reports() || signals.is_empty(), "an agent that does not report said {signals:?}");
        }
        for event in UNKNOWN_EVENTS {
            assert!(agent.interpret(event, payload).is_empty(), "{event:?} means something");
        }
    }
}

/// The checks of [`TextHooks`](crate::ports::text_hooks::TextHooks), [`PermissionHooks`](crate::ports::permission_hooks::PermissionHooks) and
/// [`TerminalInput`](crate::ports::terminal_input::TerminalInput) that need no fixture, where the agent has these.
///
/// # Panics
/// When the contract is broken.
pub fn what_it_takes_text_and_decisions_by_takes_anything(agent: &dyn Agent) {
    if let Some(hooks) = agent.text_hooks() {
        text_hooks::what_is_not_known_takes_no_text(hooks);
        text_hooks::what_tells_where_to_read_finds_room(hooks);
    }
    if let Some(hooks) = agent.permission_hooks() {
        permission_hooks::the_same_decision_has_the_same_answer(hooks);
    }
    if let Some(input) = agent.terminal_input() {
        terminal_input::nothing_that_is_pasted_is_obeyed(input);
        terminal_input::what_surrounds_and_submits_a_text_never_changes(input);
        terminal_input::whatever_is_on_the_screen_little_is_told_of_it(input);
    }
}

/// Events that agents have.
pub(super) const KNOWN_EVENTS: [&str; 10] = [
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "PostToolUseFailure",
    "PermissionRequest",
    "Notification",
    "Stop",
    "SubagentStop",
    "SessionEnd",
];

/// Events that no agent has.
pub(super) const UNKNOWN_EVENTS: [&str; 4] = ["", "NoSuchEvent", "\0", "stop"];

/// What no hook of an agent's is given.
pub(super) fn garbage() -> Vec<Value> {
    vec![
        Value::Null,
        json!([]),
        json!("text"),
        json!({}),
        json!({ "session_id": 7, "tool_name": [], "tool_input": null, "notification_type": {}, "source": false }),
        json!({ "session_id": "white space", "tool_name": "", "tool_input": "x" }),
        json!({ "prompt": [], "transcript_path": {}, "agent_id": null, "stop_hook_active": "x", "cwd": -1 }),
        json!({ "prompt": "\0", "transcript_path": "", "agent_id": {}, "stop_hook_active": 0.5 }),
        json!({ "transcript_path": "/\0" }),
    ]
}

async fn prepared(agent: &dyn Agent, request: &LaunchRequest) -> LaunchPlan {
    agent.prepare(request).await.unwrap_or_else(|error| panic!("prepare failed: {error}"))
}

/// Every file below a directory, with its content and its mode.
pub(super) fn files(directory: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            let Ok(metadata) = path.symlink_metadata() else { continue };
            if metadata.is_dir() {
                directories.push(path);
            } else {
                let content = std::fs::read(&path).unwrap_or_default();
                found.insert(path, (content, metadata.permissions().mode() & 0o777));
            }
        }
    }
    found
}
