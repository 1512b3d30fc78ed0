//! The OpenAPI document: what the routes say of themselves, and what is so for all of them.

use std::collections::BTreeMap;

use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::codes::{CODES, Code};
use super::router::described;
use super::wire::ErrorBody;

const ABOUT: &str = "Runs coding agents in git worktrees and terminals. Every error has the same shape and one of the codes listed with its status. \
Every answer has an `X-Request-Id`, the client's own where it sent one, which finds the request in the daemon's log.";

/// The document without its paths.
pub(super) fn base() -> OpenApi {
    // Not the program's version: the document changes when the API does.
    let info = InfoBuilder::new().title("ao").version("1").description(Some(ABOUT)).build();
    let mut document = OpenApiBuilder::new().info(info).build();
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The token of the file `token` in the data directory. On the Unix socket none is needed."))
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let mut schemas = vec![(ErrorBody::name().into_owned(), ErrorBody::schema())];
    ErrorBody::schemas(&mut schemas);
    components.schemas.extend(schemas);
    document.security = Some(vec![SecurityRequirement::new::<_, _, &str>("token", [])]);
    document
}

/// Adds to every operation what it may be refused with.
pub(super) fn complete(document: &mut OpenApi) {
    let mut statuses: Vec<u16> = CODES.iter().map(|code| code.status).collect();
    statuses.dedup();
    let components = document.components.get_or_insert_default();
    for status in &statuses {
        components.responses.insert(refusal_name(*status), RefOr::T(refusal(*status)));
    }
    for (path, item) in &mut document.paths.paths {
        for operation in [&mut item.post, &mut item.delete].into_iter().flatten() {
            operation.parameters.get_or_insert_default().push(RefOr::T(key()));
        }
        for operation in operations(item) {
            describe(path, operation, &statuses);
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                let says_nothing = body.content.values().any(|content| is_optional(content, &components.schemas));
                body.required = Some(if says_nothing { Required::False } else { Required::True });
            }
        }
    }
}

/// Whether every field of a body has a default, so that it can be left out.
fn is_optional(content: &RefOr<Content>, schemas: &BTreeMap<String, RefOr<Schema>>) -> bool {
    let RefOr::T(content) = content else { return false };
    let schema = match &content.schema {
        Some(RefOr::Ref(reference)) => reference.ref_location.rsplit('/').next().and_then(|name| schemas.get(name)),
        schema => schema.as_ref(),
    };
    matches!(schema, Some(RefOr::T(Schema::Object(object))) if object.required.is_empty())
}

fn key() -> Parameter {
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some("^[!-~]+$"))
        .min_length(Some(1))
        .max_length(Some(255));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Made up by the client: the same request with the same key is done once, and answered as it was.",
        ))
        .schema(Some(text))
        .build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

fn describe(path: &str, operation: &mut Operation, statuses: &[u16]) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            let done = if status == "202" { "It is on record, and goes on." } else { "Done." };
            done.clone_into(&mut response.description);
        }
    }
    let has_body = operation.request_body.is_some();
    for status in statuses {
        let is_possible = match status {
            408 | 413 | 415 => has_body,
            410 => path.ends_with("/events"),
            _ => true,
        };
        if is_possible {
            let refusal = RefOr::Ref(Ref::from_response_name(refusal_name(*status)));
            operation.responses.responses.entry(status.to_string()).or_insert(refusal);
        }
    }
}

fn refusal_name(status: u16) -> String {
    format!("Refused{status}")
}

/// What a refusal with this status may mean.
fn refusal(status: u16) -> Response {
    let codes: Vec<String> = CODES
        .iter()
        .filter(|code| code.status == status)
        .map(|Code { name, meaning, .. }| format!("- `{name}`: {meaning}"))
        .collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(ErrorBody::name()))).build();
    ResponseBuilder::new().description(codes.join("\n")).content("application/json", content).build()
}

/// The whole document, as it is served.
///
/// # Errors
/// Never in practice: every part of it can be written.
pub fn as_json() -> Result<String, serde_json::Error> {
    described().into_openapi().to_pretty_json().map(|text| text + "\n")
}
