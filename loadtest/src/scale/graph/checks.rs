//! Checks of both graphs in turns, with answers that must be right.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::{Value, json};

use super::parts::{Part, Parts};
use crate::bench::authz::bed::{Place, check, closed};
use crate::bench::authz::edge::{Edge, Side};
use crate::bench::turns::{alternately, in_turns};
use crate::check::measure::{Measured, Plan};
use crate::check::space::{Draw, Keys, Space};
use crate::cli::GraphScaleArgs;
use crate::progress::say;
use crate::stop::Stop;

/// Hot questions, asked over and over, over all tenants.
const POOL: u64 = 2000;
/// Connecting is no cold check's cost.
const WARM_UP: Duration = Duration::from_secs(1);
/// A percentile of fewer cold checks is none.
const FEWEST: u64 = 100;

/// What checks are made with.
pub(super) struct Checks<'a> {
    pub(super) args: &'a GraphScaleArgs,
    pub(super) place: &'a Place,
    pub(super) parts: &'a Parts,
    pub(super) stop: &'a Stop,
}

impl Checks<'_> {
    fn space(part: &Part, keys: Keys, tenants: u32, seed: u64) -> Space {
        let draw = Draw { keys, tenants, allow_share: 0.5, exponent: 1.0, pool: POOL, seed };
        Space::new(&part.shape, draw)
    }

    fn plan(&self, side: &Side) -> Plan {
        closed(side, self.args.connections, self.args.span())
    }

    async fn check(&self, side: &Side, space: &Space, plan: &Plan) -> anyhow::Result<Measured> {
        check(side, space, plan, self.stop).await
    }

    /// Checks that know nothing, one at a time, of an edge that was just started.
    pub(super) async fn cold(&self, until: Instant) -> anyhow::Result<Vec<Value>> {
        let space = |part: &Part| Self::space(part, Keys::Cold, part.tenants, 1);
        let (small, large) = (space(&self.parts.small), space(&self.parts.large));
        in_turns(self.args.pairs, self.stop, until, async |_| {
            let edge = self.place.edge(&self.args.launch(), &[]).await?;
            let side = edge.side(None)?;
            let plan = Plan { connections: 1, warm_up: WARM_UP, ..self.plan(&side) };
            let few = self.check(&side, &small, &plan).await?;
            let many = self.check(&side, &large, &plan).await?;
            edge.stop().await?;
            let fewest = few.checks.min(many.checks);
            ensure!(fewest >= FEWEST, "only {fewest} cold checks: a longer --seconds");
            Ok(json!({
                "value": many.latency.p50_ms / few.latency.p50_ms,
                "small_p50_ms": few.latency.p50_ms, "large_p50_ms": many.latency.p50_ms,
                "small_p99_ms": few.latency.p99_ms, "large_p99_ms": many.latency.p99_ms,
                "checks": many.checks,
            }))
        })
        .await
    }

    /// Checks that were asked before, each graph's in turn.
    pub(super) async fn hot(&self, edge: &Edge, until: Instant) -> anyhow::Result<Vec<Value>> {
        let space = |part: &Part| Self::space(part, Keys::Hot, part.tenants, 1);
        let (small, large) = (space(&self.parts.small), space(&self.parts.large));
        let side = edge.side(None)?;
        let plan = self.plan(&side);
        // A decision is cached when it is asked for again.
        let brief = Plan { span: Duration::from_millis(100), ..plan.clone() };
        for space in [&small, &large, &small, &large] {
            self.check(&side, space, &brief).await?;
        }
        // What lives too short for the run is read again: how much that is belongs to the figure.
        let run = async |space| {
            let before = edge.sources().await?;
            let measured = self.check(&side, space, &plan).await?;
            anyhow::Ok((measured, edge.sources().await?.since(before).graph))
        };
        in_turns(self.args.pairs, self.stop, until, async |turn| {
            let ((few, few_reads), (many, many_reads)) =
                alternately(turn, run(&small), run(&large)).await?;
            Ok(json!({
                "value": many.checks_per_second / few.checks_per_second,
                "small": few.checks_per_second, "large": many.checks_per_second,
                "small_p99_ms": few.latency.p99_ms, "large_p99_ms": many.latency.p99_ms,
                "small_reads": few_reads, "large_reads": many_reads,
            }))
        })
        .await
    }

    /// Pairs that are new, of users and documents that were seen; of as many tenants of both.
    pub(super) async fn wide(&self, edge: &Edge) -> anyhow::Result<Value> {
        let side = edge.side(None)?;
        let tenants = self.parts.small.tenants;
        let mut measured = Vec::new();
        for part in self.parts.both() {
            let space = Self::space(part, Keys::Wide, tenants, 1);
            let before = edge.sources().await?;
            let wide = self.check(&side, &space, &self.plan(&side)).await?;
            let sources = edge.sources().await?.since(before);
            say(&format!("wide: {:.0} checks/s", wide.checks_per_second));
            measured.push(json!({
                "tenants": tenants, "checks_per_second": wide.checks_per_second,
                "p50_ms": wide.latency.p50_ms, "p99_ms": wide.latency.p99_ms,
                "shown_share": wide.shown_share, "with_warm_up": sources,
            }));
        }
        let large = measured.pop();
        Ok(json!({ "small": measured.pop(), "large": large }))
    }
}
