//! Checks that know nothing yet, one at a time, beside raw queries of the same graph.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::ensure;
use authz_edge::graph::{GraphDb, Mode};
use authz_edge::model::key::{Key, SubjectType};
use contracts::TenantId;
use serde_json::json;

use super::bed::{Bed, in_turns};
use super::edge::Side;
use crate::bench::goals::Figure;
use crate::check::graph::Shape;
use crate::check::measure::{Measured, Plan};
use crate::check::space::Keys;
use crate::latency::{Latency, Recorder};

/// A user's closure: its teams, through any depth, with their roles and bindings.
const CLOSURE: &str = "query q($s: string) {
  S as var(func: eq(xid, $s))
  var(func: uid(S)) @recurse(loop: false) { T as User.memberOf }
  closure(func: uid(S, T)) {
    xid
    Team.hasRole { xid }
    Team.hasBinding { Binding.role { xid } Binding.onResource { xid } }
    Team.hasWideBinding { Binding.role { xid } Binding.onType }
  }
}";
/// Connecting is no query's cost.
const WARM_UP: Duration = Duration::from_secs(1);
/// A median of fewer is none.
const FEWEST: u64 = 50;

/// The p50 of a cold check ÷ that of one raw query.
pub(super) async fn raw(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let shape = bed.sizes.graph.clone();
    bed.graph(&shape, 1).await?;
    let graph = GraphDb::dgraph(&bed.place().await?.config.dgraph.options())?;
    // The walk takes as many users as there are resources; these are behind them.
    let mut users = (shape.resources..shape.users).cycle();
    let runs = in_turns(bed, until, async |bed, _| {
        // What an edge has seen is not cold any more.
        let edge = bed.edge(&[]).await?;
        let raw = queries(bed, &graph, &shape, &mut users).await?;
        let cold = walk(bed, &edge.side(None)?, &shape).await?;
        edge.stop().await?;
        Ok(json!({
            "value": cold.latency.p50_ms / raw.p50_ms,
            "cold_p50_ms": cold.latency.p50_ms, "raw_p50_ms": raw.p50_ms,
            "cold_p99_ms": cold.latency.p99_ms, "raw_p99_ms": raw.p99_ms,
            "checks": cold.checks, "queries": raw.count,
        }))
    })
    .await?;
    Ok(Figure::median("authz.cold_ratio", runs).into_iter().collect())
}

/// The p50 of a cold check with deeply nested teams ÷ without.
pub(super) async fn depth(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let [shallow, deep] = bed.sizes.depths.clone();
    bed.graph(&shallow, 1).await?;
    bed.graph(&deep, 1).await?;
    let runs = in_turns(bed, until, async |bed, _| {
        let edge = bed.edge(&[]).await?;
        let side = edge.side(None)?;
        let flat = walk(bed, &side, &shallow).await?;
        let nested = walk(bed, &side, &deep).await?;
        edge.stop().await?;
        Ok(json!({
            "value": nested.latency.p50_ms / flat.latency.p50_ms,
            "nested_p50_ms": nested.latency.p50_ms, "flat_p50_ms": flat.latency.p50_ms,
            "depths": [deep.depth, shallow.depth], "checks": nested.checks.min(flat.checks),
        }))
    })
    .await?;
    Ok(Figure::median("authz.cold_depth_ratio", runs).into_iter().collect())
}

/// Cold checks, one at a time.
async fn walk(bed: &Bed, side: &Side, shape: &Shape) -> anyhow::Result<Measured> {
    let space = bed.space(shape, Keys::Cold, 1, 1);
    let span = bed.sizes.cold_span;
    let plan = Plan { connections: 1, warm_up: WARM_UP, span, ..bed.plan(side) };
    let measured = bed.check(side, &space, &plan).await?;
    ensure!(measured.checks >= FEWEST, "only {} cold checks", measured.checks);
    Ok(measured)
}

/// Raw queries, one at a time, as the edge sends its own.
async fn queries(
    bed: &Bed,
    graph: &GraphDb,
    shape: &Shape,
    users: &mut std::iter::Cycle<Range<u32>>,
) -> anyhow::Result<Latency> {
    let tenant = TenantId::parse(&shape.tenant(0))?;
    let mut query = async || {
        let id = format!("u-{}", users.next().unwrap_or(0));
        let key = Key::subject(&tenant, SubjectType::User, &id);
        let begun = Instant::now();
        let answer = graph.query(Mode::BestEffort, CLOSURE, &[("$s", key.as_str())]).await?;
        // An unknown user's answer is an empty list.
        ensure!(answer.len() > 32, "the graph does not know {id}");
        anyhow::Ok(begun.elapsed())
    };
    let warm = Instant::now() + WARM_UP;
    while Instant::now() < warm {
        query().await?;
    }
    let (mut recorder, until) = (Recorder::default(), Instant::now() + bed.sizes.cold_span);
    while Instant::now() < until {
        bed.stop.check()?;
        recorder.record(query().await?);
    }
    ensure!(recorder.count() >= FEWEST, "only {} raw queries", recorder.count());
    Ok(recorder.summary())
}
