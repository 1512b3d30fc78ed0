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
/// such end, at its beginning. A minute after its end it is told once more (`idle_prompt`): one that was ended with its shell is made up for then.
const WAITING_EVENTS: [&str; 4] = ["SessionStart", "UserPromptSubmit", "Stop", "Notification"];

/// How often one that ends by itself is begun again, a second later each time.
const MOST_BEGINNINGS: u32 = 60;

/// How long such a wait may last: as long as Claude Code's timers can.
const WAIT_TIMEOUT_SECONDS: u32 = 20 * 24 * 60 * 60;

/// The event whose hook may stay until somebody has decided what is asked; the agent's own dialog is shown beside it.
const DECIDING_EVENT: &str = "PermissionRequest";

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
            let command = wait_without_end(&command, MOST_BEGINNINGS);
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

/// The line of shell that keeps the waiter waiting: without one, an idle agent hears nothing until a person writes to it.
///
/// However it ended, it is begun again, with the same input, unless it woke the agent (2) or nobody has to wait any more (0). Soon where it was killed
/// (137, 143), else more and more rarely, up to once a minute and for half an hour, so that an `ao` that is broken costs little, and shells do not pile up, of which each
/// turn begins others; and only while the agent lives, which started this shell. What ends programs by
/// their name sends this shell the same signal, which it outlives. The waiter is told who it is, for it must take nothing once nobody hears it. What the shell itself
/// says of its end is not for the agent, which reads what the waiter says.
fn wait_without_end(command: &str, most: u32) -> String {
    format!(
        "p=$(cat); exec 3>&2 2>/dev/null; n=0; trap : HUP INT TERM; \
         until printf %s \"$p\" | AO_WAITS_UNDER=$$ {command} --wait 2>&3 3>&-; do c=$?; \
         [ $c = 2 ] && exit 2; n=$((c == 137 || c == 143 ? 1 : n + 1)); [ $n -le {most} ] || exit $c; \
         sleep $n || [ $? -gt 128 ] || exit $c; kill -0 $PPID || exit 0; done"
    )
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

    /// What stands for `ao`: it notes that it was called, and by whom it is heard, and ends with the next of these codes.
    fn scripted(directory: &std::path::Path, ends: &[&str]) -> String {
        std::fs::write(directory.join("ends"), ends.join("\n") + "\n").unwrap();
        let calls = directory.join("calls");
        let script = format!(
            "#!/bin/sh\ncd '{}'; printf '%s %s %s\\n' \"$*\" \"$(cat)\" \"$((AO_WAITS_UNDER == PPID))\" >> '{}'\n\
             end=$(head -n 1 ends); sed -i 1d ends; [ -s ends ] || printf 'a message' >&2; \
             case $end in [0-9]*) exit $end;; *) kill -$end $$;; esac\n",
            directory.display(),
            calls.display()
        );
        let path = directory.join("ao");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// How it ends, and what its agent reads then.
    #[expect(clippy::disallowed_methods, reason = "as Claude Code hands a hook's command to a shell")]
    fn end_of(command: &str) -> (Option<i32>, String) {
        use std::io::Write as _;
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", command]).stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        shell.stdin.take().unwrap().write_all(b"{\"a\": \"%s\"}").unwrap();
        let ended = shell.wait_with_output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    }

    #[test]
    fn a_waiter_is_begun_again_whatever_ended_it_but_a_message_or_the_end_of_its_agent() {
        let directory = tempfile::tempdir().unwrap();
        let calls = || std::fs::read_to_string(directory.path().join("calls")).unwrap_or_default();
        let called = "hook x Stop --wait {\"a\": \"%s\"} 1\n";
        // The last one is broken, and given up.
        for (ends, code) in [(&["TERM", "101", "2"][..], 2), (&["0"], 0), (&["101", "101", "101"], 101)] {
            let ao = scripted(directory.path(), ends);
            let begun = tokio::time::Instant::now();
            let (ended, read) = end_of(&wait_without_end(&format!("{ao} hook x Stop"), 2));
            assert_eq!((ended, read.as_str()), (Some(code), "a message"), "{ends:?}");
            assert_eq!(calls(), called.repeat(ends.len()), "{ends:?}");
            assert!(begun.elapsed().as_secs() >= ends.len() as u64 - 1, "it was begun again at once");
            std::fs::remove_file(directory.path().join("calls")).unwrap();
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
