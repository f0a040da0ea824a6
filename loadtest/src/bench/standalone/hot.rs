//! Checks that are cached, and a server that reads and answers the same bytes.

use std::time::Instant;

use bytes::Bytes;
use serde_json::json;

use super::bed::{Bed, TENANT};
use crate::bench::drive::{drive, status};
use crate::bench::goals::Figure;
use crate::check::bare::Bare;
use crate::check::link::Endpoint;

pub(super) async fn hot(bed: &Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let triad = bed.triad(&bed.folder("hot")).await?;
    let user = triad.reader().await?;
    let bodies: Vec<Bytes> = (0..100)
        .map(|n| {
            let asked = json!({"subject": {"type": "user", "id": user}, "action": {"name": "read"},
                "resource": {"type": "document", "id": format!("d-{n}")}});
            asked.to_string().into()
        })
        .collect();
    let bare = Bare::start(bed.pace().span * 40).await?;
    let beside = Endpoint::new(&format!("http://{}", bare.address), Some(triad.key()), false)?;
    let asked = triad.endpoint()?;
    let run = async |endpoint: &Endpoint| {
        let uri = endpoint.uri(&format!("/v1/tenants/{TENANT}/check"))?;
        let (to, bodies) = (endpoint.clone(), bodies.clone());
        let make = move |number: u64| {
            to.post(&uri, bodies[usize::try_from(number).unwrap_or(0) % bodies.len()].clone())
        };
        drive(endpoint, bed.pace(), make, status(200)).await
    };
    // Asked for a second time, decisions are kept.
    run(&asked).await?;
    let runs = bed
        .rounds(until, async |_| {
            let bare = run(&beside).await?;
            let own = run(&asked).await?;
            Ok(json!({"value": own.per_second / bare.per_second, "own": own.per_second,
                "bare": bare.per_second, "p99_ms": own.latency.p99_ms}))
        })
        .await?;
    bare.stop().await?;
    triad.stop().await?;
    Ok(Figure::median("standalone.hot_ratio", runs).into_iter().collect())
}
