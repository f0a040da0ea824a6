//! The hot path: `POST …/check` before any routing, with nothing that a cached answer does not need.
//!
//! Routing, a span, a generated request id and metrics looked up by label cost as much as the answer
//! itself. The router serves the same route: what is not plainly hot is left to it.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use contracts::{Scope, TenantId};
use futures::future::BoxFuture;
use metrics::{Counter, Histogram, counter, histogram};
use service_kit::Problem;
use service_kit::track::REQUEST_ID;
use tower::Service;

use super::body::Unread;
use super::{Api, check};

const ROUTE: &str = "/v1/tenants/{tenant}/check";

/// Answers checks itself and leaves everything else to the router.
#[derive(Clone)]
pub(super) struct Hot {
    api: Arc<Api>,
    rest: Router,
    metrics: Arc<Metrics>,
}

/// The request metrics of one route, made once.
struct Metrics {
    answered: Counter,
    seconds: Histogram,
}

impl Hot {
    pub(super) fn new(api: Arc<Api>, rest: Router) -> Self {
        let answered = counter!("triad_authz_http_requests_total",
            "route" => ROUTE, "method" => "POST", "status" => "200");
        let seconds = histogram!("triad_authz_http_request_duration_seconds",
            "route" => ROUTE, "method" => "POST");
        Self { api, rest, metrics: Arc::new(Metrics { answered, seconds }) }
    }
}

/// Writes the metrics when dropped, so that a request whose client left is counted as well.
struct Record {
    metrics: Arc<Metrics>,
    status: Option<u16>,
    begun: Instant,
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.status == Some(200) {
            self.metrics.answered.increment(1);
        } else {
            let status = self.status.map_or("cancelled".to_owned(), |status| status.to_string());
            counter!("triad_authz_http_requests_total",
                "route" => ROUTE, "method" => "POST", "status" => status)
            .increment(1);
        }
        self.metrics.seconds.record(self.begun.elapsed());
    }
}

async fn check(api: Arc<Api>, mut record: Record, request: Request) -> Response {
    let id = request.headers().get(&REQUEST_ID).cloned();
    let answer = answer(&api, request).await;
    let mut response = answer.unwrap_or_else(Problem::into_response);
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    record.status = Some(response.status().as_u16());
    response
}

async fn answer(api: &Api, request: Request) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let tenant = tenant(head.uri.path()).unwrap_or_default();
    let (principal, tenant) = api.authorize(&head.headers, tenant, Scope::AuthzCheck).await?;
    let body = api.bodies.read(Unread(body)).await?;
    check::answer(api, &principal, &tenant, &head.headers, &body).await
}

/// The tenant of the hot route's path.
fn tenant(path: &str) -> Option<&str> {
    let tenant = path.strip_prefix("/v1/tenants/")?.strip_suffix("/check")?;
    TenantId::is_valid(tenant).then_some(tenant)
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
            let api = Arc::clone(&self.api);
            let metrics = Arc::clone(&self.metrics);
            let record = Record { metrics, status: None, begun: Instant::now() };
            return Box::pin(async move { Ok(check(api, record, request).await) });
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
        for other in [
            "/v1/tenants/acme/check/batch",
            "/v1/tenants/check",
            "/v1/tenants/a/b/check",
            "/v1/tenants//check",
            "/v1/tenants/a%63me/check",
        ] {
            assert_eq!(tenant(other), None, "{other}");
        }
    }
}
