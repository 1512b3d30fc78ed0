//! Errors as JSON. What is unexpected goes to the log in full and to the client only as `internal`.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

use super::codes::{self, INTERNAL};
use super::request;
use super::wire::{ErrorBody, ErrorDetail};
use crate::app::{AppError, ErrorKind};

/// An error on its way to a client.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    /// The full cause, also of what is internal.
    message: String,
    hint: Option<String>,
    oldest: Option<u64>,
}

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        let AppError { kind, code, message, hint } = error;
        let (status, oldest) = match kind {
            ErrorKind::Invalid => (StatusCode::BAD_REQUEST, None),
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, None),
            ErrorKind::Refused => (StatusCode::CONFLICT, None),
            ErrorKind::Gone { oldest } => (StatusCode::GONE, Some(oldest)),
            ErrorKind::Failed => (StatusCode::UNPROCESSABLE_ENTITY, None),
            ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        debug_assert_eq!(
            codes::find(code).map(|code| code.status),
            Some(status.as_u16()),
            "{code} is not in the table"
        );
        Self { status, code, message, hint, oldest }
    }
}

impl ApiError {
    /// An error that HTTP has and no use case, by its code in the table.
    #[must_use]
    pub fn of(code: &'static str, message: impl Into<String>) -> Self {
        let status = codes::find(code).and_then(|code| StatusCode::from_u16(code.status).ok());
        debug_assert!(status.is_some(), "{code} is not in the table");
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, code, message: message.into(), hint: None, oldest: None }
    }

    /// A request that makes no sense.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::of("invalid_request", message)
    }

    /// Something unexpected.
    #[must_use]
    pub fn internal(cause: impl Into<String>) -> Self {
        Self::of(INTERNAL, cause)
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl ApiError {
    /// What a client is told, once the log has it.
    pub(super) fn told(self) -> (StatusCode, ErrorBody) {
        let Self { status, code, message, .. } = &self;
        let request_id = request::current_id();
        if *status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(request_id, code, message, "internal error");
        } else {
            tracing::info!(request_id, code, message, "refused");
        }
        self.unlogged()
    }

    /// What a client is told. The log is told nothing of it.
    pub(super) fn unlogged(self) -> (StatusCode, ErrorBody) {
        let Self { status, code, message, hint, oldest } = self;
        let (message, hint) = if status == StatusCode::INTERNAL_SERVER_ERROR {
            (
                "something went wrong inside ao".to_owned(),
                Some("the daemon's log says what, by the request id".to_owned()),
            )
        } else {
            (message, hint)
        };
        let detail = ErrorDetail { code: code.to_owned(), message, hint, request_id: request::current_id(), oldest };
        (status, ErrorBody { error: detail })
    }

    /// Which one it is in the table.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }
}

/// The code of an answer that is an error, for those it passes on its way out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused(pub(super) &'static str);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let refused = Refused(self.code);
        let (status, body) = self.told();
        (status, Extension(refused), Json(body)).into_response()
    }
}
