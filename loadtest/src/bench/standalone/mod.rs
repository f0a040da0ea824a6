//! `bench standalone`: the one process, beside a bare store and a bare server. No engines.
//!
//! | module | what it does |
//! |---|---|
//! | `goals` | the figures and their goals |
//! | `bed` | the process on a folder of its own |
//! | `begin` | starting, and doing nothing |
//! | `accept` | events over HTTP, and into the bare store |
//! | `hot` | checks, and a server that does not think |
//! | `stored` | many events: opening them again, and reading ranges |

mod accept;
mod bed;
mod begin;
mod goals;
mod hot;
mod stored;

use std::time::Instant;

use super::suite::{Part, Suite};
use crate::cli::StandaloneBenchArgs;
use crate::stop::Stop;
use bed::Bed;
pub(super) use goals::GOALS;

pub(super) static SUITE: Suite = Suite { service: "standalone", parts: &PARTS, goals: &GOALS };

const PARTS: [Part; 4] = [
    Part { name: "begin", weight: 0.5, ids: &["standalone.start_ms", "standalone.idle_mib"] },
    Part {
        name: "accept",
        weight: 2.0,
        ids: &["standalone.accepts_per_second", "standalone.accept_ratio", "standalone.loaded_mib"],
    },
    Part { name: "hot", weight: 1.5, ids: &["standalone.hot_ratio"] },
    Part {
        name: "stored",
        weight: 6.0,
        ids: &["standalone.reopen_seconds", "standalone.range_p99_ms"],
    },
];

/// Measures what `args` ask for; returns whether all of it was measured.
///
/// # Errors
/// When nothing can be measured: no `triad`, an unknown figure.
pub async fn standalone(args: &StandaloneBenchArgs, stop: &Stop) -> anyhow::Result<bool> {
    SUITE.wanted(&args.only)?;
    let bed = Bed::new(args, stop)?;
    let measure = async |part: &str, _: &[&str], until: Instant| match part {
        "begin" => Box::pin(begin::begin(&bed)).await,
        "accept" => Box::pin(accept::accept(&bed, until)).await,
        "hot" => Box::pin(hot::hot(&bed, until)).await,
        _ => Box::pin(stored::stored(&bed, until)).await,
    };
    Ok(SUITE.run(&args.only, args.out.as_deref(), stop, measure).await?.tell())
}
