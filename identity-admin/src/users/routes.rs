//! `/v1/tenants/{tenant}/users…`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use contracts::Scope;
use service_kit::Problem;

use super::form::{UserForm, UserPatch, UserView};
use super::mutations::{Change, ChangeSettings, Create, Delete, NewHeld, SetActive};
use super::password::{hash_password, remove_password, set_password};
use super::settings::{SettingsForm, SettingsPatch, SettingsView};
use super::store;
use crate::db::params;
use crate::http::{Api, Incoming, Page, Path, Query, not_found, problem, read, shown};
use crate::rules::{self, Faults};

pub(crate) fn routes() -> Router<Arc<Api>> {
    let users = "/v1/tenants/{tenant}/users";
    let settings = get(read_settings).put(replace_settings).patch(patch_settings);
    Router::new()
        .route(users, get(list).post(create))
        .route(&format!("{users}/{{user}}"), get(one).patch(patch).delete(delete))
        .route(&format!("{users}/by-email/{{email}}"), get(by_email))
        .route(&format!("{users}/{{user}}/deactivate"), post(deactivate))
        .route(&format!("{users}/{{user}}/reactivate"), post(reactivate))
        .route(&format!("{users}/{{user}}/settings"), settings)
        .route(&format!("{users}/{{user}}/password"), put(set_password).delete(remove_password))
}

/// Tenant and user.
type Named = Path<(String, String)>;

/// Makes a user and its settings, both or neither.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/users", tag = "users", request_body = UserForm,
    responses((status = 201, description = "Both were made.", body = UserView)),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let mut user = read::<UserForm>(&incoming.body)?.check().map_err(problem)?;
    hash_password(&api, &mut user, "password").await?;
    api.change(&caller, &incoming, Create(user)).await
}

/// Lists users.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/users", tag = "users",
    params(
        ("email" = Option<String>, Query, description = "Only the one of this address."),
        ("user_name" = Option<String>, Query, description = "Only the one of this name."),
        ("active" = Option<bool>, Query, description = "Only these."),
        ("sort" = Option<String>, Query, description = "`created_at` or `user_name`; `-` before it turns it round."),
    ),
    responses((status = 200, description = "One page.", body = Page<UserView>)),
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
    let page = store::LIST.page(api.db(), &api.options, asked, UserView::of).await?;
    if page.items.is_empty() {
        api.known(&tenant).await?;
    }
    Ok(Json(page).into_response())
}

/// Reads a user.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/users/{user}", tag = "users",
    responses((status = 200, description = "The user.", body = UserView)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn one(
    State(api): State<Arc<Api>>,
    Path((tenant, user)): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    read_user(&api, &headers, &tenant, (store::GET, user)).await
}

/// Reads a user by its address, whatever its case.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/users/by-email/{email}", tag = "users",
    responses((status = 200, description = "The user.", body = UserView)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn by_email(
    State(api): State<Arc<Api>>,
    Path((tenant, email)): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    // What is no address is nobody's.
    let email = rules::email(&email).unwrap_or_default();
    read_user(&api, &headers, &tenant, (store::GET_BY_EMAIL, email)).await
}

async fn read_user(
    api: &Api,
    headers: &HeaderMap,
    tenant: &str,
    (sql, by): (&'static str, String),
) -> Result<Response, Problem> {
    let tenant = api.caller(headers, tenant, Scope::IdentityRead).await?.tenant;
    let row = api.db().row(sql, params![&tenant, by]).await;
    let row = row.map_err(|error| problem(error.into()))?.ok_or_else(|| not_found("user"))?;
    let user = UserView::of(&row).map_err(|error| problem(error.into()))?;
    Ok(shown(headers, user.version, &user))
}

/// Changes a user by a merge patch.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}/users/{user}", tag = "users", request_body = UserPatch,
    responses((status = 200, description = "The user as it is now.", body = UserView)),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn patch(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Named,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let patch = incoming.patch::<UserPatch>()?.check().map_err(problem)?;
    let condition = incoming.condition();
    api.change(&caller, &incoming, Change { id, patch, condition }).await
}

/// Deactivates a user: everything is denied to it until it is reactivated.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/users/{user}/deactivate", tag = "users",
    responses((status = 200, description = "The user as it is now.", body = UserView)),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn deactivate(
    state: State<Arc<Api>>,
    named: Named,
    incoming: Incoming,
) -> Result<Response, Problem> {
    set_active(state, named, incoming, false).await
}

/// Reactivates a user.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/users/{user}/reactivate", tag = "users",
    responses((status = 200, description = "The user as it is now.", body = UserView)),
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

/// Deletes a user with its settings, scopes and memberships.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/users/{user}", tag = "users",
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

/// Reads a user's settings.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/users/{user}/settings", tag = "users",
    responses((status = 200, description = "The settings.", body = SettingsView)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn read_settings(
    State(api): State<Arc<Api>>,
    Path((tenant, user)): Named,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = api.caller(&headers, &tenant, Scope::IdentityRead).await?.tenant;
    let row = api.db().row(store::GET_SETTINGS, params![&tenant, user]).await;
    let row = row.map_err(|error| problem(error.into()))?.ok_or_else(|| not_found("user"))?;
    let settings = SettingsView::of(&row).map_err(|error| problem(error.into()))?;
    Ok(shown(&headers, settings.version, &settings))
}

/// Replaces a user's settings; `If-Match` says which.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/users/{user}/settings", tag = "users",
    request_body = SettingsForm,
    responses((status = 200, description = "The settings as they are now.", body = SettingsView)),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn replace_settings(
    State(api): State<Arc<Api>>,
    Path((tenant, user)): Named,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let mut faults = Faults::default();
    let new = read::<SettingsForm>(&incoming.body)?.check(&mut faults, "");
    let new = NewHeld::Replaced(faults.settle(new).map_err(problem)?);
    let condition = incoming.condition();
    api.change(&caller, &incoming, ChangeSettings { user, new, condition }).await
}

/// Changes a user's settings by a merge patch.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}/users/{user}/settings", tag = "users",
    request_body = SettingsPatch,
    responses((status = 200, description = "The settings as they are now.", body = SettingsView)),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn patch_settings(
    State(api): State<Arc<Api>>,
    Path((tenant, user)): Named,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let new = NewHeld::Patched(incoming.patch()?);
    let condition = incoming.condition();
    api.change(&caller, &incoming, ChangeSettings { user, new, condition }).await
}
