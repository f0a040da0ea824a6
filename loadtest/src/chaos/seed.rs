//! One seed: work, the faults of its plan meanwhile, and whether everything agrees afterwards.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use super::fault::Fault;
use super::inflict::{inflict, tell};
use super::plan::Plan;
use crate::report::Chart;
use crate::trio::stage::Stage;
use crate::trio::watch::Watch;
use crate::trio::work::{Rates, Violation, Work};

/// What came of a seed.
#[derive(Debug, Serialize)]
pub struct Told {
    /// Which.
    pub seed: u64,
    /// What was done, but for `left_out`.
    pub plan: Plan,
    /// Faults that there was no time for, because what they were to be done to was not back from an earlier one, and cuts
    /// where nothing can be cut.
    pub left_out: Vec<Fault>,
    /// How much was asked for.
    pub rates: Rates,
    /// What was wrong; nothing, if all is well.
    pub violations: Vec<Violation>,
    /// How much was verified, by what.
    pub verified: BTreeMap<&'static str, u64>,
    /// What was done and what failed meanwhile, by workload.
    pub totals: Value,
    /// The same, by window.
    pub windows: Value,
    /// From the first request to the verdict.
    pub seconds: f64,
    /// Where the logs are, if they were kept.
    pub logs: Option<PathBuf>,
    /// Drawings.
    #[serde(skip)]
    pub charts: Vec<Chart>,
}

/// Does a plan to a stage that is healthy, and leaves it healed.
///
/// # Errors
/// What kept it from being done. What the trio did wrong is no error.
pub async fn run(stage: &Stage, plan: Plan, rates: Rates) -> anyhow::Result<Told> {
    stage.forget_logs().await?;
    let work = Box::pin(Work::begin(stage.site(), plan.seed, rates)).await;
    let work = work.context("beginning the work, on a healthy trio")?;
    let begun = Instant::now();
    let mut watch = Watch::new(begun);
    let left_out = watch.during(stage, &work, Box::pin(inflict(stage, &plan, begun))).await?;
    tell(begun, "healing");
    for late in watch.during(stage, &work, Box::pin(stage.heal())).await? {
        watch.add("ready", format!("after all was put right: {late}"));
    }
    tell(begun, "verifying");
    let verified = watch.verify(work).await;
    tell(begun, "draining");
    for gave_up in stage.drain().await? {
        watch.add("process", format!("with nothing done to anybody, {gave_up}"));
    }
    for late in stage.heal().await? {
        watch.add("ready", format!("after a drain: {late}"));
    }
    // Last: what is noted until here is this seed's.
    for panic in stage.panics().await? {
        watch.add("panic", panic);
    }
    watch.look(stage)?;
    let seed = plan.seed;
    let (timeline, violations) = watch.end();
    Ok(Told {
        seed,
        plan,
        left_out,
        rates,
        violations,
        verified,
        totals: timeline.totals(),
        windows: timeline.told(),
        seconds: begun.elapsed().as_secs_f64(),
        logs: None,
        charts: timeline.charts(&format!("Seed {seed}: ")),
    })
}

/// Keeps the logs of a seed, with its plan, in a folder.
///
/// # Errors
/// When they cannot be copied.
pub fn keep(stage: &Stage, plan: &Plan, folder: &Path) -> anyhow::Result<()> {
    stage.keep_logs(folder)?;
    let text = format!("{}\n", serde_json::to_string_pretty(plan)?);
    Ok(std::fs::write(folder.join("plan.json"), text)?)
}
