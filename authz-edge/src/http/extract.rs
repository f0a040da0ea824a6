//! Extractors of axum whose refusals are problems.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use service_kit::Problem;

use super::Api;

/// What a path names; 400 when it is no UTF-8.
pub(super) struct Path<T>(pub T);

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    extract::Path<T>: FromRequestParts<S, Rejection = PathRejection>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let extract::Path(named) = extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(named))
    }
}

/// A body; 413 when it is too large, 400 when it does not come.
pub(super) struct Body(pub Bytes);

impl FromRequest<Arc<Api>> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, api).await;
        body.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(api),
            _ => Problem::bad_request(rejection.body_text()),
        })
    }
}

pub(super) fn too_large(api: &Api) -> Problem {
    Problem::payload_too_large(format!("at most {} bytes", api.options.max_body_bytes))
}
