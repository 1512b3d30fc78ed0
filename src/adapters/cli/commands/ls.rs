//! `ao ls`.

use std::time::Duration;

use super::super::args::LsArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::live::LiveScreen;
use super::super::ui;
use super::show;
use crate::adapters::http::wire::{Changes, MAX_WAIT_MS};
use crate::app::view::SessionView;
use crate::domain::status::Status;

/// How much of a task is shown, in columns.
const TASK_WIDTH: usize = 36;

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
    ui::data(&table(&sessions, TASK_WIDTH))
}

async fn list(args: &LsArgs, client: &Client) -> Result<Vec<SessionView>, CliError> {
    let project = args.project.as_ref().map(|project| format!("&project={project}")).unwrap_or_default();
    Ok(client.get(&format!("/sessions?all={}{project}", args.all)).await?)
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
        shown.show(args, &sessions)?;
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
    /// Elsewhere: each state after the one before, with what was written last.
    Stream(Option<String>),
}

impl Shown {
    fn new(args: &LsArgs, context: &Context) -> Result<Self, CliError> {
        let is_live = context.stdout_is_terminal && !args.json;
        if is_live { LiveScreen::take().map(Self::Screen) } else { Ok(Self::Stream(None)) }
    }

    fn show(&mut self, args: &LsArgs, sessions: &[SessionView]) -> Result<(), CliError> {
        match self {
            Self::Screen(screen) if sessions.is_empty() => screen.show(&[none(args).to_owned()]),
            Self::Screen(screen) => {
                let lines: Vec<String> = table(sessions, usize::MAX).lines().map(str::to_owned).collect();
                screen.show(&lines)
            }
            Self::Stream(before) => {
                let text = if args.json { ui::json_text(&sessions)? } else { table(sessions, TASK_WIDTH) };
                if before.as_ref() == Some(&text) {
                    return Ok(());
                }
                // A blank line between tables; JSON has a line for each.
                let separator = if before.is_some() && !args.json { "\n" } else { "" };
                let end = if args.json { "\n" } else { "" };
                ui::data(&format!("{separator}{text}{end}"))?;
                *before = Some(text);
                Ok(())
            }
        }
    }
}

fn table(sessions: &[SessionView], task_width: usize) -> String {
    let rows: Vec<Vec<String>> = sessions.iter().map(|session| row(session, task_width)).collect();
    ui::table(&["SESSION", "STATUS", "AGENT", "RUNTIME", "BRANCH", "TASK"], &rows)
}

fn row(session: &SessionView, task_width: usize) -> Vec<String> {
    vec![
        session.id.to_string(),
        status(session),
        session.agent.to_string(),
        session.runtime.to_string(),
        ui::printable(&session.branch),
        about(session, task_width),
    ]
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
    if let Some(exit) = &session.exit
        && session.status == Status::Failed
    {
        return ui::first_line(exit.cause.as_deref().unwrap_or(&show::ended(exit)), width);
    }
    let text = session.name.as_deref().or(session.prompt.as_deref()).map(str::to_owned);
    ui::first_line(&text.unwrap_or_else(|| shell_words::join(&session.agent_args)), width)
}
