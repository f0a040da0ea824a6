//! Events over HTTP in batches of 100, and into the bare store.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::json;
use service_kit::embedded::{Changes, Disk, Folder};

use super::bed::{Bed, TENANT, Triad};
use crate::bench::drive::{Pace, drive, status};
use crate::bench::goals::Figure;
use crate::system::memory;

/// Events of one request.
pub(super) const BATCH: u64 = 100;
/// Bytes of a stored row: what an event of [`body`] takes.
const ROW: usize = 330;
/// Bytes of a stored row's key.
const KEY: usize = 30;

pub(super) async fn accept(bed: &Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let (begin, mut peak) = (Utc::now(), 0.0_f64);
    let runs = bed
        .rounds(until, async |round| {
            let bare = bare(bed, round).await?;
            let triad = bed.triad(&bed.folder(&format!("accept-{round}"))).await?;
            let (_, driven) = send(&triad, bed.pace(), begin, 0).await?;
            let resident = memory(triad.pid())?.rss_kib as f64 / 1024.0;
            peak = peak.max(resident);
            triad.stop().await?;
            Ok(json!({"value": driven / bare, "accepted": driven, "bare": bare, "mib": resident}))
        })
        .await?;
    let accepted = runs.iter().map(|run| json!({"value": run["accepted"]})).collect();
    let peak = json!({ "value": peak });
    let figures = [
        Figure::median("standalone.accepts_per_second", accepted),
        Figure::median("standalone.accept_ratio", runs),
        Figure::median("standalone.loaded_mib", vec![peak]),
    ];
    Ok(figures.into_iter().flatten().collect())
}

/// Requests that were sent, from that number on, and events a second; a second of the trail for each request.
pub(super) async fn send(
    triad: &Triad,
    pace: Pace,
    begin: DateTime<Utc>,
    first: u64,
) -> anyhow::Result<(u64, f64)> {
    let endpoint = triad.endpoint()?;
    let uri = endpoint.uri(&format!("/v1/tenants/{TENANT}/audit"))?;
    let to = endpoint.clone();
    let make = move |number: u64| to.post(&uri, body(begin, first + number));
    let driven = drive(&endpoint, pace, make, status(202)).await?;
    Ok((driven.count, driven.per_second * BATCH as f64))
}

/// A request: its events are a second before those of the one before.
pub(super) fn body(begin: DateTime<Utc>, number: u64) -> Bytes {
    use std::fmt::Write as _;
    let back =
        chrono::Duration::milliseconds(i64::try_from(number % 2_000_000).unwrap_or(0) * 1000);
    let mut text = String::with_capacity(40_000);
    text.push('[');
    for event in 0..BATCH {
        let time = begin - back
            + chrono::Duration::microseconds(i64::try_from(event).unwrap_or(0) * 10_000);
        let time = time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let comma = if event == 0 { "" } else { "," };
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            r#"{comma}{{"id":"r{number}-{event}","event_time":"{time}","actor_id":"user-{}","actor_type":"user","action":"document.read","resource_type":"document","resource_id":"doc-{}","status":"SUCCESS","source_ip":"203.0.113.7","details":{{"request_id":"{number:016x}{event:016x}","user_agent":"triad-bench/1.0 (standalone)"}}}}"#,
            number % 977,
            (number * BATCH + event) % 99_991,
        );
    }
    text.push(']');
    text.into()
}

/// Rows a second of a loop that writes as many rows at once as full load does, and waits for the disk.
async fn bare(bed: &Bed, round: u64) -> anyhow::Result<f64> {
    let folder = Folder::take(&bed.folder(&format!("bare-{round}")))?;
    let disk = Arc::new(Disk::open(&folder)?);
    let space = disk.space("rows")?;
    let (begun, mut rows) = (Instant::now(), 0_u64);
    let at_once = BATCH * u64::from(bed.args.connections);
    while begun.elapsed() < bed.pace().span {
        let mut changes = Changes::new();
        for _ in 0..at_once {
            // As spread as event ids are within a second.
            let mut key = vec![0; KEY];
            key[..8].copy_from_slice(&(rows / BATCH).to_be_bytes());
            key[8..16].copy_from_slice(&rows.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
            changes.put(&space, key, vec![7; ROW]);
            rows += 1;
        }
        disk.write(changes).await?;
    }
    Ok(rows as f64 / begun.elapsed().as_secs_f64())
}
