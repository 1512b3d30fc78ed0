//! The OpenAPI document: what the routes say of themselves, and what is so for all of them.

use std::collections::BTreeMap;

use axum::http::Method;
use utoipa::openapi::content::{Content, ContentBuilder};
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::codes::{CODES, Code};
use super::router::described;
use super::routes::refused;
use super::wire::ErrorBody;

const ABOUT: &str = "Runs coding agents in git worktrees and terminals. Every error has the same shape and one of the codes that its operation \
lists with the status. Every answer has an `X-Request-Id`, the client's own where it sent one, which finds the request in the daemon's log. Only what \
does not get as far as being a request has neither: what is no HTTP (400), and an address (414) or a head (431) that is too large.";

/// The headers of answers, as they are written in the document.
const REQUEST_ID: &str = "X-Request-Id";
const REPLAYED: &str = "Idempotent-Replayed";

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

/// Adds to every operation what it may be refused with, and what is so for all of them.
pub(super) fn complete(document: &mut OpenApi) {
    let components = document.components.get_or_insert_default();
    components.headers.insert(REQUEST_ID.to_owned(), RefOr::T(text("Finds the request in the daemon's log.")));
    components
        .headers
        .insert(REPLAYED.to_owned(), RefOr::T(text("`true` where it is the answer that there was before.")));
    for item in document.paths.paths.values_mut() {
        for (method, operation) in operations(item) {
            describe(&method, operation, components);
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

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [(Method::GET, &mut item.get), (Method::POST, &mut item.post), (Method::DELETE, &mut item.delete)];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn describe(method: &Method, operation: &mut Operation, components: &mut Components) {
    let may_have_key = refused::may_have_key(method);
    if may_have_key {
        operation.parameters.get_or_insert_default().push(RefOr::T(key()));
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        let is_optional = body.content.values().any(|content| is_optional(content, &components.schemas));
        body.required = Some(if is_optional { Required::False } else { Required::True });
    }
    let mut by_status: BTreeMap<u16, Vec<&Code>> = BTreeMap::new();
    for code in refused::codes(method, operation) {
        by_status.entry(code.status).or_default().push(code);
    }
    let answers = &mut operation.responses.responses;
    for (status, answer) in answers.iter_mut() {
        let RefOr::T(answer) = answer else { continue };
        if answer.description.is_empty() {
            let done = if status == "202" { "It is on record, and goes on." } else { "Done." };
            done.clone_into(&mut answer.description);
        }
        if may_have_key {
            answer.headers.insert(REPLAYED.to_owned(), header(REPLAYED));
        }
    }
    for (status, codes) in by_status {
        let refusal = RefOr::T(refusal(&codes));
        let all = CODES.iter().filter(|code| code.status == status).count();
        // Many have these, and what says something of one operation stands out.
        let refusal = if codes.len() == all {
            let name = format!("Refused{status}");
            components.responses.entry(name.clone()).or_insert(refusal);
            RefOr::Ref(Ref::from_response_name(name))
        } else {
            refusal
        };
        answers.insert(status.to_string(), refusal);
    }
    for answer in answers.values_mut().chain(components.responses.values_mut()) {
        let RefOr::T(answer) = answer else { continue };
        answer.headers.insert(REQUEST_ID.to_owned(), header(REQUEST_ID));
    }
}

fn text(about: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build()
}

fn header(name: &str) -> RefOr<Header> {
    RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))
}

/// What a refusal with a status may mean here.
fn refusal(codes: &[&Code]) -> Response {
    let about: Vec<String> = codes.iter().map(|Code { name, meaning, .. }| format!("- `{name}`: {meaning}")).collect();
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes.iter().map(|code| code.name)));
    let only = ObjectBuilder::new().property("error", ObjectBuilder::new().property("code", code));
    let schema = AllOfBuilder::new().item(Ref::from_schema_name(ErrorBody::name())).item(only);
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(about.join("\n")).content("application/json", content).build()
}

/// The whole document, as it is served.
///
/// # Errors
/// Never in practice: every part of it can be written.
pub fn as_json() -> Result<String, serde_json::Error> {
    described().into_openapi().to_pretty_json().map(|text| text + "\n")
}
