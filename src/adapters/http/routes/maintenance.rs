//! What concerns many sessions at once, and what agents' hooks tell.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::adapters::http::error::ApiError;
use crate::adapters::http::extract::{Answer, Body};
use crate::adapters::http::router::Daemon;
use crate::adapters::http::wire::{RestoreAllAnswer, RestoreRequest, Taken};
use crate::app::cleanup::{Cleanup, CleanupRequest};
use crate::domain::report::HookReport;

pub(super) fn routes() -> OpenApiRouter<Daemon> {
    OpenApiRouter::new().routes(routes!(restore_all)).routes(routes!(clean_up)).routes(routes!(report))
}

/// Bring back every session that was cut short
#[utoipa::path(post, path = "/restore", tag = "sessions", request_body = RestoreRequest, responses((status = 202, body = RestoreAllAnswer)))]
async fn restore_all(
    State(daemon): State<Daemon>,
    Body(request): Body<RestoreRequest>,
) -> Result<(StatusCode, Json<RestoreAllAnswer>), ApiError> {
    let seq = daemon.application.last_seq().await?;
    let attempts = daemon.application.restore_all(request.queue).await?;
    Ok((StatusCode::ACCEPTED, Json(RestoreAllAnswer { attempts, seq })))
}

/// Take away the workspaces of ended sessions that nobody needs any more
#[utoipa::path(post, path = "/cleanup", tag = "sessions", request_body = CleanupRequest, responses((status = 200, body = Cleanup)))]
async fn clean_up(State(daemon): State<Daemon>, Body(request): Body<CleanupRequest>) -> Answer<Cleanup> {
    Ok(Json(daemon.application.clean_up(&request).await?))
}

/// Take in what an agent's hook told
#[utoipa::path(post, path = "/reports", tag = "hooks", request_body = HookReport, responses((status = 200, body = Taken)))]
async fn report(State(daemon): State<Daemon>, Body(report): Body<HookReport>) -> Answer<Taken> {
    daemon.application.observe(&report).await?;
    Ok(Json(Taken {}))
}
