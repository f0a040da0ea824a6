//! `bench authz`: the edge beside a bare server, beside raw queries, under writes, and beside its peers.
//!
//! | module | what it does |
//! |---|---|
//! | `goals`, `sizes` | the figures and their goals; how large everything is |
//! | `bed`, `edge` | engines, graphs, edges, one measurement whose answers must be right |
//! | `ratios`, `access` | alternating runs with a bare server; tokens |
//! | `cold` | one check at a time that knows nothing, beside raw queries |
//! | `storm` | hot checks beside writes |
//! | `revocation` | how long a revoked right is still seen |
//! | `memory` | a million decisions |
//! | `flood` | one tenant beside another that floods; what an idle edge costs whoever looks |
//! | `import` | a graph from a file into a fresh tenant |
//! | `peers` | OpenFGA and SpiceDB |
//! | `turn` | one turn of `compare authz` |

mod access;
pub(crate) mod bed;
mod cold;
pub(crate) mod edge;
mod flood;
mod goals;
pub(crate) mod import;
mod memory;
mod peers;
mod ratios;
mod revocation;
mod sizes;
mod storm;
pub(crate) mod turn;

use std::time::Instant;

use super::goals::Figure;
use super::suite::{Part, Suite};
use crate::check::space::Keys;
use crate::cli::AuthzBenchArgs;
use crate::progress::say;
use crate::stop::Stop;
use bed::Bed;
pub(super) use goals::GOALS;

pub(super) static SUITE: Suite = Suite { service: "authz", parts: &PARTS, goals: &GOALS };

const PARTS: [Part; 15] = [
    Part { name: "hot", weight: 2.0, ids: &["authz.hot_ratio"] },
    Part { name: "tail", weight: 1.5, ids: &["authz.hot_p99_ratio"] },
    Part { name: "jwt", weight: 1.5, ids: &["authz.jwt_hot_ratio"] },
    Part { name: "wide", weight: 3.0, ids: &["authz.wide_ratio"] },
    Part { name: "cold", weight: 1.5, ids: &["authz.cold_ratio"] },
    Part { name: "depth", weight: 1.5, ids: &["authz.cold_depth_ratio"] },
    Part { name: "revocation", weight: 1.5, ids: &["authz.revocation_p99_ms"] },
    Part { name: "no-kafka", weight: 1.0, ids: &["authz.revocation_no_kafka_ms"] },
    Part { name: "memory", weight: 2.0, ids: &["authz.rss_1m_mib"] },
    Part { name: "storm", weight: 6.0, ids: &["authz.storm_hit_ratio", "authz.storm_rate_ratio"] },
    Part { name: "idle", weight: 0.2, ids: &["authz.scrape_ms", "authz.series_idle"] },
    Part { name: "flood", weight: 1.5, ids: &["authz.flood_p99_ratio"] },
    Part { name: "import", weight: 2.0, ids: &["authz.import_edges_per_second"] },
    Part { name: "openfga", weight: 4.0, ids: &["authz.vs_openfga_hot", "authz.vs_openfga_wide"] },
    Part { name: "spicedb", weight: 4.0, ids: &["authz.vs_spicedb_hot", "authz.vs_spicedb_wide"] },
];

/// Measures what `args` ask for; returns whether all of it was measured.
///
/// # Errors
/// When nothing can be measured: no engines, no `authz-edge`, an unknown figure.
pub async fn authz(args: &AuthzBenchArgs, stop: &Stop) -> anyhow::Result<bool> {
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
        "hot" => Box::pin(ratios::closed(bed, ids[0], Keys::Hot, until)).await,
        "wide" => Box::pin(ratios::closed(bed, ids[0], Keys::Wide, until)).await,
        "jwt" => Box::pin(ratios::with_jwt(bed, until)).await,
        "tail" => Box::pin(ratios::tail(bed, until)).await,
        "cold" => Box::pin(cold::raw(bed, until)).await,
        "depth" => Box::pin(cold::depth(bed, until)).await,
        "storm" => Box::pin(storm::storm(bed, ids, until)).await,
        "idle" => Box::pin(flood::idle(bed)).await,
        "flood" => Box::pin(flood::flood(bed, until)).await,
        "import" => Box::pin(import::import(bed, until)).await,
        "memory" => Box::pin(memory::memory(bed, until)).await,
        "revocation" => Box::pin(revocation::with_kafka(bed)).await,
        "no-kafka" => Box::pin(revocation::without_kafka(bed)).await,
        peer => Box::pin(beside(bed, peer, ids, until)).await,
    }
}

/// Triad's own rates, unless they were measured before, and those of a peer.
async fn beside(
    bed: &mut Bed,
    peer: &str,
    ids: &[&str],
    until: Instant,
) -> anyhow::Result<Vec<Figure>> {
    if !peers::is_there(peer, !bed.args.only.is_empty())? {
        return Ok(Vec::new());
    }
    for (keys, word) in [(Keys::Hot, "_hot"), (Keys::Wide, "_wide")] {
        if bed.rate(keys).is_none() && ids.iter().any(|id| id.ends_with(word)) {
            say("Triad's own rate first");
            ratios::closed(bed, "", keys, until).await?;
        }
    }
    bed.down().await?;
    peers::compare(bed, peer, ids).await
}
