//! Handlers, by what they are about. A handler translates; the use case decides. What it says of itself is what the OpenAPI document has.

use utoipa_axum::router::OpenApiRouter;

use super::events;
use super::output_stream;
use super::router::Daemon;
use super::terminal;

mod approvals;
mod daemon;
mod maintenance;
mod messages;
mod projects;
pub(super) mod refused;
mod sessions;

/// What stands under `/api/v1`.
pub(super) fn api() -> OpenApiRouter<Daemon> {
    OpenApiRouter::new()
        .merge(daemon::routes())
        .merge(projects::routes())
        .merge(sessions::routes())
        .merge(messages::routes())
        .merge(approvals::routes())
        .merge(events::routes())
        .merge(output_stream::routes())
        .merge(terminal::routes())
        .merge(maintenance::routes())
}
