//! `bench identity`: `identity-admin` beside the bare driver and bare Argon2id, on MySQL with durable commits.
//!
//! | module | what it does |
//! |---|---|
//! | `goals` | the figures and their goals |
//! | `bed`, `bare` | engines and the service; the same statements without it |
//! | `rows` | users created and read |
//! | `tokens` | grants, and log-ins with passwords |
//! | `lag` | how long until others know of a write |
//! | `import` | many users from a file |
//! | `memory` | at full load, and flooded |
//! | `idle` | what an idle service costs whoever looks |

mod bare;
pub(crate) mod bed;
pub(crate) mod goals;
mod idle;
mod import;
mod lag;
mod memory;
mod rows;
pub(crate) mod tokens;

use std::time::Instant;

use super::goals::Figure;
use super::suite::{Part, Suite};
use crate::cli::IdentityBenchArgs;
use crate::stop::Stop;
use bed::Bed;
pub(super) use goals::GOALS;

pub(super) static SUITE: Suite = Suite { service: "identity", parts: &PARTS, goals: &GOALS };

const PARTS: [Part; 9] = [
    Part {
        name: "create",
        weight: 2.5,
        ids: &["identity.create_ratio", "identity.creates_per_second"],
    },
    Part { name: "grants", weight: 1.0, ids: &["identity.grants_per_second"] },
    Part { name: "read", weight: 2.0, ids: &["identity.read_ratio"] },
    Part { name: "login", weight: 2.0, ids: &["identity.login_ratio"] },
    Part { name: "kafka", weight: 1.0, ids: &["identity.kafka_p99_ms"] },
    Part { name: "check", weight: 1.0, ids: &["identity.check_p99_ms"] },
    Part { name: "idle", weight: 0.2, ids: &["identity.scrape_ms", "identity.series_idle"] },
    Part { name: "import", weight: 1.5, ids: &["identity.import_100k_seconds"] },
    Part {
        name: "memory",
        weight: 1.5,
        ids: &["identity.rss_mib", "identity.rss_flood_mib", "identity.rss_flood_ratio"],
    },
];

/// Tenants that are written to.
pub(crate) const TENANTS: u64 = 100;

/// The id of a tenant.
pub(crate) fn tenant(number: u64) -> String {
    format!("bench-{number}")
}

/// A user that is there.
#[derive(Debug, Clone)]
struct Known {
    tenant: String,
    id: String,
    email: String,
}

/// Measures what `args` ask for; returns whether all of it was measured.
///
/// # Errors
/// When nothing can be measured: no engines, no `identity-admin`, an unknown figure.
pub async fn identity(args: &IdentityBenchArgs, stop: &Stop) -> anyhow::Result<bool> {
    SUITE.wanted(&args.only)?;
    let mut bed = Bed::new(args, stop)?;
    let outcome = SUITE
        .run(&args.only, args.out.as_deref(), stop, async |part, _, until| {
            measure(&mut bed, part, until).await
        })
        .await?;
    bed.down().await?;
    Ok(outcome.tell())
}

async fn measure(bed: &mut Bed, part: &str, until: Instant) -> anyhow::Result<Vec<Figure>> {
    match part {
        "create" => Box::pin(rows::create(bed, until)).await,
        "read" => Box::pin(rows::read(bed, until)).await,
        "grants" => Box::pin(tokens::grants(bed, until)).await,
        "login" => Box::pin(tokens::login(bed, until)).await,
        "kafka" => Box::pin(lag::kafka(bed)).await,
        "check" => Box::pin(lag::check(bed)).await,
        "idle" => Box::pin(idle::idle(bed)).await,
        "import" => Box::pin(import::import(bed)).await,
        _ => Box::pin(memory::memory(bed)).await,
    }
}
