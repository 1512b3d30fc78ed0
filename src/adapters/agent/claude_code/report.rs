//! What Claude Code's hooks mean.
//!
//! - A question (`AskUserQuestion`, `ExitPlanMode`) also sends a `PermissionRequest`, in every mode; it is a question to the
//!   person, and no permission that ao could grant, so both reports mean that it waits for an answer.
//! - `Notification{permission_prompt}` follows a `PermissionRequest` by seconds and names no tool: it says nothing new, and
//!   when it is late it would be wrong.
//! - `Notification{idle_prompt}` comes 60 s after a turn's end, and never while a question waits: it repeats a `Stop` whose
//!   report was lost. It does *not* come after a turn that a person interrupted, nor after a permission denied in the
//!   terminal; no hook tells of those, and only the next prompt does.
//! - A permission that was refused with words has no hook of its own, but the turn goes on: `PostToolBatch` then says that
//!   all tool calls of the model's last answer are settled, the refused one too. Whether a hook or a person refused makes no difference.
//! - Nothing tells that a permission was granted in the terminal: the tool's end is the next report.
//! - A subagent's tools report like the agent's own (with an `agent_id`) and are work like any other; its end is
//!   `SubagentStop`, never `Stop`, so a turn does not seem over early; a request of it that fails is told by `StopFailure` all the same. Several ask for permissions at the same time; the terminal shows one
//!   dialog after the other, and each hook may answer for its own.

use serde_json::Value;

use crate::domain::approval::{Subject, SubjectKind};
use crate::domain::id::AgentSessionId;
use crate::domain::observation::Signal;
use crate::domain::report::{LEFT_OUT, is_too_deep};
use crate::domain::session::ToolUse;

/// Tools that are a question to the person.
const QUESTIONS: [&str; 2] = ["AskUserQuestion", "ExitPlanMode"];

/// How much is kept of why a turn failed, in characters.
const MAX_CAUSE: usize = 500;

/// The signals of one report; none for what is not known.
pub(super) fn signals(event: &str, payload: &Value) -> Vec<Signal> {
    let signal = match event {
        "SessionStart" => Some(Signal::Ready { agent_session_id: conversation(payload) }),
        "UserPromptSubmit" => Some(if is_notice(payload) { Signal::Woken } else { Signal::Prompted }),
        "PreToolUse" => tool_use(payload)
            .map(|tool_use| if is_question(&tool_use) { Signal::WaitingInput } else { Signal::Calling(tool_use) }),
        "PermissionRequest" => tool_use(payload).map(|tool_use| {
            let subject = subject(&tool_use);
            if is_question(&tool_use) { Signal::WaitingInput } else { Signal::Blocked { tool_use, subject } }
        }),
        "PostToolUse" | "PostToolUseFailure" => tool_use(payload).map(Signal::Called),
        // A subagent works beside the agent: the end of its batch settles no question of the agent's.
        "PostToolBatch" => Some(Signal::Settled { subagent: subagent(payload) }),
        "SubagentStop" => subagent(payload).map(|id| Signal::Settled { subagent: Some(id) }),
        "Notification" => notification(payload),
        "Stop" => Some(Signal::Idle),
        // One of a subagent's requests: the agent's own turn goes on.
        "StopFailure" if subagent(payload).is_some() => Some(Signal::Settled { subagent: subagent(payload) }),
        "StopFailure" => Some(Signal::Failed { cause: failure(payload) }),
        "SessionEnd" => ending(payload),
        _ => None,
    };
    signal.into_iter().collect()
}

fn conversation(payload: &Value) -> Option<AgentSessionId> {
    AgentSessionId::new(payload.get("session_id")?.as_str()?).ok()
}

fn tool_use(payload: &Value) -> Option<ToolUse> {
    let tool = payload.get("tool_name")?.as_str()?.to_owned();
    let given = payload.get("tool_input").unwrap_or(&Value::Null);
    // Its hook leaves that out; a report need not come from a hook, and a session's record that could not be read again would be lost.
    let is_too_deep = is_too_deep(given);
    let input = if is_too_deep { Value::Null } else { given.clone() };
    let is_cut = is_too_deep || payload.get(LEFT_OUT).is_some();
    Some(ToolUse { tool, input, subagent: subagent(payload), is_cut })
}

fn subagent(payload: &Value) -> Option<String> {
    payload.get("agent_id")?.as_str().map(str::to_owned)
}

/// Whether a prompt tells of something that went on in the background, and no person wrote it.
fn is_notice(payload: &Value) -> bool {
    payload.get("prompt").and_then(Value::as_str).is_some_and(|prompt| prompt.starts_with("<task-notification>"))
}

/// What in a tool's input a person decides by.
fn subject(tool_use: &ToolUse) -> Subject {
    let (kind, field) = match tool_use.tool.as_str() {
        "Bash" | "PowerShell" => (SubjectKind::Shell, "command"),
        "Read" | "Edit" | "MultiEdit" | "Write" => (SubjectKind::Path, "file_path"),
        "NotebookEdit" => (SubjectKind::Path, "notebook_path"),
        "WebFetch" => (SubjectKind::Address, "url"),
        "WebSearch" => (SubjectKind::Text, "query"),
        _ => return Subject::default(),
    };
    // A command that is to run outside the sandbox is more than a command.
    let says_not_all = tool_use.input["dangerouslyDisableSandbox"] == true;
    Subject { kind, field: Some(field.to_owned()), says_not_all }
}

fn is_question(tool_use: &ToolUse) -> bool {
    QUESTIONS.contains(&tool_use.tool.as_str())
}

fn notification(payload: &Value) -> Option<Signal> {
    match payload.get("notification_type")?.as_str()? {
        "idle_prompt" => Some(Signal::Idle),
        // A dialog that no other hook tells of, for example in 2.1.330 that `auto` mode cannot check actions.
        "agent_needs_input" | "elicitation_dialog" | "elicitation_url_dialog" => Some(Signal::WaitingInput),
        _ => None,
    }
}

/// Why a turn failed: a word such as `rate_limit`, and what the terminal shows of it.
fn failure(payload: &Value) -> String {
    let text = |field: &str| payload.get(field).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let shown = text("last_assistant_message").or_else(|| text("error_details"));
    let cause = match (text("error").filter(|word| *word != "unknown"), shown) {
        (Some(word), Some(shown)) => format!("{word}: {shown}"),
        (Some(word), None) => word.to_owned(),
        (None, Some(shown)) => shown.to_owned(),
        (None, None) => "it does not say why".to_owned(),
    };
    match cause.char_indices().nth(MAX_CAUSE) {
        Some((end, _)) => format!("{}…", &cause[..end]),
        None => cause,
    }
}

/// `/clear` and a resume from inside end one conversation and start the next in the same process.
fn ending(payload: &Value) -> Option<Signal> {
    let reason = payload.get("reason").and_then(Value::as_str);
    (!matches!(reason, Some("clear" | "resume"))).then_some(Signal::Ending)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What Claude Code 2.1.197 sent, one report a line: its event, then its payload. Paths and ids are replaced.
    const CAPTURED: &str = include_str!("report_captured.jsonl");

    #[test]
    fn a_request_that_could_not_be_read_from_a_record_is_cut() {
        let deep = (0..125).fold(json!(1), |inner, _| json!([inner]));
        match signals("PermissionRequest", &json!({ "tool_name": "T", "tool_input": deep })).as_slice() {
            [Signal::Blocked { tool_use, .. }] => {
                assert_eq!((&tool_use.input, tool_use.is_cut), (&Value::Null, true));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_end_of_the_agents_own_batch_settles_a_refused_permission() {
        let settled = |subagent: Option<&str>| [Signal::Settled { subagent: subagent.map(str::to_owned) }];
        assert_eq!(signals("PostToolBatch", &json!({})), settled(None));
        assert_eq!(signals("PostToolBatch", &json!({ "agent_id": "a1" })), settled(Some("a1")));
    }

    fn captured() -> Vec<(String, Value)> {
        let report = |line: &str| {
            let report: Value = serde_json::from_str(line).unwrap();
            (report["hook_event_name"].as_str().unwrap().to_owned(), report)
        };
        CAPTURED.lines().map(report).collect()
    }

    /// The signals of the captured reports of one event (of one tool, notification type, source or reason).
    fn of(event: &str, key: &str, value: &str) -> Vec<Signal> {
        let matching: Vec<_> =
            captured().into_iter().filter(|(name, payload)| name == event && payload[key] == value).collect();
        assert!(!matching.is_empty(), "no {event} with {key} = {value} was captured");
        matching.iter().flat_map(|(name, payload)| signals(name, payload)).collect()
    }

    fn all(signals: &[Signal], expected: impl Fn(&Signal) -> bool) -> bool {
        !signals.is_empty() && signals.iter().all(expected)
    }

    #[test]
    fn a_start_of_any_kind_is_ready_and_names_the_conversation() {
        for source in ["startup", "resume", "clear"] {
            let signals = of("SessionStart", "source", source);
            assert!(all(&signals, |signal| matches!(signal, Signal::Ready { agent_session_id: Some(_) })), "{source}");
        }
    }

    #[test]
    fn tools_are_work_with_their_input() {
        for event in ["PreToolUse", "PostToolUse", "PostToolUseFailure"] {
            let signals = of(event, "tool_name", "Bash");
            let is_work = |signal: &Signal| matches!(signal, Signal::Calling(tool) | Signal::Called(tool) if tool.tool == "Bash" && tool.input["command"].is_string());
            assert!(all(&signals, is_work), "{event}: {signals:?}");
        }
    }

    #[test]
    fn a_permission_request_blocks_with_the_same_tool_use_as_the_call() {
        let blocked = of("PermissionRequest", "tool_name", "Bash");
        let calls = of("PreToolUse", "tool_name", "Bash");
        let is_a_call = |signal: &Signal| match signal {
            Signal::Blocked { tool_use, subject } => {
                subject.kind == SubjectKind::Shell && calls.contains(&Signal::Calling(tool_use.clone()))
            }
            _ => false,
        };
        assert!(all(&blocked, is_a_call), "{blocked:?}");
    }

    #[test]
    fn questions_wait_for_the_person_and_their_answer_is_work() {
        for tool in QUESTIONS {
            for event in ["PreToolUse", "PermissionRequest"] {
                assert!(all(&of(event, "tool_name", tool), |signal| *signal == Signal::WaitingInput), "{event} {tool}");
            }
            assert!(all(&of("PostToolUse", "tool_name", tool), |signal| matches!(signal, Signal::Called(_))));
        }
    }

    #[test]
    fn turns_begin_and_end() {
        let prompts = captured().into_iter().filter(|(event, _)| event == "UserPromptSubmit").count();
        assert!(prompts > 0);
        for (event, payload) in captured() {
            match event.as_str() {
                "UserPromptSubmit" => assert_eq!(signals(&event, &payload), [Signal::Prompted]),
                "Stop" => assert_eq!(signals(&event, &payload), [Signal::Idle]),
                _ => {}
            }
        }
    }

    #[test]
    fn a_turn_that_failed_says_why() {
        let long = "x".repeat(600);
        for (payload, told) in [
            (json!({ "error": "rate_limit", "last_assistant_message": "Try at 5." }), "rate_limit: Try at 5."),
            (json!({ "error": "server_error", "error_details": "529" }), "server_error: 529"),
            (json!({ "error": "billing_error", "last_assistant_message": " " }), "billing_error"),
            (json!({ "error": "unknown", "last_assistant_message": "Hm." }), "Hm."),
            (json!({}), "it does not say why"),
            (json!({ "last_assistant_message": long }), &format!("{}…", "x".repeat(MAX_CAUSE))),
        ] {
            assert_eq!(signals("StopFailure", &payload), [Signal::Failed { cause: told.to_owned() }]);
        }
        let of_a_subagent = json!({ "error": "rate_limit", "agent_id": "a1" });
        assert_eq!(signals("StopFailure", &of_a_subagent), [Signal::Settled { subagent: Some("a1".into()) }]);
    }

    #[test]
    fn notifications_say_only_what_no_other_hook_says() {
        assert!(of("Notification", "notification_type", "permission_prompt").is_empty());
        for (kind, expected) in [("idle_prompt", Signal::Idle), ("agent_needs_input", Signal::WaitingInput)] {
            assert_eq!(signals("Notification", &json!({ "notification_type": kind })), [expected]);
        }
    }

    #[test]
    fn only_the_end_of_the_process_is_an_ending() {
        assert!(of("SessionEnd", "reason", "clear").is_empty());
        assert!(all(&of("SessionEnd", "reason", "other"), |signal| *signal == Signal::Ending));
    }

    #[test]
    fn a_subagents_end_is_not_the_turns_end() {
        let signals = of("SubagentStop", "agent_type", "general-purpose");
        assert!(all(&signals, |signal| matches!(signal, Signal::Settled { subagent: Some(_) })), "{signals:?}");
    }
}
