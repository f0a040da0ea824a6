//! SCIM in the document of all routes. What resources hold, `/Schemas` says; here is where they are.

use utoipa::Modify;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, PathItemBuilder,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type as JsonType};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Required, ResponseBuilder};

use super::PATH;
use super::fault::MEDIA_TYPE;
use super::schemas::TYPES;

/// Adds the routes of SCIM.
pub(crate) struct Directory;

impl Modify for Directory {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let mut add = |path: String, item| drop(openapi.paths.paths.insert(path, item));
        for of in TYPES {
            let (all, name) = (format!("{PATH}{}", of.endpoint), of.name.to_lowercase());
            let id = |what: &str| format!("scim_{what}_{name}");
            let listed = route(HttpMethod::Get, &id("list"), &[("200", "A ListResponse.")], &LIST);
            let made = &[("201", "It was made."), ("409", "A value is taken.")];
            add(all.clone(), both(listed, route(HttpMethod::Post, &id("create"), made, &SHOWN)));
            let found = &[
                ("200", "A ListResponse."),
                ("400", "A filter that is none, or a search of too much."),
            ];
            add(format!("{all}/.search"), route(HttpMethod::Post, &id("search"), found, &[]));
            let changed = &[
                ("200", "As it is now."),
                ("204", "It was done."),
                ("412", "It has another version."),
            ];
            let changes = |method, what| route(method, &id(what), changed, &SHOWN);
            let read = route(
                HttpMethod::Get,
                &id("read"),
                &[("200", "It."), ("304", "The client has it.")],
                &SHOWN,
            );
            let gone = route(HttpMethod::Delete, &id("delete"), &[("204", "It is gone.")], &[]);
            let changing =
                both(changes(HttpMethod::Put, "replace"), changes(HttpMethod::Patch, "change"));
            add(format!("{all}/{{id}}"), both(both(read, changing), gone));
        }
        let bulk = &[("200", "A BulkResponse."), ("413", "Too many operations.")];
        add(format!("{PATH}/Bulk"), route(HttpMethod::Post, "scim_bulk", bulk, &[]));
        for (name, id) in [
            ("ServiceProviderConfig", "scim_config"),
            ("ResourceTypes", "scim_types"),
            ("ResourceTypes/{id}", "scim_type"),
            ("Schemas", "scim_schemas"),
            ("Schemas/{id}", "scim_schema"),
        ] {
            let mut item =
                route(HttpMethod::Get, id, &[("200", "What the service says of itself.")], &[]);
            if let Some(operation) = &mut item.get {
                operation.security = None;
            }
            add(format!("{PATH}/{name}"), item);
        }
    }
}

const SHOWN: [(&str, &str); 2] = [
    ("attributes", "What is shown, by names and commas."),
    ("excludedAttributes", "What is not shown, by names and commas."),
];

const LIST: [(&str, &str); 7] = [
    SHOWN[0],
    SHOWN[1],
    ("filter", "Which are meant, as in `userName eq \"ada\"` (RFC 7644 section 3.4.2.2)."),
    ("sortBy", "The attribute that they are sorted by; the time of their making when absent."),
    ("sortOrder", "`ascending` or `descending`."),
    ("startIndex", "The place of the first one, from 1."),
    ("count", "How many, at most."),
];

fn both(one: PathItem, mut other: PathItem) -> PathItem {
    other.merge_operations(one);
    other
}

fn route(
    method: HttpMethod,
    id: &str,
    answers: &[(&str, &str)],
    query: &[(&str, &str)],
) -> PathItem {
    let content = || {
        let object = ObjectBuilder::new().schema_type(JsonType::Object);
        ContentBuilder::new().schema(Some(object)).build()
    };
    let reads = matches!(method, HttpMethod::Get) || id.contains("search");
    let scope = if reads { "identity:read" } else { "identity:write" };
    let mut operation = OperationBuilder::new()
        .tag("scim")
        .operation_id(Some(id))
        .security(SecurityRequirement::new("bearer", [scope]));
    for (name, about) in query {
        let text = ObjectBuilder::new().schema_type(JsonType::String);
        let parameter = ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Query);
        operation = operation.parameter(
            parameter.required(Required::False).description(Some(*about)).schema(Some(text)),
        );
    }
    if matches!(method, HttpMethod::Post | HttpMethod::Put | HttpMethod::Patch) {
        operation = operation
            .request_body(Some(RequestBodyBuilder::new().content(MEDIA_TYPE, content()).build()));
    }
    for (status, about) in answers {
        let mut answer = ResponseBuilder::new().description(*about);
        if !matches!(*status, "204" | "304") {
            answer = answer.content(MEDIA_TYPE, content());
        }
        operation = operation.response(*status, answer);
    }
    let error = ResponseBuilder::new()
        .description("Any other status: an Error (RFC 7644 section 3.12).")
        .content(MEDIA_TYPE, content());
    operation = operation.response("default", error);
    PathItemBuilder::new().operation(method, operation).build()
}
