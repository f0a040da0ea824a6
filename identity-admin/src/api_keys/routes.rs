//! `/v1/tenants/{tenant}/service-accounts/{account}/keys…`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use contracts::Scope;
use service_kit::Problem;

use super::form::{KeyForm, KeyView, KeyWithSecret, RotationForm};
use super::mutations::{Create, Revoke, Rotate, Secret};
use super::store;
use crate::db::params;
use crate::http::{Api, Incoming, Page, Path, Query, not_found, problem, read, shown};

pub(crate) fn routes() -> Router<Arc<Api>> {
    let keys = "/v1/tenants/{tenant}/service-accounts/{account}/keys";
    Router::new()
        .route(keys, get(list).post(create))
        .route(&format!("{keys}/{{key}}"), get(one).delete(revoke))
        .route(&format!("{keys}/{{key}}/rotate"), post(rotate))
}

/// A new secret.
fn secret(api: &Api) -> Result<Secret, Problem> {
    let credentials = api.credentials()?;
    let text = credentials.new_key().map_err(|_| Problem::internal())?;
    Ok(Secret { stored: credentials.secrets.pepper(&text), text })
}

/// Makes a key for a service account. Its secret is in the answer, and told nowhere else.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/service-accounts/{account}/keys", tag = "api keys",
    request_body = KeyForm,
    responses((status = 201, description = "It was made.", body = KeyWithSecret)),
    security(("bearer" = ["tenant:admin"]))
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    Path((tenant, account)): Path<(String, String)>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::TenantAdmin)?;
    let new = read::<KeyForm>(&incoming.body)?.check().map_err(problem)?;
    let secret = secret(&api)?;
    api.change(&caller, &incoming, Create { account, new, secret }).await
}

/// Lists the keys of a service account, revoked ones too.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/service-accounts/{account}/keys", tag = "api keys",
    params(("sort" = Option<String>, Query, description = "`created_at`; `-` before it turns it round.")),
    responses((status = 200, description = "One page.", body = Page<KeyView>)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Path((tenant, account)): Path<(String, String)>,
    headers: HeaderMap,
    Query(query): Query,
) -> Result<Response, Problem> {
    let tenant = api.caller(&headers, &tenant, Scope::IdentityRead).await?.tenant;
    let asked: (&[&str], _) = (&[tenant.as_str(), account.as_str()], query.as_slice());
    let page = store::LIST.page(api.db(), &api.options, asked, KeyView::of).await?;
    if page.items.is_empty() {
        let sql = "SELECT id FROM service_accounts WHERE tenant_id = ? AND id = ?";
        let found = api.db().row(sql, params![&tenant, account]).await;
        found
            .map_err(|error| problem(error.into()))?
            .ok_or_else(|| not_found("service account"))?;
    }
    Ok(Json(page).into_response())
}

/// Reads a key, without its secret.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/service-accounts/{account}/keys/{key}", tag = "api keys",
    responses((status = 200, description = "The key.", body = KeyView)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn one(
    State(api): State<Arc<Api>>,
    Path((tenant, account, id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = api.caller(&headers, &tenant, Scope::IdentityRead).await?.tenant;
    let row = api.db().row(store::GET, params![&tenant, account, id]).await;
    let row = row.map_err(|error| problem(error.into()))?.ok_or_else(|| not_found("key"))?;
    let key = KeyView::of(&row).map_err(|error| problem(error.into()))?;
    Ok(shown(&headers, key.version, &key))
}

/// Gives a key a new secret. The former one is accepted for a while, so that callers change over at leisure.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/service-accounts/{account}/keys/{key}/rotate", tag = "api keys",
    request_body = RotationForm,
    responses((status = 200, description = "The key with its new secret.", body = KeyWithSecret)),
    security(("bearer" = ["tenant:admin"]))
)]
pub(crate) async fn rotate(
    State(api): State<Arc<Api>>,
    Path((tenant, account, id)): Path<(String, String, String)>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::TenantAdmin)?;
    let body = if incoming.body.is_empty() { b"{}" } else { incoming.body.as_ref() };
    let overlap = read::<RotationForm>(body)?.check().map_err(problem)?;
    let (secret, condition) = (secret(&api)?, incoming.condition());
    api.change(&caller, &incoming, Rotate { account, id, overlap, secret, condition }).await
}

/// Revokes a key, for good.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/service-accounts/{account}/keys/{key}", tag = "api keys",
    responses((status = 204, description = "Nobody is let in with it any more.")),
    security(("bearer" = ["tenant:admin"]))
)]
pub(crate) async fn revoke(
    State(api): State<Arc<Api>>,
    Path((tenant, account, id)): Path<(String, String, String)>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::TenantAdmin)?;
    let condition = incoming.condition();
    api.change(&caller, &incoming, Revoke { account, id, condition }).await
}
