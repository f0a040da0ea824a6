//! `read`: by how much do range reads slow writes? Windows without and with reads take turns within
//! one backlog, so that nothing else differs between them.

use serde::Serialize;

use super::Stage;
use super::readers::{ReadLoad, Readers};
use crate::latency::median;
use crate::run::Run;
use crate::watch::{Timeline, Watch};

/// At the beginning of a window what was under way before it still counts.
const SETTLING: f64 = 0.5;
/// Joining the group and opening connections are over after so many seconds.
const WARM_UP: f64 = 2.0;

/// One window with reads, and its neighbours.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Pair {
    /// Rows a second without reads, in the windows before and after.
    pub without: f64,
    /// Rows a second with reads.
    pub with: f64,
    /// `1 − with / without`.
    pub slowdown: f64,
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// The pairs, in order.
    pub pairs: Vec<Pair>,
    /// The median of their slowdowns.
    pub slowdown: f64,
    /// The reads.
    pub reads: ReadLoad,
    /// What was seen meanwhile.
    #[serde(skip)]
    pub timeline: Timeline,
}

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    /// Seconds of each window.
    pub seconds: f64,
    /// Windows with reads; there is one more without.
    pub pairs: usize,
}

/// Runs `ingest` on the run's backlog, which must last for all windows.
///
/// # Errors
/// When the backlog ends before the first pair does.
pub async fn measure(
    stage: &Stage,
    run: &Run,
    readers: Readers,
    windows: Windows,
) -> anyhow::Result<Measured> {
    stage.engines.apply_schema(&run.names).await?;
    let mut ingest = stage.ingest(&run.names).await?;
    let reading = readers.start(ingest.http, run)?;
    reading.open(false);
    let mut watch = Watch::new(&mut ingest)?;
    watch.until(&stage.stop, |sample| sample.reading.stored > 0).await?;
    let warm = watch.elapsed() + WARM_UP;
    watch.until(&stage.stop, |sample| sample.at >= warm).await?;
    let mut edges = Vec::new();
    for window in 0..=2 * windows.pairs {
        reading.open(window % 2 == 1);
        let from = watch.elapsed();
        let over = |at: f64, settled: u64| at - from >= windows.seconds || settled >= run.events;
        watch.until(&stage.stop, |sample| over(sample.at, sample.reading.settled())).await?;
        let last = watch.timeline.samples.last();
        if last.is_some_and(|sample| sample.reading.settled() >= run.events) {
            break;
        }
        edges.push((from + SETTLING, watch.elapsed()));
    }
    let timeline = watch.timeline;
    let reads = reading.finish().await?;
    ingest.stop().await?;
    let pairs = pairs(&timeline, &edges);
    anyhow::ensure!(
        !pairs.is_empty(),
        "the backlog of {} ended within the first windows",
        run.events
    );
    let slowdown = median(pairs.iter().map(|pair| pair.slowdown).collect());
    Ok(Measured { pairs, slowdown, reads, timeline })
}

/// Compares each window with reads with the mean of its two neighbours without: what speeds up or
/// slows down over the whole run then cancels out.
fn pairs(timeline: &Timeline, edges: &[(f64, f64)]) -> Vec<Pair> {
    let rate = |(from, to): (f64, f64)| {
        timeline.between(from, to).map_or(0.0, |stretch| stretch.rows_per_second)
    };
    let rates: Vec<f64> = edges.iter().map(|window| rate(*window)).collect();
    compare(&rates)
}

/// Of rates of windows without and with reads in turn.
fn compare(rates: &[f64]) -> Vec<Pair> {
    let pair = |three: &[f64]| {
        let (without, with) = (f64::midpoint(three[0], three[2]), three[1]);
        Pair { without, with, slowdown: 1.0 - with / without }
    };
    rates.windows(3).step_by(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_trend_is_no_slowdown() {
        let pairs = compare(&[100.0, 110.0, 120.0, 130.0, 140.0]);
        assert_eq!(pairs.len(), 2);
        assert!(pairs.iter().all(|pair| pair.slowdown.abs() < 1e-9));
        assert!((compare(&[100.0, 90.0, 100.0, 90.0])[0].slowdown - 0.1).abs() < 1e-9);
        assert!(compare(&[100.0, 90.0]).is_empty());
    }
}
