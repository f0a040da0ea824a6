//! `stall`: Cassandra stops answering in the middle of a backlog; what does `ingest` hold meanwhile?

use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use super::{Stage, pipeline};
use crate::deploy::Paused;
use crate::progress::{bar, say};
use crate::run::Run;
use crate::watch::Watch;

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// How long Cassandra was stopped.
    pub stalled_seconds: f64,
    /// Resident memory before the stall, in MiB.
    pub rss_before_mib: f64,
    /// The whole run.
    #[serde(flatten)]
    pub pipeline: pipeline::Measured,
}

/// Runs `ingest` on the run's backlog and stops Cassandra for `stall` once half of it is settled.
///
/// # Errors
/// When the engines' script does not know the process, or the backlog is not settled in time.
pub async fn measure(stage: &Stage, run: &Run, stall: Duration) -> anyhow::Result<Measured> {
    let state =
        stage.state.as_deref().context("stall needs the engines' state folder (TRIAD_STATE)")?;
    stage.engines.apply_schema(&run.names).await?;
    let mut ingest = stage.ingest(&run.names).await?;
    let bar = bar("settled", run.events);
    let mut watch = Watch::new(&mut ingest)?;
    let settled = |goal: u64| {
        let bar = bar.clone();
        move |sample: &crate::watch::Sample| {
            bar.set_position(sample.reading.settled());
            sample.reading.settled() >= goal
        }
    };
    watch.until(&stage.stop, settled(run.events / 2)).await?;
    let before = watch.timeline.samples.last().map_or(0, |sample| sample.memory.rss_kib);
    let begun = watch.elapsed();
    say(&format!("Cassandra is stopped for {} s", stall.as_secs()));
    let paused = Paused::stop(state, "cassandra").await?;
    watch.until(&stage.stop, |sample| sample.at - begun >= stall.as_secs_f64()).await?;
    paused.resume().await?;
    let stalled_seconds = watch.elapsed() - begun;
    watch.until(&stage.stop, settled(run.events)).await?;
    bar.finish_and_clear();
    let timeline = watch.timeline;
    ingest.stop().await?;
    let pipeline = pipeline::summary(timeline, run.events);
    Ok(Measured { stalled_seconds, rss_before_mib: before as f64 / 1024.0, pipeline })
}
