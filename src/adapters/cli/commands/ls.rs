//! `ao ls`.

use std::time::Duration;

use super::super::ago::ago;
use super::super::args::LsArgs;
use super::super::client::Client;
use super::super::colours::{Colours, Tone};
use super::super::context::Context;
use super::super::error::CliError;
use super::super::live::{self, LiveScreen};
use super::super::ui;
use super::show;
use crate::adapters::http::wire::{Changes, MAX_WAIT_MS};
use crate::app::view::SessionView;
use crate::domain::Timestamp;
use crate::domain::status::Status;

/// A terminal with fewer columns is not shown the runtime, which `ao show` tells too: the task needs the room.
const ROOMY: usize = 100;
/// What is cut for a terminal, and to what at most: the task, the branch, the agent.
const GIVES_WAY: [(&str, usize); 3] = [("TASK", 16), ("BRANCH", 8), ("AGENT", 8)];

/// How often a live table is made anew without a change: some statuses come with time alone.
const TICK: Duration = Duration::from_secs(2);
/// How long a burst of changes is gathered before it is shown.
const GATHER: Duration = Duration::from_millis(50);

pub(in super::super) async fn run(args: &LsArgs, context: &Context) -> Result<(), CliError> {
    let client = Client::new(&context.socket);
    if args.watch {
        return tokio::select! {
            ended = watch(args, context, &client) => ended,
            // The usual way to leave: it is done.
            () = context.attention.stop.cancelled() => Ok(()),
            // Without a change there would be no write to notice it by.
            () = ui::reader_gone() => Ok(()),
        };
    }
    let sessions = list(args, &client).await?;
    if args.json {
        return ui::json(&sessions);
    }
    if sessions.is_empty() {
        ui::talk(none(args));
        return Ok(());
    }
    let columns = context.stdout_is_terminal.then(live::columns);
    ui::data(&Table { columns, colours: context.colours() }.of(&sessions, Some(context.now())))
}

async fn list(args: &LsArgs, client: &Client) -> Result<Vec<SessionView>, CliError> {
    let project = args.project.as_ref().map(|project| format!("&project={project}")).unwrap_or_default();
    Ok(client.list(&format!("/sessions?all={}{project}", args.all)).await?)
}

fn none(args: &LsArgs) -> &'static str {
    if args.all { "no sessions yet" } else { "no live sessions; ao ls -a shows ended ones too" }
}

/// Shows the sessions until the daemon goes away.
async fn watch(args: &LsArgs, context: &Context, client: &Client) -> Result<(), CliError> {
    // Before the first list: what changes after it is told.
    let mut seq = client.get::<Changes>("/events").await?.last_seq;
    let mut sessions = list(args, client).await?;
    let mut shown = Shown::new(args, context)?;
    loop {
        shown.show(args, context, &sessions)?;
        let path = format!("/events?since={seq}&wait_ms={MAX_WAIT_MS}");
        tokio::select! {
            changes = client.get::<Changes>(&path) => {
                seq = match changes {
                    Ok(changes) => changes.changes.last().map_or(seq, |change| change.seq),
                    // The list is read anew whatever happened.
                    Err(error) => error.go_on_from(seq).ok_or(error)?,
                };
                tokio::time::sleep(GATHER).await;
            }
            () = tokio::time::sleep(TICK) => {}
            () = context.attention.resized.notified() => continue,
        }
        sessions = list(args, client).await?;
    }
}

/// Where a live table is shown.
enum Shown {
    /// On a terminal, in place.
    Screen(LiveScreen),
    /// Elsewhere: each state after the one before, with what was written last but for the times.
    Stream(Option<String>),
}

impl Shown {
    fn new(args: &LsArgs, context: &Context) -> Result<Self, CliError> {
        let is_live = context.stdout_is_terminal && !args.json;
        if is_live { LiveScreen::take().map(Self::Screen) } else { Ok(Self::Stream(None)) }
    }

    fn show(&mut self, args: &LsArgs, context: &Context, sessions: &[SessionView]) -> Result<(), CliError> {
        match self {
            Self::Screen(screen) if sessions.is_empty() => screen.show(&[none(args).to_owned()]),
            Self::Screen(screen) => {
                let table = Table { columns: Some(live::columns()), colours: context.colours() };
                let lines: Vec<String> = table.of(sessions, Some(context.now())).lines().map(str::to_owned).collect();
                screen.show(&lines)
            }
            Self::Stream(before) => {
                let table = Table { columns: None, colours: context.colours() };
                let state = if args.json { ui::json_text(&sessions)? } else { table.of(sessions, None) };
                if before.as_ref() == Some(&state) {
                    return Ok(());
                }
                let text = if args.json { state.clone() } else { table.of(sessions, Some(context.now())) };
                // A blank line between tables; JSON has a line for each.
                let separator = if before.is_some() && !args.json { "\n" } else { "" };
                let end = if args.json { "\n" } else { "" };
                ui::data(&format!("{separator}{text}{end}"))?;
                *before = Some(state);
                Ok(())
            }
        }
    }
}

/// How the sessions are laid out.
struct Table {
    /// What they are fitted to; `None` where it is no terminal.
    columns: Option<usize>,
    colours: Colours,
}

impl Table {
    /// `now` is what times are told by; without it they are left out.
    fn of(&self, sessions: &[SessionView], now: Option<Timestamp>) -> String {
        let has_runtime = self.columns.is_none_or(|columns| columns >= ROOMY);
        let shown = |name: &&str| has_runtime || *name != "RUNTIME";
        let header: Vec<&str> =
            ["SESSION", "STATUS", "ACTIVE", "AGENT", "RUNTIME", "BRANCH", "TASK"].into_iter().filter(shown).collect();
        let row = |session: &SessionView| header.iter().map(|name| self.cell(name, session, now)).collect();
        let rows: Vec<Vec<String>> = sessions.iter().map(row).collect();
        let Some(columns) = self.columns else { return ui::table(&header, &rows) };
        let place = |name: &str| header.iter().position(|column| *column == name);
        let gives_way: Vec<(usize, usize)> =
            GIVES_WAY.iter().filter_map(|(name, least)| Some((place(name)?, *least))).collect();
        ui::table_within(columns, &gives_way, &header, &rows)
    }

    fn cell(&self, column: &str, session: &SessionView, now: Option<Timestamp>) -> String {
        match column {
            "SESSION" => session.id.to_string(),
            "STATUS" => {
                let status = status(session);
                tone(session).map_or(status.clone(), |tone| self.colours.paint(tone, &status))
            }
            "ACTIVE" => now.map(|now| ago(session.last_activity_at, now)).unwrap_or_default(),
            "AGENT" => session.agent.to_string(),
            "RUNTIME" => session.runtime.to_string(),
            "BRANCH" => ui::printable(&session.branch),
            _ => about(session, if self.columns.is_some() { usize::MAX } else { ui::MAX_TEXT }),
        }
    }
}

fn tone(session: &SessionView) -> Option<Tone> {
    match session.status {
        Status::Idle if session.turn_failure.is_some() => Some(Tone::Attention),
        Status::Working => Some(Tone::Good),
        Status::Blocked | Status::NeedsInput | Status::NoSignal => Some(Tone::Attention),
        Status::Failed => Some(Tone::Bad),
        Status::Terminated => Some(Tone::Faint),
        Status::Queued | Status::Starting | Status::Idle => None,
    }
}

fn status(session: &SessionView) -> String {
    match session.place_in_line {
        Some(place) => format!("{} ({place})", session.status),
        None => session.status.to_string(),
    }
}

/// What the row is about: the reason first when somebody has to look.
fn about(session: &SessionView, width: usize) -> String {
    if let Some(pending) = &session.pending_request {
        return ui::first_line(&format!("wants {}", show::asked(pending)), width);
    }
    if session.status == Status::NoSignal {
        return ui::first_line(&format!("never reported; see: ao show {}", session.id), width);
    }
    if let Some(cause) = show::turn_failure(session) {
        return ui::first_line(&format!("its turn failed: {cause}"), width);
    }
    if let Some(exit) = &session.exit
        && session.status == Status::Failed
    {
        return ui::first_line(exit.cause.as_deref().unwrap_or(&show::ended(exit)), width);
    }
    let text = session.name.as_deref().or(session.prompt.as_deref()).map(str::to_owned);
    ui::first_line(&text.unwrap_or_else(|| shell_words::join(&session.agent_args)), width)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str, status: Status) -> SessionView {
        let session = crate::domain::session::tests::session();
        let view = SessionView::of(&session, session.created_at);
        SessionView { name: Some(name.to_owned()), status, branch: "ao/a-branch-of-some-length".into(), ..view }
    }

    fn table(columns: Option<usize>, sessions: &[SessionView]) -> String {
        let now = Timestamp::from_second(sessions[0].last_activity_at.as_second() + 200).unwrap();
        Table { columns, colours: Colours::default() }.of(sessions, Some(now))
    }

    #[test]
    fn it_fits_the_terminal_and_keeps_what_a_person_types() {
        let long = "a name that is far too long for any terminal 漢字漢字漢字 ".repeat(4);
        let sessions = [session(&long, Status::NeedsInput), session("short", Status::Working)];
        for columns in 40..300 {
            let table = table(Some(columns), &sessions);
            for line in table.lines() {
                assert!(ui::width(line) <= columns, "{columns}: {line}");
            }
            let id = sessions[0].id.as_str();
            assert!(table.contains(id) && table.contains("3m ago"), "{columns}: {table}");
            assert_eq!(table.contains("RUNTIME"), columns >= ROOMY, "{columns}");
        }
        let at_80 = table(Some(80), &sessions);
        assert!(
            at_80.lines().nth(1).is_some_and(|line| line.contains("needs_input") && line.ends_with('…')),
            "{at_80}"
        );
    }

    #[test]
    fn elsewhere_only_a_long_text_is_cut() {
        let sessions = [session(&"x".repeat(200), Status::Working)];
        let table = table(None, &sessions);
        let row = table.lines().nth(1).unwrap();
        assert!(row.contains("ao/a-branch-of-some-length") && row.ends_with(&format!("{}…", "x".repeat(119))), "{row}");
    }

    #[test]
    fn colours_change_nothing_but_the_colour() {
        let sessions = [session("one", Status::Blocked), session("two", Status::Failed)];
        let force = [("CLICOLOR_FORCE".to_owned(), "1".to_owned())].into();
        let painted = Table { columns: Some(80), colours: Colours::of(false, &force) }.of(&sessions, None);
        let plain = Table { columns: Some(80), colours: Colours::default() }.of(&sessions, None);
        let escapes = ["\u{1b}[33m", "\u{1b}[31m", "\u{1b}[0m"];
        let without = escapes.iter().fold(painted.clone(), |text, escape| text.replace(escape, ""));
        assert_eq!(without, plain);
        assert!(
            painted.contains("\u{1b}[33mblocked\u{1b}[0m") && painted.contains("\u{1b}[31mfailed\u{1b}[0m"),
            "{painted}"
        );
    }
}
