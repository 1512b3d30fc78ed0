//! `/sessions/{id}/output/stream`: the lines of a session's terminal as server-sent events, to its end.
//!
//! Lines are unnamed events. An event's id is a place in the output, and `Last-Event-ID` goes on after it, also across a restart of the
//! daemon. `end` tells how the session ended, `dropped` why the daemon does not want to go on. An event without data only says
//! where the reader is.

use std::convert::Infallible;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::events::{dropped, too_slow};
use super::extract::{Ids, Params, session_id};
use super::patience::Patience;
use super::router::Daemon;
use super::wire::{END_EVENT, LAST_EVENT_ID};
use crate::app::follow::{OutputFollower, OutputFrom, OutputLines, OutputNews};
use crate::app::{AppError, ErrorKind};
use crate::domain::id::SessionId;

/// How many lines are told of what there is already when none are asked for.
const DEFAULT_LINES: usize = 200;
/// How many may be asked for.
const MAX_LINES: usize = 100_000;

pub(super) fn routes() -> OpenApiRouter<Daemon> {
    OpenApiRouter::new().routes(routes!(output_stream))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct OutputStreamQuery {
    /// How many of the lines that are there already, from the end; more than 100000 count as that.
    #[param(minimum = 0, default = 200)]
    lines: Option<usize>,
}

/// Each line of a session's terminal as it comes, to the session's end
///
/// `unseen` tells of lines that came before those of the event and could not be told: of a terminal of tmux or zellij more than 5000 at once. The
/// event `end` tells how the session ended, as its `exit` does.
#[utoipa::path(get, path = "/sessions/{id}/output/stream", tag = "sessions", params(
    ("id" = SessionId, Path),
    OutputStreamQuery,
    ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen."),
), responses((status = 200, description = "A stream of lines", content((OutputLines = "text/event-stream")))))]
async fn output_stream(
    State(daemon): State<Daemon>,
    Ids(id): Ids<String>,
    headers: HeaderMap,
    Params(query): Params<OutputStreamQuery>,
) -> Result<Response, ApiError> {
    let from = match headers.get(LAST_EVENT_ID) {
        None => OutputFrom::Last(query.lines.unwrap_or(DEFAULT_LINES).min(MAX_LINES)),
        Some(value) => {
            let place = value.to_str().ok().and_then(|place| place.parse().ok());
            OutputFrom::Place(
                place.ok_or_else(|| ApiError::invalid("Last-Event-ID must be the id of an event of this stream"))?,
            )
        }
    };
    let output = daemon.application.follow_output(&session_id(&id)?, from).await?;
    let until_the_stop = daemon.stop.cancelled_owned();
    Ok(Sse::new(follow(output, daemon.patience).take_until(until_the_stop)).into_response())
}

/// Everything from where `output` stands, to its end, until the daemon stops or the reader is dropped.
fn follow(output: OutputFollower, patience: Patience) -> impl Stream<Item = Result<Event, Infallible>> {
    let stream = Following { output, patience, given_at: None };
    stream::unfold(Some(stream), async |stream| {
        let (event, stream) = stream?.next().await?;
        Some((Ok(event), stream))
    })
}

/// A stream, given event by event as the connection takes them.
struct Following {
    output: OutputFollower,
    patience: Patience,
    /// When the last one was given; `None` before the first.
    given_at: Option<Instant>,
}

impl Following {
    /// The next event, and the stream if it goes on. The connection asks for it when it has room again.
    async fn next(mut self) -> Option<(Event, Option<Self>)> {
        if self.given_at.is_some_and(|given_at| given_at.elapsed() > self.patience.slow) {
            let error = too_slow(self.patience.slow);
            return Some((end(error), None));
        }
        let event = match timeout(self.patience.keep_alive, self.output.next()).await {
            Ok(Ok(Some(OutputNews::Lines(lines)))) if lines == OutputLines::default() => Ok(Event::default()),
            Ok(Ok(Some(OutputNews::Lines(lines)))) => written(Event::default(), &lines),
            Ok(Ok(Some(OutputNews::End(exit)))) => written(Event::default().event(END_EVENT), &exit),
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => Err(error),
            // A comment where there is no place yet: something must be said.
            Err(_elapsed) if self.output.place().is_none() => Ok(Event::default().comment("")),
            Err(_elapsed) => Ok(Event::default()),
        };
        let event = match event {
            Ok(event) => event,
            Err(error) => return Some((end(error), None)),
        };
        self.given_at = Some(Instant::now());
        let event = match self.output.place() {
            Some(place) => event.id(place.to_string()),
            None => event,
        };
        Some((event, Some(self)))
    }
}

/// Drops the reader.
fn end(error: AppError) -> Event {
    tracing::warn!(code = error.code, "a follower of output is dropped: {error}");
    dropped(error)
}

fn written(event: Event, data: &impl Serialize) -> Result<Event, AppError> {
    let unwritten =
        |error| AppError::new(ErrorKind::Internal, "internal", format!("output cannot be written: {error}"));
    event.json_data(data).map_err(unwritten)
}
