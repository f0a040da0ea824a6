//! What partitions there are: how many rows, how many bytes, how many above the bounds.

use serde::Serialize;

/// What a partition should stay below, in bytes before compression.
const MOST_BYTES: f64 = 100e6;

/// The distribution of some partitions.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Sizes {
    /// How many.
    pub partitions: u64,
    /// Rows in all of them.
    pub rows: u64,
    /// Rows of a partition: median.
    pub p50_rows: u64,
    /// 99th percentile.
    pub p99_rows: u64,
    /// 99.9th percentile.
    pub p999_rows: u64,
    /// The largest.
    pub max_rows: u64,
    /// Megabytes of a partition: median.
    pub p50_mb: f64,
    /// 99th percentile.
    pub p99_mb: f64,
    /// The largest.
    pub max_mb: f64,
    /// Share of partitions above the rows that they should stay below.
    pub share_above: f64,
    /// Share of rows that lie in these.
    pub share_of_rows_above: f64,
    /// Share of partitions above 100 MB.
    pub share_above_100_mb: f64,
}

impl Sizes {
    /// Of partitions with rows and bytes each, which should have at most `bound` rows.
    pub(super) fn of(partitions: impl Iterator<Item = (u64, f64)>, bound: u64) -> Self {
        let (mut rows, mut bytes): (Vec<u64>, Vec<f64>) = partitions.unzip();
        rows.sort_unstable();
        bytes.sort_unstable_by(f64::total_cmp);
        if rows.is_empty() {
            return Self::default();
        }
        let count = rows.len() as f64;
        let total: u64 = rows.iter().sum();
        let above = &rows[rows.partition_point(|rows| *rows <= bound)..];
        let heavy = bytes.len() - bytes.partition_point(|bytes| *bytes <= MOST_BYTES);
        Self {
            partitions: rows.len() as u64,
            rows: total,
            p50_rows: at(&rows, 0.5),
            p99_rows: at(&rows, 0.99),
            p999_rows: at(&rows, 0.999),
            max_rows: at(&rows, 1.0),
            p50_mb: at(&bytes, 0.5) / 1e6,
            p99_mb: at(&bytes, 0.99) / 1e6,
            max_mb: at(&bytes, 1.0) / 1e6,
            share_above: above.len() as f64 / count,
            share_of_rows_above: above.iter().sum::<u64>() as f64 / total.max(1) as f64,
            share_above_100_mb: heavy as f64 / count,
        }
    }
}

/// The value below or at which `quantile` of them are; there is at least one.
#[allow(clippy::cast_sign_loss, reason = "quantiles are not negative")]
fn at<T: Copy>(sorted: &[T], quantile: f64) -> T {
    let rank = (quantile * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_quantiles_and_in_shares_above() {
        let partitions = (1..=1000).map(|rows| (rows, rows as f64 * 1e6));
        let sizes = Sizes::of(partitions, 990);
        assert_eq!((sizes.partitions, sizes.rows), (1000, 500_500));
        assert_eq!((sizes.p50_rows, sizes.p99_rows, sizes.max_rows), (500, 990, 1000));
        assert!((sizes.share_above - 0.01).abs() < 1e-9);
        assert!((sizes.share_of_rows_above - 9955.0 / 500_500.0).abs() < 1e-9);
        assert!((sizes.share_above_100_mb - 0.9).abs() < 1e-9);
        assert_eq!(Sizes::of(std::iter::empty(), 1).max_rows, 0);
    }
}
