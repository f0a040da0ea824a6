//! What every request leaves behind: a count, a duration, a span and an `x-request-id`.

use crate::trace::{self, TraceContext};
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method},
    response::Response,
};
use futures::future::BoxFuture;
use metrics::{SharedString, Unit, counter, describe_counter, describe_histogram, histogram};
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field::Empty};

/// The request's id, taken from the client or made here, and echoed.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names and help of what [`track`] counts under that prefix.
pub fn describe(metrics_prefix: &str) {
    describe_counter!(
        format!("{metrics_prefix}_http_requests_total"),
        Unit::Count,
        "HTTP requests by route, method and status; cancelled when the client left"
    );
    describe_histogram!(
        format!("{metrics_prefix}_http_request_duration_seconds"),
        Unit::Seconds,
        "Time of HTTP requests by route and method"
    );
}

/// Counts `<prefix>_http_requests_total{route,method,status}` and times
/// `<prefix>_http_request_duration_seconds{route,method}` up to the response's head.
///
/// `route` is the matched pattern or `unmatched`, `method` a standard one or `other`, `status`
/// `cancelled` when the client left first: no label grows with what clients send. Each request runs
/// in a span with `trace_id` and `request_id`, and handlers find its [`TraceContext`] among the
/// request's extensions. Add it with [`axum::Router::layer`], which knows the matched route.
#[must_use]
pub fn track(metrics_prefix: &str) -> Track {
    Track {
        requests: Arc::from(format!("{metrics_prefix}_http_requests_total")),
        duration: Arc::from(format!("{metrics_prefix}_http_request_duration_seconds")),
    }
}

/// The layer that [`track`] makes.
#[derive(Clone, Debug)]
pub struct Track {
    requests: Arc<str>,
    duration: Arc<str>,
}

/// The service that [`Track`] makes.
#[derive(Clone, Debug)]
pub struct Tracked<S> {
    inner: S,
    track: Track,
}

impl<S> Layer<S> for Track {
    type Service = Tracked<S>;

    fn layer(&self, inner: S) -> Tracked<S> {
        Tracked { inner, track: self.clone() }
    }
}

impl<S> Service<Request> for Tracked<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let mut record = Record::start(&self.track, &request);
        let context = trace_context(&request);
        let id = request_id(&request, &context);
        let span = span(&request, &record.route, &context, &id);
        request.extensions_mut().insert(context);
        let response = span.in_scope(|| self.inner.call(request));
        let answer = async move {
            let mut response = response.await?;
            record.answered(response.status().as_u16());
            response.headers_mut().insert(REQUEST_ID, id);
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

/// Writes the metrics when dropped, so that a request whose client left is counted as well.
struct Record {
    track: Track,
    route: SharedString,
    method: &'static str,
    status: Option<u16>,
    start: Instant,
}

impl Record {
    fn start(track: &Track, request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or(SharedString::const_str("unmatched"), |route| {
            SharedString::from_owned(route.as_str().to_owned())
        });
        let method = known_method(request.method());
        Self { track: track.clone(), route, method, status: None, start: Instant::now() }
    }

    /// A method, so that the future that calls it owns the whole record and not its field alone.
    fn answered(&mut self, status: u16) {
        self.status = Some(status);
        Span::current().record("status", status);
        tracing::debug!("answered");
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (route, method) = (self.route.clone(), self.method);
        let status = self.status.map_or("cancelled".to_owned(), |status| status.to_string());
        let requests = SharedString::from_shared(Arc::clone(&self.track.requests));
        counter!(requests, "route" => route.clone(), "method" => method, "status" => status)
            .increment(1);
        let duration = SharedString::from_shared(Arc::clone(&self.track.duration));
        histogram!(duration, "route" => route, "method" => method).record(self.start.elapsed());
    }
}

fn known_method(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// A span of the caller's trace, or of a new one.
fn trace_context(request: &Request) -> TraceContext {
    let mut given = request.headers().get_all(trace::HEADER).iter();
    let given = match (given.next(), given.next()) {
        (Some(one), None) => one.to_str().ok().and_then(TraceContext::parse),
        _ => None,
    };
    let mut rng = rand::rng();
    match given {
        Some(parent) => parent.child(&mut rng),
        None => TraceContext::new_root(&mut rng),
    }
}

/// The client's id if it is short and harmless in a log: 1 to 128 graphic ASCII characters.
#[must_use]
pub fn given_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(&REQUEST_ID).and_then(|id| id.to_str().ok())?;
    let harmless = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    harmless.then_some(id)
}

/// The client's id, else one of our own.
fn request_id(request: &Request, context: &TraceContext) -> HeaderValue {
    let given = given_id(request.headers()).and_then(|id| HeaderValue::from_str(id).ok());
    given.unwrap_or_else(|| {
        let id = format!("{:016x}", u64::from_be_bytes(context.parent_id));
        HeaderValue::try_from(id).expect("hexadecimal digits are a header value")
    })
}

fn span(request: &Request, route: &str, context: &TraceContext, id: &HeaderValue) -> Span {
    tracing::info_span!(
        "request",
        method = %request.method(),
        route,
        trace_id = context.trace_id_hex(),
        request_id = id.to_str().unwrap_or_default(),
        status = Empty,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Extension, Router, body::Body, routing::get};
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tower::ServiceExt;

    fn router() -> Router {
        let show = async |Extension(context): Extension<TraceContext>| context.to_string();
        Router::new()
            .route("/things/{id}", get(show))
            .route("/never", get(std::future::pending::<()>))
            .fallback(crate::problem::no_route)
            .layer(track("kit"))
    }

    fn request(method: &str, path: &str) -> axum::http::request::Builder {
        Request::builder().method(method).uri(path)
    }

    #[test]
    fn labels_stay_bounded_and_an_abandoned_request_is_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        metrics::with_local_recorder(&recorder, || {
            for (method, path) in [("GET", "/things/1"), ("GET", "/things/2"), ("ODD", "/x")] {
                let request = request(method, path).body(Body::empty()).unwrap();
                runtime.block_on(router().oneshot(request)).unwrap();
            }
            let abandoned = request("GET", "/never").body(Body::empty()).unwrap();
            drop(router().oneshot(abandoned).now_or_never_pending());
        });
        let shown = recorder.handle().render();
        for series in [
            r#"kit_http_requests_total{route="/things/{id}",method="GET",status="200"} 2"#,
            r#"kit_http_requests_total{route="unmatched",method="other",status="404"} 1"#,
            r#"kit_http_requests_total{route="/never",method="GET",status="cancelled"} 1"#,
            r#"kit_http_request_duration_seconds_count{route="/things/{id}",method="GET"} 2"#,
        ] {
            assert!(shown.contains(series), "{series} in\n{shown}");
        }
    }

    /// Polls once and hands the unfinished future back.
    trait PollOnce: Future + Sized {
        fn now_or_never_pending(self) -> std::pin::Pin<Box<Self>> {
            let mut future = Box::pin(self);
            let waker = futures::task::noop_waker();
            assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            future
        }
    }

    impl<F: Future> PollOnce for F {}

    #[tokio::test]
    async fn the_callers_trace_goes_on_and_a_harmless_request_id_is_echoed() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let call = async |id: &str| {
            let request = request("GET", "/things/1")
                .header(trace::HEADER, parent)
                .header(REQUEST_ID, id)
                .body(Body::empty())
                .unwrap();
            let response = router().oneshot(request).await.unwrap();
            let id = response.headers()[REQUEST_ID].to_str().unwrap().to_owned();
            let body = axum::body::to_bytes(response.into_body(), 1024).await.unwrap();
            (id, String::from_utf8(body.to_vec()).unwrap())
        };
        let (id, child) = call("r-1").await;
        assert_eq!(id, "r-1");
        assert_eq!((&child[..36], &child[52..]), (&parent[..36], &parent[52..]));
        assert_ne!(child, parent);
        for kept in ["!", &"~".repeat(128)] {
            assert_eq!(call(kept).await.0, kept);
        }
        for other in ["two words", "", &"x".repeat(129), "caf\u{e9}"] {
            assert_ne!(call(other).await.0, other);
        }
    }
}
