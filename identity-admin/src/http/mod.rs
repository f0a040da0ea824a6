//! What the routes of all features share.
//!
//! | module | what it holds |
//! |---|---|
//! | `api` | who calls, and the way of a mutation from a request to its answer |
//! | `incoming` | requests: paths, bodies, faults of fields |
//! | `answer` | answers and problems |
//! | `source` | where a request came from |
//! | `page`, `cursor` | lists |
//! | [`openapi`] | the document of all routes |

mod answer;
mod api;
mod cursor;
mod incoming;
pub mod openapi;
mod page;
mod source;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get};
use axum::{Router, body::Bytes};
use service_kit::Problem;

pub use api::{Api, Options};

pub(crate) use answer::{not_found, problem, shown};
pub(crate) use api::{Caller, IDEMPOTENCY_KEY, unbroken};
pub(crate) use incoming::{Incoming, Path, Posted, Query, read};
pub(crate) use page::{Filter, Kind, Listing, Page, Sort, truth};

/// What callers are told to wait after a 503, in seconds.
pub(crate) const RETRY_SECONDS: u64 = 1;

/// All routes, with request metrics; 404 and 405 are problems too. Their prefixes are disjoint from the other
/// services'.
pub fn router(api: Api) -> Router {
    let (max_body, timeout) = (api.options.max_body_bytes, api.options.request_timeout);
    let scim_body = api.options.scim.max_body_bytes;
    let document = Bytes::from(openapi::json());
    let json = [(header::CONTENT_TYPE, "application/json")];
    let routes = Router::new()
        .merge(crate::tenants::routes())
        .merge(crate::users::routes())
        .merge(crate::service_accounts::routes())
        .merge(crate::teams::routes())
        .merge(crate::api_keys::routes())
        .merge(crate::scopes::routes())
        .merge(crate::snapshot::routes())
        .layer(DefaultBodyLimit::max(max_body))
        // They have bounds of their own.
        .merge(crate::scim::routes(scim_body))
        .merge(crate::oauth::routes())
        .with_state(Arc::new(api))
        .route_layer(middleware::from_fn(move |request: Request, next: Next| async move {
            let answer = tokio::time::timeout(timeout, next.run(request)).await;
            answer.map_err(|_| too_long())
        }))
        // Not left to a fallback, which may be somebody else's where routes are merged: it is answered in SCIM.
        .route(&format!("{}/{{*rest}}", crate::scim::PATH), any(service_kit::problem::no_route))
        .route(openapi::PATH, get(async move || (json, document)));
    service_kit::problem::with_fallbacks(routes)
        .layer(middleware::from_fn(in_its_language))
        .layer(service_kit::track::track("triad_identity"))
}

/// Whatever answers, what is asked in SCIM is answered in SCIM.
async fn in_its_language(request: Request, next: Next) -> Response {
    let is_scim = request.uri().path().starts_with(crate::scim::PATH);
    let answer = next.run(request).await;
    if is_scim { crate::scim::speak(answer).await } else { answer }
}

/// A mutation goes on when nobody waits for it any more.
fn too_long() -> Problem {
    let detail = "the request took too long; what it writes may be written: repeat it with its Idempotency-Key";
    Problem::unavailable(detail, RETRY_SECONDS)
}
