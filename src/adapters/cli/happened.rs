//! What happened, in words.

use super::ui;
use crate::domain::approval::{Decision, Verdict};
use crate::domain::change::{Change, ChangeKind};
use crate::domain::phase::Phase;

/// How much is shown of what is as long as somebody made it, in columns.
const MAX_WIDTH: usize = 200;

/// What became of a request that nobody answered.
pub(super) const UNANSWERED: &str = "its agent ended before it was answered";

/// A change on one line, without the session that it concerns.
pub(super) fn in_words(change: &Change) -> String {
    let text = |key: &str| change.data.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    let line = |key: &str| ui::first_line(text(key), MAX_WIDTH);
    match change.kind {
        ChangeKind::ProjectAdded => format!("registered, {}", line("path")),
        ChangeKind::ProjectRemoved => "forgotten".to_owned(),
        ChangeKind::ProjectTrusted => "its ao.toml was accepted".to_owned(),
        ChangeKind::SessionRecorded => format!("recorded, branch {}", line("branch")),
        ChangeKind::SessionStep => match text("step") {
            "workspace" => "making the workspace".to_owned(),
            "setup" => "setting the workspace up".to_owned(),
            "prepared" => "preparing the agent".to_owned(),
            "launched" => "starting the agent".to_owned(),
            step => format!("at step {step}"),
        },
        ChangeKind::SessionSetup => format!("{}: {}", text("stage"), line("command")),
        ChangeKind::SessionNote | ChangeKind::SessionWorkspace => format!("note: {}", line("note")),
        ChangeKind::SessionLive => format!("the agent runs, pid {}", change.data["pid"]),
        ChangeKind::SessionReady => "the agent is ready".to_owned(),
        ChangeKind::SessionActivity => {
            let activity = text("activity").replace('_', " ");
            match change.data.get("turn_failure") {
                Some(_) => format!("the agent is {activity}: its turn failed: {}", line("turn_failure")),
                None => format!("the agent is {activity}"),
            }
        }
        ChangeKind::SessionAsked => format!("asks for {}", asked(change)),
        ChangeKind::SessionUnheard => {
            format!("nobody waits for the answer any more, so only its terminal can tell: {}", asked(change))
        }
        ChangeKind::SessionDecided => decided(change),
        ChangeKind::SessionSettled => {
            let how = if change.data["agent_ended"] == true { UNANSWERED } else { "answered in its terminal" };
            format!("{}: {how}", asked(change))
        }
        ChangeKind::SessionQueued => format!("waits in line for a place, {} before it", change.data["ahead"]),
        ChangeKind::SessionRestoring => "restoring".to_owned(),
        ChangeKind::SessionRestoreFailed => format!("could not be restored: {}", line("cause")),
        ChangeKind::SessionTerminated => over(change),
        ChangeKind::SessionRemoved => "its record was removed".to_owned(),
        ChangeKind::MessageQueued => message(change, "waits"),
        ChangeKind::MessageInjected => message(change, "was handed over"),
        ChangeKind::MessageAcknowledged => message(change, "was taken"),
        ChangeKind::MessageReturned => message(change, "came back"),
        ChangeKind::MessageFailed => message(change, "failed"),
    }
}

fn asked(change: &Change) -> String {
    let text = |key: &str| change.data.get(key).and_then(|value| value.as_str());
    let tool = ui::unmistakable(text("tool").unwrap_or("a permission"));
    match text("about") {
        Some(about) => ui::first_line(&format!("{tool}: {}", ui::unmistakable(about)), MAX_WIDTH),
        None => tool,
    }
}

fn decided(change: &Change) -> String {
    let asked = asked(change);
    let Ok(decision) = serde_json::from_value::<Decision>(change.data["decision"].clone()) else { return asked };
    let verdict = match decision.verdict {
        Verdict::Allow => "allowed",
        Verdict::Deny => "denied",
    };
    let reason = decision.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{asked}: {verdict} by {}", ui::first_line(&format!("{}{reason}", decision.by), MAX_WIDTH))
}

fn over(change: &Change) -> String {
    match serde_json::from_value(change.data["phase"].clone()) {
        Ok(Phase::Terminated { reason }) => format!("over: {}", ui::first_line(&reason.to_string(), MAX_WIDTH)),
        _ => "over".to_owned(),
    }
}

fn message(change: &Change, what: &str) -> String {
    let text = |key: &str| change.data.get(key).and_then(|value| value.as_str());
    let from = text("from").map(|from| format!(" from {from}")).unwrap_or_default();
    let via = text("via").map(|via| format!(" ({via})")).unwrap_or_default();
    let error = text("error").map(|error| format!(": {}", ui::first_line(error, MAX_WIDTH))).unwrap_or_default();
    format!("message {}{from} {what}{via}{error}", text("message").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::Timestamp;

    fn words(kind: ChangeKind, data: Value) -> String {
        let session = Some("app-1".parse().unwrap());
        let change = Change { seq: 7, at: Timestamp::UNIX_EPOCH, kind, project: "app".parse().unwrap(), session, data };
        in_words(&change)
    }

    #[test]
    fn what_happened_is_one_line_and_hides_nothing() {
        let ended = json!({ "phase": { "phase": "terminated", "reason": { "exited": { "code": 3 } } } });
        assert_eq!(words(ChangeKind::SessionTerminated, ended), "over: exited with code 3");
        assert_eq!(words(ChangeKind::SessionTerminated, json!({})), "over");
        let decided = json!({
            "request": "5f0d1c3a9be27c44", "tool": "Bash", "about": "make deploy\nrm -rf x",
            "decision": { "verdict": "deny", "reason": "not\u{1b}[2J now", "by": { "kind": "person" } },
        });
        let expected = "Bash: make deploy…: denied by a person: not\u{fffd}[2J now";
        assert_eq!(words(ChangeKind::SessionDecided, decided), expected);
        let mut settled = json!({ "request": "5f0d1c3a9be27c44", "tool": "Bash", "about": "make" });
        assert_eq!(words(ChangeKind::SessionSettled, settled.clone()), "Bash: make: answered in its terminal");
        settled["agent_ended"] = true.into();
        assert_eq!(words(ChangeKind::SessionSettled, settled), "Bash: make: its agent ended before it was answered");
        let message = json!({ "message": "52aa", "from": "app-2", "via": "wake", "error": null });
        assert_eq!(words(ChangeKind::MessageInjected, message), "message 52aa from app-2 was handed over (wake)");
    }
}
