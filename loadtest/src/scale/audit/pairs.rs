//! In turns: the same events into the fullest table and into an empty one. What drifts on the machine drifts for
//! both.

use std::time::Duration;

use anyhow::ensure;
use ingest::sink::session::Cassandra;
use serde_json::{Value, json};

use super::cassandra::until_compacted;
use super::plan::Plan;
use super::step::SETTLE;
use crate::bench::turns::{alternately, in_turns};
use crate::cli::AuditScaleArgs;
use crate::deploy;
use crate::run::Run;
use crate::scenario::{Stage, pipeline};
use crate::system::settle;

/// What one side left to do is waited for, at most.
const QUIET: Duration = Duration::from_secs(15);

/// As many pairs as are asked for, or as there is time for.
pub(super) async fn measure(
    args: &AuditScaleArgs,
    stage: &Stage,
    plan: &Plan,
) -> anyhow::Result<Vec<Value>> {
    let (deadline, full) = (stage.stop.deadline(), plan.keyspace(stage).await?);
    in_turns(args.pairs, &stage.stop, deadline, async |turn| {
        let run = plan.pair(turn, args.pair_events);
        let replayed = run.replayed_as(&format!("{}-e", run.id));
        stage.backlog(&run).await?;
        let (into_full, into_empty) = Box::pin(alternately(
            turn,
            side(stage, &full, &run),
            fresh(stage, plan, &full, &replayed),
        ))
        .await?;
        for run in [&run, &replayed] {
            stage.engines.drop_topics(&run.names).await?;
        }
        ensure!(into_empty > 0.0, "nothing was stored");
        let value = into_full / into_empty;
        Ok(json!({ "value": value, "full": into_full, "empty": into_empty, "events": run.events }))
    })
    .await
}

/// Rows a second into a keyspace that nothing is in, and which is gone afterwards.
async fn fresh(stage: &Stage, plan: &Plan, full: &Cassandra, run: &Run) -> anyhow::Result<f64> {
    let db = stage.engines.apply_schema(&run.names).await?;
    plan.prepare(stage, &db).await?;
    let rate = side(stage, full, run).await;
    stage.engines.drop_keyspace(&run.names).await?;
    rate
}

/// Rows a second, with nothing left to do of what was before: what either table left to flush and compact would slow the
/// other side.
async fn side(stage: &Stage, db: &Cassandra, run: &Run) -> anyhow::Result<f64> {
    let left = until_compacted(db, SETTLE, &stage.stop).await?;
    ensure!(left.is_quiet(), "compaction does not end within {SETTLE:?}: {left:?}");
    let cassandra = stage.state.as_deref().and_then(|state| deploy::pid(state, "cassandra-1"));
    if let Some(pid) = cassandra {
        settle(pid, QUIET).await;
    }
    let measured = Box::pin(pipeline::measure(stage, run, run.events)).await?;
    Ok(measured.stretch.rows_per_second)
}
