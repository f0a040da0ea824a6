//! Checks of both graphs in turns, with answers that must be right.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::parts::Part;
use super::{ALPHA, Home};
use crate::bench::authz::bed::{check, closed};
use crate::bench::authz::edge::{Edge, Side};
use crate::bench::turns::{alternately, in_turns};
use crate::check::measure::{Measured, Plan};
use crate::check::space::{Draw, Keys, Space};
use crate::cli::GraphScaleArgs;
use crate::deploy;
use crate::progress::say;
use crate::stop::Stop;
use crate::system;

/// Hot questions, asked over and over, over all tenants.
const POOL: u64 = 2000;
/// Connecting is no cold check's cost.
const WARM_UP: Duration = Duration::from_secs(1);
/// A percentile of fewer cold checks is none.
const FEWEST: u64 = 100;
/// Of a run of cold checks at once, in runs of a pair: a few are no rate.
const MANY: u32 = 4;

/// What checks are made with.
pub(super) struct Checks<'a> {
    pub(super) args: &'a GraphScaleArgs,
    /// The small graph, and the large one.
    pub(super) homes: &'a [Home; 2],
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

    /// An edge on each graph.
    pub(super) async fn edges(&self) -> anyhow::Result<[Edge; 2]> {
        let [small, large] = self.homes;
        let launch = self.args.launch();
        Ok([small.place.edge(&launch, &[]).await?, large.place.edge(&launch, &[]).await?])
    }

    /// Checks that know nothing, one at a time, of edges that were just started; in each pair of others.
    pub(super) async fn cold(&self, until: Instant) -> anyhow::Result<Vec<Value>> {
        in_turns(self.args.pairs, self.stop, until, async |turn| {
            let run = async |home: &Home| {
                let space = Self::space(&home.part, Keys::Cold, home.part.tenants, turn);
                let edge = home.place.edge(&self.args.launch(), &[]).await?;
                let side = edge.side(None)?;
                let plan = Plan { connections: 1, warm_up: WARM_UP, ..self.plan(&side) };
                let measured = self.check(&side, &space, &plan).await?;
                edge.stop().await?;
                ensure!(
                    measured.checks >= FEWEST,
                    "only {} cold checks: a longer --seconds",
                    measured.checks
                );
                anyhow::Ok(measured)
            };
            let [small, large] = self.homes;
            let (few, many) = Box::pin(alternately(turn, run(small), run(large))).await?;
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
    pub(super) async fn hot(
        &self,
        edges: &[Edge; 2],
        until: Instant,
    ) -> anyhow::Result<Vec<Value>> {
        let sides = [edges[0].side(None)?, edges[1].side(None)?];
        let spaces = [0, 1].map(|at: usize| {
            let part = &self.homes[at].part;
            Self::space(part, Keys::Hot, part.tenants, 1)
        });
        // A decision is cached when it is asked for again.
        for at in [0, 1, 0, 1] {
            let brief = Plan { span: Duration::from_millis(100), ..self.plan(&sides[at]) };
            self.check(&sides[at], &spaces[at], &brief).await?;
        }
        // What lives too short for the run is read again: how much that is belongs to the figure.
        let run = async |at: usize| {
            let before = edges[at].sources().await?;
            let measured = self.check(&sides[at], &spaces[at], &self.plan(&sides[at])).await?;
            anyhow::Ok((measured, edges[at].sources().await?.since(before).graph))
        };
        in_turns(self.args.pairs, self.stop, until, async |turn| {
            let ((few, few_reads), (many, many_reads)) =
                Box::pin(alternately(turn, run(0), run(1))).await?;
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
    pub(super) async fn wide(&self, edges: &[Edge; 2]) -> anyhow::Result<Value> {
        let tenants = self.homes[0].part.tenants;
        let mut told = json!({});
        for (home, edge) in self.homes.iter().zip(edges) {
            let side = edge.side(None)?;
            let space = Self::space(&home.part, Keys::Wide, tenants, 1);
            let before = edge.sources().await?;
            let wide = self.check(&side, &space, &self.plan(&side)).await?;
            let sources = edge.sources().await?.since(before);
            say(&format!("{}, wide: {:.0} checks/s", home.name, wide.checks_per_second));
            told[home.name] = json!({
                "tenants": tenants, "checks_per_second": wide.checks_per_second,
                "p50_ms": wide.latency.p50_ms, "p99_ms": wide.latency.p99_ms,
                "shown_share": wide.shown_share, "with_warm_up": sources,
            });
        }
        Ok(told)
    }

    /// Cold checks at once, of users and documents of all tenants: what a core of Dgraph reads in a second. The small
    /// graph may be all known before its time is up.
    pub(super) async fn many(&self, edges: &[Edge; 2]) -> anyhow::Result<Value> {
        let mut told = json!({});
        for (home, edge) in self.homes.iter().zip(edges) {
            let side = edge.side(None)?;
            // Nobody has walked from there.
            let seed = self.args.pairs as u64 + 1;
            let space = Self::space(&home.part, Keys::Cold, home.part.tenants, seed);
            let plan = Plan { warm_up: WARM_UP, span: MANY * self.args.span(), ..self.plan(&side) };
            let alpha = deploy::pid(&home.place.state, ALPHA).context("no alpha")?;
            let (begun, before) = (Instant::now(), system::cpu_time(alpha)?);
            let asked = edge.sources().await?;
            let many = self.check(&side, &space, &plan).await?;
            let cpu = system::cpu_time(alpha)?.saturating_sub(before).as_secs_f64();
            let read = edge.sources().await?.since(asked).graph;
            say(&format!("{}, cold at once: {:.0} checks/s", home.name, many.checks_per_second));
            told[home.name] = json!({
                "checks_per_second": many.checks_per_second, "connections": self.args.connections,
                "p50_ms": many.latency.p50_ms, "p99_ms": many.latency.p99_ms,
                // With the warm-up, as are the seconds.
                "checks_read": read, "alpha_cpu_seconds": cpu,
                "seconds": begun.elapsed().as_secs_f64(), "checks_a_core_second": read / cpu,
                "share_of_users": many.checks as f64 / home.part.users as f64,
            });
        }
        Ok(told)
    }
}
