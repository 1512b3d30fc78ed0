//! The operations of the API as the document describes them, held against what comes and what is answered: layers around every route, so that
//! no handler can forget it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use super::error::{ApiError, Refused};
use super::routes::refused;

/// What is described, by its path and method.
#[derive(Debug, Default)]
pub(super) struct Operations(HashMap<String, HashMap<Method, Described>>);

/// What the document says of an operation.
#[derive(Debug, Default)]
struct Described {
    /// The parameters that its query may have.
    parameters: Vec<String>,
    /// What it may be refused with.
    codes: BTreeSet<&'static str>,
}

impl Described {
    fn of(method: &Method, operation: &Operation) -> Self {
        let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
            RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
            _ => None,
        });
        Self {
            parameters: parameters.collect(),
            codes: refused::codes(method, operation).map(|code| code.name).collect(),
        }
    }
}

/// The operations of a path.
pub(super) fn methods(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    let all = [(Method::GET, &item.get), (Method::POST, &item.post), (Method::DELETE, &item.delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

/// Which operation a request asks for, described or not: `/healthz` is not.
struct Asked {
    method: Method,
    path: String,
}

impl Asked {
    /// `None` where there is no such path.
    fn by(request: &Request) -> Option<Self> {
        let path = request.extensions().get::<MatchedPath>()?.as_str().to_owned();
        // A handler of GET answers HEAD too.
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        Some(Self { method, path })
    }
}

impl Operations {
    /// Those of a document.
    pub(super) fn of(document: &OpenApi) -> Self {
        let described = |item| {
            methods(item).map(|(method, operation)| (method.clone(), Described::of(&method, operation))).collect()
        };
        Self(document.paths.paths.iter().map(|(path, item)| (path.clone(), described(item))).collect())
    }

    fn described(&self, asked: &Asked) -> Option<&Described> {
        self.0.get(&asked.path)?.get(&asked.method)
    }

    /// Insists that an operation knows every parameter of a query. One that is not described knows none.
    fn admit(&self, request: &Request) -> Result<(), ApiError> {
        let Some(asked) = Asked::by(request).filter(|_| request.uri().query().is_some()) else { return Ok(()) };
        let Query(given) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())?;
        let known = self.described(&asked).map(|described| described.parameters.as_slice()).unwrap_or_default();
        let Some((unknown, _)) = given.iter().find(|(name, _)| !known.contains(name)) else { return Ok(()) };
        let hint = if known.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", known.join(", ")) };
        let Asked { method, path } = asked;
        Err(ApiError::invalid(format!("{method} {path} has no parameter {unknown:?}")).hint(hint))
    }
}

/// Lets a request through whose query makes sense. A name that is mistyped must not mean that nothing was said.
pub(super) async fn admit(State(operations): State<Arc<Operations>>, request: Request, next: Next) -> Response {
    match operations.admit(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// Holds an answer against what its operation may be refused with. A code that is not among it is a fault of the table's, of which the client
/// of a debug build is told nothing else, so that no test passes it by; any other is given the answer.
pub(super) async fn hold(State(operations): State<Arc<Operations>>, request: Request, next: Next) -> Response {
    let asked = Asked::by(&request);
    let response = next.run(request).await;
    let Some(Refused(code)) = response.extensions().get() else { return response };
    let Some((asked, described)) = asked.and_then(|asked| operations.described(&asked).map(|found| (asked, found)))
    else {
        return response;
    };
    if described.codes.contains(code) {
        return response;
    }
    let Asked { method, path } = &asked;
    let fault = format!("{method} {path} is refused with {code}, which routes/refused.rs does not list for it");
    if cfg!(debug_assertions) {
        return ApiError::internal(fault).into_response();
    }
    tracing::error!(fault, "the API is not described as it is");
    response
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower_service::Service;

    use super::*;
    use crate::adapters::http::router::described;

    #[tokio::test]
    async fn a_refusal_that_its_operation_does_not_list_is_a_fault() {
        let operations = Arc::new(Operations::of(&described().into_openapi()));
        let refuse = async |code: &'static str| {
            let handler = get(async move || ApiError::of(code, "no"));
            let layer = from_fn_with_state(operations.clone(), hold);
            let mut router =
                Router::new().route("/api/v1/sessions/{id}", handler.clone()).route("/healthz", handler).layer(layer);
            let mut status = async |path: &str| {
                let request = Request::get(path).body(Body::empty()).expect("a request");
                router.call(request).await.expect("never fails").status().as_u16()
            };
            (status("/api/v1/sessions/app-1").await, status("/healthz").await)
        };
        assert_eq!(refuse("unknown_session").await, (404, 404));
        assert_eq!(refuse("limit_reached").await, (500, 409), "what is not described is not held to anything");
    }
}
