//! Messages to sessions' agents.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::adapters::http::error::ApiError;
use crate::adapters::http::extract::{Answer, Body, Ids, Params, message_id, session_id};
use crate::adapters::http::once::OnceMark;
use crate::adapters::http::page::{PageOf, PageQuery};
use crate::adapters::http::peer::Asking;
use crate::adapters::http::router::Daemon;
use crate::adapters::http::wire::{MAX_WAIT_MS, Page, SendRequest};
use crate::domain::id::{MessageId, SessionId};
use crate::domain::message::MessageRecord;

pub(super) fn routes() -> OpenApiRouter<Daemon> {
    OpenApiRouter::new()
        .routes(routes!(list_messages, send))
        .routes(routes!(show_message))
        .routes(routes!(wait_for_message))
}

/// List a session's messages, oldest first
#[utoipa::path(get, path = "/sessions/{id}/messages", tag = "messages", params(("id" = SessionId, Path), PageQuery), responses((status = 200, body = Page<MessageRecord>)))]
async fn list_messages(
    State(daemon): State<Daemon>,
    Ids(id): Ids<String>,
    page: PageOf,
) -> Answer<Page<MessageRecord>> {
    let records = daemon.application.messages(&session_id(&id)?).await?;
    Ok(Json(page.cut(records, |record| record.message.id.as_str())?))
}

/// Send a session's agent a message
///
/// It is on record when this answers. With an id of the sender's, asking again adds no second one.
#[utoipa::path(post, path = "/sessions/{id}/messages", tag = "messages", params(("id" = SessionId, Path)), request_body = SendRequest, responses((status = 202, body = MessageRecord)))]
async fn send(
    State(daemon): State<Daemon>,
    Asking(caller): Asking,
    once: Option<Extension<OnceMark>>,
    Ids(id): Ids<String>,
    Body(request): Body<SendRequest>,
) -> Result<(StatusCode, Json<MessageRecord>), ApiError> {
    let session = session_id(&id)?;
    // Which holds also when the daemon ends before its answer is kept.
    let made_up = |Extension(once): Extension<OnceMark>| MessageId::hash_of(&once.mark);
    let id = request.id.or_else(|| once.map(made_up));
    let record = daemon.application.send(&session, id, request.body, &caller).await?;
    Ok((StatusCode::ACCEPTED, Json(record)))
}

/// Show a message, and what became of it
#[utoipa::path(get, path = "/messages/{id}", tag = "messages", params(("id" = MessageId, Path)), responses((status = 200, body = MessageRecord)))]
async fn show_message(State(daemon): State<Daemon>, Ids(id): Ids<String>) -> Answer<MessageRecord> {
    Ok(Json(daemon.application.message(&message_id(&id)?).await?))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct MessageWaitParams {
    /// How long; more than 30000 counts as that.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    timeout_ms: u64,
}

/// Wait until the agent was seen to have taken a message, until it never will, or time is up
#[utoipa::path(get, path = "/messages/{id}/wait", tag = "messages", params(("id" = MessageId, Path), MessageWaitParams), responses((status = 200, body = MessageRecord)))]
async fn wait_for_message(
    State(daemon): State<Daemon>,
    Ids(id): Ids<String>,
    Params(params): Params<MessageWaitParams>,
) -> Answer<MessageRecord> {
    let timeout = Duration::from_millis(params.timeout_ms.min(MAX_WAIT_MS));
    Ok(Json(daemon.application.wait_for_message(&message_id(&id)?, timeout).await?))
}
