//! The public API: events in, pages, single events and exports out.
//!
//! | module | what it holds |
//! |---|---|
//! | `accept`, `body`, `stamp`, `publish` | `POST …/audit`: all or nothing, acknowledged |
//! | `read`, `params`, `view` | `GET …/audit` and `GET …/audit/{event_id}` |
//! | `export`, `format` | `GET …/audit/export` |
//! | [`openapi`] | the document of all of them |

mod accept;
mod body;
mod export;
mod format;
pub mod openapi;
mod params;
mod publish;
mod read;
mod stamp;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use publish::Fate;

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use axum::routing::get;
use axum::{Router, middleware};
use contracts::{Scope, TenantId};
use service_kit::Problem;
use service_kit::auth::Verifier;
use service_kit::body::Bodies;
use service_kit::config::ConfigError;
use service_kit::rate::Rates;
use service_kit::slots::Slots;

use crate::config::Config;
use crate::destination::Destination;
use crate::event::Limits;
use crate::layout::Layouts;
use crate::metrics;
use crate::query::cursor::CursorKey;
use crate::query::store::Store;
use crate::query::{self, Engine, QueryError};

/// Exports at once, half of them for one tenant; a further one is 503, or 429. Each holds a page and what the client
/// has not read yet, some 16 MiB at worst.
const EXPORTS: usize = 8;

/// What callers of a read that failed are told to wait, in seconds.
const READ_RETRY_SECONDS: u64 = 1;

/// Milliseconds that a time which is stamped here may be ahead of the clock's whole millisecond: its
/// fraction, and a tick for each event of an array. It is accepted whatever skew is allowed.
const STAMPED: i64 = 2;

/// The bounds of the API.
#[derive(Debug, Clone)]
pub struct Options {
    /// What one event may be.
    pub decoder: Limits,
    /// Accepted `event_time` ahead of now, milliseconds.
    pub future: i64,
    /// Accepted `event_time` behind now, milliseconds.
    pub past: i64,
    /// The largest body, bytes.
    pub max_body_bytes: usize,
    /// The most events in one body.
    pub max_events: usize,
    /// Time for a request other than an export.
    pub request_timeout: Duration,
    /// The largest page.
    pub max_limit: usize,
    /// The page when nobody says.
    pub default_limit: usize,
}

impl Options {
    /// As configured. The window of times is narrower than the pipeline's, which counts from the time
    /// that the broker stamps, later and by another clock: what is accepted is no dead letter then.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let skew = 1000 * i64::from(config.layout.clock_skew_seconds);
        let delay = i64::try_from(config.kafka.producer_timeout_ms).unwrap_or(i64::MAX);
        Self {
            decoder: config.limits.decoder(),
            future: (config.limits.future_millis() - skew).max(STAMPED),
            past: config.limits.past_millis() - skew - delay,
            max_body_bytes: config.http.max_body_bytes,
            max_events: config.http.max_events,
            request_timeout: Duration::from_millis(config.http.request_timeout_ms),
            max_limit: config.query.max_limit,
            default_limit: config.query.default_limit,
        }
    }
}

/// What the handlers work with.
pub struct Api<I, S> {
    /// Takes accepted events.
    pub destination: I,
    /// Knows callers.
    pub verifier: Verifier,
    /// Reads events.
    pub engine: Arc<Engine<S>>,
    /// Seals cursors.
    pub cursors: CursorKey,
    /// The bounds.
    pub options: Options,
    /// What tenants may send, in events, and read, in requests.
    pub rates: Rates,
}

impl<I, S: Store> Api<I, S> {
    /// As configured; `layouts` says where events are, `None` while that is not known.
    ///
    /// # Errors
    /// A cursor key that cannot be used.
    pub fn new(
        config: &Config,
        destination: I,
        verifier: Verifier,
        store: S,
        layouts: impl Fn() -> Option<Arc<Layouts>> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let options = query::Options::new(&config.query, &config.limits);
        let engine = Arc::new(Engine::new(store, layouts, options));
        let cursors = CursorKey::from_config(&config.query, &mut rand::rng())?;
        let rates = Rates::new(config.rate, metrics::rate_limited());
        Ok(Self { destination, verifier, engine, cursors, options: Options::new(config), rates })
    }
}

/// What all handlers share.
struct Shared<I, S> {
    api: Api<I, S>,
    bodies: Bodies,
    exports: Slots,
}

impl<I, S> Shared<I, S> {
    /// The tenant of a path, once the caller may use `scope` there and `cost` was taken of the tenant's rate.
    ///
    /// # Errors
    /// 401, 403 and 404 as [`service_kit::auth::Principal::authorize`]; a malformed tenant is 404. 429 above the rate.
    async fn authorize(
        &self,
        headers: &HeaderMap,
        tenant: &str,
        scope: Scope,
        cost: usize,
    ) -> Result<TenantId, Problem> {
        let principal = self.api.verifier.verify(headers.get(header::AUTHORIZATION)).await?;
        let tenant = TenantId::parse(tenant).map_err(|_| Problem::not_found("no such tenant"))?;
        principal.authorize(&tenant, scope)?;
        self.api.rates.take(&tenant, cost)?;
        Ok(tenant)
    }
}

/// The routes of ingest, with request metrics; 404 and 405 are problems too. Route prefixes are
/// disjoint from the other services', but fallbacks are this router's own.
pub fn router<I: Destination, S: Store>(api: Api<I, S>) -> Router {
    let timeout = api.options.request_timeout;
    let max_body = api.options.max_body_bytes;
    let shared = Arc::new(Shared {
        api,
        bodies: Bodies::new(max_body, timeout),
        exports: Slots::new(EXPORTS, "exports", READ_RETRY_SECONDS),
    });
    let audit = "/v1/tenants/{tenant}/audit";
    let document = axum::body::Bytes::from(openapi::json());
    let json = [(header::CONTENT_TYPE, "application/json")];
    // The handlers of POST time their own parts: an outcome that is unknown names the events.
    let timed = Router::new()
        .route(&format!("{audit}/{{event_id}}"), get(read::one::<I, S>))
        .route(audit, get(read::list::<I, S>))
        .route_layer(middleware::from_fn(move |request, next: middleware::Next| async move {
            let answer = tokio::time::timeout(timeout, next.run(request)).await;
            answer
                .map_err(|_| Problem::unavailable("the request took too long", READ_RETRY_SECONDS))
        }));
    let router = Router::new()
        .route(audit, axum::routing::post(accept::accept::<I, S>))
        .route(&format!("{audit}/export"), get(export::export::<I, S>))
        .merge(timed)
        .with_state(shared)
        .route("/openapi/ingest.json", get(move || async move { (json, document) }));
    service_kit::problem::with_fallbacks(router).layer(service_kit::track::track("triad_ingest"))
}

/// How a read that failed is answered.
fn problem(error: &QueryError) -> Problem {
    match error {
        QueryError::Busy | QueryError::Stale | QueryError::Timeout | QueryError::Unavailable(_) => {
            // What the database says stays here: clients get the kind of trouble only.
            tracing::warn!(%error, "a read failed");
            let detail = match error {
                QueryError::Unavailable(_) => "the store is unavailable".to_owned(),
                known => known.to_string(),
            };
            Problem::unavailable(detail, READ_RETRY_SECONDS)
        }
        QueryError::Internal(_) => {
            tracing::error!(%error, "a read failed");
            Problem::internal()
        }
    }
}

/// The time now, to the microsecond.
fn now() -> crate::event::Ticks {
    use crate::event::Ticks;
    let micros = chrono::Utc::now().timestamp_micros();
    Ticks::from_gregorian(Ticks::EPOCH.gregorian().wrapping_add(micros.unsigned_abs() * 10))
}
