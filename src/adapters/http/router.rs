//! The API as one router: what is served, and what every request goes through.

use axum::Router;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

use super::access::{self, Access};
use super::document;
use super::error::ApiError;
use super::once::once;
use super::operations::{self, Operations};
use super::patience::Patience;
use super::request;
use super::routes;
use super::wire::{DaemonInfo, MAX_BODY_BYTES};
use crate::app::Application;

/// What the router serves.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// The use cases.
    pub application: Application,
    /// What the daemon tells about itself.
    pub info: DaemonInfo,
    /// Cancelled when the daemon shall stop.
    pub stop: CancellationToken,
    /// Cancelled once the daemon has reconciled and serves.
    pub ready: CancellationToken,
    /// How slow clients may be.
    pub patience: Patience,
    /// The token, and who may ask on a TCP port.
    pub access: Arc<Access>,
}

/// Where requests come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The Unix socket: the kernel says who asks.
    Socket,
    /// A TCP port: everybody on this machine can ask, and every web page that a browser shows.
    Tcp,
}

/// The API as it is served at a door. What comes in by TCP passes [`access::guard`] before anything else looks at it: one layer around all
/// there is, so that no route can be without.
pub fn router(daemon: Daemon, door: Door) -> Router {
    let (api, document) = described().split_for_parts();
    let operations = Arc::new(Operations::of(&document));
    let document = axum::Json(document);
    let api = api.route("/api/v1/openapi.json", get(async move || document.clone()));
    let router = Router::new()
        .merge(api)
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route_layer(middleware::from_fn_with_state(operations.clone(), operations::admit))
        .fallback(async || ApiError::of("no_such_path", "there is no such path"))
        .method_not_allowed_fallback(async || {
            ApiError::of("method_not_allowed", "there is no such method for this path")
        })
        .layer(middleware::from_fn_with_state(daemon.clone(), once))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(request::bound));
    let router = match door {
        Door::Socket => router,
        Door::Tcp => router.layer(middleware::from_fn_with_state(daemon.access.clone(), access::guard)),
    };
    router
        .layer(middleware::from_fn_with_state(operations, operations::hold))
        .layer(middleware::from_fn(request::attend))
        .with_state(daemon)
}

/// The routes with what is said about them.
pub(super) fn described() -> OpenApiRouter<Daemon> {
    let mut router = OpenApiRouter::with_openapi(document::base()).nest("/api/v1", routes::api());
    document::complete(router.get_openapi_mut());
    router
}

async fn ready(State(daemon): State<Daemon>) -> (StatusCode, &'static str) {
    if daemon.ready.is_cancelled() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "reconciling")
    }
}
