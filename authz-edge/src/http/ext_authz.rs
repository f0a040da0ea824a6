//! Envoy's `http_service`: any method below `/ext_authz`, which is to be its `path_prefix`.
//!
//! 200 lets a request go on. Envoy takes 5xx for a failure of this service, which `failure_mode_allow`
//! would turn into an allow: leave that false, or use gRPC, where 503 is a denial as well.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use service_kit::Problem;
use service_kit::problem::HeldBack;

use super::TOKEN;
use crate::ext_authz::{self, ExtAuthz, Verdict};
use crate::graph::Graph;

/// What precedes the original path.
const PREFIX: &str = "/ext_authz";

/// The routes, with request metrics. To be merged with those of [`super::router`], within [`super::service`].
pub fn router<G: Graph>(ext_authz: Arc<ExtAuthz<G>>) -> Router {
    Router::new()
        .route("/ext_authz", any(check::<G>))
        .route("/ext_authz/", any(check::<G>))
        .route("/ext_authz/{*path}", any(check::<G>))
        .with_state(ext_authz)
        .layer(service_kit::track::track("triad_authz"))
}

async fn check<G: Graph>(State(ext_authz): State<Arc<ExtAuthz<G>>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    // The path as it was sent: the extractor's would be decoded.
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let Some(host) = host(&parts.headers, &parts.uri) else {
        return Problem::bad_request("one Host header must come").into_response();
    };
    let request = ext_authz::Request {
        method: parts.method.as_str(),
        host,
        path: path.strip_prefix(PREFIX).unwrap_or_default(),
        headers: &parts.headers,
    };
    respond(ext_authz.decide(&request).await)
}

fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        (None, _) => uri.host(),
        _ => None,
    }
}

fn respond(verdict: Verdict) -> Response {
    let (mut response, token) = match verdict {
        Verdict::Allow { token } => (().into_response(), Some(token)),
        Verdict::Deny { problem, token } => (problem.into_response(), token),
        Verdict::Unavailable { problem } => (problem.into_response(), None),
    };
    // A proxy asks for many, on few connections and with a deadline of its own.
    response.extensions_mut().remove::<HeldBack>();
    if let Some(token) = token {
        response.headers_mut().insert(TOKEN, token);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;
    use crate::ext_authz::tests::world::{AT, World, bearer, token};

    async fn ask(world: &World, method: &str, uri: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = axum::http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let router = router(Arc::clone(&world.ext_authz));
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn the_path_after_the_prefix_is_asked_about_as_it_was_sent() {
        let world = World::usual().await;
        let bearer = bearer("acme", "user:u-1");
        for (method, uri, expected) in [
            ("GET", "/ext_authz/v1/docs/7", 200),
            ("GET", "/ext_authz/v1/docs/a%20b?x=%2F", 200),
            ("PUT", "/ext_authz/v1/docs/7", 403),
            ("PROPFIND", "/ext_authz/v1/docs/7", 403),
            ("GET", "/ext_authz/v1/docs/7/", 403),
            ("GET", "/ext_authz//v1/docs/7", 403),
            ("GET", "/ext_authz/v1/docs/..%2f7", 403),
            ("GET", "/ext_authz/v1/docs/%2e%2e", 403),
            ("GET", "/ext_authz/../ext_authz/v1/docs/7", 403),
            ("GET", "/ext_authz/", 403),
            ("GET", "/ext_authz", 403),
            ("GET", "/ext_authz?/v1/docs/7", 403),
        ] {
            let headers = [("host", "docs.example.com"), ("authorization", &*bearer)];
            let response = ask(&world, method, uri, &headers).await;
            assert_eq!(response.status(), expected, "{method} {uri}");
            if expected == 200 {
                assert_eq!(response.headers()[TOKEN], token(AT));
            }
        }
    }

    #[tokio::test]
    async fn one_host_must_come_and_a_token_must_hold() {
        let world = World::usual().await;
        let (uri, host) = ("/ext_authz/v1/docs/7", ("host", "docs.example.com"));
        for headers in [vec![], vec![host, host]] {
            assert_eq!(ask(&world, "GET", uri, &headers).await.status(), 400);
        }
        let response = ask(&world, "GET", uri, &[host, ("x-user", "u-1")]).await;
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }

    #[tokio::test]
    async fn a_graph_that_is_down_is_503_with_retry_after() {
        let world = World::usual().await;
        world.graph.is_down.store(true, Ordering::Release);
        let response = ask(&world, "GET", "/ext_authz/pages/a", &[("host", "any")]).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
