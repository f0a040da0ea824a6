//! The API's own description, `GET /openapi/authz-edge.json`.
//!
//! The public surface is a reviewed file: `authz-edge/openapi.json` is served as it stands. Tests compare it
//! with the routes, both ways, and send its examples to them.

#[cfg(test)]
mod tests;

use axum::Router;
use axum::http::header;
use axum::routing::get;

/// Where it is served.
pub const PATH: &str = "/openapi/authz-edge.json";

/// The document, as JSON.
pub const DOCUMENT: &str = include_str!("../../openapi.json");

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let json = [(header::CONTENT_TYPE, "application/json")];
    Router::new().route(PATH, get(async move || (json, DOCUMENT)))
}
