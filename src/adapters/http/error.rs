//! Errors as JSON. What is unexpected goes to the log in full and to the client only as `internal`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::wire::{ErrorBody, ErrorDetail};
use crate::app::{AppError, ErrorKind};

/// An error on its way to a client.
#[derive(Debug)]
pub struct ApiError(AppError);

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        Self(error)
    }
}

impl ApiError {
    /// A request that makes no sense.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self(AppError::new(ErrorKind::Invalid, "invalid_request", message))
    }
}

impl ApiError {
    /// What a client is told, once the log has it.
    pub(super) fn told(self) -> (StatusCode, ErrorBody) {
        let Self(error) = self;
        let request_id = uuid::Uuid::new_v4().to_string();
        let status = match error.kind {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Refused => StatusCode::CONFLICT,
            ErrorKind::Gone { .. } => StatusCode::GONE,
            ErrorKind::Failed => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let (message, hint) = if error.kind == ErrorKind::Internal {
            tracing::error!(request_id, code = error.code, message = error.message, "internal error");
            (
                "something went wrong inside ao".to_owned(),
                Some("the daemon's log says what, by the request id".to_owned()),
            )
        } else {
            tracing::info!(request_id, code = error.code, message = error.message, "refused");
            (error.message, error.hint)
        };
        let oldest = if let ErrorKind::Gone { oldest } = error.kind { Some(oldest) } else { None };
        let detail = ErrorDetail { code: error.code.to_owned(), message, hint, request_id, oldest };
        (status, ErrorBody { error: detail })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, body) = self.told();
        (status, Json(body)).into_response()
    }
}
