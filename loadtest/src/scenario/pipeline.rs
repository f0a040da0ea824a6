//! `pipeline`: the real `ingest` on a full backlog, from its first stored row to its last.

use serde::Serialize;

use super::Stage;
use crate::latency::Latency;
use crate::progress;
use crate::run::Run;
use crate::watch::{Stretch, Timeline, Watch};

/// Rows written before anything is measured: a JVM is slow at first.
pub const WARM_UP: u64 = 2_000_000;

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// From the first stored row to the last.
    #[serde(flatten)]
    pub stretch: Stretch,
    /// CPU of the process a row from its start, in µs.
    pub cpu_total_per_row_us: f64,
    /// Its largest resident memory, in MiB.
    pub peak_rss_mib: f64,
    /// Time of a batch write.
    pub write: Latency,
    /// Rows in a batch, median.
    pub batch_rows: f64,
    /// Writes tried again.
    pub retries: u64,
    /// Records dead-lettered.
    pub dead_lettered: u64,
    /// What was seen meanwhile.
    #[serde(skip)]
    pub timeline: Timeline,
}

/// Runs `ingest` on the run's backlog until `records` are settled, and stops it. The topics are there
/// and full; the keyspace is created if it is missing.
///
/// # Errors
/// When it does not get so far, or does not end with exit code 0.
pub async fn measure(stage: &Stage, run: &Run, records: u64) -> anyhow::Result<Measured> {
    stage.engines.apply_schema(&run.names).await?;
    let mut ingest = stage.ingest(&run.names).await?;
    let bar = progress::bar("settled", records);
    let mut watch = Watch::new(&mut ingest)?;
    watch
        .until(&stage.stop, |sample| {
            let settled = sample.reading.settled();
            bar.set_position(settled);
            settled >= records
        })
        .await?;
    bar.finish_and_clear();
    let timeline = watch.timeline;
    ingest.stop().await?;
    Ok(summary(timeline, records))
}

/// Stores the events of `run`, which nothing was made for yet, and forgets them: what is measured next finds engines that
/// are warm. [`WARM_UP`] of them are enough.
///
/// # Errors
/// As [`measure`].
pub async fn warm_up(stage: &Stage, run: &Run) -> anyhow::Result<()> {
    progress::say("warming up");
    stage.backlog(run).await?;
    measure(stage, run, run.events).await?;
    stage.clean(&run.names).await
}

/// The figures of a timeline that reached `records` settled ones.
#[must_use]
pub fn summary(timeline: Timeline, records: u64) -> Measured {
    let stretch = timeline.stretch(records).unwrap_or_default();
    let last = timeline.samples.last();
    let reading = last.map(|sample| sample.reading.clone()).unwrap_or_default();
    let cpu = last.map_or(0.0, |sample| sample.cpu.as_secs_f64() * 1e6);
    Measured {
        stretch,
        cpu_total_per_row_us: cpu / reading.stored.max(1) as f64,
        peak_rss_mib: timeline.peak_mib(),
        write: reading.write.summary(),
        batch_rows: reading.batch_rows.quantile(0.5).unwrap_or(0.0),
        retries: reading.retries,
        dead_lettered: reading.dead_lettered,
        timeline,
    }
}
