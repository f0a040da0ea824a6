//! What the service says of itself (RFC 7644 section 4). Everybody may know: there is nothing of a tenant in it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use service_kit::Problem;

use super::fault::weak;
use super::schema::Type;
use super::schemas::{SCHEMAS, TYPES};
use super::{PATH, Passwords};
use crate::change::tag;
use crate::http::{Api, Path, not_found};

pub(super) fn routes() -> Router<Arc<Api>> {
    let route = |name: &str| format!("{PATH}/{name}");
    Router::new()
        .route(&route("ServiceProviderConfig"), get(config))
        .route(&route("ResourceTypes"), get(types))
        .route(&route("ResourceTypes/{id}"), get(one_type))
        .route(&route("Schemas"), get(schemas))
        .route(&route("Schemas/{id}"), get(one_schema))
}

/// What a resource says of itself.
pub(super) fn meta(
    of: &Type,
    base: &str,
    id: &str,
    version: i64,
    (created, modified): (DateTime<Utc>, DateTime<Utc>),
) -> Value {
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Micros, true);
    json!({
        "resourceType": of.name, "created": time(created), "lastModified": time(modified),
        "location": format!("{base}{}/{id}", of.endpoint), "version": weak(&tag(version)),
    })
}

async fn config(State(api): State<Arc<Api>>) -> Response {
    let (options, scim) = (&api.options, &api.options.scim);
    let supported = json!({ "supported": true });
    Json(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": supported, "changePassword": {"supported": scim.passwords == Passwords::Set}, "sort": supported, "etag": supported,
        "bulk": {"supported": true, "maxOperations": scim.max_operations,
            "maxPayloadSize": scim.max_body_bytes},
        "filter": {"supported": true, "maxResults": options.max_limit},
        "authenticationSchemes": [{
            "type": "oauthbearertoken", "name": "Bearer token",
            "description": "An access token with identity:read or identity:write (RFC 6750); where the service introspects, an API key",
            "specUri": "https://www.rfc-editor.org/rfc/rfc6750", "primary": true,
        }],
        "meta": {"resourceType": "ServiceProviderConfig",
            "location": format!("{}/ServiceProviderConfig", scim.base())},
    }))
    .into_response()
}

fn list(resources: &[Value]) -> Response {
    Json(json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": resources.len(), "startIndex": 1, "itemsPerPage": resources.len(),
        "Resources": resources,
    }))
    .into_response()
}

fn pick(resources: Vec<Value>, id: &str, what: &'static str) -> Result<Response, Problem> {
    let is_meant =
        |resource: &Value| resource["id"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(id));
    let found = resources.into_iter().find(is_meant).ok_or_else(|| not_found(what))?;
    Ok(Json(found).into_response())
}

fn all_types(api: &Api) -> Vec<Value> {
    let base = api.options.scim.base();
    TYPES.iter().map(|of| of.described(&format!("{base}/ResourceTypes/{}", of.name))).collect()
}

fn all_schemas(api: &Api) -> Vec<Value> {
    let base = api.options.scim.base();
    SCHEMAS
        .iter()
        .map(|schema| schema.described(&format!("{base}/Schemas/{}", schema.id)))
        .collect()
}

async fn types(State(api): State<Arc<Api>>) -> Response {
    list(&all_types(&api))
}

async fn one_type(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    pick(all_types(&api), &id, "type of resource")
}

async fn schemas(State(api): State<Arc<Api>>) -> Response {
    list(&all_schemas(&api))
}

async fn one_schema(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    pick(all_schemas(&api), &id, "schema")
}
