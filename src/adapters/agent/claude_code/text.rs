//! How Claude Code takes text through its hooks. Seen with 2.1.197; `tests/claude_real.rs` and `tests/e2e/messages.rs` see it again.
//!
//! - What `PostToolUse`, `UserPromptSubmit` and `Stop` answer as additional context stands in the next request, in a reminder of its own. A
//!   subagent's hook would hand it to the subagent.
//! - A `Stop` with such an answer does not end the turn, as one that is blocked; but the reason of a block stands in the requests of all later
//!   turns once more, as an error of the hook. After eight in a row (`CLAUDE_CODE_STOP_HOOK_BLOCK_CAP`) the turn ends all the same.
//! - A background hook that ends with 2 begins a turn with what it printed on standard error, in a prompt that begins with
//!   `<task-notification>`; in the middle of a turn that prompt is put in line until the turn is over. It outlives `/clear`, and wakes the
//!   conversation that is there by then.
//! - The transcript has what was taken some milliseconds later, and before the next hook as a rule; a line of the type `queue-operation`
//!   tells only that it stands in that line.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::domain::id::MessageId;
use crate::domain::message::Route;
use crate::ports::mailbox::Handover;
use crate::ports::text_hooks::{HookAnswer, Seen, TextHooks};

/// The exit code of a background hook that wakes the agent.
const WAKES: u8 = 2;
/// How much text is handed over at once, in bytes: what a hook answers stands in the conversation for good, and a long answer is cut.
const MOST_BYTES: usize = 8 * 1024;

/// A path that has more bytes names no file, and would not fit beside a message.
const MOST_PATH_BYTES: usize = 4096;
/// How much of a transcript is looked through for what was handed over, in bytes: it stands near the place that was noted then.
const MOST_READ_BYTES: u64 = 64 * 1024 * 1024;
#[expect(clippy::cast_possible_wrap, reason = "a flag, far below the sign")]
const O_NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

/// Claude Code's hooks, as far as they take text.
pub(super) struct ClaudeText;

impl TextHooks for ClaudeText {
    fn route(&self, event: &str, payload: &Value) -> Option<Route> {
        if payload.get("agent_id").is_some() {
            return None;
        }
        match event {
            "PostToolUse" | "PostToolUseFailure" => Some(Route::BetweenTools),
            "UserPromptSubmit" => Some(Route::NextPrompt),
            // One that was held up already may end: after a few in a row Claude Code ends the turn whatever a hook says. It is woken then.
            "Stop" if payload["stop_hook_active"] != true => Some(Route::EndOfTurn),
            _ => None,
        }
    }

    fn hand_over(&self, event: &str, route: Route, text: &str) -> HookAnswer {
        let answer = |value: Value| HookAnswer { stdout: value.to_string(), ..HookAnswer::default() };
        match route {
            Route::BetweenTools | Route::NextPrompt | Route::EndOfTurn => {
                answer(json!({ "hookSpecificOutput": { "hookEventName": event, "additionalContext": text } }))
            }
            Route::Wake => HookAnswer { stderr: text.to_owned(), code: WAKES, ..HookAnswer::default() },
            // No hook's.
            Route::Terminal => HookAnswer::default(),
        }
    }

    fn most_bytes(&self, _route: Route) -> usize {
        MOST_BYTES
    }

    fn trace(&self, payload: &Value) -> Value {
        let Some(transcript) = transcript_of(payload) else { return Value::Null };
        // It is not there before the first prompt was taken.
        let length = std::fs::metadata(transcript).map_or(0, |metadata| metadata.len());
        json!({ "transcript": transcript, "length": length })
    }

    fn seen(&self, event: &str, payload: &Value, id: &MessageId, handover: &Handover) -> Seen {
        let prompt = payload.get("prompt").and_then(Value::as_str);
        if event == "UserPromptSubmit" && prompt.is_some_and(|prompt| prompt.contains(id.as_str())) {
            return Seen::Taken;
        }
        // The agent's own word for where it is: the record of the handover lies where anybody may write.
        let transcript = transcript_of(payload);
        let trace = &handover.trace;
        match (transcript, trace["length"].as_u64()) {
            (Some(transcript), Some(length)) if trace["transcript"] == transcript => {
                in_transcript(Path::new(transcript), length, id).unwrap_or(Seen::Unknown)
            }
            _ => Seen::Unknown,
        }
    }
}

fn transcript_of(payload: &Value) -> Option<&str> {
    payload.get("transcript_path").and_then(Value::as_str).filter(|path| path.len() <= MOST_PATH_BYTES)
}

/// What the transcript tells from there on.
fn in_transcript(transcript: &Path, from: u64, id: &MessageId) -> std::io::Result<Seen> {
    // Without waiting: opening a pipe for reading would wait for whoever writes to it.
    let mut file = File::options().read(true).custom_flags(O_NONBLOCK).open(transcript)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    file.seek(SeekFrom::Start(from))?;
    told_by(BufReader::new(file.take(MOST_READ_BYTES)), id)
}

/// What these lines tell.
pub(crate) fn told_by(lines: impl BufRead, id: &MessageId) -> std::io::Result<Seen> {
    let mut seen = Seen::Missing;
    for line in lines.split(b'\n') {
        let line = line?;
        if !contains(&line, id.as_str().as_bytes()) {
            continue;
        }
        // A line that is being written is no JSON yet.
        let Ok(entry) = serde_json::from_slice::<Value>(&line) else { continue };
        if entry["type"] != "queue-operation" {
            return Ok(Seen::Taken);
        }
        seen = Seen::Held;
    }
    Ok(seen)
}

fn contains(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn a_subagents_hooks_take_nothing() {
        assert_eq!(ClaudeText.route("PostToolUse", &json!({})), Some(Route::BetweenTools));
        assert_eq!(ClaudeText.route("PostToolUse", &json!({ "agent_id": "a1" })), None);
    }

    #[test]
    fn a_turn_is_held_up_once() {
        for (is_active, route) in [(false, Some(Route::EndOfTurn)), (true, None)] {
            assert_eq!(ClaudeText.route("Stop", &json!({ "stop_hook_active": is_active })), route);
        }
    }

    #[test]
    fn what_stands_in_line_and_what_is_being_written_is_not_taken_yet() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("t.jsonl");
        let payload = json!({ "transcript_path": path });
        let id = MessageId::hash_of("a");
        let seen = |handover: &Handover| ClaudeText.seen("PreToolUse", &payload, &id, handover);
        let mut text = format!("{}\n", json!({ "type": "user", "message": "hello" }));
        std::fs::write(&path, &text).unwrap();
        let handover = Handover { via: Route::Wake, at: Timestamp::UNIX_EPOCH, trace: ClaudeText.trace(&payload) };
        assert_eq!(seen(&handover), Seen::Missing);
        let entry = |kind: &str| format!("{}\n", json!({ "type": kind, "content": format!("x {id} y") }));
        text += &entry("queue-operation");
        std::fs::write(&path, &text).unwrap();
        assert_eq!(seen(&handover), Seen::Held);
        let whole = text.clone() + &entry("attachment");
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
        assert_eq!(seen(&handover), Seen::Held, "a line that is being written is not taken");
        std::fs::write(&path, whole).unwrap();
        assert_eq!(seen(&handover), Seen::Taken);
    }
}
