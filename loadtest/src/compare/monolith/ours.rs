//! `ingest` and Cassandra at the same numbers of rows: the rate of a backlog, and first pages over HTTP.

use anyhow::ensure;

use super::{Level, WINDOWS};
use crate::cli::CompareArgs;
use crate::compare::state;
use crate::deploy::Local;
use crate::latency::median;
use crate::progress::say;
use crate::run::Run;
use crate::scenario::ceiling::drive;
use crate::scenario::stored::{self, Plan};
use crate::scenario::{Stage, pipeline};
use crate::stop::Stop;

/// Measures at each of `levels`, on engines of its own.
///
/// # Errors
/// When an engine or `ingest` fails, or the time is up.
pub(super) async fn levels(
    args: &CompareArgs,
    levels: &[u64],
    stop: &Stop,
) -> anyhow::Result<Vec<Level>> {
    let mut local = Local::new(state("ours"));
    local.start("kafka,cassandra", &[]).await?;
    let engines = local.engines().await?;
    let state = Some(local.state().to_owned());
    let stage = Stage { engines, launch: args.ingest.launch(), state, stop: stop.clone() };
    let warm = Run::recent(&format!("m{}-warm", std::process::id()), pipeline::WARM_UP);
    Box::pin(pipeline::warm_up(&stage, &warm)).await?;
    let plan = Plan { rows: 0, window: args.window, windows: WINDOWS, probes: args.probes };
    let run = Run::recent(&format!("m{}", std::process::id()), 1);
    let db = stage.engines.apply_schema(&run.names).await?;
    stage.engines.apply_topics(&run.names).await?;
    let driver = drive(&stage.engines, &run.names, &db, 64).await?;
    let (mut stored, mut measured) = (0, Vec::new());
    for (step, level) in levels.iter().enumerate() {
        let missing = level.saturating_sub(stored);
        let mut about = None;
        if missing > 0 {
            let part = stored::spread(&run, step as u64, missing);
            stored::load(&stage, &driver, &part).await?;
            stored += missing;
            about = Some(part);
        }
        // One window more than is counted: the last one ends in a tail of small batches.
        let backlog = Run::recent(&format!("{}-w{step}", run.id), args.window * (WINDOWS + 1));
        let backlog = Run { names: run.names.clone(), ..backlog };
        let (ingest, windows) = Box::pin(stored::windows(&stage, &backlog, plan)).await?;
        stored += backlog.events;
        let about = about.as_ref().unwrap_or(&backlog);
        let pages = stored::level(&stage, &ingest, about, stored, plan).await?.pages;
        ingest.stop().await?;
        let rate = median(windows.iter().map(|window| window.rows_per_second).collect());
        say(&format!("Triad, {level} rows: {rate:.0} rows/s"));
        ensure!(pages.events > 0, "no page held an event");
        let pages = pages.latency;
        measured.push(Level { rows: *level, stored, rows_per_second: rate, pages });
    }
    drop((driver, db));
    local.reset().await?;
    Ok(measured)
}
