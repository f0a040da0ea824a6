//! `POST …/relationships`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use contracts::Scope;
use serde::de::DeserializeOwned;
use service_kit::Problem;

use super::extract::Path;
use super::{Api, TOKEN, author, problem, write_problem};
use crate::metrics;
use crate::model::WriteList;
use service_kit::body::Unread;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new().route("/v1/tenants/{tenant}/relationships", post(write))
}

async fn write(
    State(api): State<Arc<Api>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Unread,
) -> Result<Response, Problem> {
    let (principal, tenant) = api.authorize(&headers, &tenant, Scope::AuthzWrite).await?;
    let at_least = api.at_least(&headers, None, &tenant)?;
    let list: WriteList = read(&api.bodies.read(body).await?)?;
    // Whom sync is still to bring can be bound behind this. The write itself reads what is newest.
    api.checker.need(&tenant, at_least).await.map_err(|error| problem(&error))?;
    let author = author(&principal, &headers);
    let written = api.writer().write_relationships(&tenant, &list, &author).await;
    metrics::write("relationships", &written);
    let token = api.wrote(&tenant, &written.map_err(|error| write_problem(&error))?);
    Ok(revision(token))
}

/// Reads a body, naming the member that is wrong.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::bad_request(error.to_string()))
}

/// The answer to a write: its token, in the header and in the body.
pub(super) fn revision(token: axum::http::HeaderValue) -> Response {
    let text = token.to_str().unwrap_or_default().to_owned();
    ([(TOKEN, token)], Json(serde_json::json!({ "revision": text }))).into_response()
}
