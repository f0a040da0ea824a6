//! The edge beside a bare server that reads and answers the same bytes, in turns: what deciding costs.

use std::time::Instant;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::access::Access;
use super::bed::{Bed, in_turns};
use super::edge::{Edge, Side};
use crate::bench::goals::Figure;
use crate::check::bare::Bare;
use crate::check::measure::{Measured, Plan};
use crate::check::pace::Pace;
use crate::check::space::{Keys, Space};

/// Both sides, and what they are sent.
struct Sides {
    edge: Edge,
    bare: Bare,
    asked: Side,
    beside: Side,
}

impl Sides {
    async fn start(bed: &mut Bed, access: Option<&Access>) -> anyhow::Result<Self> {
        let shape = bed.sizes.graph.clone();
        bed.graph(&shape, 1).await?;
        let edge = bed.edge(&access.map_or_else(Vec::new, Access::settings)).await?;
        let bare = Bare::start(bed.limit()).await?;
        let bearer = access.map(|access| access.token.as_str());
        let (asked, beside) = (edge.side(bearer)?, Side::bare(&bare, bearer)?);
        Ok(Self { edge, bare, asked, beside })
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.edge.stop().await?;
        self.bare.stop().await
    }

    /// A closed loop of each, whose questions were all shown before.
    async fn pair(&self, bed: &Bed, keys: Keys, turn: u64) -> anyhow::Result<Value> {
        // Wide pairs of an earlier turn would be cached decisions by now.
        let seed = if keys == Keys::Wide { turn } else { 1 };
        let space = bed.space(&bed.sizes.graph, keys, 1, seed);
        let before = self.edge.sources().await?;
        let (bare, edge) = self.closed(bed, &space).await?;
        let sources = self.edge.sources().await?.since(before);
        let shown = edge.shown_share.unwrap_or(0.0);
        ensure!(shown >= 1.0, "the warm-up showed {shown:.3} of what was to be seen before");
        Ok(json!({
            "value": edge.checks_per_second / bare.checks_per_second,
            "edge": edge.checks_per_second, "bare": bare.checks_per_second,
            "edge_p99_ms": edge.latency.p99_ms, "bare_p99_ms": bare.latency.p99_ms,
            "edge_cpu_us": cpu(&edge), "bare_cpu_us": cpu(&bare),
            "seconds": edge.seconds, "checks": edge.checks, "with_warm_up": sources,
        }))
    }

    /// A closed loop each: the bare server's checks, then the edge's.
    async fn closed(&self, bed: &Bed, space: &Space) -> anyhow::Result<(Measured, Measured)> {
        let bare = bed.check(&self.beside, space, &bed.plan(&self.beside)).await?;
        let edge = bed.check(&self.asked, space, &bed.plan(&self.asked)).await?;
        Ok((bare, edge))
    }
}

/// Closed-loop checks a second of the edge ÷ of the bare server.
pub(super) async fn closed(
    bed: &mut Bed,
    id: &str,
    keys: Keys,
    until: Instant,
) -> anyhow::Result<Vec<Figure>> {
    let sides = Sides::start(bed, None).await?;
    let runs = rounds(bed, &sides, keys, until).await?;
    sides.stop().await?;
    for run in &runs {
        bed.note(keys, run["edge"].as_f64().unwrap_or(0.0));
    }
    Ok(Figure::median(id, runs).into_iter().collect())
}

/// The same with a token on every request.
pub(super) async fn with_jwt(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let access = Access::new(&bed.sizes.graph.tenant(0))?;
    let sides = Sides::start(bed, Some(&access)).await?;
    let runs = rounds(bed, &sides, Keys::Hot, until).await?;
    sides.stop().await?;
    Ok(Figure::median("authz.jwt_hot_ratio", runs).into_iter().collect())
}

async fn rounds(
    bed: &mut Bed,
    sides: &Sides,
    keys: Keys,
    until: Instant,
) -> anyhow::Result<Vec<Value>> {
    in_turns(bed, until, async |bed, turn| sides.pair(bed, keys, turn).await).await
}

/// Fresh sides, and one pair of each key space.
pub(super) async fn once(bed: &mut Bed, keys: [Keys; 2], turn: u64) -> anyhow::Result<[Value; 2]> {
    let sides = Sides::start(bed, None).await?;
    let pairs = [sides.pair(bed, keys[0], turn).await?, sides.pair(bed, keys[1], turn).await?];
    sides.stop().await?;
    Ok(pairs)
}

fn cpu(measured: &Measured) -> Option<f64> {
    measured.server.map(|server| server.cpu_us)
}

/// p99 at a rate that both can keep, of the edge ÷ of the bare server.
pub(super) async fn tail(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let sides = Sides::start(bed, None).await?;
    let space = bed.space(&bed.sizes.graph, Keys::Hot, 1, 1);
    let (bare, edge) = sides.closed(bed, &space).await?;
    let rate = edge.checks_per_second.min(bare.checks_per_second) / 2.0;
    let runs = in_turns(bed, until, async |bed, _| {
        let at = |side| Plan { pace: Pace::Open(rate), ..bed.plan(side) };
        let bare = bed.check(&sides.beside, &space, &at(&sides.beside)).await?;
        let edge = bed.check(&sides.asked, &space, &at(&sides.asked)).await?;
        let tail = |measured: &Measured| {
            let service = measured.service.context("no latency at a rate")?;
            let unsent = measured.unsent;
            anyhow::Ok(json!({
                "p50_ms": measured.latency.p50_ms, "p99_ms": measured.latency.p99_ms,
                "p999_ms": measured.latency.p999_ms, "service_p99_ms": service.p99_ms,
                "unsent": unsent,
            }))
        };
        Ok(json!({
            "value": edge.latency.p99_ms / bare.latency.p99_ms, "rate": rate,
            "edge_p99_ms": edge.latency.p99_ms, "bare_p99_ms": bare.latency.p99_ms,
            "edge": tail(&edge)?, "bare": tail(&bare)?,
        }))
    })
    .await?;
    sides.stop().await?;
    Ok(Figure::median("authz.hot_p99_ratio", runs).into_iter().collect())
}
