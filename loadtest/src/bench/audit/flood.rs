//! What a tenant that floods costs another one over HTTP, with rates on; and what an idle process costs whoever looks.

use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use serde_json::json;

use super::bed::{Bed, Pinning};
use crate::bench::drive::{Pace, drive, status};
use crate::bench::flood::beside;
use crate::bench::goals::Figure;
use crate::bench::idle::scrapes;
use crate::bench::turns::in_turns;
use crate::check::link::Endpoint;
use crate::child::Service;
use crate::scenario::Stage;
use crate::scrape;

/// Requests a second of the tenant that does not flood, each of one event.
const RATE: f64 = 50.0;
/// Of one run.
const SPAN: Duration = Duration::from_secs(10);
/// Without a flood, then beside one.
const PAIRS: usize = 5;
/// Events of a flood's requests.
const BATCH: usize = 100;
/// Events that each tenant may send a second, and at once.
const LIMITS: [(&str, &str); 2] = [("rate.per_second", "5000"), ("rate.burst", "5000")];
const EVENT: &str = r#"{"action":"document.read","actor_id":"u-1","status":"SUCCESS"}"#;

/// A process with limits, on topics and a keyspace of its own.
async fn limited(bed: &mut Bed) -> anyhow::Result<(Stage, crate::run::Names, Service)> {
    let mut stage = bed.stage(Pinning::Unpinned).await?;
    let limits = LIMITS.map(|(key, value)| (key.to_owned(), value.to_owned()));
    stage.engines.settings.extend(limits);
    let names = bed.fresh(1000).names;
    stage.engines.apply_topics(&names).await?;
    stage.engines.apply_schema(&names).await?;
    let ingest = stage.ingest(&names).await?;
    Ok((stage, names, ingest))
}

/// p99 of a tenant's POSTs beside another one's flood ÷ p99 alone.
pub(super) async fn flood(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let (stage, names, ingest) = limited(bed).await?;
    let endpoint = Endpoint::new(&format!("http://{}", ingest.http), None, false)?;
    let (victim, other) =
        (endpoint.uri("/v1/tenants/victim/audit")?, endpoint.uri("/v1/tenants/flood/audit")?);
    let batch = Bytes::from(format!("[{}]", [EVENT; BATCH].join(",")));
    let modest = async || -> anyhow::Result<f64> {
        let (to, uri) = (endpoint.clone(), victim.clone());
        let make = move |_: u64| to.post(&uri, Bytes::from_static(EVENT.as_bytes()));
        let pace = Pace { connections: 8, span: SPAN, rate: Some(RATE) };
        Ok(drive(&endpoint, pace, make, status(202)).await?.latency.p99_ms)
    };
    let flooded = async || {
        let (to, uri, batch) = (endpoint.clone(), other.clone(), batch.clone());
        let make = move |_: u64| to.post(&uri, batch.clone());
        Box::pin(beside(&endpoint, make, modest())).await
    };
    // Once, so that the first run is as warm as the others: engines that are new compile while they work.
    modest().await?;
    flooded().await?;
    let runs = in_turns(PAIRS, &bed.stop, until, async |_| {
        let alone = modest().await?;
        let (busy, flood) = flooded().await?;
        Ok(json!({
            "value": busy / alone, "alone_p99_ms": alone, "beside_p99_ms": busy, "flood": flood,
        }))
    })
    .await?;
    ingest.stop().await?;
    bed.forget(&stage, &names).await?;
    Ok(Figure::median("audit.flood_p99_ratio", runs).into_iter().collect())
}

/// What an idle process costs whoever looks at it.
pub(super) async fn idle(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let (stage, names, ingest) = limited(bed).await?;
    let client = scrape::client(Duration::from_secs(5))?;
    let ids = ["audit.scrape_ms", "audit.series_idle"];
    let figures = scrapes(&client, ingest.admin, ids).await.context("scraping ingest")?;
    ingest.stop().await?;
    bed.forget(&stage, &names).await?;
    Ok(figures)
}
