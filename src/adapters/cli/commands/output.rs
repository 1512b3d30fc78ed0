//! `ao output`.

use std::time::Duration;

use serde_json::Value;

use super::super::args::OutputArgs;
use super::super::client::Client;
use super::super::context::Context;
use super::super::error::CliError;
use super::super::told_lines::ToldLines;
use super::super::ui;
use super::super::waiting::PatientClient;
use crate::adapters::http::wire::TerminalText;

/// How often a terminal that is followed is looked at. No runtime but `pty` tells of output by itself, and none of lines.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// As much as any runtime keeps: with less, more lines than that could go by between two looks.
const ALL_LINES: usize = 6_000;

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
    let (session, output) = (format!("/sessions/{}", args.session), format!("/sessions/{}/output", args.session));
    // Nobody answering at first is an error at once, as for every command.
    client.get::<Value>(&session).await?;
    let patient = PatientClient::new(client);
    let (mut told, mut is_first) = (ToldLines::default(), true);
    loop {
        // In this order: what it printed before its end is there by then.
        let is_over = !patient.get::<Value>(&session, None).await?["exit"].is_null();
        let shown: TerminalText = patient.get(&format!("{output}?lines={ALL_LINES}"), None).await?;
        let news = told.news(&shown.text, is_over || is_first);
        let skipped = if is_first { news.len().saturating_sub(args.tail) } else { 0 };
        is_first = false;
        if skipped < news.len() {
            ui::data(&(news[skipped..].join("\n") + "\n"))?;
        }
        if is_over {
            return Ok(());
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
