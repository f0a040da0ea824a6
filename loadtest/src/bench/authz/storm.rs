//! Hot checks while relationships are written: to the tenants that are checked, and to others.

use std::ops::Range;
use std::time::Instant;

use anyhow::ensure;
use serde_json::{Value, json};

use super::bed::{Bed, in_turns};
use super::edge::{Edge, Sources};
use crate::bench::goals::Figure;
use crate::check::change::Changes;
use crate::check::measure::{Measured, Plan};
use crate::check::space::{Keys, Space};
use crate::progress::say;

/// Below this share of the rate that was asked for, it was another storm, and the bench says so; whoever reads
/// the figure reads what was written beside it.
const KEPT: f64 = 0.9;
/// Below this one it was none.
const LEAST: f64 = 0.5;

/// The hit ratio of checks in tenants that are written to, and their rate ÷ that beside others.
pub(super) async fn storm(
    bed: &mut Bed,
    ids: &[&str],
    until: Instant,
) -> anyhow::Result<Vec<Figure>> {
    let (shape, tenants) = (bed.sizes.storm.clone(), bed.sizes.storm_tenants);
    bed.graph(&shape, 2 * tenants).await?;
    let edge = bed.edge(&[]).await?;
    let space = bed.space(&shape, Keys::Hot, tenants, 1);
    let (mut hits, mut rates) = (Vec::new(), Vec::new());
    in_turns(bed, until, async |bed, _| {
        let (others, _) = run(bed, &edge, &space, tenants..2 * tenants).await?;
        let (own, sources) = run(bed, &edge, &space, 0..tenants).await?;
        let hit = json!({
            "value": sources.hit_ratio(), "sources": sources, "writes": writes(&own),
        });
        let rate = json!({
            "value": own.checks_per_second / others.checks_per_second,
            "checked": own.checks_per_second, "others": others.checks_per_second,
            "writes": writes(&own), "writes_to_others": writes(&others),
        });
        hits.push(hit);
        rates.push(rate.clone());
        Ok(rate)
    })
    .await?;
    edge.stop().await?;
    let figures = [("authz.storm_hit_ratio", hits), ("authz.storm_rate_ratio", rates)];
    let asked = figures.into_iter().filter(|(id, _)| ids.contains(id));
    Ok(asked.filter_map(|(id, runs)| Figure::median(id, runs)).collect())
}

/// Checks beside writes to `written`, and what answered them.
async fn run(
    bed: &Bed,
    edge: &Edge,
    space: &Space,
    written: Range<u32>,
) -> anyhow::Result<(Measured, Sources)> {
    let side = edge.side(None)?;
    bed.warm(&side, space).await?;
    let changes = Changes::new(space.shape(), space.users(), written);
    let rate = bed.sizes.storm_rate;
    let plan = Plan {
        warm_up: std::time::Duration::ZERO,
        writes: Some((rate, changes)),
        ..bed.plan(&side)
    };
    let before = edge.sources().await?;
    let measured = bed.check(&side, space, &plan).await?;
    let sources = edge.sources().await?.since(before);
    let kept = measured.writes.as_ref().map_or(0.0, |writes| writes.writes_per_second);
    let told = || format!("only {kept:.0} of {rate:.0} writes a second: {:?}", writes(&measured));
    ensure!(kept >= LEAST * rate, told());
    if kept < KEPT * rate {
        say(&told());
    }
    Ok((measured, sources))
}

fn writes(measured: &Measured) -> Value {
    measured.writes.as_ref().map_or(Value::Null, |writes| {
        json!({
            "per_second": writes.writes_per_second, "p99_ms": writes.latency.p99_ms,
            "unsent": writes.unsent, "failures": writes.failures,
        })
    })
}
