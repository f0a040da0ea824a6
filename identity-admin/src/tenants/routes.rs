//! `/v1/tenants` and `/v1/tenants/{tenant}`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use contracts::Scope;
use service_kit::Problem;

use super::form::{CreatedTenant, Status, TenantForm, TenantPatch, TenantView};
use super::mutations::{Create, Delete, Rename, SetStatus};
use super::store;
use crate::db::params;
use crate::http::{Api, Incoming, Page, Path, Query, not_found, problem, read, shown};
use crate::rules::{self, Faults};
use crate::users;

pub(crate) fn routes() -> Router<Arc<Api>> {
    let one_tenant = get(one).patch(patch).delete(delete);
    Router::new()
        .route("/v1/tenants", get(list).post(create))
        .route("/v1/tenants/{tenant}", one_tenant)
        .route("/v1/tenants/{tenant}/suspend", post(suspend))
        .route("/v1/tenants/{tenant}/reactivate", post(reactivate))
}

/// Makes a tenant and its first administrator, both or neither.
#[utoipa::path(
    post, path = "/v1/tenants", tag = "tenants", request_body = TenantForm,
    responses((status = 201, description = "Both were made.", body = CreatedTenant)),
    security(("bearer" = ["system:admin"]))
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    incoming.system()?;
    let mut tenant = read::<TenantForm>(&incoming.body)?.check().map_err(problem)?;
    let field = "administrator.password";
    users::hash_password(&api, &mut tenant.administrator, field).await?;
    api.create_tenant(tenant.id.clone(), &incoming, Create(tenant)).await
}

/// Lists tenants.
#[utoipa::path(
    get, path = "/v1/tenants", tag = "tenants",
    params(
        ("status" = Option<Status>, Query, description = "Only these."),
        ("name" = Option<String>, Query, description = "Only the one of this name."),
        ("sort" = Option<String>, Query, description = "`created_at`, `name` or `id`; `-` before it turns it round."),
    ),
    responses((status = 200, description = "One page.", body = Page<TenantView>)),
    security(("bearer" = ["system:admin"]))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Query(query): Query,
) -> Result<Response, Problem> {
    api.system(&headers).await?;
    let page = store::LIST.page(api.db(), &api.options, (&[], &query), TenantView::of).await?;
    Ok(Json(page).into_response())
}

/// Reads a tenant.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}", tag = "tenants",
    responses((status = 200, description = "The tenant.", body = TenantView)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn one(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let caller = api.caller(&headers, &tenant, Scope::IdentityRead).await?;
    let row = api.db().row(store::GET, params![&caller.tenant]).await;
    let row = row.map_err(|error| problem(error.into()))?.ok_or_else(|| not_found("tenant"))?;
    let tenant = TenantView::of(&row).map_err(|error| problem(error.into()))?;
    Ok(shown(&headers, tenant.version, &tenant))
}

/// Changes a tenant by a merge patch.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}", tag = "tenants", request_body = TenantPatch,
    responses((status = 200, description = "The tenant as it is now.", body = TenantView)),
    security(("bearer" = ["tenant:admin"]))
)]
pub(crate) async fn patch(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::TenantAdmin)?;
    let TenantPatch { name } = incoming.patch()?;
    let mut faults = Faults::default();
    let name = name.map(|name| faults.take("name", rules::name(&name)));
    let name = faults.settle(Some(name.flatten())).map_err(problem)?;
    let condition = incoming.condition();
    api.change(&caller, &incoming, Rename { name, condition }).await
}

/// Suspends a tenant: everything is denied to it until it is reactivated.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/suspend", tag = "tenants",
    responses((status = 200, description = "The tenant as it is now.", body = TenantView)),
    security(("bearer" = ["system:admin"]))
)]
pub(crate) async fn suspend(
    state: State<Arc<Api>>,
    tenant: Path<String>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    set_status(state, tenant, incoming, Status::Suspended).await
}

/// Serves a suspended tenant again.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/reactivate", tag = "tenants",
    responses((status = 200, description = "The tenant as it is now.", body = TenantView)),
    security(("bearer" = ["system:admin"]))
)]
pub(crate) async fn reactivate(
    state: State<Arc<Api>>,
    tenant: Path<String>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    set_status(state, tenant, incoming, Status::Active).await
}

async fn set_status(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    incoming: Incoming,
    status: Status,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::SystemAdmin)?;
    let condition = incoming.condition();
    api.change(&caller, &incoming, SetStatus { status, condition }).await
}

/// Deletes a tenant with all that it has. Its id is not given again.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}", tag = "tenants",
    responses((status = 204, description = "It is gone.")),
    security(("bearer" = ["system:admin"]))
)]
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::SystemAdmin)?;
    let condition = incoming.condition();
    api.change(&caller, &incoming, Delete(condition)).await
}
