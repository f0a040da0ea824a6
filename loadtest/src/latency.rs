//! Latencies: recorded one by one, or read off the buckets of somebody else's histogram.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

/// A recorder of microseconds up to two minutes, to three digits.
#[derive(Debug, Clone)]
pub struct Recorder(Histogram<u64>);

impl Default for Recorder {
    fn default() -> Self {
        // Two minutes in microseconds and three digits are within the type's bounds.
        Self(Histogram::new_with_bounds(1, 120_000_000, 3).unwrap_or_else(|_| unreachable!()))
    }
}

impl Recorder {
    /// Records one; longer ones count as two minutes.
    pub fn record(&mut self, elapsed: std::time::Duration) {
        self.0.saturating_record(elapsed.as_micros() as u64);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        // Bounds are equal, so nothing is out of range.
        let _ = self.0.add(&other.0);
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        self.0.reset();
    }

    /// How many were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// What was recorded.
    #[must_use]
    pub fn summary(&self) -> Latency {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        Latency {
            count: self.0.len(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: self.0.max() as f64 / 1000.0,
        }
    }
}

/// A histogram as Prometheus has it: for each upper bound, how many values are at or below it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Buckets {
    /// Upper bounds, ascending, the last one infinite.
    pub bounds: Vec<f64>,
    /// Cumulative counts.
    pub counts: Vec<u64>,
}

impl Buckets {
    /// What was observed after `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let earlier = |index: usize| before.counts.get(index).copied().unwrap_or(0);
        let counts = self.counts.iter().enumerate().map(|(i, n)| n.saturating_sub(earlier(i)));
        Self { bounds: self.bounds.clone(), counts: counts.collect() }
    }

    /// How many values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.last().copied().unwrap_or(0)
    }

    /// The value below which `quantile` of them are, interpolated within its bucket as Prometheus'
    /// `histogram_quantile` does; in the last, unbounded bucket its lower bound. `None` without values.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = quantile * total as f64;
        let at = self.counts.iter().position(|count| *count as f64 >= rank)?;
        let (low, below) = match at.checked_sub(1) {
            Some(before) => (self.bounds[before], self.counts[before]),
            None => (0.0, 0),
        };
        let (high, inside) = (self.bounds[at], self.counts[at] - below);
        if !high.is_finite() || inside == 0 {
            return Some(low);
        }
        Some(low + (high - low) * (rank - below as f64) / inside as f64)
    }

    /// Percentiles of a histogram of seconds; the maximum is the highest bound that was needed.
    #[must_use]
    pub fn summary(&self) -> Latency {
        let at = |quantile| self.quantile(quantile).unwrap_or(0.0) * 1000.0;
        Latency {
            count: self.count(),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
        }
    }
}

/// The middle of `values`, which it sorts; 0 without any.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: [u64; 4]) -> Buckets {
        Buckets { bounds: vec![0.1, 0.2, 0.4, f64::INFINITY], counts: counts.to_vec() }
    }

    #[test]
    fn quantiles_are_interpolated_within_their_bucket() {
        let all = buckets([10, 30, 40, 40]);
        let near = |quantile: f64, expected: f64| {
            let found = all.quantile(quantile).unwrap();
            assert!((found - expected).abs() < 1e-9, "{quantile}: {found}");
        };
        near(0.25, 0.1);
        near(0.5, 0.15);
        near(0.125, 0.05);
        near(1.0, 0.4);
        assert_eq!(buckets([0, 0, 0, 0]).quantile(0.5), None);
        assert_eq!(buckets([0, 0, 0, 5]).quantile(0.5), Some(0.4), "all beyond the last bound");
    }

    #[test]
    fn only_what_came_since_counts() {
        let delta = buckets([12, 40, 60, 60]).since(&buckets([10, 30, 40, 40]));
        assert_eq!(delta.counts, [2, 10, 20, 20]);
        assert_eq!(buckets([1, 1, 1, 1]).since(&Buckets::default()).count(), 1);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn recorded_latencies_are_summed_up() {
        let (mut one, mut two) = (Recorder::default(), Recorder::default());
        one.record(std::time::Duration::from_millis(1));
        two.record(std::time::Duration::from_millis(9));
        one.merge(&two);
        let summary = one.summary();
        assert_eq!(summary.count, 2);
        assert!((summary.p50_ms - 1.0).abs() < 0.01 && (summary.max_ms - 9.0).abs() < 0.01);
    }
}
