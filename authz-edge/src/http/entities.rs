//! `…/resources/{type}/{id}` and, where identities are not synced, `…/subjects/{type}/{id}`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use contracts::Scope;
use service_kit::Problem;

use super::extract::{Body, Path};
use super::relationships::{read, revision};
use super::{Api, author, write_problem};
use crate::graph::write::{Entity, EntityForm, WriteError};
use crate::metrics;
use crate::model::{ResourceRef, SubjectRef, SubjectType};

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/v1/tenants/{tenant}/{kind}/{type}/{id}", get(one).put(put).delete(delete))
}

/// Tenant, kind, type, id.
type Named = Path<(String, String, String, String)>;

fn entity(kind: &str, type_: &str, id: &str) -> Result<Entity, Problem> {
    match kind {
        "resources" => Ok(Entity::Resource(ResourceRef::new(type_, id))),
        "subjects" => SubjectType::parse(type_)
            .map(|type_| Entity::Subject(SubjectRef::new(type_, id)))
            .ok_or_else(|| Problem::not_found("no such type of subject")),
        _ => Err(Problem::not_found("no such route")),
    }
}

async fn put(
    State(api): State<Arc<Api>>,
    Path((tenant, kind, type_, id)): Named,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, Problem> {
    let entity = entity(&kind, &type_, &id)?;
    let (principal, tenant) = api.authorize(&headers, &tenant, Scope::AuthzWrite).await?;
    let form: EntityForm = read(&body)?;
    if form.active.is_some() && matches!(entity, Entity::Resource(_)) {
        return Err(Problem::bad_request("active: a resource is neither active nor inactive"));
    }
    let author = author(&principal, &headers);
    let written = api.writer().put_entity(&tenant, &entity, &form, &author).await;
    metrics::write("entity", &written);
    let written = written.map_err(|error| write_problem(&error))?;
    Ok(revision(api.wrote(&tenant, &written)))
}

async fn delete(
    State(api): State<Arc<Api>>,
    Path((tenant, kind, type_, id)): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let entity = entity(&kind, &type_, &id)?;
    let (principal, tenant) = api.authorize(&headers, &tenant, Scope::AuthzWrite).await?;
    let deleted = api.writer().delete_entity(&tenant, &entity, &author(&principal, &headers)).await;
    metrics::write("entity", &deleted);
    match deleted {
        Ok(written) => Ok(revision(api.wrote(&tenant, &written))),
        Err(WriteError::Missing { what }) => Err(Problem::not_found(format!("no such {what}"))),
        Err(error) => Err(write_problem(&error)),
    }
}

async fn one(
    State(api): State<Arc<Api>>,
    Path((tenant, kind, type_, id)): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let entity = entity(&kind, &type_, &id)?;
    let (_, tenant) = api.authorize(&headers, &tenant, Scope::AuthzWrite).await?;
    let found = api.writer().get_entity(&tenant, &entity).await;
    let found = found.map_err(|error| write_problem(&error))?;
    found.map(|form| Json(form).into_response()).ok_or_else(|| Problem::not_found("there is none"))
}
