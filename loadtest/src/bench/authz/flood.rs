//! What a tenant that floods costs another one, with rates on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use super::bed::{Bed, in_turns};
use crate::bench::flood::beside;
use crate::bench::goals::Figure;
use crate::bench::idle::scrapes;
use crate::check::measure::Plan;
use crate::check::pace::Pace;
use crate::check::space::Keys;

/// Checks a second of the tenant that does not flood.
const RATE: f64 = 200.0;
/// What each tenant may ask a second, and at once: warming up takes as much, and a flood has used it up after its first
/// run, which is one of several.
const LIMITS: [(&str, &str); 2] = [("rate.per_second", "1000"), ("rate.burst", "50000")];

/// p99 of a tenant's checks beside another one's flood ÷ p99 alone.
pub(super) async fn flood(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let shape = bed.sizes.graph.clone();
    bed.graph(&shape, 1).await?;
    let limits = LIMITS.map(|(key, value)| (key, value.to_owned()));
    let edge = bed.edge(&limits).await?;
    let side = edge.side(None)?;
    let space = bed.space(&shape, Keys::Hot, 1, 1);
    let modest = Plan { warm_up: Duration::ZERO, pace: Pace::Open(RATE), ..bed.plan(&side) };
    bed.warm(&side, &space).await?;
    let endpoint = side.endpoint.clone();
    let uri = endpoint.uri("/v1/tenants/flood/check")?;
    let question = json!({"subject": {"type": "user", "id": "u"}, "action": {"name": "read"},
        "resource": {"type": "document", "id": "d"}});
    let question = Bytes::from(question.to_string());
    let runs = in_turns(bed, until, async |bed, _| {
        let alone = bed.check(&side, &space, &modest).await?;
        let (to, uri, question) = (endpoint.clone(), uri.clone(), question.clone());
        let make = move |_: u64| to.post(&uri, question.clone());
        let work = bed.check(&side, &space, &modest);
        let (busy, flood) = Box::pin(beside(&endpoint, make, work)).await?;
        Ok(json!({
            "value": busy.latency.p99_ms / alone.latency.p99_ms,
            "alone_p99_ms": alone.latency.p99_ms, "beside_p99_ms": busy.latency.p99_ms,
            "flood": flood,
        }))
    })
    .await?;
    edge.stop().await?;
    Ok(Figure::median("authz.flood_p99_ratio", runs).into_iter().collect())
}

/// What an idle edge costs whoever looks at it.
pub(super) async fn idle(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let edge = bed.edge(&[]).await?;
    let ids = ["authz.scrape_ms", "authz.series_idle"];
    let figures = scrapes(&edge.client, edge.admin(), ids).await?;
    edge.stop().await?;
    Ok(figures)
}
