//! `/v1/tenants/{tenant}/teams/{team}/members…`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use contracts::Scope;
use service_kit::Problem;

use super::member::{Kind, MemberView};
use super::mutations::{Add, Remove};
use super::{memberships, store};
use crate::db::params;
use crate::http::{Api, Incoming, Page, Path, Query, not_found, problem};

pub(super) fn routes() -> Router<Arc<Api>> {
    let members = "/v1/tenants/{tenant}/teams/{team}/members";
    Router::new()
        .route(members, get(list))
        .route(&format!("{members}/{{type}}/{{member}}"), put(add).delete(remove))
}

/// Tenant, team, kind and id of the member.
type Named = Path<(String, String, String, String)>;

fn kind(text: &str) -> Result<Kind, Problem> {
    Kind::parse(text).ok_or_else(|| not_found("type of member"))
}

/// Lists the members of a team, in the order in which they were added.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/teams/{team}/members", tag = "members",
    params(("sort" = Option<String>, Query, description = "`added_at`; `-` before it turns it round.")),
    responses((status = 200, description = "One page.", body = Page<MemberView>)),
    security(("bearer" = ["identity:read"]))
)]
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Path((tenant, team)): Path<(String, String)>,
    headers: HeaderMap,
    Query(query): Query,
) -> Result<Response, Problem> {
    let tenant = api.caller(&headers, &tenant, Scope::IdentityRead).await?.tenant;
    let asked: (&[&str], _) = (&[tenant.as_str(), &team], query.as_slice());
    let page = memberships::LIST.page(api.db(), &api.options, asked, MemberView::of).await?;
    if page.items.is_empty() {
        let found = api.db().row(store::GET, params![&tenant, team]).await;
        found.map_err(|error| problem(error.into()))?.ok_or_else(|| not_found("team"))?;
    }
    Ok(Json(page).into_response())
}

/// Puts a user, a service account or a team into a team. A team may not come to be in itself.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/teams/{team}/members/{type}/{member}", tag = "members",
    responses(
        (status = 201, description = "It is in the team now.", body = MemberView),
        (status = 200, description = "It was in the team.", body = MemberView),
    ),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn add(
    State(api): State<Arc<Api>>,
    Path((tenant, team, type_, id)): Named,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let (kind, condition) = (kind(&type_)?, incoming.condition());
    api.change(&caller, &incoming, Add { team, kind, id, condition }).await
}

/// Takes a member out of a team.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/teams/{team}/members/{type}/{member}", tag = "members",
    responses((status = 204, description = "It is out of the team.")),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    Path((tenant, team, type_, id)): Named,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let (kind, condition) = (kind(&type_)?, incoming.condition());
    api.change(&caller, &incoming, Remove { team, kind, id, condition }).await
}
