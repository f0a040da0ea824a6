//! Watching an `ingest` while it works: readings over time, and what they say.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::child::Service;
use crate::latency::Buckets;
use crate::progress::bar;
use crate::scrape::{self, Reading};
use crate::stop::Stop;
use crate::system::{self, Memory};

/// Between two readings. A reading costs ingest well below a millisecond.
const INTERVAL: Duration = Duration::from_millis(100);

/// What was seen at one instant.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Seconds since the watch began.
    pub at: f64,
    /// The metrics.
    pub reading: Reading,
    /// CPU time of the process so far.
    pub cpu: Duration,
    /// Its memory.
    pub memory: Memory,
}

/// Samples, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// The samples.
    pub samples: Vec<Sample>,
}

/// A stretch between two samples.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Stretch {
    /// Rows stored within it.
    pub rows: u64,
    /// Its length.
    pub seconds: f64,
    /// Rows a second.
    pub rows_per_second: f64,
    /// CPU of the process a row, in µs.
    pub cpu_per_row_us: f64,
}

/// Takes samples of a process.
pub struct Watch<'a> {
    ingest: &'a mut Service,
    client: reqwest::Client,
    begun: Instant,
    /// What was seen so far.
    pub timeline: Timeline,
}

impl<'a> Watch<'a> {
    /// Begins now.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(ingest: &'a mut Service) -> anyhow::Result<Self> {
        let client = scrape::client(Duration::from_secs(5))?;
        Ok(Self { ingest, client, begun: Instant::now(), timeline: Timeline::default() })
    }

    /// Seconds since it began.
    #[must_use]
    pub fn elapsed(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// Takes samples until one satisfies `done`.
    ///
    /// # Errors
    /// When the process ends or does not answer, or `stop` says so.
    pub async fn until(
        &mut self,
        stop: &Stop,
        mut done: impl FnMut(&Sample) -> bool,
    ) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            stop.check()?;
            let sample = self.sample().await?;
            let done = done(&sample);
            self.timeline.samples.push(sample);
            if done {
                return Ok(());
            }
        }
    }

    /// Takes samples until so many rows are settled, under a bar with that name.
    ///
    /// # Errors
    /// As [`Watch::until`].
    pub(crate) async fn until_settled(
        &mut self,
        stop: &Stop,
        what: &'static str,
        rows: u64,
    ) -> anyhow::Result<()> {
        let bar = bar(what, rows);
        self.until(stop, |sample| {
            bar.set_position(sample.reading.settled());
            sample.reading.settled() >= rows
        })
        .await?;
        bar.finish_and_clear();
        Ok(())
    }

    async fn sample(&mut self) -> anyhow::Result<Sample> {
        self.ingest.alive()?;
        let pid = self.ingest.pid();
        let reading = scrape::read(&self.client, self.ingest.admin).await?;
        Ok(Sample {
            at: self.elapsed(),
            reading,
            cpu: system::cpu_time(pid)?,
            memory: system::memory(pid)?,
        })
    }
}

impl Timeline {
    /// From the first sample with a stored row to the first with `rows` settled ones: what runs before
    /// (joining the group) and after is not the pipeline's speed. `None` when it never came so far.
    #[must_use]
    pub fn stretch(&self, rows: u64) -> Option<Stretch> {
        let first = self.samples.iter().find(|sample| sample.reading.stored > 0)?;
        let last = self.samples.iter().find(|sample| sample.reading.settled() >= rows)?;
        Some(between(first, last))
    }

    /// The stretch between two instants.
    #[must_use]
    pub fn between(&self, from: f64, to: f64) -> Option<Stretch> {
        Some(between(self.at(from)?, self.at(to)?))
    }

    /// The stretches in which each `rows` rows were stored, one after the other, `count` of them. The
    /// first begins with the first stored row.
    #[must_use]
    pub fn windows(&self, rows: u64, count: u64) -> Vec<Stretch> {
        let reached = |goal| self.samples.iter().find(|sample| sample.reading.stored >= goal);
        let Some(first) = reached(1) else { return Vec::new() };
        let start = first.reading.stored;
        let edges: Vec<_> = (0..=count).map_while(|n| reached(start + n * rows)).collect();
        edges.windows(2).map(|pair| between(pair[0], pair[1])).collect()
    }

    /// The largest resident memory, in MiB.
    #[must_use]
    pub fn peak_mib(&self) -> f64 {
        self.samples.iter().map(|sample| sample.memory.peak_kib).max().unwrap_or(0) as f64 / 1024.0
    }

    /// The difference of a histogram between two instants.
    #[must_use]
    pub fn buckets(&self, from: f64, to: f64, of: impl Fn(&Reading) -> &Buckets) -> Buckets {
        match (self.at(from), self.at(to)) {
            (Some(from), Some(to)) => of(&to.reading).since(of(&from.reading)),
            _ => Buckets::default(),
        }
    }

    /// The first sample at or after `at`, or the last one.
    fn at(&self, at: f64) -> Option<&Sample> {
        self.samples.iter().find(|sample| sample.at >= at).or(self.samples.last())
    }
}

fn between(from: &Sample, to: &Sample) -> Stretch {
    let rows = to.reading.stored.saturating_sub(from.reading.stored);
    let seconds = to.at - from.at;
    let cpu = to.cpu.saturating_sub(from.cpu).as_secs_f64();
    Stretch {
        rows,
        seconds,
        rows_per_second: if seconds > 0.0 { rows as f64 / seconds } else { 0.0 },
        cpu_per_row_us: if rows > 0 { cpu * 1e6 / rows as f64 } else { 0.0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: f64, stored: u64, dead_lettered: u64, cpu_ms: u64) -> Sample {
        let reading = Reading { stored, dead_lettered, ..Reading::default() };
        Sample { at, reading, cpu: Duration::from_millis(cpu_ms), memory: Memory::default() }
    }

    fn timeline() -> Timeline {
        let samples = vec![
            sample(0.0, 0, 0, 0),
            sample(1.0, 100, 0, 10),
            sample(2.0, 1100, 0, 15),
            sample(3.0, 2100, 5, 20),
            sample(4.0, 2100, 5, 21),
        ];
        Timeline { samples }
    }

    #[test]
    fn speed_counts_from_the_first_stored_row_to_the_last_settled_record() {
        let stretch = timeline().stretch(2105).unwrap();
        assert_eq!((stretch.rows, stretch.seconds, stretch.rows_per_second), (2000, 2.0, 1000.0));
        assert!((stretch.cpu_per_row_us - 5.0).abs() < 1e-9);
        assert!(timeline().stretch(2106).is_none());
    }

    #[test]
    fn windows_follow_each_other() {
        let windows = timeline().windows(1000, 7);
        assert_eq!(windows.iter().map(|w| w.rows).collect::<Vec<_>>(), [1000, 1000]);
        assert!(Timeline::default().windows(10, 7).is_empty());
    }
}
