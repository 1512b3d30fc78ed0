//! The operations of the API as the document describes them, held against what comes: one layer around every route, so that no handler can
//! forget it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{MatchedPath, Query, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

use super::error::ApiError;

/// What is described, by its path and method.
#[derive(Debug, Default)]
pub(super) struct Operations(HashMap<String, HashMap<Method, Described>>);

/// What the document says of an operation.
#[derive(Debug, Default)]
struct Described {
    /// The parameters that its query may have.
    parameters: Vec<String>,
}

impl Operations {
    /// Those of a document.
    pub(super) fn of(document: &OpenApi) -> Self {
        let paths = document.paths.paths.iter();
        Self(paths.map(|(path, item)| (path.clone(), methods(item))).collect())
    }

    /// Insists that an operation knows every parameter of a query. One that is not described, as `/healthz`, knows none.
    fn admit(&self, request: &Request) -> Result<(), ApiError> {
        if request.uri().query().is_none_or(str::is_empty) {
            return Ok(());
        }
        let Query(given) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())?;
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
        // A handler of GET answers HEAD too.
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let described = self.0.get(path).and_then(|methods| methods.get(method));
        let known = described.map(|described| described.parameters.as_slice()).unwrap_or_default();
        let Some((unknown, _)) = given.iter().find(|(name, _)| !known.contains(name)) else { return Ok(()) };
        let hint = if known.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", known.join(", ")) };
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

fn methods(item: &PathItem) -> HashMap<Method, Described> {
    let described = |operation: &Operation| Described {
        parameters: operation
            .parameters
            .iter()
            .flatten()
            .filter_map(|parameter| match parameter {
                RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
                _ => None,
            })
            .collect(),
    };
    let all = [(Method::GET, &item.get), (Method::POST, &item.post), (Method::DELETE, &item.delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, described(operation.as_ref()?)))).collect()
}
