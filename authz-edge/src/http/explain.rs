//! `…/explain`: what `…/check` is asked, answered with the reasons.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use contracts::Scope;
use serde::Serialize;
use service_kit::Problem;
use tokio::sync::Semaphore;

use super::extract::Path;
use super::{Api, RETRY_SECONDS, TOKEN, check, problem};
use crate::check::explain::answer::Explanation;
use service_kit::body::Unread;

/// Explanations at once: they are for people, and must not take the reads of checks.
const AT_ONCE: usize = 4;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/v1/tenants/{tenant}/explain", post(explain))
        .layer(Extension(Arc::new(Semaphore::new(AT_ONCE))))
}

#[derive(Serialize)]
struct Explained<'a> {
    #[serde(flatten)]
    explanation: Explanation,
    revision: &'a str,
}

async fn explain(
    State(api): State<Arc<Api>>,
    Extension(turns): Extension<Arc<Semaphore>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Unread,
) -> Result<Response, Problem> {
    let (_, tenant) = api.authorize(&headers, &tenant, Scope::AuthzCheck).await?;
    let body = api.bodies.read(body).await?;
    let (question, given, at_least) = check::asked(&api, &tenant, &headers, &body)?;
    let busy = || Problem::unavailable("too many explanations at once", RETRY_SECONDS);
    let _turn = turns.try_acquire().map_err(|_| busy())?;
    let explained = api.checker.explain(&question, &given, at_least).await;
    let (explanation, revision) = explained.map_err(|error| problem(&error))?;
    let token = api.token(revision, &tenant);
    let text = token.to_str().unwrap_or_default().to_owned();
    let body = Json(Explained { explanation, revision: &text });
    let fresh = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(([(TOKEN, token), fresh], body).into_response())
}
