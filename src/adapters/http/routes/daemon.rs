//! The daemon itself.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::adapters::http::error::ApiError;
use crate::adapters::http::extract::Answer;
use crate::adapters::http::router::Daemon;
use crate::adapters::http::wire::{DaemonInfo, Renewed, Stopping};
use crate::app::doctor::Check;

pub(super) fn routes() -> OpenApiRouter<Daemon> {
    OpenApiRouter::new()
        .routes(routes!(show_daemon))
        .routes(routes!(stop_daemon))
        .routes(routes!(examine))
        .routes(routes!(renew_token))
}

/// What the daemon tells about itself
#[utoipa::path(get, path = "/daemon", tag = "daemon", responses((status = 200, body = DaemonInfo)))]
async fn show_daemon(State(daemon): State<Daemon>) -> Json<DaemonInfo> {
    Json(DaemonInfo { ready: daemon.ready.is_cancelled(), ..daemon.info })
}

/// Stop the daemon; agents go on
///
/// A program that embeds ao is not stopped: code `embedded`.
#[utoipa::path(post, path = "/daemon/stop", tag = "daemon", responses((status = 200, body = Stopping)))]
async fn stop_daemon(State(daemon): State<Daemon>) -> Answer<Stopping> {
    if let Some(program) = &daemon.info.program {
        let message = format!("{program} (process {}) embeds ao and serves this", daemon.info.pid);
        return Err(ApiError::of("embedded", &message).hint("it ends by means of its own; its agents go on then"));
    }
    daemon.stop.cancel();
    Ok(Json(Stopping { stopping: true }))
}

/// Look at git, the runtimes and the agents, as the daemon finds them
#[utoipa::path(get, path = "/doctor", tag = "daemon", responses((status = 200, body = Vec<Check>)))]
async fn examine(State(daemon): State<Daemon>) -> Json<Vec<Check>> {
    Json(daemon.application.examine().await)
}

/// Make a new token for TCP clients; the old one is worth nothing from then on
///
/// On the Unix socket only. Every TCP connection is closed, streams too.
#[utoipa::path(post, path = "/daemon/token", tag = "daemon", responses((status = 200, body = Renewed)))]
async fn renew_token(State(daemon): State<Daemon>) -> Answer<Renewed> {
    daemon.access.renew().map_err(|error| ApiError::internal(format!("the token cannot be renewed: {error}")))?;
    Ok(Json(Renewed { renewed: true }))
}
