//! The routes over a recording publisher and an in-memory store.

mod accept;
mod access;
mod export;
mod read;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use contracts::audit::EVENTS_TOPIC;
use serde_json::Value;
use service_kit::auth::{AuthConfig, AuthMode, Verifier};
use service_kit::bus::{Ack, BusError, PublishError, Publisher, Record};
use service_kit::rate::Rates;
use service_kit::shutdown::Shutdown;
use tower::ServiceExt as _;

use super::{Api, Options, router};
use crate::destination::ToTopic;
use crate::event::{Limits, Ticks};
use crate::layout::{Layout, Layouts};
use crate::query::cursor::CursorKey;
use crate::query::model::{Model, event, id_at};
use crate::query::{Engine, Position, StoredEvent};

/// Keeps what is published, and answers what a test says: for our own error branches only.
#[derive(Default)]
struct Recorder {
    records: Mutex<Vec<(String, Record)>>,
    outcomes: Mutex<VecDeque<PublishError>>,
    /// Whether it never answers.
    hangs: AtomicBool,
}

impl Recorder {
    fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap().iter().map(|(_, record)| record.clone()).collect()
    }
}

impl Publisher for Recorder {
    async fn publish(&self, topic: &str, record: Record) -> Result<Ack, PublishError> {
        let offset = {
            let mut records = self.records.lock().unwrap();
            records.push((topic.to_owned(), record));
            i64::try_from(records.len()).unwrap()
        };
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        match self.outcomes.lock().unwrap().pop_front() {
            Some(error) => Err(error),
            None => Ok(Ack { partition: 0, offset }),
        }
    }

    async fn partitions(&self, _: &str) -> Result<i32, BusError> {
        Ok(1)
    }
}

fn options() -> Options {
    Options {
        decoder: Limits { max_record_bytes: 4096, max_fields: 8, max_depth: 4 },
        future: 600_000,
        past: 30 * 86_400_000,
        max_body_bytes: 16 << 10,
        max_events: 5,
        request_timeout: Duration::from_secs(30),
        max_limit: 1000,
        default_limit: 100,
    }
}

struct Service {
    router: Router,
    recorder: Arc<Recorder>,
    stale: Arc<AtomicBool>,
}

fn auth() -> AuthConfig {
    AuthConfig {
        mode: AuthMode::Off,
        jwks_url: None,
        jwks_file: None,
        issuer: None,
        audience: "triad".to_owned(),
        leeway_seconds: 5,
        jwks_refresh_seconds: 300,
        revocations_topic: None,
        introspection_url: None,
        introspection_key_file: None,
        ca: None,
        default_tenant: None,
    }
}

fn layouts() -> Arc<Layouts> {
    Arc::new(Layouts::from_rows([("*".to_owned(), Layout::DEFAULT)]).unwrap())
}

/// The service over `store`, callers verified as `auth` says.
async fn serve_as(store: Model, auth: &AuthConfig) -> Service {
    serve_within(store, auth, Rates::off()).await
}

/// The same within rates of tenants.
async fn serve_within(store: Model, auth: &AuthConfig, rates: Rates) -> Service {
    let (recorder, stale) = (Arc::new(Recorder::default()), Arc::new(AtomicBool::new(false)));
    let layouts = layouts();
    let source = {
        let stale = Arc::clone(&stale);
        move || (!stale.load(Ordering::Relaxed)).then(|| Arc::clone(&layouts))
    };
    let bounds = crate::query::Options {
        concurrency: 4,
        queue: 64,
        page_partitions: 64,
        page_rows: 5000,
        timeout: Duration::from_secs(10),
        future: 600_000,
    };
    let api = Api {
        destination: ToTopic { publisher: Arc::clone(&recorder), topic: EVENTS_TOPIC.to_owned() },
        verifier: Verifier::start(auth, Shutdown::new().1).await.unwrap(),
        engine: Arc::new(Engine::new(store, source, bounds)),
        cursors: CursorKey::derive(&[7; 32]),
        options: options(),
        rates,
    };
    Service { router: router(api), recorder, stale }
}

async fn serve(store: Model) -> Service {
    serve_as(store, &auth()).await
}

/// A store with an event of `acme` every second of the last `count` seconds, newest first.
fn stored(count: i64) -> (Model, Vec<StoredEvent>) {
    let now = super::now().millis();
    let one = |i: i64| {
        let time = Ticks::from_millis(now - 1000 * (i + 1));
        let position = Position { time: time.millis(), id: id_at(time, i.unsigned_abs() << 8) };
        let actor_id = Some(format!("u-{}", i % 3));
        StoredEvent { actor_id, source_id: Some(format!("s-{i}")), ..event(position) }
    };
    let events: Vec<_> = (0..count).map(one).collect();
    let mut store = Model::default();
    for event in &events {
        store.insert(&layouts(), "acme", event.clone());
    }
    (store, events)
}

impl Service {
    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.send(Request::get(path).body(Body::empty()).unwrap()).await).await
    }

    async fn post(&self, body: impl Into<Body>) -> Response<Body> {
        self.post_as("application/json", body).await
    }

    async fn post_as(&self, kind: &str, body: impl Into<Body>) -> Response<Body> {
        let request = Request::post("/v1/tenants/acme/audit").header(header::CONTENT_TYPE, kind);
        self.send(request.body(body.into()).unwrap()).await
    }
}

/// Status and JSON; errors must be problems.
async fn answer(response: Response<Body>) -> (StatusCode, Value) {
    let status = response.status();
    let kind = response.headers()[header::CONTENT_TYPE].clone();
    let expected =
        if status.is_success() { "application/json" } else { "application/problem+json" };
    assert_eq!(kind, expected, "{status}");
    let body = to_bytes(response.into_body(), 16 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn the_document_is_served_and_fallbacks_are_problems() {
    let service = serve(Model::default()).await;
    let (status, document) = service.get("/openapi/ingest.json").await;
    assert_eq!(status, 200);
    assert_eq!(document["paths"].as_object().unwrap().len(), 3);
    assert_eq!(service.get("/v1/none").await.0, 404);
    let put = Request::put("/v1/tenants/acme/audit").body(Body::empty()).unwrap();
    assert_eq!(answer(service.send(put).await).await.0, 405);
}

#[test]
fn what_is_stamped_here_is_within_the_window_whatever_skew_is_allowed() {
    for skew in ["0", "1", "600"] {
        let config = service_kit::config::load::<crate::Config>(&service_kit::config::Source {
            defaults: crate::config::DEFAULTS,
            file: None,
            env_prefix: crate::config::ENV_PREFIX,
            env: vec![(
                format!("{}LIMITS__FUTURE_SKEW_SECONDS", crate::config::ENV_PREFIX),
                skew.to_owned(),
            )],
        });
        let options = Options::new(&config.unwrap());
        let whole = i64::from(skew == "600") * (600 - 5) * 1000;
        assert_eq!(options.future, whole.max(crate::http::STAMPED), "{skew} s");
        let past = 30 * 86_400_000 - 5_000 - 20_000;
        assert_eq!(options.past, past, "the producer's time and the skew are left");
    }
}
