//! How long until others know of a write: on Kafka, and at an edge that follows.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use authz_edge::graph::{GraphDb, schema};
use hyper::Method;
use serde_json::{Value, json};
use service_kit::bus::apply_topics;
use service_kit::config::Source;

use super::bed::{Admin, Bed, Place, ask, create};
use super::{TENANTS, tenant};
use crate::bench::drive::{Pace, drive, status};
use crate::bench::goals::Figure;
use crate::check::link::{DEADLINE, Endpoint, Link};
use crate::child::{Launch, Service};
use crate::latency::Recorder;
use crate::scrape;

/// Writes a second.
const RATE: f64 = 300.0;
/// How long.
const SPAN: Duration = Duration::from_secs(20);
/// For one check.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of the edge's settings.
const PREFIX: &str = authz_edge::config::ENV_PREFIX;

fn pace() -> Pace {
    Pace { connections: 32, span: SPAN, rate: Some(RATE) }
}

/// By the relay's own histogram.
pub(super) async fn kafka(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let admin = bed.admin().await?;
    let lag = async |admin: &Admin| {
        let text = admin.metrics().await?;
        let name = "triad_identity_relay_lag_seconds";
        anyhow::Ok(scrape::buckets(&text, name, ("topic", "changes")))
    };
    let before = lag(&admin).await?;
    let endpoint = admin.endpoint.clone();
    let make = move |number: u64| {
        let email = format!("{}@lag.example", uuid::Uuid::new_v4());
        create(&endpoint, &tenant(number % TENANTS), &email)
    };
    let written = drive(&admin.endpoint, pace(), make, status(201)).await?;
    let lag = lag(&admin).await?.since(&before).summary();
    admin.stop().await?;
    let run = json!({ "value": lag.p99_ms, "p50_ms": lag.p50_ms, "writes": lag.count,
        "written_per_second": written.per_second });
    Ok(Figure::median("identity.kafka_p99_ms", vec![run]).into_iter().collect())
}

/// An edge that takes its identities from the service's topic.
async fn edge(place: &Place, client: &reqwest::Client) -> anyhow::Result<Service> {
    let given = [
        ("DGRAPH__ALPHA_ADDRESSES", place.alphas.join(",")),
        ("KAFKA__BROKERS", place.brokers.join(",")),
        ("KAFKA__REPLICATION", "1".to_owned()),
        ("KAFKA__MIN_INSYNC_REPLICAS", "1".to_owned()),
        ("EXT_AUTHZ__LISTEN", "127.0.0.1:0".to_owned()),
        ("TELEMETRY__FILTER", "warn".to_owned()),
        ("SYNC__MODE", "identity".to_owned()),
    ];
    let environment: Vec<_> =
        given.iter().map(|(key, value)| (format!("{PREFIX}{key}"), value.clone())).collect();
    let config: authz_edge::Config = service_kit::config::load(&Source {
        defaults: authz_edge::config::DEFAULTS,
        file: None,
        env_prefix: PREFIX,
        env: environment.clone(),
    })?;
    apply_topics(&config.kafka.cluster(), &authz_edge::topics::specs(&config)).await?;
    schema::apply(&GraphDb::dgraph(&config.dgraph.options())?).await?;
    let launch = Launch { binary: Launch::sibling("authz-edge"), cpus: None };
    let mut edge = Service::edge(&launch, environment)?;
    edge.ready(client).await?;
    Ok(edge)
}

/// A check behind each tenth write, which waits for it by its token.
pub(super) async fn check(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let place = bed.place().await?;
    let admin = bed.admin().await?;
    let edge = edge(&place, &admin.client).await?;
    let at = Endpoint::new(&format!("http://{}", edge.http), None, false)?;
    let (send, mut receive) = tokio::sync::mpsc::channel::<(Instant, u64, String)>(1024);
    let seen = Arc::new(Mutex::new(Recorder::default()));
    let recorder = Arc::clone(&seen);
    let checks = tokio::spawn(async move {
        let mut links: Vec<Link> = Vec::new();
        let mut waiting = tokio::task::JoinSet::new();
        while let Some((written, number, token)) = receive.recv().await {
            while let Some(done) = waiting.try_join_next() {
                links.push(done??);
            }
            let mut link = match links.pop() {
                Some(link) => link,
                None => at.connect().await?,
            };
            let ask = question(&at, number, &token);
            let recorder = Arc::clone(&recorder);
            waiting.spawn(async move {
                loop {
                    let answer = tokio::time::timeout(DEADLINE, link.exchange(ask.clone())).await;
                    let answer = answer.context("no answer in time")??;
                    let body = String::from_utf8_lossy(&answer.body);
                    // 503: the edge does not know of it yet, and has waited as long as it waits.
                    let is_late = answer.status == 503 && written.elapsed() < PATIENCE;
                    anyhow::ensure!(
                        answer.status == 200 || is_late,
                        "a check: {} {body}",
                        answer.status
                    );
                    if !is_late {
                        break;
                    }
                }
                let mut recorder = recorder.lock().map_err(|_| anyhow::anyhow!("a check ended"))?;
                recorder.record(written.elapsed());
                Ok(link)
            });
        }
        while let Some(done) = waiting.join_next().await {
            done??;
        }
        anyhow::Ok(())
    });
    let endpoint = admin.endpoint.clone();
    let make = move |number: u64| {
        let email = format!("{}@seen.example", uuid::Uuid::new_v4());
        create(&endpoint, &tenant(number % TENANTS), &email)
    };
    let written = drive(&admin.endpoint, pace(), make, move |number, answer| {
        status(201)(number, answer)?;
        if number % 10 == 0 {
            let token = answer.header("triad-consistency-token").context("no token")?;
            send.try_send((Instant::now(), number % TENANTS, token.to_owned()))?;
        }
        Ok(())
    })
    .await;
    // What ended the checks ended the writes too.
    checks.await??;
    let written = written?;
    edge.stop().await?;
    admin.stop().await?;
    let seen = seen.lock().map_err(|_| anyhow::anyhow!("a check ended"))?.summary();
    let run = json!({ "value": seen.p99_ms, "p50_ms": seen.p50_ms, "checks": seen.count,
        "written_per_second": written.per_second });
    Ok(Figure::median("identity.check_p99_ms", vec![run]).into_iter().collect())
}

fn question(at: &Endpoint, number: u64, token: &str) -> crate::check::link::Ask {
    let body: Value = json!({"subject": {"type": "user", "id": "nobody"},
        "action": {"name": "read"}, "resource": {"type": "document", "id": "d"}, "at_least": token});
    ask(at, Method::POST, &format!("/v1/tenants/{}/check", tenant(number)), body.to_string())
}
