//! Sessions: begun, looked at, waited for, ended and brought back.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::adapters::http::error::ApiError;
use crate::adapters::http::extract::{Answer, Body, Ids, Params, session_id};
use crate::adapters::http::once::OnceMark;
use crate::adapters::http::page::{PageOf, PageQuery, not_ours};
use crate::adapters::http::router::Daemon;
use crate::adapters::http::wire::{
    Accepted, KillAnswer, KillRequest, MAX_WAIT_MS, Page, RestoreRequest, TerminalText, WaitAnswer,
};
use crate::app::spawn::SpawnRequest;
use crate::app::view::SessionView;
use crate::app::wait::WaitFor;
use crate::domain::id::{ProjectId, SessionId};
use crate::ports::setup::Stage;
use crate::ports::store::SessionFilter;

/// How many lines of output are given when none are asked for.
const DEFAULT_LINES: usize = 200;
/// How many lines of output may be asked for.
const MAX_LINES: usize = 100_000;

/// The answer to what goes on after it: where to look, and what there is already.
type Begun = (StatusCode, [(HeaderName, String); 1], Json<Accepted>);

pub(super) fn routes() -> OpenApiRouter<Daemon> {
    OpenApiRouter::new()
        .routes(routes!(list_sessions, spawn))
        .routes(routes!(show_session))
        .routes(routes!(kill))
        .routes(routes!(restore))
        .routes(routes!(wait))
        .routes(routes!(output))
        .routes(routes!(screen))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only this project's.
    project: Option<ProjectId>,
    /// Also those that are over.
    #[serde(default)]
    #[param(default = false)]
    all: bool,
}

/// List sessions, by project and number
#[utoipa::path(get, path = "/sessions", tag = "sessions", params(ListQuery, PageQuery), responses((status = 200, body = Page<SessionView>)))]
async fn list_sessions(
    State(daemon): State<Daemon>,
    Params(query): Params<ListQuery>,
    page: PageOf,
) -> Answer<Page<SessionView>> {
    let after = page.after.as_deref().map(str::parse).transpose().map_err(|_| not_ours())?;
    // One more tells whether there is another page.
    let limit = Some(page.limit + 1);
    let filter = SessionFilter { project: query.project, include_terminated: query.all, after, limit };
    Ok(Json(page.fill(daemon.application.list(&filter).await?, |session| session.id.as_str())))
}

/// Spawn an agent
///
/// It is answered as soon as the session is on record; it is built after that, and events tell how far it has come.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = SpawnRequest, responses(
    (status = 202, body = Accepted, headers(("Location" = String, description = "The session"))),
))]
async fn spawn(
    State(daemon): State<Daemon>,
    once: Option<Extension<OnceMark>>,
    Body(request): Body<SpawnRequest>,
) -> Result<Begun, ApiError> {
    let (application, once) = (daemon.application, once.map(|Extension(once)| once));
    // A daemon that is gone may have recorded it, and never have answered.
    if let Some(OnceMark { mark, cut_off_after: Some(since) }) = &once
        && let Some(session) = application.spawned_once(mark, *since).await?
    {
        return Ok(begun(application.view(&session), *since));
    }
    let seq = application.last_seq().await?;
    let session = application.spawn_once(request, once.map(|once| once.mark)).await?;
    Ok(begun(application.view(&session), seq))
}

fn begun(session: SessionView, seq: u64) -> Begun {
    let location = format!("/api/v1/sessions/{}", session.id);
    (StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(Accepted { session, seq }))
}

/// Show a session
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions", params(("id" = SessionId, Path)), responses((status = 200, body = SessionView)))]
async fn show_session(State(daemon): State<Daemon>, Ids(id): Ids<String>) -> Answer<SessionView> {
    Ok(Json(daemon.application.show(&session_id(&id)?).await?))
}

/// End a session
///
/// Idempotent: what is missing already is no error. Work that is not committed is kept, or saved before its workspace goes.
#[utoipa::path(post, path = "/sessions/{id}/kill", tag = "sessions", params(("id" = SessionId, Path)), request_body = KillRequest, responses((status = 200, body = KillAnswer)))]
async fn kill(
    State(daemon): State<Daemon>,
    Ids(id): Ids<String>,
    Body(request): Body<KillRequest>,
) -> Answer<KillAnswer> {
    let (application, id) = (daemon.application, session_id(&id)?);
    let killed = application.kill(&id, request.on_work).await?;
    Ok(Json(KillAnswer { session: application.view(&killed.session), workspace: killed.workspace }))
}

/// Bring an ended session back, with its agent's conversation
///
/// It is answered as soon as that is on record, as for a spawn.
#[utoipa::path(post, path = "/sessions/{id}/restore", tag = "sessions", params(("id" = SessionId, Path)), request_body = RestoreRequest, responses(
    (status = 202, body = Accepted, headers(("Location" = String, description = "The session"))),
))]
async fn restore(
    State(daemon): State<Daemon>,
    Ids(id): Ids<String>,
    Body(request): Body<RestoreRequest>,
) -> Result<Begun, ApiError> {
    let (application, id) = (daemon.application, session_id(&id)?);
    let seq = application.last_seq().await?;
    let session = application.restore(&id, request.queue).await?;
    Ok(begun(application.view(&session), seq))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct WaitQuery {
    /// What to wait for.
    #[serde(rename = "for")]
    #[param(inline)]
    state: WaitFor,
    /// How long; more than 30000 counts as that.
    #[serde(default)]
    #[param(minimum = 0, default = 0)]
    timeout_ms: u64,
}

/// Wait until a session reaches a state, ends, or time is up
#[utoipa::path(get, path = "/sessions/{id}/wait", tag = "sessions", params(("id" = SessionId, Path), WaitQuery), responses((status = 200, body = WaitAnswer)))]
async fn wait(
    State(daemon): State<Daemon>,
    Ids(id): Ids<String>,
    Params(query): Params<WaitQuery>,
) -> Answer<WaitAnswer> {
    let timeout = Duration::from_millis(query.timeout_ms.min(MAX_WAIT_MS));
    let (outcome, session) = daemon.application.wait(&session_id(&id)?, query.state, timeout).await?;
    Ok(Json(WaitAnswer { outcome, session: daemon.application.view(&session) }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct OutputQuery {
    /// How many lines, from the end; more than 100000 count as that. The runtimes tmux and zellij keep 5000, pty what `scrollback_mb` has room for.
    #[param(minimum = 0, default = 200)]
    lines: Option<usize>,
    /// Of the project's commands, instead of the terminal.
    #[param(inline)]
    stage: Option<Stage>,
}

/// What a session's terminal showed
#[utoipa::path(get, path = "/sessions/{id}/output", tag = "sessions", params(("id" = SessionId, Path), OutputQuery), responses((status = 200, body = TerminalText)))]
async fn output(
    State(daemon): State<Daemon>,
    Ids(id): Ids<String>,
    Params(query): Params<OutputQuery>,
) -> Answer<TerminalText> {
    let lines = query.lines.unwrap_or(DEFAULT_LINES).min(MAX_LINES);
    let (application, id) = (daemon.application, session_id(&id)?);
    let text = match query.stage {
        Some(stage) => application.setup_output(&id, stage, lines).await?,
        None => application.output(&id, lines).await?,
    };
    Ok(Json(TerminalText { text }))
}

/// The screen of a session's terminal
#[utoipa::path(get, path = "/sessions/{id}/screen", tag = "sessions", params(("id" = SessionId, Path)), responses((status = 200, body = TerminalText)))]
async fn screen(State(daemon): State<Daemon>, Ids(id): Ids<String>) -> Answer<TerminalText> {
    Ok(Json(TerminalText { text: daemon.application.screen(&session_id(&id)?).await? }))
}
