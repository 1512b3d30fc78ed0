//! What agents ask permission for.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::adapters::http::extract::{Answer, Body, Ids, Params, request_id, session_id};
use crate::adapters::http::peer::Asking;
use crate::adapters::http::router::Daemon;
use crate::adapters::http::wire::{DecisionAnswer, DecisionRequest, MAX_WAIT_MS};
use crate::domain::Timestamp;
use crate::domain::approval::RequestState;
use crate::domain::id::{RequestId, SessionId};

pub(super) fn routes() -> OpenApiRouter<Daemon> {
    OpenApiRouter::new().routes(routes!(decide)).routes(routes!(wait_for_decision))
}

/// Allow or deny what a session's agent asks permission for
#[utoipa::path(post, path = "/sessions/{id}/decision", tag = "approvals", params(("id" = SessionId, Path)), request_body = DecisionRequest, responses((status = 200, body = DecisionAnswer)))]
async fn decide(
    State(daemon): State<Daemon>,
    Asking(caller): Asking,
    Ids(id): Ids<String>,
    Body(body): Body<DecisionRequest>,
) -> Answer<DecisionAnswer> {
    let (application, id) = (daemon.application, session_id(&id)?);
    let DecisionRequest { decision, reason, request } = body;
    let (request, session) = application.decide(&id, request.as_ref(), decision, reason, &caller).await?;
    Ok(Json(DecisionAnswer { request, session: application.view(&session) }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct DecisionWaitParams {
    /// When the agent asked.
    asked_at: Timestamp,
    /// How long; more than 30000 counts as that.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    timeout_ms: u64,
    /// Whether the hook reports when it has told its agent; without, it counts as told when this answers.
    #[serde(default)]
    #[param(default = false)]
    confirms: bool,
}

/// Wait until a request is decided or settled, or time is up, as the hook that asked does
#[utoipa::path(get, path = "/sessions/{id}/requests/{request}", tag = "approvals", params(("id" = SessionId, Path), ("request" = RequestId, Path), DecisionWaitParams), responses((status = 200, body = RequestState)))]
async fn wait_for_decision(
    State(daemon): State<Daemon>,
    Ids((id, request)): Ids<(String, String)>,
    Params(params): Params<DecisionWaitParams>,
) -> Answer<RequestState> {
    let timeout = Duration::from_millis(params.timeout_ms.min(MAX_WAIT_MS));
    let (application, id, request) = (daemon.application, session_id(&id)?, request_id(&request)?);
    Ok(Json(application.wait_for_decision(&id, &request, params.asked_at, timeout, params.confirms).await?))
}
