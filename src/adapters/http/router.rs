//! Paths and handlers. A handler translates; the use case decides.

use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{ConnectInfo, DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use super::events::events;
use super::patience::Patience;
use super::peer::Peer;
use super::terminal::terminal;
use super::wire::{
    Accepted, AddProject, DaemonInfo, DecisionAnswer, DecisionRequest, KillAnswer, KillRequest, MAX_BODY_BYTES,
    MAX_WAIT_MS, RestoreAllAnswer, RestoreRequest, SendRequest, TerminalText, TrustFile, WaitAnswer,
};
use crate::app::cleanup::{Cleanup, CleanupRequest};
use crate::app::project_file::{ProjectFileStatus, ProjectFileView, ProjectView};
use crate::app::projects::Registered;
use crate::app::spawn::SpawnRequest;
use crate::app::view::SessionView;
use crate::app::wait::WaitFor;
use crate::app::{AppError, Application, ErrorKind};
use crate::domain::Timestamp;
use crate::domain::approval::RequestState;
use crate::domain::id::{MessageId, ProjectId, RequestId, SessionId};
use crate::domain::message::MessageRecord;
use crate::domain::project::Project;
use crate::domain::report::HookReport;
use crate::ports::setup::Stage;
use crate::ports::store::SessionFilter;

/// How many lines of output are given when none are asked for.
const DEFAULT_LINES: usize = 200;
/// How many lines of output may be asked for.
const MAX_LINES: usize = 100_000;

/// What the router serves.
#[derive(Clone)]
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
}

type Answer<T> = Result<Json<T>, ApiError>;

/// A JSON body, refused in the API's own error shape.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(ApiError))]
struct Body<T>(T);

/// Query parameters, refused in the API's own error shape.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(ApiError))]
pub(super) struct Params<T>(pub(super) T);

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

/// The API.
pub fn router(daemon: Daemon) -> Router {
    let api = Router::new()
        .route("/daemon", get(show_daemon))
        .route("/daemon/stop", post(stop_daemon))
        .route("/projects", get(list_projects).post(add_project))
        .route("/projects/{id}", get(show_project).delete(remove_project))
        .route("/projects/{id}/file", get(show_project_file))
        .route("/projects/{id}/trust", post(trust_project_file))
        .route("/sessions", get(list_sessions).post(spawn))
        .route("/sessions/{id}", get(show_session))
        .route("/sessions/{id}/kill", post(kill))
        .route("/sessions/{id}/restore", post(restore))
        .route("/sessions/{id}/messages", get(list_messages).post(send))
        .route("/sessions/{id}/decision", post(decide))
        .route("/sessions/{id}/requests/{request}", get(wait_for_decision))
        .route("/sessions/{id}/wait", get(wait))
        .route("/sessions/{id}/output", get(output))
        .route("/sessions/{id}/screen", get(screen))
        .route("/sessions/{id}/terminal", get(terminal))
        .route("/messages/{id}", get(show_message))
        .route("/messages/{id}/wait", get(wait_for_message))
        .route("/restore", post(restore_all))
        .route("/cleanup", post(clean_up))
        .route("/events", get(events))
        .route("/reports", post(report));
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .nest("/api/v1", api)
        .fallback(async || ApiError::from(AppError::new(ErrorKind::NotFound, "no_such_path", "there is no such path")))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(daemon)
}

async fn ready(State(daemon): State<Daemon>) -> (StatusCode, &'static str) {
    if daemon.ready.is_cancelled() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "reconciling")
    }
}

async fn show_daemon(State(daemon): State<Daemon>) -> Json<DaemonInfo> {
    Json(DaemonInfo { ready: daemon.ready.is_cancelled(), ..daemon.info })
}

async fn stop_daemon(State(daemon): State<Daemon>) -> Json<Value> {
    daemon.stop.cancel();
    Json(json!({ "stopping": true }))
}

async fn list_projects(State(daemon): State<Daemon>) -> Answer<Vec<Project>> {
    Ok(Json(daemon.application.projects().await?))
}

async fn add_project(State(daemon): State<Daemon>, Body(request): Body<AddProject>) -> Answer<Registered> {
    if !request.path.is_absolute() {
        return Err(ApiError::invalid("path must be absolute"));
    }
    Ok(Json(daemon.application.add_project(&request.path, request.id).await?))
}

async fn show_project(State(daemon): State<Daemon>, Path(id): Path<String>) -> Answer<ProjectView> {
    Ok(Json(daemon.application.show_project(&project_id(&id)?).await?))
}

/// Null where the repository has none.
async fn show_project_file(State(daemon): State<Daemon>, Path(id): Path<String>) -> Answer<Option<ProjectFileView>> {
    Ok(Json(daemon.application.project_file(&project_id(&id)?).await?))
}

async fn trust_project_file(
    State(daemon): State<Daemon>,
    Path(id): Path<String>,
    Body(request): Body<TrustFile>,
) -> Answer<ProjectFileStatus> {
    Ok(Json(daemon.application.trust_project_file(&project_id(&id)?, &request.digest).await?))
}

async fn remove_project(State(daemon): State<Daemon>, Path(id): Path<String>) -> Answer<Value> {
    let id = project_id(&id)?;
    daemon.application.remove_project(&id).await?;
    Ok(Json(json!({ "removed": id })))
}

#[derive(Deserialize)]
struct ListQuery {
    project: Option<ProjectId>,
    #[serde(default)]
    all: bool,
}

async fn list_sessions(State(daemon): State<Daemon>, Params(query): Params<ListQuery>) -> Answer<Vec<SessionView>> {
    let filter = SessionFilter { project: query.project, include_terminated: query.all };
    Ok(Json(daemon.application.list(&filter).await?))
}

async fn spawn(
    State(daemon): State<Daemon>,
    Body(request): Body<SpawnRequest>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let seq = daemon.application.last_seq().await?;
    let session = daemon.application.spawn(request).await?;
    let session = daemon.application.view(&session);
    Ok((StatusCode::ACCEPTED, Json(Accepted { session, seq })))
}

async fn show_session(State(daemon): State<Daemon>, Path(id): Path<String>) -> Answer<SessionView> {
    Ok(Json(daemon.application.show(&session_id(&id)?).await?))
}

async fn kill(
    State(daemon): State<Daemon>,
    Path(id): Path<String>,
    Body(request): Body<KillRequest>,
) -> Answer<KillAnswer> {
    let (application, id) = (daemon.application, session_id(&id)?);
    let killed = application.kill(&id, request.on_work).await?;
    Ok(Json(KillAnswer { session: application.view(&killed.session), workspace: killed.workspace }))
}

async fn restore(
    State(daemon): State<Daemon>,
    Path(id): Path<String>,
    Body(request): Body<RestoreRequest>,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let (application, id) = (daemon.application, session_id(&id)?);
    let seq = application.last_seq().await?;
    let session = application.restore(&id, request.queue).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted { session: application.view(&session), seq })))
}

async fn restore_all(
    State(daemon): State<Daemon>,
    Body(request): Body<RestoreRequest>,
) -> Result<(StatusCode, Json<RestoreAllAnswer>), ApiError> {
    let seq = daemon.application.last_seq().await?;
    let attempts = daemon.application.restore_all(request.queue).await?;
    Ok((StatusCode::ACCEPTED, Json(RestoreAllAnswer { attempts, seq })))
}

async fn clean_up(State(daemon): State<Daemon>, Body(request): Body<CleanupRequest>) -> Answer<Cleanup> {
    Ok(Json(daemon.application.clean_up(&request).await?))
}

#[derive(Deserialize)]
struct WaitQuery {
    #[serde(rename = "for")]
    state: WaitFor,
    #[serde(default)]
    timeout_ms: u64,
}

async fn wait(
    State(daemon): State<Daemon>,
    Path(id): Path<String>,
    Params(query): Params<WaitQuery>,
) -> Answer<WaitAnswer> {
    let timeout = Duration::from_millis(query.timeout_ms.min(MAX_WAIT_MS));
    let (outcome, session) = daemon.application.wait(&session_id(&id)?, query.state, timeout).await?;
    Ok(Json(WaitAnswer { outcome, session: daemon.application.view(&session) }))
}

#[derive(Deserialize)]
struct OutputQuery {
    lines: Option<usize>,
    /// Of the project's commands, instead of the terminal.
    stage: Option<Stage>,
}

async fn output(
    State(daemon): State<Daemon>,
    Path(id): Path<String>,
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

async fn screen(State(daemon): State<Daemon>, Path(id): Path<String>) -> Answer<TerminalText> {
    Ok(Json(TerminalText { text: daemon.application.screen(&session_id(&id)?).await? }))
}

async fn send(
    State(daemon): State<Daemon>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    Body(request): Body<SendRequest>,
) -> Result<(StatusCode, Json<MessageRecord>), ApiError> {
    let caller = peer.caller(&daemon.info.data_dir);
    let record = daemon.application.send(&session_id(&id)?, request.id, request.body, &caller).await?;
    Ok((StatusCode::ACCEPTED, Json(record)))
}

async fn decide(
    State(daemon): State<Daemon>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Path(id): Path<String>,
    Body(body): Body<DecisionRequest>,
) -> Answer<DecisionAnswer> {
    let caller = peer.caller(&daemon.info.data_dir);
    let (application, id) = (daemon.application, session_id(&id)?);
    let DecisionRequest { decision, reason, request } = body;
    let (request, session) = application.decide(&id, request.as_ref(), decision, reason, &caller).await?;
    Ok(Json(DecisionAnswer { request, session: application.view(&session) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionWaitParams {
    /// When the agent asked.
    asked_at: Timestamp,
    #[serde(default)]
    timeout_ms: u64,
}

async fn wait_for_decision(
    State(daemon): State<Daemon>,
    Path((id, request)): Path<(String, String)>,
    Params(params): Params<DecisionWaitParams>,
) -> Answer<RequestState> {
    let timeout = Duration::from_millis(params.timeout_ms.min(MAX_WAIT_MS));
    let (application, id, request) = (daemon.application, session_id(&id)?, request_id(&request)?);
    Ok(Json(application.wait_for_decision(&id, &request, params.asked_at, timeout).await?))
}

async fn list_messages(State(daemon): State<Daemon>, Path(id): Path<String>) -> Answer<Vec<MessageRecord>> {
    Ok(Json(daemon.application.messages(&session_id(&id)?).await?))
}

async fn show_message(State(daemon): State<Daemon>, Path(id): Path<String>) -> Answer<MessageRecord> {
    Ok(Json(daemon.application.message(&message_id(&id)?).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageWaitParams {
    #[serde(default)]
    timeout_ms: u64,
}

async fn wait_for_message(
    State(daemon): State<Daemon>,
    Path(id): Path<String>,
    Params(params): Params<MessageWaitParams>,
) -> Answer<MessageRecord> {
    let timeout = Duration::from_millis(params.timeout_ms.min(MAX_WAIT_MS));
    Ok(Json(daemon.application.wait_for_message(&message_id(&id)?, timeout).await?))
}

async fn report(State(daemon): State<Daemon>, Body(report): Body<HookReport>) -> Answer<Value> {
    daemon.application.observe(&report).await?;
    Ok(Json(json!({})))
}

pub(super) fn session_id(text: &str) -> Result<SessionId, AppError> {
    text.parse().map_err(|_| {
        AppError::new(ErrorKind::NotFound, "unknown_session", format!("there is no session {text}"))
            .hint("list the sessions there are with: ao ls -a")
    })
}

fn message_id(text: &str) -> Result<MessageId, AppError> {
    text.parse().map_err(|_| {
        AppError::new(ErrorKind::NotFound, "unknown_message", format!("there is no message {text}"))
            .hint("list a session's messages with: ao messages SESSION")
    })
}

fn request_id(text: &str) -> Result<RequestId, AppError> {
    text.parse().map_err(|_| {
        AppError::new(ErrorKind::NotFound, "unknown_request", format!("there is no request {text}"))
            .hint("see what a session asks with: ao show SESSION")
    })
}

fn project_id(text: &str) -> Result<ProjectId, AppError> {
    text.parse().map_err(|_| {
        AppError::new(ErrorKind::NotFound, "unknown_project", format!("there is no project {text}"))
            .hint("list the projects there are with: ao project ls")
    })
}
