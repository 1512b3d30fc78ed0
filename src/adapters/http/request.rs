//! What happens to every request, whatever it asks for: it has an id, its body is bounded, and its answer is not waited for without end.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::Instrument;

use super::error::ApiError;
use super::wire::MAX_BODY_BYTES;

/// The header that has the request's id, in the request where the client made one up, and in every answer.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long an id of a client's may be.
const MAX_ID: usize = 128;
/// How long an answer may take. Nothing is cut off with it: use cases go on by themselves.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(170);

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task answers.
#[must_use]
pub fn current_id() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_else(|_| new_id())
}

/// Answers within the request's id, also where a part of the work is another task's.
pub async fn with_id<T>(id: String, work: impl Future<Output = T>) -> T {
    CURRENT.scope(id, work).await
}

fn new_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// The client's own id, when it can stand in a log.
fn given_id(request: &Request) -> Option<String> {
    let text = request.headers().get(&REQUEST_ID)?.to_str().ok()?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (is_plain && (1..=MAX_ID).contains(&text.len())).then(|| text.to_owned())
}

/// Gives the request an id, which its answer, its errors and the log have.
pub async fn attend(request: Request, next: Next) -> Response {
    let id = given_id(&request).unwrap_or_else(new_id);
    let span = tracing::info_span!("request", id);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = tokio::time::Instant::now();
    let answer = with_id(id.clone(), next.run(request)).instrument(span.clone());
    let mut response = answer.await;
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    span.in_scope(|| tracing::debug!(%method, path, status = response.status().as_u16(), took_ms, "answered"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    response
}

/// Bounds the request's body, and how long its answer may take.
pub async fn bound(request: Request, next: Next) -> Response {
    if says_too_much(&request) {
        return too_large().into_response();
    }
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(response)) => response,
        // Where it broke, the panic itself has told the log.
        Ok(Err(_panic)) => ApiError::internal("the request broke off: a fault in ao").into_response(),
        Err(_elapsed) => ApiError::of("still_at_work", format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()))
            .hint("the work goes on: events tell how it ends, and the same request asks again")
            .into_response(),
    }
}

/// Whether it says beforehand that its body is too large: then nothing of it is read.
fn says_too_much(request: &Request) -> bool {
    let limit = u64::try_from(MAX_BODY_BYTES).unwrap_or(u64::MAX);
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    said.is_some_and(|bytes| bytes > limit) || Body::size_hint(request.body()).lower() > limit
}

/// The error of a body that is too large.
pub fn too_large() -> ApiError {
    ApiError::of("body_too_large", format!("the body is larger than {MAX_BODY_BYTES} bytes"))
}
