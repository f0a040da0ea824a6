//! The hot path: `POST …/check` before any routing, with nothing that a cached answer does not need.
//!
//! The ordinary stack (routing, spans, generated request ids, metrics looked up by label) costs twice as
//! much as the answer itself: measured on two shared cores, 33 k checks a second through it beside 83 k of
//! a bare hyper server.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, header};
use axum::response::{IntoResponse as _, Response};
use contracts::{Scope, TenantId};
use futures::future::BoxFuture;
use metrics::{Counter, Histogram, counter, histogram};
use service_kit::Problem;
use service_kit::track::REQUEST_ID;
use tower::Service;

use super::{Api, check};

const ROUTE: &str = "/v1/tenants/{tenant}/check";

/// Answers checks itself and leaves everything else to the router.
#[derive(Clone)]
pub(super) struct Hot {
    api: Arc<Api>,
    rest: Router,
    answered: Counter,
    seconds: Histogram,
}

impl Hot {
    pub(super) fn new(api: Arc<Api>, rest: Router) -> Self {
        let answered = counter!("triad_authz_http_requests_total",
            "route" => ROUTE, "method" => "POST", "status" => "200");
        let seconds = histogram!("triad_authz_http_request_duration_seconds",
            "route" => ROUTE, "method" => "POST");
        Self { api, rest, answered, seconds }
    }

    async fn check(self, request: Request) -> Response {
        let begun = Instant::now();
        let id = request.headers().get(&REQUEST_ID).cloned();
        let mut response = match self.answer(request).await {
            Ok(response) => {
                self.answered.increment(1);
                response
            }
            Err(problem) => {
                let status = problem.status.as_u16().to_string();
                counter!("triad_authz_http_requests_total",
                    "route" => ROUTE, "method" => "POST", "status" => status)
                .increment(1);
                problem.into_response()
            }
        };
        if let Some(id) = id {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        self.seconds.record(begun.elapsed());
        response
    }

    async fn answer(&self, request: Request) -> Result<Response, Problem> {
        let (head, body) = request.into_parts();
        let principal = self.api.verifier.verify(head.headers.get(header::AUTHORIZATION)).await?;
        let tenant = tenant(head.uri.path()).and_then(|tenant| TenantId::parse(tenant).ok());
        let tenant = tenant.ok_or_else(|| Problem::not_found("no such tenant"))?;
        principal.authorize(&tenant, Scope::AuthzCheck)?;
        let limit = self.api.options.max_body_bytes;
        let body = axum::body::to_bytes(body, limit).await.map_err(|error| {
            // What it failed of stands in its text alone.
            Problem::payload_too_large(format!("at most {limit} bytes: {error}"))
        })?;
        check::answer(&self.api, &tenant, &head.headers, &body).await
    }
}

/// The tenant of the hot route's path.
fn tenant(path: &str) -> Option<&str> {
    let tenant = path.strip_prefix("/v1/tenants/")?.strip_suffix("/check")?;
    (!tenant.contains('/')).then_some(tenant)
}

impl Service<Request> for Hot {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.method() == Method::POST && tenant(request.uri().path()).is_some() {
            let hot = self.clone();
            return Box::pin(async move { Ok(hot.check(request).await) });
        }
        Box::pin(self.rest.call(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_check_of_one_tenant_is_hot() {
        assert_eq!(tenant("/v1/tenants/acme/check"), Some("acme"));
        for other in ["/v1/tenants/acme/check/batch", "/v1/tenants/check", "/v1/tenants/a/b/check"]
        {
            assert_eq!(tenant(other), None, "{other}");
        }
    }
}
