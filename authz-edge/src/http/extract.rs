//! Extractors of axum whose refusals are problems.

use axum::extract::rejection::PathRejection;
use axum::extract::{self, FromRequestParts};
use axum::http::request::Parts;
use service_kit::Problem;

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
