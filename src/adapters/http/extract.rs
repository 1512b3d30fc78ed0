//! What handlers take out of a request, refused in the API's own error shape.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;

use super::connections::Stopping;
use super::error::ApiError;
use super::request;
use crate::app::{AppError, ErrorKind};
use crate::domain::id::{MessageId, ProjectId, RequestId, SessionId};

/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A handler's answer.
pub(super) type Answer<T> = Result<Json<T>, ApiError>;

/// A JSON body. None at all says what `{}` says, where every field has a default.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let is_json = is_json(&request);
        let bytes = read(request).await?;
        let said: &[u8] = match bytes.as_ref() {
            [] => b"{}",
            _ if !is_json => {
                return Err(ApiError::of("unsupported_media_type", "the body must be said to be application/json"));
            }
            said => said,
        };
        Ok(Self(Json::from_bytes(said)?.0))
    }
}

/// The whole body, within bounds.
pub(super) async fn read(request: Request) -> Result<Bytes, ApiError> {
    let stopping = request.extensions().get::<Stopping>().cloned();
    let gives_up = async {
        match stopping {
            Some(stopping) => stopping.gives_up().await,
            None => std::future::pending().await,
        }
    };
    let too_slow = |why: &str| ApiError::of("request_too_slow", format!("the body did not come {why}"));
    let bytes = tokio::select! {
        bytes = Bytes::from_request(request, &()) => bytes,
        () = tokio::time::sleep(BODY_TIMEOUT) => {
            return Err(too_slow(&format!("within {} s", BODY_TIMEOUT.as_secs())));
        }
        () = gives_up => return Err(too_slow("before the daemon stopped")),
    };
    bytes.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => request::too_large(),
        _ => ApiError::invalid(rejection.body_text()),
    })
}

fn is_json(request: &Request) -> bool {
    let said = request.headers().get("content-type").and_then(|value| value.to_str().ok());
    said.is_some_and(|said| {
        let kind = said.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    })
}

/// Query parameters.
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

/// The things that a path names: what cannot be the id of one is not there.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(ApiError))]
pub(super) struct Ids<T>(pub(super) T);

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::invalid(rejection.body_text())
    }
}

fn unknown(code: &'static str, what: &str, text: &str, hint: &str) -> AppError {
    AppError::new(ErrorKind::NotFound, code, format!("there is no {what} {text}")).hint(hint)
}

pub(super) fn session_id(text: &str) -> Result<SessionId, AppError> {
    text.parse().map_err(|_| unknown("unknown_session", "session", text, "list the sessions there are with: ao ls -a"))
}

pub(super) fn message_id(text: &str) -> Result<MessageId, AppError> {
    let hint = "list a session's messages with: ao messages SESSION";
    text.parse().map_err(|_| unknown("unknown_message", "message", text, hint))
}

pub(super) fn request_id(text: &str) -> Result<RequestId, AppError> {
    let hint = "see what a session asks with: ao show SESSION";
    text.parse().map_err(|_| unknown("unknown_request", "request", text, hint))
}

pub(super) fn project_id(text: &str) -> Result<ProjectId, AppError> {
    text.parse()
        .map_err(|_| unknown("unknown_project", "project", text, "list the projects there are with: ao project ls"))
}
