//! `…/users/{user}/scopes` and `…/service-accounts/{account}/scopes`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use contracts::Scope;
use serde::{Deserialize, Serialize};
use service_kit::Problem;
use utoipa::ToSchema;

use super::mutations::{Replace, Who};
use crate::change::Refused;
use crate::db::params;
use crate::http::{Api, Incoming, Path, not_found, problem, read};
use crate::rules::Faults;

pub(crate) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/tenants/{tenant}/users/{user}/scopes", get(of_user).put(set_user))
        .route(
            "/v1/tenants/{tenant}/service-accounts/{account}/scopes",
            get(of_account).put(set_account),
        )
}

/// What somebody may ask tokens for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scopes {
    /// Names of scopes.
    #[schema(example = json!(["authz:check", "audit:write"]))]
    scopes: Vec<String>,
}

/// Reads what a user may ask tokens for.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/users/{user}/scopes", tag = "scopes",
    responses((status = 200, description = "The scopes.", body = Scopes)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn of_user(
    state: State<Arc<Api>>,
    Path((tenant, user)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    show(state, &tenant, ("users", "user_id", "user"), &user, &headers).await
}

/// Reads what a service account may ask tokens for.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/service-accounts/{account}/scopes", tag = "scopes",
    responses((status = 200, description = "The scopes.", body = Scopes)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn of_account(
    state: State<Arc<Api>>,
    Path((tenant, account)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let table = ("service_accounts", "service_account_id", "service account");
    show(state, &tenant, table, &account, &headers).await
}

async fn show(
    State(api): State<Arc<Api>>,
    tenant: &str,
    (table, column, what): (&str, &str, &'static str),
    id: &str,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let tenant = api.caller(headers, tenant, Scope::IdentityRead).await?.tenant;
    // One statement, so that no scopes is told from nobody.
    let sql = format!(
        "SELECT s.scope FROM {table} h LEFT JOIN principal_scopes s \
         ON s.tenant_id = h.tenant_id AND s.{column} = h.id WHERE h.tenant_id = ? AND h.id = ? \
         ORDER BY s.scope"
    );
    let rows = api.db().rows(sql, params![&tenant, id]).await;
    let rows = rows.map_err(|error| problem(error.into()))?;
    if rows.is_empty() {
        return Err(not_found(what));
    }
    let scopes: Result<Vec<_>, _> = rows.iter().map(|row| row.opt_text("scope")).collect();
    let scopes = scopes.map_err(|error| problem(error.into()))?.into_iter().flatten().collect();
    Ok(Json(Scopes { scopes }).into_response())
}

/// Says what a user may ask tokens for, and voids its tokens if that is less than before.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/users/{user}/scopes", tag = "scopes",
    request_body = Scopes,
    responses((status = 200, description = "The scopes.", body = Scopes)),
    security(("bearer" = ["tenant:admin"]))
)]
pub(crate) async fn set_user(
    state: State<Arc<Api>>,
    Path((tenant, user)): Path<(String, String)>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    set(state, &tenant, Who::User(user), incoming).await
}

/// Says what a service account may ask tokens for, and voids its tokens if that is less than before.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/service-accounts/{account}/scopes", tag = "scopes",
    request_body = Scopes,
    responses((status = 200, description = "The scopes.", body = Scopes)),
    security(("bearer" = ["tenant:admin"]))
)]
pub(crate) async fn set_account(
    state: State<Arc<Api>>,
    Path((tenant, account)): Path<(String, String)>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    set(state, &tenant, Who::ServiceAccount(account), incoming).await
}

async fn set(
    State(api): State<Arc<Api>>,
    tenant: &str,
    who: Who,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(tenant, Scope::TenantAdmin)?;
    let asked = read::<Scopes>(&incoming.body)?;
    let mut faults = Faults::default();
    let scopes = faults.take("scopes", super::parse(&asked.scopes));
    let scopes = faults.settle(scopes).map_err(|refused: Refused| problem(refused))?;
    let grantable = Scope::ALL.iter().copied().filter(|scope| incoming.has(*scope)).collect();
    api.change(&caller, &incoming, Replace { who, scopes, grantable }).await
}
