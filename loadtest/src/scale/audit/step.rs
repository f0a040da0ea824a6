//! One step: a day's events published, stored by an `ingest` of its own, and looked at.

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use super::super::output::disk_bytes;
use super::cassandra::{Look, look, until_compacted};
use super::pages::{self, Pages};
use super::plan::Plan;
use crate::latency::median;
use crate::scale::sizes::Sizes;
use crate::scenario::{Stage, pipeline};
use crate::watch::{Timeline, Watch};

/// Compaction is waited for before pages are asked for and files are counted, at most.
pub(super) const SETTLE: Duration = Duration::from_secs(900);

/// What a step showed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Step {
    /// Rows stored so far, with those of this step.
    pub(super) rows: u64,
    /// Rows a second: the median of its seconds.
    pub(super) rate: f64,
    /// Of its slowest and fastest tenth of seconds.
    pub(super) slow_rate: f64,
    pub(super) fast_rate: f64,
    /// From its first row to its last.
    pub(super) pipeline: pipeline::Measured,
    /// Published, records a second.
    pub(super) published_per_second: f64,
    /// Bytes of an event as it was published.
    pub(super) event_bytes: f64,
    pub(super) pages: Pages,
    /// Of this day's partitions; bytes are those of the events.
    pub(super) partitions: Sizes,
    /// What Cassandra said when the last row was stored, and before pages were asked for.
    pub(super) after_writes: Look,
    pub(super) settled: Look,
    /// All that the keyspace takes on the disk.
    pub(super) disk_bytes: u64,
    pub(super) disk_bytes_a_row: f64,
}

impl Step {
    /// For people.
    pub(super) fn line(&self) -> String {
        format!(
            "{} rows: {:.0} rows/s, first page p99 {:.1} ms, by cursor {:.1} ms, one actor {:.1} ms; {:.0} bytes a row, partitions up to {} rows",
            self.rows,
            self.rate,
            self.pages.first.latency.p99_ms,
            self.pages.within.p99_ms,
            self.pages.actor.p99_ms,
            self.disk_bytes_a_row,
            self.partitions.max_rows
        )
    }
}

/// Step `number`, on `stored` rows. Its topic is deleted in the end.
pub(super) async fn measure(
    stage: &Stage,
    plan: &Plan,
    number: u64,
    stored: u64,
    probes: u64,
) -> anyhow::Result<Step> {
    let run = plan.step(number);
    let db = plan.keyspace(stage).await?;
    let produced = stage.backlog(&run).await?;
    let mut ingest = stage.ingest(&run.names).await?;
    let mut watch = Watch::new(&mut ingest)?;
    watch.until_settled(&stage.stop, "stored", run.events).await?;
    let timeline = watch.timeline;
    let after_writes = look(&db).await?;
    let settled = until_compacted(&db, SETTLE, &stage.stop).await?;
    let pages = pages::measure(ingest.http, &run, probes).await?;
    ingest.stop().await?;
    stage.engines.drop_topics(&run.names).await?;
    let seconds = seconds(&timeline);
    let pipeline = pipeline::summary(timeline, run.events);
    let found = pipeline.stretch.rows;
    ensure!(pipeline.dead_lettered == 0, "{} records are dead letters", pipeline.dead_lettered);
    ensure!(!seconds.is_empty(), "{found} rows within a second: the step is too small");
    let rows = stored + run.events;
    let event_bytes = produced.bytes as f64 / produced.records as f64;
    let disk_bytes = stage
        .state
        .as_deref()
        .map_or(0, |state| disk_bytes(&state.join("cassandra-1/data").join(&run.names.keyspace)));
    Ok(Step {
        rows,
        rate: median(seconds.clone()),
        slow_rate: tenth(&seconds, 1),
        fast_rate: tenth(&seconds, 9),
        pipeline,
        published_per_second: produced.per_second,
        event_bytes,
        pages,
        partitions: plan.partitions(&run, event_bytes)?,
        after_writes,
        settled,
        disk_bytes,
        disk_bytes_a_row: disk_bytes as f64 / rows as f64,
    })
}

/// Rows a second of each second from the first stored row on; the last, which is none, is left out.
fn seconds(timeline: &Timeline) -> Vec<f64> {
    let mut from = None;
    let mut rates = Vec::new();
    for sample in timeline.samples.iter().filter(|sample| sample.reading.stored > 0) {
        let (at, stored) = (sample.at, sample.reading.stored);
        let (then, before) = *from.get_or_insert((at, stored));
        if at - then >= 1.0 {
            rates.push((stored - before) as f64 / (at - then));
            from = Some((at, stored));
        }
    }
    rates
}

/// The value that so many tenths are below or at.
fn tenth(values: &[f64], tenths: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() * tenths / 10).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scrape::Reading;
    use crate::system::Memory;
    use crate::watch::Sample;

    #[test]
    fn rates_are_those_of_whole_seconds() {
        let sample = |(at, stored): (f64, u64)| Sample {
            at,
            reading: Reading { stored, ..Reading::default() },
            cpu: Duration::ZERO,
            memory: Memory::default(),
        };
        let samples = [(0.0, 0), (0.5, 10), (1.0, 60), (1.5, 110), (2.5, 310), (3.0, 330)];
        let timeline = Timeline { samples: samples.map(sample).to_vec() };
        assert_eq!(seconds(&timeline), [100.0, 200.0]);
        assert_eq!(tenth(&[5.0, 1.0, 3.0], 9), 5.0);
        assert_eq!(tenth(&[5.0, 1.0, 3.0], 1), 1.0);
    }
}
