//! Figures that are no ratios of two programs: lag, memory, reads, stored rows.

use std::time::Duration;

use serde_json::json;

use super::bed::{Bed, Pinning};
use crate::bench::goals::Figure;
use crate::latency::median;
use crate::progress::say;
use crate::run::TICKS_PER_SECOND;
use crate::scenario::read::Windows;
use crate::scenario::readers::Readers;
use crate::scenario::stored::Plan;
use crate::scenario::{read, stall, steady, stored};

/// Lag is measured so often, for so long.
const LAG_RUNS: usize = 3;
const LAG_SECONDS: f64 = 30.0;
/// How long Cassandra is stopped.
const STALL: Duration = Duration::from_secs(30);
/// Range reads beside the writes.
const READERS: Readers = Readers { concurrency: 4, rate: Some(20.0) };
/// Seconds of a window with or without reads: several of Cassandra's flushes, which would otherwise be
/// what is compared.
const READ_WINDOW: f64 = 8.0;
/// Before the first window.
const READ_WARM_UP: f64 = 6.0;

/// Lag at half the ceiling that the same pinning has; `id` is its figure.
#[allow(clippy::cast_sign_loss, reason = "rates are positive")]
pub(super) async fn lag(bed: &mut Bed, id: &str, pinning: Pinning) -> anyhow::Result<Vec<Figure>> {
    let stage = bed.stage(pinning).await?;
    let rate = bed.ceiling_rate(&stage).await? / 2.0;
    let mut runs = Vec::new();
    for _ in 0..LAG_RUNS {
        let mut run = bed.fresh((rate * LAG_SECONDS) as u64);
        // Events happen as they are published.
        run.base += 50 * 60 * TICKS_PER_SECOND;
        run.step = (TICKS_PER_SECOND as f64 / rate) as u64;
        let measured = steady::measure(&stage, &run, rate, None).await?;
        say(&format!("{rate:.0} records/s: lag p99 {:.0} ms", measured.lag.p99_ms));
        runs.push(json!({
            "value": measured.lag.p99_ms, "p50_ms": measured.lag.p50_ms, "p999_ms": measured.lag.p999_ms,
            "rate": rate, "stored_per_second": measured.stored_per_second,
        }));
        bed.forget(&stage, &run.names).await?;
    }
    Ok(Figure::median(id, runs).into_iter().collect())
}

/// Memory through a stall.
pub(super) async fn memory(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let stage = bed.stage(Pinning::Unpinned).await?;
    // 5 M beside pairs of 1.5 M.
    let run = bed.fresh(bed.args.events * 10 / 3);
    stage.backlog(&run).await?;
    let measured = stall::measure(&stage, &run, STALL).await?;
    bed.forget(&stage, &run.names).await?;
    stage.engines.drop_topics(&run.names).await?;
    let peak = measured.pipeline.peak_rss_mib;
    let run = json!({
        "value": peak, "before_mib": measured.rss_before_mib, "events": run.events,
        "stalled_seconds": measured.stalled_seconds,
    });
    Ok(Figure::of("audit.rss_mib", peak, vec![run]).into_iter().collect())
}

/// What reads cost writes.
#[allow(clippy::cast_sign_loss, reason = "rates are positive")]
pub(super) async fn reads(bed: &mut Bed) -> anyhow::Result<Vec<Figure>> {
    let stage = bed.stage(Pinning::Unpinned).await?;
    let windows = Windows { seconds: READ_WINDOW, pairs: bed.args.pairs };
    // The backlog has to last for all windows, also when the pipeline is as fast as the ceiling.
    let seconds = READ_WINDOW * (2.0 * windows.pairs as f64 + 1.0) + READ_WARM_UP;
    let fastest = bed.ceiling_rate(&stage).await? * 1.1;
    let run = bed.fresh((fastest * seconds) as u64);
    stage.backlog(&run).await?;
    let measured = read::measure(&stage, &run, READERS, windows).await?;
    bed.forget(&stage, &run.names).await?;
    stage.engines.drop_topics(&run.names).await?;
    let pair = |pair: &read::Pair| {
        json!({
            "value": pair.slowdown, "with": pair.with, "without": pair.without,
            "read_p99_ms": measured.reads.latency.p99_ms, "failures": measured.reads.failures,
        })
    };
    let runs = measured.pairs.iter().map(pair).collect();
    Ok(Figure::median("audit.read_slowdown", runs).into_iter().collect())
}

/// What many stored rows cost writes and first pages.
pub(super) async fn stored(bed: &mut Bed, ids: &[&str]) -> anyhow::Result<Vec<Figure>> {
    let stage = bed.stage(Pinning::Unpinned).await?;
    let windows = bed.args.pairs as u64;
    let window = (bed.args.events / 5).max(1);
    let plan = Plan { rows: bed.args.rows, window, windows, probes: 500 };
    let run = bed.fresh(bed.args.events);
    let measured = stored::measure(&stage, &run, plan).await?;
    bed.forget(&stage, &run.names).await?;
    let mut figures = Vec::new();
    if ids.contains(&"audit.stored_20m_ratio") {
        let base = median(measured.empty.clone());
        let windows = measured.full.iter().zip(&measured.empty);
        let runs = windows
            .map(|(full, empty)| json!({"value": full / base, "full": full, "empty": empty}));
        figures.extend(Figure::of("audit.stored_20m_ratio", measured.ratio, runs.collect()));
    }
    if ids.contains(&"audit.first_page_p99_ms") {
        let level = |level: &stored::Level| {
            let latency = level.pages.latency;
            json!({"value": latency.p99_ms, "p50_ms": latency.p50_ms, "rows": level.rows})
        };
        let p99 = measured.levels.last().map_or(0.0, |level| level.pages.latency.p99_ms);
        let runs = measured.levels.iter().map(level).collect();
        figures.extend(Figure::of("audit.first_page_p99_ms", p99, runs));
    }
    Ok(figures)
}
