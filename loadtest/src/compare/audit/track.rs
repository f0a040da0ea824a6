//! How a drain went on, and its steady middle.

use std::time::Duration;

use anyhow::Context;

use crate::watch::Timeline;

/// What was seen at one instant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// Seconds since some beginning.
    pub(super) at: f64,
    /// Rows stored so far.
    pub(super) rows: u64,
    /// CPU time of the process so far.
    pub(super) cpu: Duration,
}

/// All of it, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Track {
    pub(super) points: Vec<Point>,
    /// The largest resident memory.
    pub(super) peak_mib: f64,
}

/// From a tenth of the rows to nine tenths: joining the group, connecting and the last small batches are
/// outside of it, on both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Middle {
    pub(super) rows_per_second: f64,
    pub(super) cpu_per_row_us: f64,
}

impl Track {
    /// That of a watched `ingest`.
    pub(super) fn of(timeline: &Timeline) -> Self {
        let points = timeline.samples.iter().map(|sample| Point {
            at: sample.at,
            rows: sample.reading.stored,
            cpu: sample.cpu,
        });
        Self { points: points.collect(), peak_mib: timeline.peak_mib() }
    }

    /// The middle of a drain of so many rows.
    ///
    /// # Errors
    /// When it was over between two looks.
    pub(super) fn middle(&self, rows: u64) -> anyhow::Result<Middle> {
        let reached =
            |tenths: u64| self.points.iter().find(|point| point.rows >= rows * tenths / 10);
        let (first, last) = reached(1).zip(reached(9)).context("it did not come so far")?;
        let (stored, seconds) = (last.rows - first.rows, last.at - first.at);
        anyhow::ensure!(stored > 0 && seconds > 0.0, "over between two looks: more --events");
        let cpu = last.cpu.saturating_sub(first.cpu).as_secs_f64();
        Ok(Middle {
            rows_per_second: stored as f64 / seconds,
            cpu_per_row_us: cpu * 1e6 / stored as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginning_and_end_do_not_count() {
        let seen = [(0.0, 0, 0), (5.0, 100, 50), (6.0, 500, 52), (7.0, 900, 54), (20.0, 1000, 300)];
        let point = |(at, rows, ms)| Point { at, rows, cpu: Duration::from_millis(ms) };
        let track = Track { points: seen.map(point).to_vec(), peak_mib: 0.0 };
        let middle = track.middle(1000).unwrap();
        assert_eq!(middle.rows_per_second, 400.0);
        assert!((middle.cpu_per_row_us - 5.0).abs() < 1e-9, "{middle:?}");
        assert!(track.middle(10_000).is_err(), "it never came so far");
        assert!(track.middle(100).is_err(), "over between two looks");
    }
}
