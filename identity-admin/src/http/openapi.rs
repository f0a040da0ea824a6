//! The API's own description, `GET /openapi/identity-admin.json`.
//!
//! The public surface is a reviewed file: `identity-admin/openapi.json`, which a test compares. Routes say what
//! is their own; what all of them have is added here.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi, ToSchema};

use crate::scim::document::Directory;
use crate::{api_keys, oauth, scopes, service_accounts, snapshot, teams, tenants, users};

/// Where it is served.
pub const PATH: &str = "/openapi/identity-admin.json";

/// An error, RFC 9457.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `service_kit::Problem` writes")]
pub(crate) struct Problem {
    /// `urn:triad:problem:…`; clients match on it.
    #[schema(example = "urn:triad:problem:bad-request")]
    r#type: String,
    /// The same for every problem of the type.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What was wrong with this request.
    detail: Option<String>,
    /// Every fault of every field, when fields are at fault.
    errors: Option<Vec<FieldError>>,
}

/// What is wrong with one field.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes what `http::answer` writes")]
pub(crate) struct FieldError {
    /// Its name; dotted when it is inside another.
    #[schema(example = "administrator.email")]
    field: String,
    /// The rule that it breaks.
    reason: String,
}

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Basic).build();
        components.add_security_scheme("client", SecurityScheme::Http(scheme));
    }
}

/// What a request is made with, by what it does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Read,
    List,
    Create,
    Change,
}

/// What routes have in common, so that none has to repeat it.
struct Common;

impl Modify for Common {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (path, item) in &mut openapi.paths.paths {
            // Those speak OAuth: RFC 6749, 7009, 7662.
            if !path.starts_with("/v1/") {
                continue;
            }
            let lists =
                path.ends_with('s') && !path.ends_with("/settings") && !path.ends_with("/scopes");
            let PathItem { get, put, post, patch, delete, .. } = item;
            let reads = if lists { Does::List } else { Does::Read };
            let posts = if lists { Does::Create } else { Does::Change };
            let operations = [(get, reads), (post, posts)]
                .into_iter()
                .chain([put, patch, delete].map(|operation| (operation, Does::Change)));
            for (operation, does) in operations {
                if let Some(operation) = operation {
                    complete(path, operation, does);
                    name(operation);
                }
            }
        }
    }
}

fn complete(path: &str, operation: &mut Operation, does: Does) {
    let parameters = operation.parameters.get_or_insert_default();
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let named = named.map(|name| parameter(name, ParameterIn::Path, Type::String, about(name)));
    parameters.splice(0..0, named.map(Into::into));
    let header = |name, about| parameter(name, ParameterIn::Header, Type::String, about);
    if does == Does::List {
        let query = |name, type_, about| parameter(name, ParameterIn::Query, type_, about);
        parameters.push(query("limit", Type::Integer, "Entries in a page, at most.").into());
        parameters.push(
            query(
                "cursor",
                Type::String,
                "`next_cursor` of the page before, with the same other parameters.",
            )
            .into(),
        );
    }
    if does == Does::Read {
        parameters.push(
            header("If-None-Match", "Versions that the client has: 304 for one of them.").into(),
        );
    }
    if does == Does::Change {
        parameters
            .push(header("If-Match", "The versions that may be changed: 412 for another.").into());
    }
    if matches!(does, Does::Create | Does::Change) {
        let about = "1 to 255 printable ASCII characters. A repeat gets the answer that the first request got.";
        parameters.push(header("Idempotency-Key", about).into());
    }
    for (status, description) in problems(path, does, operation.request_body.is_some()) {
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_owned()).or_insert_with(|| problem(status, description).into());
    }
    for (status, response) in &mut operation.responses.responses {
        if let (true, RefOr::T(response)) = (status.starts_with('2'), response) {
            answer_headers(response, status, does);
        }
    }
}

/// Handlers of two features may have one name; operations may not.
fn name(operation: &mut Operation) {
    let tag = operation.tags.iter().flatten().next().map(|tag| tag.replace(' ', "_"));
    if let (Some(tag), Some(id)) = (tag, &mut operation.operation_id) {
        *id = format!("{tag}_{id}");
    }
}

fn about(name: &str) -> &'static str {
    match name {
        "tenant" => "The tenant.",
        "user" => "The user's id.",
        "account" => "The service account's id.",
        "team" => "The team's id.",
        "key" => "The key's id.",
        "type" => "`user`, `service_account` or `team`.",
        "member" => "The member's id.",
        _ => "The address, whatever its case.",
    }
}

fn parameter(name: &str, place: ParameterIn, type_: Type, about: &str) -> Parameter {
    let required = if place == ParameterIn::Path { Required::True } else { Required::False };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .description(Some(about))
        .schema(Some(ObjectBuilder::new().schema_type(type_)))
        .build()
}

/// The problems that a route may answer with.
fn problems(path: &str, does: Does, has_body: bool) -> Vec<(&'static str, &'static str)> {
    let mut problems = vec![
        ("401", "No bearer token, or one that does not hold."),
        ("403", "The token lacks the scope."),
        ("500", "A fault of the service."),
        ("503", "Not now: too many requests, or the database does not answer."),
    ];
    if path != "/v1/tenants" {
        problems.push(("404", "No such tenant for this caller, or no such thing."));
        let why = if path.ends_with("/snapshot") {
            "The tenant is above its rate, or has its half of the snapshots."
        } else {
            "The tenant is above its rate. Nothing was done."
        };
        problems.push(("429", why));
    }
    let writes = matches!(does, Does::Create | Does::Change);
    if writes || does == Does::List {
        problems.push(("400", "A field, parameter or header breaks its rules."));
    }
    if does == Does::Read {
        problems.push(("304", "The client has this version."));
    }
    if does == Does::Change {
        problems.push(("412", "It has another version than `If-Match` names."));
    }
    if path.ends_with("/settings") && does == Does::Change {
        problems.push(("428", "PUT needs `If-Match`."));
    }
    if writes {
        problems.push(("409", "A value is taken, it does not fit the state of things, or the request with this key is under way."));
        problems.push(("422", "The Idempotency-Key was used for another request."));
    }
    if has_body {
        problems.push(("413", "The body is too large."));
        problems.push(("415", "A patch that is no merge patch."));
    }
    problems
}

fn problem(status: &str, description: &str) -> Response {
    let mut answer = ResponseBuilder::new().description(description);
    if status != "304" {
        let schema = Ref::from_schema_name("Problem");
        let content = ContentBuilder::new().schema(Some(schema)).build();
        answer = answer.content("application/problem+json", content);
    }
    if matches!(status, "429" | "503") {
        answer = answer.header("Retry-After", text_header("Seconds to wait."));
    }
    answer.build()
}

fn answer_headers(response: &mut Response, status: &str, does: Does) {
    let headers = &mut response.headers;
    if does != Does::List && status != "204" {
        headers.insert("ETag".to_owned(), text_header("Its version.").into());
    }
    if matches!(does, Does::Create | Does::Change) {
        let about = "Names the state that holds this write; checks accept it as `at_least`.";
        headers.insert("Triad-Consistency-Token".to_owned(), text_header(about).into());
        let about = "`true` for the answer of an earlier request with the same key.";
        headers.insert("Idempotency-Replayed".to_owned(), text_header(about).into());
    }
    if status == "201" {
        headers.insert("Location".to_owned(), text_header("Where it is found.").into());
    }
}

fn text_header(about: &str) -> utoipa::openapi::header::Header {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new().schema(Some(schema)).description(Some(about)).build()
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Triad identity-admin",
        description = "Tenants, users, service accounts and teams. Every write answers with a consistency token."
    ),
    paths(
        tenants::routes::list,
        tenants::routes::create,
        tenants::routes::one,
        tenants::routes::patch,
        tenants::routes::delete,
        tenants::routes::suspend,
        tenants::routes::reactivate,
        users::routes::list,
        users::routes::create,
        users::routes::one,
        users::routes::by_email,
        users::routes::patch,
        users::routes::delete,
        users::routes::deactivate,
        users::routes::reactivate,
        users::routes::read_settings,
        users::routes::replace_settings,
        users::routes::patch_settings,
        users::password::set_password,
        users::password::remove_password,
        service_accounts::routes::list,
        service_accounts::routes::create,
        service_accounts::routes::one,
        service_accounts::routes::patch,
        service_accounts::routes::delete,
        service_accounts::routes::deactivate,
        service_accounts::routes::reactivate,
        teams::routes::list,
        teams::routes::create,
        teams::routes::one,
        teams::routes::patch,
        teams::routes::delete,
        teams::member_routes::list,
        teams::member_routes::add,
        teams::member_routes::remove,
        snapshot::read,
        api_keys::routes::list,
        api_keys::routes::create,
        api_keys::routes::one,
        api_keys::routes::rotate,
        api_keys::routes::revoke,
        scopes::routes::of_user,
        scopes::routes::set_user,
        scopes::routes::of_account,
        scopes::routes::set_account,
        oauth::token::token,
        oauth::introspect::introspect,
        oauth::revoke::revoke,
        oauth::device::authorization::authorize,
        oauth::device::page::show,
        oauth::device::page::answer,
        oauth::metadata::jwks,
        oauth::metadata::server,
    ),
    components(schemas(Problem, FieldError)),
    modifiers(&Bearer, &Common, &Directory)
)]
struct Document;

/// The document, as JSON.
#[must_use]
pub fn json() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_public_surface_is_the_reviewed_file() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let now = super::json();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let reviewed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(now == reviewed, "the API changed: review, then run with UPDATE_GOLDEN=1");
    }
}
