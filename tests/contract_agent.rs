//! The contracts of the `Agent` port and of what agents take text, decisions and typing by, for every adapter.
#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

#[path = "support/executable.rs"]
mod executable;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ao::adapters::agent::claude_code::{ClaudeCode, ClaudeCodeSettings};
use ao::adapters::agent::command::{CommandAgent, CommandAgentSettings, CommandLine};
use ao::adapters::agent::terminal::Prompt;
use ao::domain::approval::Verdict;
use ao::domain::id::AgentKind;
use ao::domain::message::Route;
use ao::ports::agent::Agent;
use ao::ports::terminal_input::{PromptSettings, TerminalInput};
use ao::ports::text_hooks::HookAnswer;
use ao::testing::agent::{Fixture, HookCall, check_all};
use ao::testing::permission_hooks::{Answered, PermissionHooksFixture};
use ao::testing::terminal_input::TerminalInputFixture;
use ao::testing::text_hooks::TextHooksFixture;
use serde_json::{Value, json};
use tempfile::TempDir;

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

#[tokio::test]
async fn a_command_that_is_typed_to_keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    let agent = Screen::boxed().agent;
    check_all(&agent, &Fixture::new(root.path(), words(&["sh", "-c", "exit 3"]))).await;
}

/// A conversation of Claude Code, as its hooks tell of it.
struct Conversation {
    agent: ClaudeCode,
    root: TempDir,
    /// What Claude Code writes when the hooks of the last prompt are over.
    prompted: RefCell<Option<Value>>,
}

impl Conversation {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let conversation = Self { agent: claude_code(root.path(), false), root, prompted: RefCell::new(None) };
        conversation.append(&json!({ "type": "user", "message": { "role": "user", "content": "hello" } }));
        conversation
    }

    fn transcript(&self) -> PathBuf {
        self.root.path().join("transcript.jsonl")
    }

    fn append(&self, entry: &Value) {
        let before = std::fs::read_to_string(self.transcript()).unwrap_or_default();
        std::fs::write(self.transcript(), format!("{before}{entry}\n")).unwrap();
    }

    /// A call of a hook with what each has, and these fields.
    fn call(&self, event: &str, mut fields: Value) -> HookCall {
        fields["session_id"] = json!("0b7c0f5e-6a53-5c36-9f5b-0e6f6d2d8a11");
        fields["transcript_path"] = json!(self.transcript());
        fields["cwd"] = json!(self.root.path());
        fields["hook_event_name"] = json!(event);
        HookCall::new(event, fields)
    }

    fn tool(&self, event: &str) -> HookCall {
        self.call(
            event,
            json!({ "tool_name": "Bash", "tool_input": { "command": "make" }, "permission_mode": "default" }),
        )
    }
}

impl TextHooksFixture for Conversation {
    fn agent(&self) -> &dyn Agent {
        &self.agent
    }

    fn calls(&self) -> Vec<(Route, HookCall)> {
        let stop = self.call("Stop", json!({ "stop_hook_active": false }));
        let prompt = self.call("UserPromptSubmit", json!({ "prompt": "go on" }));
        vec![
            (Route::BetweenTools, self.tool("PostToolUse")),
            (Route::BetweenTools, self.tool("PostToolUseFailure")),
            (Route::NextPrompt, prompt.clone()),
            (Route::EndOfTurn, stop.clone()),
            (Route::Wake, self.call("SessionStart", json!({ "source": "startup" }))),
            (Route::Wake, prompt),
            (Route::Wake, stop),
        ]
    }

    fn reads(&self, route: Route, call: &HookCall, answer: &HookAnswer) -> Option<String> {
        if route == Route::Wake {
            return (answer.code == 2 && answer.stdout.is_empty()).then(|| answer.stderr.clone());
        }
        let read: Value = serde_json::from_str(&answer.stdout).ok()?;
        let output = &read["hookSpecificOutput"];
        let is_for_it = answer.code == 0 && output["hookEventName"] == json!(call.event);
        output["additionalContext"].as_str().filter(|_| is_for_it).map(str::to_owned)
    }

    fn takes(&self, route: Route, text: &str) -> HookCall {
        if let Some(prompt) = self.prompted.take() {
            self.append(&prompt);
        }
        if route == Route::Wake {
            let prompt = format!("<task-notification>\n{text}");
            self.append(&json!({ "type": "queue-operation", "operation": "enqueue", "content": prompt }));
            self.prompted.replace(Some(json!({ "type": "user", "message": { "role": "user", "content": prompt } })));
            return self.call("UserPromptSubmit", json!({ "prompt": prompt }));
        }
        self.append(
            &json!({ "type": "attachment", "attachment": { "type": "hook_additional_context", "content": [text] } }),
        );
        self.tool("PreToolUse")
    }

    fn record(&self) -> Option<PathBuf> {
        Some(self.transcript())
    }

    fn root(&self) -> &Path {
        self.root.path()
    }
}

impl PermissionHooksFixture for Conversation {
    fn agent(&self) -> &dyn Agent {
        &self.agent
    }

    fn asks(&self) -> Vec<HookCall> {
        let mut of_subagent = self.tool("PermissionRequest");
        of_subagent.payload["agent_id"] = json!("a1");
        vec![self.tool("PermissionRequest"), of_subagent]
    }

    fn reads(&self, call: &HookCall, answer: &HookAnswer) -> Option<Answered> {
        let read: Value = serde_json::from_str(&answer.stdout).ok()?;
        let output = &read["hookSpecificOutput"];
        if answer.code != 0 || output["hookEventName"] != json!(call.event) {
            return None;
        }
        let decision = &output["decision"];
        let words = decision["message"].as_str().map(str::to_owned);
        match decision["behavior"].as_str()? {
            "allow" => Some(Answered { verdict: Verdict::Allow, words }),
            "deny" => Some(Answered { verdict: Verdict::Deny, words: Some(words.unwrap_or_default()) }),
            _ => None,
        }
    }
}

mod claude_code_takes_text {
    use super::Conversation;
    ao::text_hooks_contract!(Conversation::new());
}

mod claude_code_takes_decisions {
    use super::Conversation;
    ao::permission_hooks_contract!(Conversation::new());
}

/// A command with a prompt, and what its screen shows: what is at the prompt, below what went before.
struct Screen {
    agent: CommandAgent,
    before: &'static str,
    at_prompt: fn(&str) -> String,
    busy: &'static [&'static str],
}

impl Screen {
    fn new(settings: PromptSettings, at_prompt: fn(&str) -> String, busy: &'static [&'static str]) -> Self {
        let agent = command("command", CommandLine::default()).with_prompt(Some(Prompt::new(settings).unwrap()));
        Self { agent, before: "Welcome.", at_prompt, busy }
    }

    fn settings(prompt: &str) -> PromptSettings {
        PromptSettings {
            prompt: prompt.to_owned(),
            prompt_lines: 1,
            busy: None,
            echo: None,
            bracketed_paste: true,
            echoes: true,
        }
    }

    fn shell() -> Self {
        let busy = &["Welcome.\nready> make\ncc main.c", "Welcome.\nOverwrite? [y/n]"];
        Self::new(Self::settings("ready>"), |text| format!("ready> {text}").trim_end().to_owned(), busy)
    }

    /// With a prompt in several lines, which looks the same while it works.
    fn boxed() -> Self {
        let settings = PromptSettings {
            prompt_lines: 4,
            busy: Some("esc to interrupt".to_owned()),
            ..Self::settings(r"╭─+╮\n│ > +│\n╰─+╯\n  \? for help")
        };
        let at_prompt =
            |text: &str| format!("╭{edge}╮\n│ > {text:<40} │\n╰{edge}╯\n  ? for help", edge = "─".repeat(44));
        let busy = &[
            "thinking (esc to interrupt)\n╭──╮\n│ >  │\n╰──╯\n  ? for help",
            "╭──╮\n│ Do you want to run make? │\n│ 1. Yes 2. No │\n╰──╯",
        ];
        Self::new(settings, at_prompt, busy)
    }

    fn without_bracketed_paste() -> Self {
        let settings = PromptSettings { bracketed_paste: false, ..Self::settings("ready>") };
        Self {
            agent: command("command", CommandLine::default()).with_prompt(Some(Prompt::new(settings).unwrap())),
            ..Self::shell()
        }
    }

    /// Shows the same in the place of whatever was pasted.
    fn with_placeholder() -> Self {
        let settings = PromptSettings { echo: Some(r"> \[Pasted \d+ lines?\]".to_owned()), ..Self::settings(">") };
        let at_prompt = |text: &str| if text.is_empty() { ">".to_owned() } else { "> [Pasted 1 line]".to_owned() };
        Self::new(settings, at_prompt, &["> working", "? [y/n]"])
    }

    /// As one that asks for a password.
    fn without_echo() -> Self {
        let settings = PromptSettings { echoes: false, ..Self::settings("ready>") };
        Self {
            agent: command("command", CommandLine::default()).with_prompt(Some(Prompt::new(settings).unwrap())),
            ..Self::shell()
        }
    }
}

impl TerminalInputFixture for Screen {
    fn input(&self) -> &dyn TerminalInput {
        self.agent.terminal_input().unwrap()
    }

    fn empty(&self) -> String {
        self.with("")
    }

    fn with(&self, text: &str) -> String {
        format!("{}\n{}", self.before, (self.at_prompt)(text))
    }

    fn after(&self, text: &str) -> String {
        format!("{}\nDone.\n{}", self.with(text), (self.at_prompt)(""))
    }

    fn busy(&self) -> Vec<String> {
        self.busy.iter().map(|screen| (*screen).to_owned()).collect()
    }
}

mod a_shell_is_typed_to {
    use super::Screen;
    ao::terminal_input_contract!(Screen::shell());
}

mod a_prompt_in_a_box_is_typed_to {
    use super::Screen;
    ao::terminal_input_contract!(Screen::boxed());
}

mod one_without_bracketed_paste_is_typed_to {
    use super::Screen;
    ao::terminal_input_contract!(Screen::without_bracketed_paste());
}

mod one_that_shows_something_else_is_typed_to {
    use super::Screen;
    ao::terminal_input_contract!(Screen::with_placeholder());
}

mod one_that_shows_nothing_is_typed_to {
    use super::Screen;
    ao::terminal_input_contract!(Screen::without_echo());
}
