//! What a million cached decisions take.

use std::time::Instant;

use anyhow::ensure;
use serde_json::json;

use super::bed::Bed;
use crate::bench::goals::Figure;
use crate::check::space::Keys;
use crate::progress::say;
use crate::system;

/// So that none of them is evicted. It bounds their weight, which is estimated, and takes nothing by
/// itself.
const DECISION_MIB: u32 = 1024;
/// The edge looks at its caches so often.
const LOOK: std::time::Duration = std::time::Duration::from_secs(6);

/// Checks new pairs, each twice, until so many decisions are cached: what is asked once is not.
pub(super) async fn memory(bed: &mut Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let (shape, wanted) = (bed.sizes.graph.clone(), bed.sizes.decisions);
    bed.graph(&shape, 1).await?;
    let edge = bed.edge(&[("cache.decision_mib", DECISION_MIB.to_string())]).await?;
    let side = edge.side(None)?;
    let started = system::memory(edge.pid())?.rss_kib;
    let (mut entries, mut checks) = (0.0, 0);
    for seed in 1.. {
        // Other pairs each time.
        let space = bed.space(&shape, Keys::Wide, 1, seed);
        for _ in 0..2 {
            checks += bed.check(&side, &space, &bed.plan(&side)).await?.checks;
        }
        ensure!(Instant::now() < until, "time is up after {checks} checks, {entries:.0} decisions");
        // Fewer checks cannot have made so many entries: no need to wait for a look.
        if (checks as f64) < 2.0 * wanted {
            continue;
        }
        tokio::time::sleep(LOOK).await;
        entries = edge.cache("triad_authz_cache_entries", "decision").await?;
        say(&format!("{checks} checks, {entries:.0} decisions"));
        if entries >= wanted {
            break;
        }
    }
    let rss = system::memory(edge.pid())?;
    let mib = |kib: u64| kib as f64 / 1024.0;
    let weight = edge.cache("triad_authz_cache_weight_bytes", "decision").await?;
    let run = json!({
        "value": mib(rss.rss_kib), "peak_mib": mib(rss.peak_kib), "started_mib": mib(started),
        "decisions": entries, "checks": checks, "weight_mib": weight / f64::from(1 << 20),
        "subjects": edge.cache("triad_authz_cache_entries", "subject").await?,
        "resources": edge.cache("triad_authz_cache_entries", "resource").await?,
        "decision_mib": DECISION_MIB,
    });
    edge.stop().await?;
    Ok(Figure::median("authz.rss_1m_mib", vec![run]).into_iter().collect())
}
