//! Starting on an empty folder, and doing nothing.

use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use super::bed::Bed;
use crate::bench::goals::Figure;
use crate::system::memory;

/// Between tries to be answered.
const TRY: Duration = Duration::from_millis(1);
/// Until whatever a start leaves to do is done.
const IDLE: Duration = Duration::from_secs(15);

pub(super) async fn begin(bed: &Bed) -> anyhow::Result<Vec<Figure>> {
    let mut starts = Vec::new();
    for round in 0..bed.args.pairs.max(3) {
        let folder = bed.folder(&format!("begin-{round}"));
        let begun = Instant::now();
        let triad = bed.spawn(&folder)?;
        // No tenant, no binding: an answer all the same, which needs the key, the graph and the cache.
        let asked = json!({"subject": {"type": "user", "id": "u"}, "action": {"name": "read"},
            "resource": {"type": "document", "id": "d"}});
        loop {
            ensure!(begun.elapsed() < Duration::from_secs(30), "no answer");
            let key = std::fs::read_to_string(folder.join("credentials/admin.key"));
            if let Ok(key) = key {
                let request = triad.client.post(triad.url("/v1/tenants/bench/check")).json(&asked);
                let answer = request.bearer_auth(key.trim_end()).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
            }
            tokio::time::sleep(TRY).await;
        }
        starts.push(json!({ "value": begun.elapsed().as_secs_f64() * 1000.0 }));
        triad.stop().await?;
    }
    let triad = bed.triad(&bed.folder("idle")).await?;
    tokio::time::sleep(IDLE).await;
    let idle = json!({ "value": memory(triad.pid())?.rss_kib as f64 / 1024.0 });
    triad.stop().await?;
    let figures = [
        Figure::median("standalone.start_ms", starts),
        Figure::median("standalone.idle_mib", vec![idle]),
    ];
    Ok(figures.into_iter().flatten().collect())
}
