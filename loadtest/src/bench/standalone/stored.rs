//! Many stored events: opening them again, and reading ranges.

use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::Utc;
use hyper::Method;
use serde_json::json;

use super::accept::{BATCH, send};
use super::bed::{Bed, TENANT};
use crate::bench::drive::{Pace, drive};
use crate::bench::goals::Figure;
use crate::check::link::Answer;
use crate::progress::say;

/// Reads at once: a few people look, nobody floods.
const READERS: usize = 4;

pub(super) async fn stored(bed: &Bed, until: Instant) -> anyhow::Result<Vec<Figure>> {
    let folder = bed.folder("stored");
    let (begin, mut requests) = (Utc::now(), 0);
    let triad = bed.triad(&folder).await?;
    let begun = Instant::now();
    while requests * BATCH < bed.args.events {
        let pace = Pace { span: Duration::from_secs(10), ..bed.pace() };
        let (sent, per_second) = send(&triad, pace, begin, requests).await?;
        requests += sent;
        say(&format!("{} events, {per_second:.0}/s", requests * BATCH));
        ensure!(Instant::now() < until, "no time to store {} events", bed.args.events);
    }
    let filled = begun.elapsed().as_secs_f64();
    let (mut opened, mut triad) = (Vec::new(), triad);
    for _ in 0..3 {
        triad.kill().await?;
        let begun = Instant::now();
        triad = bed.triad(&folder).await?;
        let value = begun.elapsed().as_secs_f64();
        opened.push(json!({"value": value, "events": requests * BATCH, "filled_in": filled}));
    }
    let endpoint = triad.endpoint()?;
    let to = endpoint.clone();
    let seconds = i64::try_from(requests.min(2_000_000)).unwrap_or(1).max(3601);
    let make = move |number: u64| {
        // Anywhere in what is stored; an hour of it.
        let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        let back = i64::try_from(spread).unwrap_or(0) % (seconds - 3600) + 3600;
        let from = begin - chrono::Duration::seconds(back);
        let text = |time: chrono::DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let to_time = from + chrono::Duration::seconds(3600);
        let (from, until) = (text(from), text(to_time));
        let path = format!("/v1/tenants/{TENANT}/audit?from={from}&to={until}&limit=100");
        // What is written here is a path.
        let uri = to.uri(&path).unwrap_or_default();
        to.ask(Method::GET, &uri, bytes::Bytes::new())
    };
    let full = |_, answer: &Answer| {
        ensure!(answer.status == 200, "{}", answer.status);
        ensure!(answer.body.len() > 20_000, "not 100 events: {} bytes", answer.body.len());
        Ok(())
    };
    let pace = Pace { connections: READERS, span: bed.pace().span * 3, rate: None };
    let driven = drive(&endpoint, pace, make, full).await?;
    let read = json!({"value": driven.latency.p99_ms, "p50_ms": driven.latency.p50_ms,
        "per_second": driven.per_second, "events": requests * BATCH});
    triad.stop().await?;
    let figures = [
        Figure::median("standalone.reopen_seconds", opened),
        Figure::median("standalone.range_p99_ms", vec![read]),
    ];
    Ok(figures.into_iter().flatten().collect())
}
