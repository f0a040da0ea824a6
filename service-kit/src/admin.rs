//! The admin listener and its routes. They belong on their own port, never on the public one.

use crate::{
    config::ConfigError,
    health::Health,
    http::{self, HttpOptions},
    problem,
    shutdown::Shutdown,
    tls::{Acceptor, Listener, Protocol, TlsConfig},
};
use axum::{Router, http::StatusCode, http::header::CONTENT_TYPE, routing::get};
use serde::Deserialize;
use std::{fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};

/// Probes and scrapers are few, and quick.
const OPTIONS: HttpOptions = HttpOptions {
    max_connections: 64,
    header_read_timeout: Duration::from_secs(5),
    write_timeout: Duration::from_secs(5),
    drain_deadline: Duration::from_secs(1),
    drain_delay: Duration::ZERO,
};

/// The admin listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// Its certificate; without, it speaks HTTP.
    pub tls: TlsConfig,
}

impl AdminConfig {
    /// The TLS of the listener, if it has any.
    ///
    /// # Errors
    /// As [`Acceptor::start`], under `admin.tls`.
    pub fn acceptor(&self) -> Result<Option<Acceptor>, ConfigError> {
        Acceptor::start(&self.tls, "admin.tls", "admin", Protocol::Http1)
    }
}

/// Serves until the future is dropped: probes are to see the drain, so it has to outlive it.
pub async fn serve(listener: impl Into<Listener>, router: Router) {
    let (_never, forever) = Shutdown::new();
    if let Err(error) = http::serve(listener, router, OPTIONS, forever).await {
        tracing::warn!(%error, "admin listener");
    }
}

/// `/livez` (200 while the process answers), `/readyz` (200, or 503 with one `name: reason` line
/// for each reason) and `/metrics` (what `render_metrics` returns, as Prometheus text 0.0.4).
/// GET and HEAD only.
///
/// Rendering runs on the request's task: its cost is linear in the number of series.
pub fn router(health: Health, render_metrics: Arc<dyn Fn() -> String + Send + Sync>) -> Router {
    let metrics = get(async move || {
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render_metrics())
    });
    let routes = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(async move || readiness(&health)))
        .route("/metrics", metrics);
    problem::with_fallbacks(routes)
}

fn readiness(health: &Health) -> (StatusCode, String) {
    let Err(reasons) = health.ready() else {
        return (StatusCode::OK, "ok\n".to_owned());
    };
    let lines = reasons.into_iter().fold(String::new(), |mut text, (name, why)| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{name}: {}", why.replace(['\n', '\r'], " "));
        text
    });
    (StatusCode::SERVICE_UNAVAILABLE, lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    async fn call(router: &Router, method: &str, path: &str) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 65_536).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readyz_lists_reasons_line_by_line_while_livez_stays_up() {
        let health = Health::new();
        let store = health.component("store");
        store.not_ready("down\nsince noon");
        let router = router(health.clone(), Arc::new(|| "up 1\n".to_owned()));
        let unready = (StatusCode::SERVICE_UNAVAILABLE, "store: down since noon\n".to_owned());
        assert_eq!(call(&router, "GET", "/readyz").await, unready);
        assert_eq!(call(&router, "GET", "/livez").await.0, StatusCode::OK);
        assert_eq!(call(&router, "GET", "/metrics").await.1, "up 1\n");
        store.ready();
        assert_eq!(call(&router, "GET", "/readyz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn only_reading_is_allowed() {
        let router = router(Health::new(), Arc::new(String::new));
        let (status, body) = call(&router, "POST", "/metrics").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert!(body.contains("urn:triad:problem:method-not-allowed"), "{body}");
    }
}
