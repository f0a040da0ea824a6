//! The hot path: `POST …/check` before any routing, with nothing that a cached answer does not need.
//!
//! Routing, a span, a generated request id and metrics looked up by label cost as much as the answer
//! itself. The router serves the same route: what is not plainly hot is left to it.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderValue, Method, Request, Response, header};
use axum::response::IntoResponse as _;
use axum::{BoxError, Router};
use contracts::{Scope, TenantId};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Either as Ways};
use http_body_util::{Either, Full};
use metrics::{Counter, Histogram, counter, histogram};
use service_kit::Problem;
use service_kit::http::{App, RequestBody};
use service_kit::track::REQUEST_ID;
use tower::Service;

use super::check::{self, Decided};
use super::{Api, TOKEN};
use service_kit::body::Unread;

const ROUTE: &str = "/v1/tenants/{tenant}/check";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What is answered here, or by the router.
type Answer = Response<Either<Full<Bytes>, Body>>;

/// Answers checks itself and leaves everything else to the router.
#[derive(Clone)]
pub struct Hot {
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

    /// The answer to a check; gives back what is none.
    fn check<B>(
        &self,
        request: Request<B>,
    ) -> Result<impl Future<Output = Answer> + Send + use<B>, Request<B>>
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        if request.method() != Method::POST || tenant(request.uri().path()).is_none() {
            return Err(request);
        }
        let metrics = Arc::clone(&self.metrics);
        let record = Record { metrics, status: None, begun: Instant::now() };
        Ok(answered(Arc::clone(&self.api), record, request))
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

async fn answered<B>(api: Arc<Api>, mut record: Record, request: Request<B>) -> Answer
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    let (head, body) = request.into_parts();
    let id = head.headers.get(&REQUEST_ID).cloned();
    let decided = async {
        let tenant = tenant(head.uri.path()).unwrap_or_default();
        let (principal, tenant) = api.authorize(&head.headers, tenant, Scope::AuthzCheck).await?;
        let body = api.bodies.read(Unread(body)).await?;
        check::decide(&api, &principal, &tenant, &head.headers, &body).await
    };
    let mut response = match decided.await {
        Ok(Decided { body, token }) => {
            let mut response = Response::new(Either::Left(Full::new(body)));
            response.headers_mut().insert(header::CONTENT_TYPE, JSON);
            response.headers_mut().insert(TOKEN, token);
            response
        }
        Err(problem) => Problem::into_response(problem).map(Either::Right),
    };
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    record.status = Some(response.status().as_u16());
    response
}

/// The tenant of the hot route's path.
fn tenant(path: &str) -> Option<&str> {
    let tenant = path.strip_prefix("/v1/tenants/")?.strip_suffix("/check")?;
    TenantId::is_valid(tenant).then_some(tenant)
}

impl App for Hot {
    type Body = Either<Full<Bytes>, Body>;

    fn answer(
        &self,
        peer: SocketAddr,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Answer> + Send + use<> {
        match self.check(request) {
            Ok(answered) => Ways::Left(answered),
            Err(request) => {
                let answered = self.rest.answer(peer, request);
                Ways::Right(answered.map(|response| response.map(Either::Right)))
            }
        }
    }
}

/// The same without a connection.
impl Service<Request<Body>> for Hot {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.check(request) {
            Ok(answered) => answered.map(|response| Ok(response.map(Body::new))).boxed(),
            Err(request) => self.rest.call(request).boxed(),
        }
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
