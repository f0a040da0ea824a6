//! `/v1/tenants/{tenant}/teams…`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use contracts::Scope;
use service_kit::Problem;

use super::form::{TeamForm, TeamPatch, TeamView};
use super::mutations::{Change, Create, Delete};
use super::store;
use crate::db::params;
use crate::http::{Api, Incoming, Page, Path, Query, not_found, problem, read, shown};

pub(super) fn routes() -> Router<Arc<Api>> {
    let teams = "/v1/tenants/{tenant}/teams";
    Router::new()
        .route(teams, get(list).post(create))
        .route(&format!("{teams}/{{team}}"), get(one).patch(patch).delete(delete))
}

/// Tenant and team.
type Named = Path<(String, String)>;

/// Makes a team.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/teams", tag = "teams", request_body = TeamForm,
    responses((status = 201, description = "It was made.", body = TeamView)),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let team = read::<TeamForm>(&incoming.body)?.check().map_err(problem)?;
    api.change(&caller, &incoming, Create(team)).await
}

/// Lists teams.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/teams", tag = "teams",
    params(
        ("name" = Option<String>, Query, description = "Only the one of this name."),
        ("sort" = Option<String>, Query, description = "`created_at` or `name`; `-` before it turns it round."),
    ),
    responses((status = 200, description = "One page.", body = Page<TeamView>)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    Query(query): Query,
) -> Result<Response, Problem> {
    let tenant = api.caller(&headers, &tenant, Scope::IdentityRead).await?.tenant;
    let asked: (&[&str], _) = (&[tenant.as_str()], query.as_slice());
    let page = store::LIST.page(api.db(), &api.options, asked, TeamView::of).await?;
    if page.items.is_empty() {
        api.known(&tenant).await?;
    }
    Ok(Json(page).into_response())
}

/// Reads a team.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/teams/{team}", tag = "teams",
    responses((status = 200, description = "The team.", body = TeamView)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn one(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = api.caller(&headers, &tenant, Scope::IdentityRead).await?.tenant;
    let row = api.db().row(store::GET, params![&tenant, id]).await;
    let row = row.map_err(|error| problem(error.into()))?.ok_or_else(|| not_found("team"))?;
    let team = TeamView::of(&row).map_err(|error| problem(error.into()))?;
    Ok(shown(&headers, team.version, &team))
}

/// Changes a team by a merge patch.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}/teams/{team}", tag = "teams", request_body = TeamPatch,
    responses((status = 200, description = "The team as it is now.", body = TeamView)),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn patch(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Named,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let (patch, condition) = (incoming.patch()?, incoming.condition());
    api.change(&caller, &incoming, Change { id, patch, condition }).await
}

/// Deletes a team with the memberships in it and of it.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/teams/{team}", tag = "teams",
    responses((status = 204, description = "It is gone.")),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Named,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let condition = incoming.condition();
    api.change(&caller, &incoming, Delete { id, condition }).await
}
