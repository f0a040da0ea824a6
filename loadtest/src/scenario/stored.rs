//! `stored`: what many stored rows change, for writes and for first pages.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde::Serialize;

use super::Stage;
use super::ceiling::{Shape, drive, prepare};
use super::readers::{ReadLoad, probe};
use crate::ceiling::{Drive, write};
use crate::child::Service;
use crate::deploy;
use crate::latency::median;
use crate::progress::{bar, say};
use crate::run::{Run, TICKS_PER_SECOND};
use crate::system::settle;
use crate::watch::{Stretch, Watch};

/// Rows are loaded and first pages measured in so many steps.
const STEPS: u64 = 4;
/// Rows that are prepared at once while others are written.
const CHUNK: u64 = 250_000;
/// Compaction is waited for, at most.
const SETTLE: Duration = Duration::from_secs(60);
/// The loaded events spread over so many days before the run.
const DAYS: u64 = 7;

/// How much.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rows to store.
    pub rows: u64,
    /// Rows in one window of throughput.
    pub window: u64,
    /// Windows before, and after.
    pub windows: u64,
    /// First pages at each level.
    pub probes: u64,
}

/// First pages at one level.
#[derive(Debug, Clone, Serialize)]
pub struct Level {
    /// Rows stored, in all.
    pub rows: u64,
    /// First pages of a day's range.
    pub pages: ReadLoad,
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Rows a second of the pipeline from an empty table on, by window.
    pub empty: Vec<f64>,
    /// The same once all rows are stored.
    pub full: Vec<f64>,
    /// Median of the latter over the median of the former.
    pub ratio: f64,
    /// First pages by level.
    pub levels: Vec<Level>,
    /// Rows a second of the driver while it loaded.
    pub load_rows_per_second: f64,
}

/// Measures with two backlogs of the run's shape, `run.events` each, and `plan.rows` loaded between
/// them by the driver.
///
/// # Errors
/// When an engine refuses or does not answer, or the time is up.
pub async fn measure(stage: &Stage, run: &Run, plan: Plan) -> anyhow::Result<Measured> {
    let db = stage.engines.apply_schema(&run.names).await?;
    stage.engines.apply_topics(&run.names).await?;
    let driver = drive(&stage.engines, &run.names, &db, 64).await?;
    // One window more than is asked for: the last one ends in a tail of small batches.
    let backlog = Run { events: plan.window * (plan.windows + 1), ..run.clone() };
    let (ingest, empty) = windows(stage, &backlog, plan).await?;
    let mut levels = vec![level(stage, &ingest, &backlog, backlog.events, plan).await?];
    let (mut stored, mut seconds) = (0, 0.0);
    for step in 0..STEPS {
        let part = spread(run, step, plan.rows / STEPS);
        seconds += load(stage, &driver, &part).await?;
        stored += part.events;
        // A quarter, a half and all of the rows.
        if step != 2 {
            levels.push(level(stage, &ingest, &part, stored + backlog.events, plan).await?);
        }
    }
    ingest.stop().await?;
    let again = Run { id: format!("{}-full", run.id), ..backlog };
    let (ingest, full) = windows(stage, &again, plan).await?;
    ingest.stop().await?;
    let rates =
        |stretches: &[Stretch]| stretches.iter().map(|s| s.rows_per_second).collect::<Vec<_>>();
    let (empty, full) = (rates(&empty), rates(&full));
    let ratio = median(full.clone()) / median(empty.clone());
    Ok(Measured { empty, full, ratio, levels, load_rows_per_second: stored as f64 / seconds })
}

/// Part `step` of the loaded rows: each part spans all days, so that every level fills all of them.
pub(crate) fn spread(run: &Run, step: u64, events: u64) -> Run {
    let span = DAYS * 86_400 * TICKS_PER_SECOND;
    Run {
        id: format!("{}-{step}", run.id),
        events,
        base: run.base.saturating_sub(span),
        step: span / events.max(1),
        poison_every: 0,
        oversized_every: 0,
        ..run.clone()
    }
}

/// Publishes the run, lets a new `ingest` store it, and cuts that into windows. Nothing else runs
/// meanwhile; `ingest` goes on.
pub(crate) async fn windows(
    stage: &Stage,
    run: &Run,
    plan: Plan,
) -> anyhow::Result<(Service, Vec<Stretch>)> {
    stage.publish(run, None).await?;
    let mut ingest = stage.ingest(&run.names).await?;
    let mut watch = Watch::new(&mut ingest)?;
    watch.until_settled(&stage.stop, "settled", run.events).await?;
    let windows = watch.timeline.windows(plan.window, plan.windows);
    Ok((ingest, windows))
}

pub(crate) async fn load(stage: &Stage, driver: &Drive, run: &Run) -> anyhow::Result<f64> {
    let bar = bar("loaded", run.events);
    let (written, mut seconds) = (Arc::new(AtomicU64::new(0)), 0.0);
    let chunks = run.events.div_ceil(CHUNK);
    let shape = Shape { batch: 64, in_flight: 64 };
    for chunk in 0..chunks {
        let events = CHUNK.min(run.events - chunk * CHUNK);
        // A chunk is a run of its own, over all days, and with ids of its own.
        let part = Run {
            id: format!("{}-{chunk}", run.id),
            events,
            base: run.base + chunk * run.step,
            step: run.step * chunks,
            ..run.clone()
        };
        let rows = prepare(&stage.engines, &part, &driver.db, shape.batch, &stage.stop).await?;
        seconds += write(driver, &rows, &stage.stop, &written).await?.seconds;
        bar.inc(events);
    }
    bar.finish_and_clear();
    Ok(seconds)
}

pub(crate) async fn level(
    stage: &Stage,
    ingest: &Service,
    run: &Run,
    rows: u64,
    plan: Plan,
) -> anyhow::Result<Level> {
    if let Some(pid) = stage.state.as_deref().and_then(|state| deploy::pid(state, "cassandra-1")) {
        settle(pid, SETTLE).await;
    }
    let pages = probe(ingest.http, run, plan.probes).await?;
    say(&format!("{rows} rows: first page p99 {:.1} ms", pages.latency.p99_ms));
    Ok(Level { rows, pages })
}
