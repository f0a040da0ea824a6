//! `steady`: a rate for a while; how long after its publication is a record stored?

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::ensure;
use serde::Serialize;

use super::Stage;
use super::readers::{ReadLoad, Readers};
use crate::latency::Latency;
use crate::run::Run;
use crate::watch::{Timeline, Watch};

/// The first seconds are not measured: what gathers while the group is joined has to be worked off, and
/// a broker that was not written to for a while is slow at first.
const WARM_UP: f64 = 10.0;

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Records a second that were asked for.
    pub rate: f64,
    /// Records a second that Kafka acknowledged.
    pub produced_per_second: f64,
    /// Rows a second that were stored meanwhile.
    pub stored_per_second: f64,
    /// From a record's timestamp in Kafka to its being stored.
    pub lag: Latency,
    /// CPU of ingest a row, in µs.
    pub cpu_per_row_us: f64,
    /// Its largest resident memory, in MiB.
    pub peak_rss_mib: f64,
    /// Range reads beside it, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reads: Option<ReadLoad>,
    /// What was seen meanwhile.
    #[serde(skip)]
    pub timeline: Timeline,
}

/// Publishes the run at `rate` while `ingest` runs. Topics and keyspace are created if missing.
///
/// # Errors
/// When a record is not produced or not settled in time.
pub async fn measure(
    stage: &Stage,
    run: &Run,
    rate: f64,
    readers: Option<Readers>,
) -> anyhow::Result<Measured> {
    ensure!(
        run.events as f64 > rate * WARM_UP,
        "{} records at {rate} a second last no longer than the warm-up of {WARM_UP} s",
        run.events
    );
    stage.engines.apply_topics(&run.names).await?;
    stage.engines.apply_schema(&run.names).await?;
    let mut ingest = stage.ingest(&run.names).await?;
    let reading = match readers {
        Some(readers) => Some(readers.start(ingest.http, run)?),
        None => None,
    };
    let failed = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn({
        let (stage, run, failed) = (stage.clone(), run.clone(), Arc::clone(&failed));
        async move {
            let produced = stage.publish(&run, Some(rate)).await;
            failed.store(produced.is_err(), Ordering::Relaxed);
            produced
        }
    });
    let mut watch = Watch::new(&mut ingest)?;
    let settled = |records| records >= run.events || failed.load(Ordering::Relaxed);
    watch.until(&stage.stop, |sample| settled(sample.reading.settled())).await?;
    let timeline = watch.timeline;
    let produced = producing.await??;
    let reads = match reading {
        Some(reading) => Some(reading.finish().await?),
        None => None,
    };
    ingest.stop().await?;
    Ok(summary(timeline, rate, produced.per_second, reads))
}

fn summary(timeline: Timeline, rate: f64, produced: f64, reads: Option<ReadLoad>) -> Measured {
    let begun = timeline.samples.iter().find(|sample| sample.reading.stored > 0);
    let from = begun.map_or(0.0, |sample| sample.at) + WARM_UP;
    let to = timeline.samples.last().map_or(0.0, |sample| sample.at);
    let stretch = timeline.between(from, to).unwrap_or_default();
    Measured {
        rate,
        produced_per_second: produced,
        stored_per_second: stretch.rows_per_second,
        lag: timeline.buckets(from, to, |reading| &reading.lag).summary(),
        cpu_per_row_us: stretch.cpu_per_row_us,
        peak_rss_mib: timeline.peak_mib(),
        reads,
        timeline,
    }
}
