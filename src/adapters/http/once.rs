//! `Idempotency-Key`: a request that changes something and is asked again with its key is answered as it was, and not done again.
//!
//! Only what was done is kept: what was refused did nothing, and may be tried again under the same key.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::error::ApiError;
use super::extract;
use super::peer::Asking;
use super::request;
use super::router::Daemon;
use super::routes::refused::may_have_key;
use crate::app::once::{Once, OnceBegun};
use crate::ports::answer_store::Answer;

/// The header with the client's key.
pub static KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that is told again.
static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How long a key may be, in bytes.
const MAX_KEY: usize = 255;
/// How large an answer may be that is kept, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// That a request is being done under a key, for handlers that leave something by which it is found.
#[derive(Debug, Clone)]
pub(super) struct OnceMark {
    pub(super) mark: String,
    /// The newest change when it was begun before, if it was cut off then.
    pub(super) cut_off_after: Option<u64>,
}

/// Sees to it that a request with a key is done once.
pub async fn once(State(daemon): State<Daemon>, request: Request, next: Next) -> Response {
    match request.headers().get(&KEY).filter(|_| may_have_key(request.method())).cloned() {
        None => next.run(request).await,
        Some(key) => answer(daemon, &key, request, next).await.unwrap_or_else(IntoResponse::into_response),
    }
}

async fn answer(daemon: Daemon, key: &HeaderValue, request: Request, next: Next) -> Result<Response, ApiError> {
    let is_one = |key: &&str| (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    let key = key.to_str().ok().filter(is_one);
    let key = key.ok_or_else(|| {
        ApiError::of(
            "invalid_idempotency_key",
            format!("the key must be 1 to {MAX_KEY} printable ASCII characters without spaces"),
        )
    })?;
    let (mut parts, body) = request.into_parts();
    let Asking(caller) = Asking::from_request_parts(&mut parts, &daemon).await?;
    let body = extract::read(Request::from_parts(parts.clone(), body)).await?;
    let route = format!("{} {}", parts.method, parts.uri.path());
    let begun = match daemon.application.begin_once(&caller, route, key.to_owned(), digest(&body)).await? {
        Once::Answered(answer) => return again(answer),
        Once::Begun(begun) => begun,
    };
    let mut request = Request::from_parts(parts, Body::from(body));
    let found = OnceMark { mark: begun.mark.clone(), cut_off_after: begun.cut_off_after };
    request.extensions_mut().insert(found);
    // To its end also when the client goes away, who is the one that asks again.
    let id = request::current_id();
    let work = request::with_id(id, async move { keep(&daemon, begun, next.run(request).await).await });
    let done = tokio::spawn(work).await;
    done.map_err(|error| ApiError::internal(format!("the request broke off: {error}")))?
}

fn digest(body: &[u8]) -> String {
    let digits = Sha256::digest(body).into_iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

async fn keep(daemon: &Daemon, begun: OnceBegun, response: Response) -> Result<Response, ApiError> {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, MAX_ANSWER).await;
    let body = body.map_err(|error| ApiError::internal(format!("the answer is not to be had: {error}")))?;
    let location = parts.headers.get(header::LOCATION).and_then(|value| value.to_str().ok().map(str::to_owned));
    // Of what failed it is not known what it did: the next one that asks is told as after an answer that was lost.
    if parts.status.is_server_error() {
        return Ok(Response::from_parts(parts, Body::from(body)));
    }
    let answer = parts.status.is_success().then(|| Answer {
        status: parts.status.as_u16(),
        location,
        body: String::from_utf8_lossy(&body).into_owned(),
    });
    daemon.application.end_once(begun, answer).await?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn again(answer: Answer) -> Result<Response, ApiError> {
    let Answer { status, location, body } = answer;
    let status = StatusCode::from_u16(status).map_err(|error| ApiError::internal(error.to_string()))?;
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], Bytes::from(body)).into_response();
    response.headers_mut().insert(REPLAYED.clone(), HeaderValue::from_static("true"));
    if let Some(location) = location.and_then(|location| HeaderValue::from_str(&location).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}
