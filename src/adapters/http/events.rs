//! `/events`: what happened, a page at a time or as a stream of server-sent events that goes on.
//!
//! An event's id is its change's number, so the standard way of going on after the last one seen (`Last-Event-ID`) misses nothing, also
//! across a restart of the daemon. Changes are unnamed events, for a reader must not miss a kind that it does not know the name of;
//! `dropped` tells why a stream ends that the daemon does not want to go on with, in the shape of every error. An event without data only
//! says up to where the reader knows everything: at the beginning, and while nothing happens.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::time::{Instant, timeout};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::error::ApiError;
use super::extract::Params;
use super::patience::Patience;
use super::router::Daemon;
use super::wire::{Changes, DROPPED_EVENT, EVENT_STREAM, LAST_EVENT_ID, MAX_WAIT_MS};
use crate::app::events::Events;
use crate::app::{AppError, ErrorKind};
use crate::domain::change::Change;
use crate::domain::id::SessionId;
use crate::ports::store::ChangeFilter;

/// How many changes one page holds.
const MAX_CHANGES: u32 = 1000;

pub(super) fn routes() -> OpenApiRouter<Daemon> {
    OpenApiRouter::new().routes(routes!(events))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Only changes with a greater number. Without it nothing of the past is told, only where the log ends now.
    #[param(minimum = 0)]
    since: Option<u64>,
    /// Only this session's, which is there, or of which there are changes.
    session: Option<SessionId>,
    /// For a page: how long to wait for the first one; more than 30000 counts as that.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    wait_ms: u64,
}

/// What happened: a page of changes, or a stream that goes on, for who accepts `text/event-stream`
///
/// An event's id is its change's number, and `Last-Event-ID` goes on after it, also across a restart of the daemon.
#[utoipa::path(get, path = "/events", tag = "events", params(
    EventsQuery,
    ("Last-Event-ID" = Option<String>, Header, pattern = "^[0-9]{1,20}$", description = "For a stream: the id of the last event that was seen."),
), responses((status = 200, description = "Changes, or a stream of them", content(
    (Changes = "application/json"),
    (String = "text/event-stream"),
))))]
async fn events(
    State(daemon): State<Daemon>,
    headers: HeaderMap,
    Params(query): Params<EventsQuery>,
) -> Result<Response, ApiError> {
    let last_seen = last_seen(&headers)?;
    if !accepts_stream(&headers) {
        return Ok(Json(page(&daemon, query).await?).into_response());
    }
    // A browser that comes back has the query of its first request, and a newer number beside it.
    let since = last_seen.or(query.since);
    let events = daemon.application.events(since, query.session).await?;
    let until_the_stop = daemon.stop.cancelled_owned();
    Ok(Sse::new(follow(events, daemon.patience).take_until(until_the_stop)).into_response())
}

async fn page(daemon: &Daemon, query: EventsQuery) -> Result<Changes, AppError> {
    let last_seq = daemon.application.last_seq().await?;
    let Some(since) = query.since else {
        if let Some(session) = &query.session {
            daemon.application.insist_on_session(session).await?;
        }
        return Ok(Changes { changes: Vec::new(), last_seq });
    };
    let filter = ChangeFilter { since, session: query.session, limit: MAX_CHANGES };
    let wait = Duration::from_millis(query.wait_ms.min(MAX_WAIT_MS));
    let changes = daemon.application.changes(&filter, wait).await?;
    let last_seq = changes.last().map_or(last_seq, |change| change.seq.max(last_seq));
    Ok(Changes { changes, last_seq })
}

/// Whether the stream is named; who takes anything is given a page.
fn accepts_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|value| value.split(','));
    kinds.any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(EVENT_STREAM)))
}

fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.to_str().ok().filter(is_number).and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| ApiError::invalid("Last-Event-ID must be the id of an event, which is a number"))
}

/// Everything from where `events` stands, until the daemon stops or the reader is dropped.
fn follow(events: Events, patience: Patience) -> impl Stream<Item = Result<Event, Infallible>> {
    let stream = Following { events, patience, next: VecDeque::new(), given_at: None };
    stream::unfold(Some(stream), async |stream| {
        let (event, stream) = stream?.next().await?;
        Some((Ok(event), stream))
    })
}

/// A stream of events, given one by one as the connection takes them.
struct Following {
    events: Events,
    patience: Patience,
    /// What was read and not given yet.
    next: VecDeque<Arc<Change>>,
    /// When the last one was given; `None` before the first.
    given_at: Option<Instant>,
}

impl Following {
    /// The next event, and the stream if it goes on. The connection asks for it when it has room again.
    async fn next(mut self) -> Option<(Event, Option<Self>)> {
        let Some(given_at) = self.given_at else {
            // Who comes back before anything happened needs a number as well.
            return Some(self.give(Event::default()));
        };
        if given_at.elapsed() > self.patience.slow {
            let error = too_slow(self.patience.slow);
            return Some(self.end(error));
        }
        if self.next.is_empty() {
            match timeout(self.patience.keep_alive, self.events.next()).await {
                Ok(Ok(changes)) => self.next = changes?.into(),
                Ok(Err(error)) => return Some(self.end(error)),
                Err(_elapsed) => {}
            }
        }
        let event = match self.next.pop_front() {
            None => Event::default().id(self.events.position().to_string()),
            Some(change) => match Event::default().id(change.seq.to_string()).json_data(&*change) {
                Ok(event) => event,
                Err(error) => {
                    let message = format!("change {} cannot be written: {error}", change.seq);
                    return Some(self.end(AppError::new(ErrorKind::Internal, "internal", message)));
                }
            },
        };
        Some(self.give(event))
    }

    fn give(mut self, event: Event) -> (Event, Option<Self>) {
        let event = if self.given_at.is_none() { event.id(self.events.position().to_string()) } else { event };
        self.given_at = Some(Instant::now());
        (event, Some(self))
    }

    fn end(self, error: AppError) -> (Event, Option<Self>) {
        tracing::warn!(
            code = error.code,
            position = self.events.position(),
            "a follower of events is dropped: {error}"
        );
        (dropped(error), None)
    }
}

/// The event that ends a stream.
pub(super) fn dropped(error: AppError) -> Event {
    let (_, body) = ApiError::from(error).told();
    let event = Event::default().event(DROPPED_EVENT);
    // Plain text and numbers: it can always be written.
    event.clone().json_data(&body).unwrap_or(event)
}

pub(super) fn too_slow(patience: Duration) -> AppError {
    let message = format!("nothing of what was sent was taken for {} s", patience.as_secs());
    AppError::new(ErrorKind::Failed, "too_slow", message).hint("go on after the last event that was received")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_names_the_stream_is_given_one() {
        let accepts = |accept: &str| {
            accepts_stream(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().expect("a header's value"))]))
        };
        for stream in ["text/event-stream", "application/json;q=0.5, Text/Event-Stream; charset=utf-8"] {
            assert!(accepts(stream), "{stream}");
        }
        for page in ["*/*", "application/json", "text/*"] {
            assert!(!accepts(page), "{page}");
        }
        assert!(!accepts_stream(&HeaderMap::new()));
    }

    #[test]
    fn the_last_event_seen_is_a_number_or_nothing() {
        let last_seen =
            |id: &str| last_seen(&HeaderMap::from_iter([(LAST_EVENT_ID.parse().unwrap(), id.parse().unwrap())]));
        assert_eq!(last_seen("17").unwrap(), Some(17));
        for wrong in ["", "-1", "x"] {
            assert!(last_seen(wrong).is_err(), "{wrong:?}");
        }
    }
}
