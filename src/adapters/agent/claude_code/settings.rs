//! The settings file a session's Claude Code is started with. It stands beside the session's other files, so nothing is
//! written into the workspace, where an untracked file makes `git worktree remove` refuse.

use serde_json::{Map, Value, json};

use super::coordination;

use crate::domain::id::AgentKind;
use crate::domain::permission::PermissionMode;
use crate::ports::agent::{AgentError, LaunchRequest};

/// The lifecycle events that ao hears of. Every hook costs the agent the start of a process, so those that say nothing about
/// what it does (`SubagentStart`, `PreCompact`, …) are left out.
pub(super) const EVENTS: [&str; 12] = [
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PermissionRequest",
    "Notification",
    "PostToolUse",
    "PostToolUseFailure",
    "PostToolBatch",
    "SubagentStop",
    "Stop",
    "StopFailure",
    "SessionEnd",
];

/// How long Claude Code waits for a hook at most; far above what one takes, far below what a person would call stuck.
const HOOK_TIMEOUT_SECONDS: u32 = 10;

/// The events that begin a wait for messages, in the background and for as long as the agent is idle. A waiter is over when it woke the
/// agent, so the turn that follows must begin the next one: at its end, or, since a turn that a person interrupts or that fails has no
/// such end, at its beginning.
const WAITING_EVENTS: [&str; 3] = ["SessionStart", "UserPromptSubmit", "Stop"];

/// How long such a wait may last: as long as Claude Code's timers can.
const WAIT_TIMEOUT_SECONDS: u32 = 20 * 24 * 60 * 60;

/// The event whose hook may stay until somebody has decided what is asked; the agent's own dialog is shown beside it.
const DECIDING_EVENT: &str = "PermissionRequest";

/// What a shell says of a program that was killed.
const KILLED: u8 = 128 + 9;

/// What Claude Code calls a permission mode. Always given, because its own default differs between versions (2.1.330 starts
/// in `auto`).
pub(super) fn permission_mode(mode: PermissionMode) -> &'static str {
    match mode {
        PermissionMode::Default => "default",
        PermissionMode::AcceptEdits => "acceptEdits",
        PermissionMode::Auto => "auto",
        PermissionMode::Plan => "plan",
        PermissionMode::BypassPermissions => "bypassPermissions",
    }
}

/// Writes the file; gives its path.
pub(super) fn write(kind: &AgentKind, request: &LaunchRequest) -> Result<String, AgentError> {
    let path = request.session_dir.join("claude-settings.json");
    super::write_json(&path, &content(kind, request)?)?;
    super::utf8(&path)
}

fn content(kind: &AgentKind, request: &LaunchRequest) -> Result<Value, AgentError> {
    // Claude Code hands the command to a shell.
    let ao = super::utf8(&request.ao_program)?;
    let ao = shell_words::quote(&ao);
    let wait_for_tools = coordination::wait_for_tools(request)?;
    let hook = |event: &str| {
        let command = format!("{ao} hook {kind} {event}");
        let timeout = if event == DECIDING_EVENT { WAIT_TIMEOUT_SECONDS } else { HOOK_TIMEOUT_SECONDS };
        let mut hooks = vec![json!({ "type": "command", "command": command, "timeout": timeout })];
        if WAITING_EVENTS.contains(&event) {
            // One that was killed is begun again, with the same input: without it, an idle agent hears nothing.
            let command = format!(
                "p=$(cat); until printf %s \"$p\" | {command} --wait; do c=$?; [ $c = {KILLED} ] || exit $c; done"
            );
            hooks.push(
                json!({ "type": "command", "command": command, "timeout": WAIT_TIMEOUT_SECONDS, "asyncRewake": true }),
            );
        }
        let wait_for_tools = wait_for_tools.iter().filter(|_| event == "UserPromptSubmit");
        hooks.extend(
            wait_for_tools.map(|wait| json!({ "type": "command", "command": wait, "timeout": HOOK_TIMEOUT_SECONDS })),
        );
        json!([{ "hooks": hooks }])
    };
    let hooks: Map<String, Value> = EVENTS.iter().map(|event| ((*event).to_owned(), hook(event))).collect();
    let mut settings = json!({ "hooks": hooks });
    if request.permission_mode == PermissionMode::BypassPermissions {
        // Without it a warning is shown whose default answer ends the agent.
        settings["skipDangerousModePermissionPrompt"] = Value::Bool(true);
    }
    let allowed = coordination::allowed(request);
    if !allowed.is_empty() {
        settings["permissions"] = json!({ "allow": allowed });
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(mode: PermissionMode, ao: &str) -> LaunchRequest {
        LaunchRequest {
            session: "app-1".parse().unwrap(),
            kind: crate::domain::session::SessionKind::Worker,
            session_dir: "/s".into(),
            workspace: "/w".into(),
            repository: "/r".into(),
            prompt: None,
            system_prompt: None,
            permission_mode: mode,
            args: Vec::new(),
            ao_program: ao.into(),
            data_dir: "/data".into(),
        }
    }

    #[test]
    fn every_event_calls_this_ao_whatever_its_path() {
        for ao in ["/usr/bin/ao", "/opt/my tools/it's \"ao\" $(x)/ao"] {
            let settings = content(&"claude-code".parse().unwrap(), &request(PermissionMode::Default, ao)).unwrap();
            for event in EVENTS {
                let command = settings["hooks"][event][0]["hooks"][0]["command"].as_str().unwrap();
                assert_eq!(shell_words::split(command).unwrap(), [ao, "hook", "claude-code", event]);
                let waiter = &settings["hooks"][event][0]["hooks"][1];
                assert_eq!(waiter["asyncRewake"] == true, WAITING_EVENTS.contains(&event), "{event}");
            }
        }
    }

    #[test]
    fn the_bypass_warning_is_answered_only_when_bypassing() {
        for mode in PermissionMode::ALL {
            let settings = content(&"claude-code".parse().unwrap(), &request(mode, "/ao")).unwrap();
            let answered = settings.get("skipDangerousModePermissionPrompt").is_some();
            assert_eq!(answered, mode == PermissionMode::BypassPermissions, "{mode}");
        }
    }
}
