//! `GET …/audit` and `GET …/audit/{event_id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use contracts::{EventId, Scope};
use service_kit::Problem;
use uuid::Uuid;

use super::params::ListParams;
use super::view::{EventView, PageView};
use super::{Shared, problem};
use crate::destination::Destination;
use crate::query::store::Store;

/// Lists audit events of a time range.
///
/// Pages hold `limit` events or fewer: a page ends early when it has done its share of work, and may
/// then be empty although more follow. The end is a page without `next_cursor`. Events that arrive
/// while a client pages are seen when they lie ahead of it.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/audit",
    tag = "audit",
    params(("tenant" = String, Path, description = "The tenant."), ListParams),
    responses(
        (status = 200, description = "One page.", body = PageView<'_>),
        (status = 400, description = "A parameter is unknown or malformed, or the cursor is not of this query.",
            body = super::openapi::Problem, content_type = "application/problem+json"),
        (status = 429, description = "The tenant is above its rate.",
            body = super::openapi::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds to wait."))),
        (status = 503, description = "Not now: too many reads, or the store does not answer.",
            body = super::openapi::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds to wait."))),
    ),
    security(("bearer" = ["audit:read"]))
)]
pub(super) async fn list<I: Destination, S: Store>(
    State(shared): State<Arc<Shared<I, S>>>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    params: Result<Query<ListParams>, QueryRejection>,
) -> Result<Response, Problem> {
    let tenant = shared.authorize(&headers, &path?.0, Scope::AuditRead, 1).await?;
    let (api, now) = (&shared.api, super::now());
    let asked = params?.0.ask(tenant, now, &api.cursors, &api.options)?;
    let page = api.engine.page(&asked.query, asked.resume, asked.limit, now.millis()).await;
    let page = page.map_err(|error| problem(&error))?;
    let tenant = &asked.query.tenant;
    let view = PageView {
        events: page.events.iter().map(|event| EventView::new(tenant, event)).collect(),
        next_cursor: page.next.map(|resume| api.cursors.seal(&asked.query, resume)),
    };
    Ok(Json(view).into_response())
}

/// Returns one audit event.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/audit/{event_id}",
    tag = "audit",
    params(
        ("tenant" = String, Path, description = "The tenant."),
        ("event_id" = String, Path, description = "As answers and receipts give it."),
    ),
    responses(
        (status = 200, description = "The event.", body = EventView<'_>),
        (status = 429, description = "The tenant is above its rate.",
            body = super::openapi::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds to wait."))),
        (status = 503, description = "Not now: too many reads, or the store does not answer.",
            body = super::openapi::Problem, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds to wait."))),
    ),
    security(("bearer" = ["audit:read"]))
)]
pub(super) async fn one<I: Destination, S: Store>(
    State(shared): State<Arc<Shared<I, S>>>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path((tenant, id)) = path?;
    let tenant = shared.authorize(&headers, &tenant, Scope::AuditRead, 1).await?;
    let absent = || Problem::not_found("no such event");
    // Any other form of the same UUID is no id of ours: one event, one address.
    let id = Uuid::parse_str(&id).ok().filter(|uuid| uuid.to_string() == id).ok_or_else(absent)?;
    let event = shared.api.engine.get(&tenant, EventId(id)).await;
    let event = event.map_err(|error| problem(&error))?.ok_or_else(absent)?;
    Ok(Json(EventView::new(&tenant, &event)).into_response())
}
