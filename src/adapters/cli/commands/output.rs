//! `ao output`.

use hyper::StatusCode;
use serde::de::DeserializeOwned;

use super::super::args::OutputArgs;
use super::super::client::{Client, ClientError};
use super::super::context::Context;
use super::super::error::CliError;
use super::super::event_stream::{EventStream, ServerEvent};
use super::super::ui;
use super::super::waiting::PatientClient;
use crate::adapters::http::wire::{DROPPED_EVENT, END_EVENT, ErrorBody, TerminalText};
use crate::app::follow::OutputLines;
use crate::domain::id::SessionId;

pub(in super::super) async fn run(args: &OutputArgs, context: &Context) -> Result<(), CliError> {
    let client = Client::new(&context.socket);
    if !args.follow {
        return show(args, &client).await;
    }
    tokio::select! {
        ended = follow(args, client) => ended,
        // The usual way to leave: it is done.
        () = context.attention.stop.cancelled() => Ok(()),
        // Without output there would be no write to notice it by.
        () = ui::reader_gone() => Ok(()),
    }
}

async fn show(args: &OutputArgs, client: &Client) -> Result<(), CliError> {
    let stage = match (args.setup, args.teardown) {
        (true, _) => "&stage=setup",
        (_, true) => "&stage=teardown",
        _ => "",
    };
    let path = format!("/sessions/{}/output?lines={}{stage}", args.session, args.tail);
    let output: TerminalText = client.get(&path).await?;
    if args.json {
        return ui::json(&output);
    }
    if output.text.trim().is_empty() && args.tail > 0 {
        let of = ["its project's setup", "its project's teardown", "its terminal"];
        let of = of[if args.setup { 0 } else { 1 + usize::from(!args.teardown) }];
        ui::talk(&format!("nothing is kept of what {of} printed"));
    }
    let mut text = output.text;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    ui::data(&text)
}

/// Tells the last lines, and then each that comes, until the session is over.
async fn follow(args: &OutputArgs, client: Client) -> Result<(), CliError> {
    let path = format!("/sessions/{}/output/stream?lines={}", args.session, args.tail);
    // Nobody answering at first is an error at once, as for every command.
    let mut stream = client.events(&path, None).await?;
    let patient = PatientClient::new(client.clone());
    let mut last = None;
    loop {
        let before = last.clone();
        match tell(&mut stream, &mut last, &args.session).await? {
            Ended::Session => return Ok(()),
            Ended::Dropped(body) if last == before => {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return Err(ClientError::Refused { status, body }.into());
            }
            Ended::Dropped(body) => {
                ui::talk(&format!("the daemon dropped this reader, which begins again: {}", body.error.message));
            }
            Ended::Daemon => {}
        }
        patient.rest().await;
        stream = patient.patiently(None, || client.events(&path, last.clone())).await?;
    }
}

/// Why a stream ended.
enum Ended {
    /// The session is over.
    Session,
    /// The daemon did not want to go on.
    Dropped(ErrorBody),
    /// It stopped, or died.
    Daemon,
}

/// Tells what a stream brings, until it ends.
async fn tell(stream: &mut EventStream, last: &mut Option<String>, session: &SessionId) -> Result<Ended, CliError> {
    loop {
        let Ok(Some(ServerEvent { id, name, data })) = stream.next().await else { return Ok(Ended::Daemon) };
        match (name.as_deref(), data) {
            (None, Some(data)) => show_lines(&read(&data)?, session)?,
            (Some(END_EVENT), _) => return Ok(Ended::Session),
            (Some(DROPPED_EVENT), Some(data)) => return Ok(Ended::Dropped(read(&data)?)),
            _ => {}
        }
        *last = id.or_else(|| last.take());
    }
}

fn read<T: DeserializeOwned>(data: &str) -> Result<T, CliError> {
    serde_json::from_str(data).map_err(|error| CliError::failed(format!("cannot read what the daemon tells: {error}")))
}

fn show_lines(news: &OutputLines, session: &SessionId) -> Result<(), CliError> {
    match news.unseen.map(|unseen| unseen.lines) {
        Some(Some(lines)) => {
            ui::talk(&format!("{lines} lines of {session} went by unseen: they are not kept any more"));
        }
        Some(None) => ui::talk(&format!(
            "lines of {session} may have gone by unseen: more came at once than its terminal keeps, or than can be told"
        )),
        None => {}
    }
    if news.lines.is_empty() { Ok(()) } else { ui::data(&(news.lines.join("\n") + "\n")) }
}
