//! `ao show`.

use super::super::ago;
use super::super::args::SessionArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::happened::UNANSWERED;
use super::super::ui;
use crate::adapters::http::wire::TerminalText;
use crate::app::view::{ExitView, SessionView};
use crate::domain::Timestamp;
use crate::domain::approval::{AnsweredRequest, Decision, PendingRequest, Verdict};
use crate::domain::message::MessageRecord;
use crate::domain::session::SessionKind;
use crate::domain::status::Status;

/// How many answered requests are shown.
const SHOWN_ANSWERS: usize = 3;
/// How much is shown of what is asked, in columns.
const MAX_ABOUT: usize = 100;

pub(in super::super) async fn run(args: &SessionArgs, context: &Context) -> Result<(), CliError> {
    let client = Client::new(&context.socket);
    let session: SessionView = client.get(&format!("/sessions/{}", args.session)).await?;
    if args.json {
        return ui::json(&session);
    }
    let messages: Vec<MessageRecord> = client.list(&format!("/sessions/{}/messages", args.session)).await?;
    let waiting = messages.iter().filter(|message| !message.state.is_settled()).count();
    let mut text = describe(&session, waiting, |time| ago::at(time, context.now(), &context.time_zone));
    if session.status == Status::NoSignal
        && let Ok(screen) = client.get::<TerminalText>(&format!("/sessions/{}/screen", session.id)).await
    {
        let id = &session.id;
        text.push_str("\nThe agent runs, but never reported. Its screen:\n\n");
        text.push_str(&ui::printable(screen.text.trim_end()));
        text.push_str(&format!(
            "\n\nA question on it (whether to trust, to log in, to update) has to be answered in its terminal; or end it: ao kill {id}\n"
        ));
    }
    ui::data(&text)
}

/// Why its last turn failed, in a line, when nothing has followed that.
pub(in super::super) fn turn_failure(session: &SessionView) -> Option<String> {
    let cause = session.turn_failure.as_ref().filter(|_| session.status == Status::Idle)?;
    Some(ui::printable(&cause.split_whitespace().collect::<Vec<_>>().join(" ")))
}

fn describe(session: &SessionView, waiting_messages: usize, when: impl Fn(Timestamp) -> String) -> String {
    let mut lines = vec![
        ("session", session.id.to_string()),
        ("status", format!("{} (activity {})", session.status, session.activity.as_str())),
        ("agent", format!("{}, permission mode {}", session.agent, session.permission_mode)),
        ("runtime", session.runtime.to_string()),
        ("branch", session.branch.clone()),
        ("workspace", session.workspace.display().to_string()),
        ("created", when(session.created_at)),
        ("last activity", when(session.last_activity_at)),
    ];
    let mut add = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    add("place in line", session.place_in_line.map(|place| place.to_string()));
    add("name", session.name.clone());
    add("kind", (session.kind != SessionKind::Worker).then(|| session.kind.to_string()));
    add("issue", session.issue.clone());
    add("arguments", (!session.agent_args.is_empty()).then(|| shell_words::join(&session.agent_args)));
    add("base", session.base.clone());
    add("pid", session.pid.map(|pid| pid.to_string()));
    add("conversation", session.agent_session_id.as_ref().map(ToString::to_string));
    for request in session.pending_request.iter().chain(&session.other_requests) {
        add("waits for", Some(whole(request)));
        add("request", Some(answers(session, request, &when)));
    }
    for request in session.answered_requests.iter().rev().take(SHOWN_ANSWERS).rev() {
        add("permission", Some(answered(request)));
    }
    let waiting = format!("{waiting_messages} not taken yet; see: ao messages {}", session.id);
    add("turn failed", session.turn_failure.clone());
    add("messages", (waiting_messages > 0).then_some(waiting));
    add("ended", session.exit.as_ref().map(ended));
    for note in &session.notes {
        add("note", Some(note.clone()));
    }
    let mut text = String::new();
    for (name, value) in lines {
        text.push_str(&format!("{name:14} {}\n", ui::printable(&value)));
    }
    if let Some(prompt) = &session.prompt {
        text.push_str(&format!("\n{}\n", ui::printable(prompt.trim_end())));
    }
    if let Some(tail) = session.exit.as_ref().and_then(|exit| exit.output_tail.as_deref()) {
        text.push_str("\nThe end of its output:\n\n");
        text.push_str(&ui::printable(tail));
        text.push('\n');
    }
    text
}

/// All that is known of what is asked.
fn whole(request: &PendingRequest) -> String {
    let cut = if request.tool_use.is_cut { " (what was too long is left out)" } else { "" };
    format!("{} {}{cut}", request.tool_use.tool, ui::unmistakable(&request.tool_use.input.to_string()))
}

/// How a request is answered: by its own id, so that what was read is what is answered.
fn answers(session: &SessionView, request: &PendingRequest, when: &impl Fn(Timestamp) -> String) -> String {
    let (id, which, since) = (&session.id, &request.id, when(request.since));
    match request.unheard_since {
        Some(left) => format!(
            "{which}, since {since}; nobody waits for the answer since {}: look at its terminal with ao attach {id}, for ao cannot give it",
            when(left)
        ),
        None => format!(
            "{which}, since {since}; answer with: ao approve {id} --request {which}, ao deny {id} --request {which}"
        ),
    }
}

/// What is asked, on a line.
pub(in super::super) fn asked(request: &PendingRequest) -> String {
    in_a_line(&request.tool_use.tool, request.about().as_deref())
}

fn in_a_line(tool: &str, about: Option<&str>) -> String {
    match about {
        // By this a person decides.
        Some(about) => format!("{tool}: {}", ui::first_line(&ui::unmistakable(about), MAX_ABOUT)),
        None => tool.to_owned(),
    }
}

/// What was asked, and what became of it.
pub(in super::super) fn answered(answered: &AnsweredRequest) -> String {
    let asked = in_a_line(&answered.tool, answered.about.as_deref());
    if answered.agent_ended {
        return format!("{asked}: {UNANSWERED}");
    }
    let Some(Decision { verdict, reason, by }) = &answered.decision else {
        return format!("{asked}: answered in its terminal");
    };
    let verdict = match verdict {
        Verdict::Allow => "allowed",
        Verdict::Deny => "denied",
    };
    let reason = reason.as_ref().map(|reason| format!(": {}", ui::first_line(reason, MAX_ABOUT))).unwrap_or_default();
    let overruled = if answered.is_overruled { "; but it had been allowed in its terminal, and ran" } else { "" };
    format!("{asked}: {verdict} by {by}{reason}{overruled}")
}

pub(in super::super) fn ended(exit: &ExitView) -> String {
    let mut text = exit.reason.replace('_', " ");
    if let Some(step) = exit.step {
        text.push_str(&format!(" at step {step}"));
    }
    if let Some(cause) = &exit.cause {
        text.push_str(&format!(": {cause}"));
    }
    match (exit.code, exit.signal) {
        (Some(code), _) => text.push_str(&format!(" (exit code {code})")),
        (_, Some(signal)) => text.push_str(&format!(" (signal {signal})")),
        (None, None) => {}
    }
    text
}
