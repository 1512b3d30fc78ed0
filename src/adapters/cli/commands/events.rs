//! `ao events`.

use hyper::StatusCode;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

use super::super::ago;
use super::super::args::{EventsArgs, Since};
use super::super::client::{Client, ClientError};
use super::super::context::Context;
use super::super::error::CliError;
use super::super::event_stream::{EventStream, ServerEvent};
use super::super::waiting::PatientClient;
use super::super::{happened, ui};
use crate::adapters::http::wire::{DROPPED_EVENT, ErrorBody};
use crate::domain::change::Change;
use crate::domain::id::SessionId;

/// A run of changes as they came: a daemon that is newer than this may know kinds that it does not.
#[derive(Deserialize)]
struct Page {
    changes: Vec<Value>,
    #[serde(default)]
    last_seq: u64,
}

pub(in super::super) async fn run(args: &EventsArgs, context: &Context) -> Result<(), CliError> {
    let client = Client::new(&context.socket);
    let told = Told { json: args.json, time_zone: context.time_zone.clone() };
    if !args.follow {
        return past(args, &client, &told).await;
    }
    tokio::select! {
        ended = follow(args, client, &told) => ended,
        // The usual way to leave: it is done.
        () = context.attention.stop.cancelled() => Ok(()),
        // Without a change there would be no write to notice it by.
        () = ui::reader_gone() => Ok(()),
    }
}

/// Tells what happened until now.
async fn past(args: &EventsArgs, client: &Client, told: &Told) -> Result<(), CliError> {
    let newest = client.get::<Page>("/events").await?.last_seq;
    let mut since = match args.since {
        None => 0,
        Some(Since::Now) => newest,
        Some(Since::Change(seq)) => seq,
    };
    let mut is_first = true;
    while since < newest || is_first {
        let page = match client.get::<Page>(&path(args.session.as_ref(), Some(since))).await {
            Ok(page) => page,
            // Nobody who asks for everything wants to know what that was once.
            Err(error) if is_first && args.since.is_none() => {
                since = error.go_on_from(since).ok_or(error)?;
                continue;
            }
            Err(error) => return Err(gone(error, since)),
        };
        let Some(last) = page.changes.last() else { return Ok(()) };
        (since, is_first) = (seq(last), false);
        let lines: Result<Vec<String>, CliError> =
            page.changes.iter().filter(|change| seq(change) <= newest).map(|change| told.line(change)).collect();
        ui::data(&lines?.concat())?;
    }
    Ok(())
}

/// Tells what happened, and goes on with what happens until somebody stops it.
async fn follow(args: &EventsArgs, client: Client, told: &Told) -> Result<(), CliError> {
    let mut last = match args.since {
        None => Some(0),
        Some(Since::Now) => None,
        Some(Since::Change(seq)) => Some(seq),
    };
    let path = path(args.session.as_ref(), None);
    // Nobody answering at first is an error at once, as for every command.
    let mut stream = match client.events(&path, id(last)).await {
        Err(error) if args.since.is_none() => {
            last = Some(error.go_on_from(0).ok_or(error)?);
            client.events(&path, id(last)).await?
        }
        opened => opened.map_err(|error| gone(error, last.unwrap_or_default()))?,
    };
    let patient = PatientClient::new(client.clone());
    loop {
        let before = last;
        if let Some(body) = tell(&mut stream, &mut last, told).await? {
            let is_gone = body.error.oldest.is_some();
            // To begin again helps who was too slow, and against what passes.
            if is_gone || last == before {
                let status = if is_gone { StatusCode::GONE } else { StatusCode::INTERNAL_SERVER_ERROR };
                return Err(gone(ClientError::Refused { status, body }, last.unwrap_or_default()));
            }
            ui::talk(&format!("the daemon dropped this reader, which begins again: {}", body.error.message));
        }
        patient.rest().await;
        let opened = patient.patiently(None, || client.events(&path, id(last))).await;
        stream = opened.map_err(|error| gone(error, last.unwrap_or_default()))?;
    }
}

/// Tells what a stream brings, until it ends. Gives what the daemon said about that, if it did.
async fn tell(stream: &mut EventStream, last: &mut Option<u64>, told: &Told) -> Result<Option<ErrorBody>, CliError> {
    loop {
        // A daemon that stops, or died: whether it comes back shows in the next request.
        let Ok(Some(ServerEvent { id, name, data })) = stream.next().await else { return Ok(None) };
        let id: Option<u64> = id.and_then(|id| id.parse().ok());
        match (name.as_deref(), data) {
            (None, Some(data)) if id > *last || last.is_none() => {
                let change = serde_json::from_str(&data)
                    .map_err(|error| CliError::failed(format!("cannot read what the daemon tells: {error}")))?;
                ui::data(&told.line(&change)?)?;
            }
            (Some(DROPPED_EVENT), Some(data)) => return Ok(serde_json::from_str(&data).ok()),
            _ => {}
        }
        *last = id.max(*last);
    }
}

/// The error, with what to do where changes after `since` were trimmed.
fn gone(error: ClientError, since: u64) -> CliError {
    let next = error.go_on_from(since);
    let error = CliError::from(error);
    match next {
        Some(next) => error.hint(format!(
            "begin with the oldest there is: ao events --since {next}; keep_changes in config.toml says how many are kept"
        )),
        None => error,
    }
}

fn path(session: Option<&SessionId>, since: Option<u64>) -> String {
    let mut path = "/events?".to_owned();
    path.extend(session.map(|session| format!("session={session}&")));
    path.extend(since.map(|since| format!("since={since}")));
    path
}

/// The id of the event of a change.
fn id(seq: Option<u64>) -> Option<String> {
    seq.map(|seq| seq.to_string())
}

fn seq(change: &Value) -> u64 {
    change["seq"].as_u64().unwrap_or_default()
}

/// How changes are told.
struct Told {
    json: bool,
    time_zone: TimeZone,
}

impl Told {
    /// A change as a line.
    fn line(&self, change: &Value) -> Result<String, CliError> {
        if self.json {
            return Ok(format!("{}\n", ui::json_text(change)?));
        }
        Ok(match Change::deserialize(change) {
            Ok(change) => self.shown(&change),
            Err(_) => format!("{:>6}  {}\n", seq(change), ui::printable(&ui::json_text(change)?)),
        })
    }

    fn shown(&self, change: &Change) -> String {
        let time = ago::local(change.at, &self.time_zone);
        let about = change.session.as_ref().map_or(change.project.as_str(), |session| session.as_str());
        format!("{:>6}  {time}  {about:10}  {}\n", change.seq, happened::in_words(change))
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_the_local_time_and_a_kind_that_is_not_known_yet_is_told_all_the_same() {
        let told = Told { json: false, time_zone: TimeZone::fixed(tz::offset(2)) };
        let mut change = json!({
            "seq": 7, "at": "2026-11-26T22:30:00Z", "kind": "session.ready", "project": "app", "session": "app-1", "data": {},
        });
        assert_eq!(told.line(&change).unwrap(), "     7  2026-11-27 00:30:00  app-1       the agent is ready\n");
        let told_as_json = Told { json: true, ..told };
        assert_eq!(told_as_json.line(&change).unwrap(), format!("{change}\n"));
        change["kind"] = json!("session.merged");
        let told = Told { json: false, ..told_as_json };
        assert_eq!(told.line(&change).unwrap(), format!("     7  {change}\n"));
    }
}
