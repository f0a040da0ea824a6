//! `…/resources/{type}/{id}` and, where identities are not synced, `…/subjects/{type}/{id}`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use contracts::Scope;
use service_kit::Problem;

use super::extract::Path;
use super::relationships::{read, revision};
use super::{Api, author, write_problem};
use crate::graph::write::{Entity, EntityForm, WriteError};
use crate::metrics;
use crate::model::{ResourceRef, SubjectRef, SubjectType};
use service_kit::body::Unread;

pub(super) fn routes() -> Router<Arc<Api>> {
    let at = |kind: Kind| get(one).put(put).delete(delete).layer(Extension(kind));
    Router::new()
        .route("/v1/tenants/{tenant}/resources/{type}/{id}", at(Kind::Resource))
        .route("/v1/tenants/{tenant}/subjects/{type}/{id}", at(Kind::Subject))
}

/// What the route is for.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Resource,
    Subject,
}

/// Tenant, type, id.
type Named = Path<(String, String, String)>;

fn entity(kind: Kind, type_: &str, id: &str) -> Result<Entity, Problem> {
    match kind {
        Kind::Resource => Ok(Entity::Resource(ResourceRef::new(type_, id))),
        Kind::Subject => SubjectType::parse(type_)
            .map(|type_| Entity::Subject(SubjectRef::new(type_, id)))
            .ok_or_else(|| Problem::not_found("no such type of subject")),
    }
}

async fn put(
    State(api): State<Arc<Api>>,
    Extension(kind): Extension<Kind>,
    Path((tenant, type_, id)): Named,
    headers: HeaderMap,
    body: Unread,
) -> Result<Response, Problem> {
    let (principal, tenant) = api.authorize(&headers, &tenant, Scope::AuthzWrite).await?;
    let entity = entity(kind, &type_, &id)?;
    let form: EntityForm = read(&api.bodies.read(body).await?)?;
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
    Extension(kind): Extension<Kind>,
    Path((tenant, type_, id)): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (principal, tenant) = api.authorize(&headers, &tenant, Scope::AuthzWrite).await?;
    let entity = entity(kind, &type_, &id)?;
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
    Extension(kind): Extension<Kind>,
    Path((tenant, type_, id)): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, tenant) = api.authorize(&headers, &tenant, Scope::AuthzWrite).await?;
    let entity = entity(kind, &type_, &id)?;
    let found = api.writer().get_entity(&tenant, &entity).await;
    let found = found.map_err(|error| write_problem(&error))?;
    found.map(|form| Json(form).into_response()).ok_or_else(|| Problem::not_found("there is none"))
}
