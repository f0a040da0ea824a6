//! `…/roles/{id}`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use contracts::Scope;
use service_kit::Problem;

use super::extract::Path;
use super::relationships::{read, revision};
use super::{Api, author, write_problem};
use crate::graph::write::WriteError;
use crate::metrics;
use crate::model::Role;
use service_kit::body::Unread;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/v1/tenants/{tenant}/roles/{id}", get(one).put(put).delete(delete))
}

async fn put(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Unread,
) -> Result<Response, Problem> {
    let (principal, tenant) = api.authorize(&headers, &tenant, Scope::AuthzWrite).await?;
    let role: Role = read(&api.bodies.read(body).await?)?;
    let written = api.writer().put_role(&tenant, &id, &role, &author(&principal, &headers)).await;
    metrics::write("role", &written);
    let (written, stored) = written.map_err(|error| write_problem(&error))?;
    let mut response = revision(api.wrote(&tenant, &written));
    if stored.created {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

async fn delete(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (principal, tenant) = api.authorize(&headers, &tenant, Scope::AuthzWrite).await?;
    let written = api.writer().delete_role(&tenant, &id, &author(&principal, &headers)).await;
    metrics::write("role", &written);
    match written {
        Ok(written) => Ok(revision(api.wrote(&tenant, &written))),
        Err(WriteError::Missing { .. }) => Err(Problem::not_found("no such role")),
        Err(error) => Err(write_problem(&error)),
    }
}

async fn one(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, tenant) = api.authorize(&headers, &tenant, Scope::AuthzWrite).await?;
    let role =
        api.writer().get_role(&tenant, &id).await.map_err(|error| super::graph_problem(&error))?;
    role.map(|role| Json(role).into_response()).ok_or_else(|| Problem::not_found("no such role"))
}
