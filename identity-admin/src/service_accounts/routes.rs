//! `/v1/tenants/{tenant}/service-accounts…`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use contracts::Scope;
use service_kit::Problem;

use super::form::{ServiceAccountForm, ServiceAccountPatch, ServiceAccountView};
use super::mutations::{Change, Create, Delete, SetActive};
use super::store;
use crate::db::params;
use crate::http::{Api, Incoming, Page, Path, Query, not_found, problem, read, shown};

pub(crate) fn routes() -> Router<Arc<Api>> {
    let accounts = "/v1/tenants/{tenant}/service-accounts";
    Router::new()
        .route(accounts, get(list).post(create))
        .route(&format!("{accounts}/{{account}}"), get(one).patch(patch).delete(delete))
        .route(&format!("{accounts}/{{account}}/deactivate"), post(deactivate))
        .route(&format!("{accounts}/{{account}}/reactivate"), post(reactivate))
}

/// Tenant and service account.
type Named = Path<(String, String)>;

/// Makes a service account.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/service-accounts", tag = "service accounts",
    request_body = ServiceAccountForm,
    responses((status = 201, description = "It was made.", body = ServiceAccountView)),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let account = read::<ServiceAccountForm>(&incoming.body)?.check().map_err(problem)?;
    api.change(&caller, &incoming, Create(account)).await
}

/// Lists service accounts.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/service-accounts", tag = "service accounts",
    params(
        ("name" = Option<String>, Query, description = "Only the one of this name."),
        ("active" = Option<bool>, Query, description = "Only these."),
        ("sort" = Option<String>, Query, description = "`created_at` or `name`; `-` before it turns it round."),
    ),
    responses((status = 200, description = "One page.", body = Page<ServiceAccountView>)),
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
    let page = store::LIST.page(api.db(), &api.options, asked, ServiceAccountView::of).await?;
    if page.items.is_empty() {
        api.known(&tenant).await?;
    }
    Ok(Json(page).into_response())
}

/// Reads a service account.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/service-accounts/{account}", tag = "service accounts",
    responses((status = 200, description = "The service account.", body = ServiceAccountView)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn one(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = api.caller(&headers, &tenant, Scope::IdentityRead).await?.tenant;
    let row = api.db().row(store::GET, params![&tenant, id]).await;
    let row = row.map_err(|error| problem(error.into()))?;
    let row = row.ok_or_else(|| not_found("service account"))?;
    let account = ServiceAccountView::of(&row).map_err(|error| problem(error.into()))?;
    Ok(shown(&headers, account.version, &account))
}

/// Changes a service account by a merge patch.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}/service-accounts/{account}", tag = "service accounts",
    request_body = ServiceAccountPatch,
    responses((status = 200, description = "The service account as it is now.", body = ServiceAccountView)),
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

/// Deactivates a service account: everything is denied to it until it is reactivated.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/service-accounts/{account}/deactivate", tag = "service accounts",
    responses((status = 200, description = "The service account as it is now.", body = ServiceAccountView)),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn deactivate(
    state: State<Arc<Api>>,
    named: Named,
    incoming: Incoming,
) -> Result<Response, Problem> {
    set_active(state, named, incoming, false).await
}

/// Reactivates a service account.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/service-accounts/{account}/reactivate", tag = "service accounts",
    responses((status = 200, description = "The service account as it is now.", body = ServiceAccountView)),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn reactivate(
    state: State<Arc<Api>>,
    named: Named,
    incoming: Incoming,
) -> Result<Response, Problem> {
    set_active(state, named, incoming, true).await
}

async fn set_active(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Named,
    incoming: Incoming,
    active: bool,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let condition = incoming.condition();
    api.change(&caller, &incoming, SetActive { id, active, condition }).await
}

/// Deletes a service account with its keys, scopes and memberships.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/service-accounts/{account}", tag = "service accounts",
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
