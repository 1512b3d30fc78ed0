//! `ao ls`.

use std::time::Duration;

use tokio::time::Instant;

use super::super::ago::ago;
use super::super::args::LsArgs;
use super::super::client::{Client, ClientError};
use super::super::colours::{Colours, Tone};
use super::super::context::Context;
use super::super::error::CliError;
use super::super::live::{self, LiveScreen};
use super::super::ui;
use super::super::waiting::{LOOK_INTERVAL, PATIENCE};
use super::show;
use crate::adapters::http::wire::{Changes, MAX_WAIT_MS};
use crate::app::view::SessionView;
use crate::domain::Timestamp;
use crate::domain::approval::PendingRequest;
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

async fn list(args: &LsArgs, client: &Client) -> Result<Vec<SessionView>, ClientError> {
    let project = args.project.as_ref().map(|project| format!("&project={project}")).unwrap_or_default();
    client.list(&format!("/sessions?all={}{project}", args.all)).await
}

fn none(args: &LsArgs) -> &'static str {
    if args.all { "no sessions yet" } else { "no live sessions; ao ls -a shows ended ones too" }
}

/// Shows the sessions, also while the daemon is away for a while: those who watch through the night are there when it is back.
async fn watch(args: &LsArgs, context: &Context, client: &Client) -> Result<(), CliError> {
    // Before the first list: what changes after it is told.
    let mut seq = client.get::<Changes>("/events").await?.last_seq;
    let mut sessions = list(args, client).await?;
    let mut shown = Shown::new(args, context)?;
    let mut away: Option<(Instant, Timestamp)> = None;
    loop {
        shown.show(args, context, &sessions, away.map(|(_, at)| at))?;
        match next(args, context, client, &mut seq, away.is_some()).await {
            Ok(Some(new)) => (sessions, away) = (new, None),
            // Its terminal has another size.
            Ok(None) => {}
            Err(error) if error.may_pass() && away.is_none_or(|(since, _)| since.elapsed() < PATIENCE) => {
                away.get_or_insert_with(|| (Instant::now(), context.now()));
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The sessions once something may have changed; `None` when only the terminal did.
async fn next(
    args: &LsArgs,
    context: &Context,
    client: &Client,
    seq: &mut u64,
    at_once: bool,
) -> Result<Option<Vec<SessionView>>, ClientError> {
    let wait_ms = if at_once { 0 } else { MAX_WAIT_MS };
    let path = format!("/events?since={seq}&wait_ms={wait_ms}");
    tokio::select! {
        changes = client.get::<Changes>(&path) => {
            *seq = match changes {
                Ok(changes) => changes.changes.last().map_or(*seq, |change| change.seq),
                // The list is read anew whatever happened.
                Err(error) => error.go_on_from(*seq).ok_or(error)?,
            };
            tokio::time::sleep(GATHER).await;
        }
        () = tokio::time::sleep(TICK) => {}
        () = context.attention.resized.notified() => return Ok(None),
    }
    list(args, client).await.map(Some)
}

/// Where a live table is shown.
enum Shown {
    /// On a terminal, in place.
    Screen(LiveScreen),
    /// Elsewhere: each state after the one before, with what was written last but for the times; and whether it was told that nobody answers.
    Stream { before: Option<String>, is_away_told: bool },
}

impl Shown {
    fn new(args: &LsArgs, context: &Context) -> Result<Self, CliError> {
        let is_live = context.stdout_is_terminal && !args.json;
        if is_live {
            LiveScreen::take().map(Self::Screen)
        } else {
            Ok(Self::Stream { before: None, is_away_told: false })
        }
    }

    /// `away`: since when nobody answers; the sessions are as they were then.
    fn show(
        &mut self,
        args: &LsArgs,
        context: &Context,
        sessions: &[SessionView],
        away: Option<Timestamp>,
    ) -> Result<(), CliError> {
        match self {
            Self::Screen(screen) => {
                let colours = context.colours();
                let away = away.map(|at| {
                    let told = format!("the daemon is away; this is how it was {}", ago(at, context.now()));
                    colours.paint(Tone::Attention, &ui::first_line(&told, live::columns()))
                });
                let table = Table { columns: Some(live::columns()), colours }.of(sessions, Some(context.now()));
                let table = if sessions.is_empty() { none(args).to_owned() } else { table };
                screen.show(&away.into_iter().chain(table.lines().map(str::to_owned)).collect::<Vec<_>>())
            }
            Self::Stream { before, is_away_told } => {
                if away.is_some() != std::mem::replace(is_away_told, away.is_some()) {
                    let back = "the daemon is back";
                    ui::talk(if away.is_some() { "the daemon is away; it is waited for" } else { back });
                }
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
        return asks(pending, width);
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

/// What it asks for, and, where there is room, by which id that very request is answered.
fn asks(pending: &PendingRequest, width: usize) -> String {
    if pending.unheard_since.is_some() {
        return ui::first_line(&format!("see its terminal: it asked for {}", show::asked(pending)), width);
    }
    let wants = ui::first_line(&format!("wants {}", show::asked(pending)), width);
    let with_id = format!("{wants} (--request {})", pending.id);
    if ui::width(&with_id) <= width { with_id } else { wants }
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
