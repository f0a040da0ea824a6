//! `bench audit`: the pipeline beside its ceiling, lag, memory, reads.
//!
//! | module | what it does |
//! |---|---|
//! | `goals` | the figures and their goals |
//! | `bed` | engines, backlogs, one run of the ceiling or of the pipeline |
//! | `ratios` | alternating runs, pinned and not |
//! | `others` | lag, memory, reads, stored rows |
//! | `flood` | one tenant beside another that floods; what an idle process costs whoever looks |

mod bed;
mod flood;
mod goals;
mod others;
mod ratios;

use std::time::Instant;

use super::goals::Figure;
use super::suite::{Part, Suite};
use crate::cli::AuditBenchArgs;
use crate::stop::Stop;
use bed::{Bed, Pinning};
pub(super) use goals::GOALS;

pub(super) static SUITE: Suite = Suite { service: "audit", parts: &PARTS, goals: &GOALS };

const PARTS: [Part; 9] = [
    Part {
        name: "pinned",
        weight: 15.0,
        ids: &["audit.pipeline_ratio_pinned", "audit.pipeline_ratio_pinned_random_keys"],
    },
    Part { name: "lag", weight: 2.0, ids: &["audit.lag_p99_ms"] },
    Part {
        name: "unpinned",
        weight: 11.0,
        ids: &["audit.pipeline_ratio_unpinned", "audit.hot_tenant_ratio", "audit.cpu_per_row_us"],
    },
    Part { name: "lag unpinned", weight: 2.0, ids: &["audit.lag_p99_unpinned_ms"] },
    Part { name: "rss", weight: 3.5, ids: &["audit.rss_mib"] },
    Part { name: "read", weight: 3.5, ids: &["audit.read_slowdown"] },
    Part {
        name: "stored",
        weight: 7.0,
        ids: &["audit.stored_20m_ratio", "audit.first_page_p99_ms"],
    },
    Part { name: "idle", weight: 0.5, ids: &["audit.scrape_ms", "audit.series_idle"] },
    Part { name: "flood", weight: 1.5, ids: &["audit.flood_p99_ratio"] },
];

/// Measures what `args` ask for; returns whether all of it was measured.
///
/// # Errors
/// When nothing can be measured: no engines, no `ingest`, an unknown figure.
pub async fn audit(args: &AuditBenchArgs, stop: &Stop) -> anyhow::Result<bool> {
    SUITE.wanted(&args.only)?;
    let mut bed = Bed::new(args, stop)?;
    let outcome = SUITE
        .run(&args.only, args.out.as_deref(), stop, async |part, ids, until| {
            measure(&mut bed, part, ids, until).await
        })
        .await?;
    bed.down().await?;
    Ok(outcome.tell())
}

async fn measure(
    bed: &mut Bed,
    part: &str,
    ids: &[&str],
    until: Instant,
) -> anyhow::Result<Vec<Figure>> {
    match part {
        "pinned" => Box::pin(ratios::pinned(bed, ids, until)).await,
        "unpinned" => Box::pin(ratios::unpinned(bed, ids, until)).await,
        "lag" => Box::pin(others::lag(bed, ids[0], Pinning::Pinned)).await,
        "lag unpinned" => Box::pin(others::lag(bed, ids[0], Pinning::Unpinned)).await,
        "rss" => Box::pin(others::memory(bed)).await,
        "read" => Box::pin(others::reads(bed)).await,
        "idle" => Box::pin(flood::idle(bed)).await,
        "flood" => Box::pin(flood::flood(bed, until)).await,
        _ => Box::pin(others::stored(bed, ids)).await,
    }
}
