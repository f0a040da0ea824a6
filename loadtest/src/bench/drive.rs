//! Requests from many connections, in a closed loop or at a rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::task::JoinSet;

use crate::check::link::{Answer, Ask, DEADLINE, Endpoint};
use crate::latency::{Latency, Recorder};

/// What came of it.
pub(crate) struct Driven {
    pub(crate) count: u64,
    pub(crate) per_second: f64,
    pub(crate) latency: Latency,
}

/// How requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) connections: usize,
    pub(crate) span: Duration,
    /// Requests a second; as many as are answered without.
    pub(crate) rate: Option<f64>,
}

/// Sends what `make` says for each number from 0, and has each answer judged.
///
/// # Errors
/// The first answer that is not as it should be.
pub(crate) async fn drive(
    endpoint: &Endpoint,
    pace: Pace,
    make: impl Fn(u64) -> Ask + Send + Sync + 'static,
    judge: impl Fn(u64, &Answer) -> anyhow::Result<()> + Send + Sync + 'static,
) -> anyhow::Result<Driven> {
    let (make, judge, next) = (Arc::new(make), Arc::new(judge), Arc::new(AtomicU64::new(0)));
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for _ in 0..pace.connections {
        let mut link = endpoint.connect().await?;
        let (make, judge, next) = (Arc::clone(&make), Arc::clone(&judge), Arc::clone(&next));
        callers.spawn(async move {
            let mut seen = Recorder::default();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let due =
                    pace.rate.map(|rate| begun + Duration::from_secs_f64(number as f64 / rate));
                if let Some(due) = due {
                    tokio::time::sleep_until(due.into()).await;
                }
                // At a rate, from when it should have begun.
                let from = due.unwrap_or_else(Instant::now);
                if from.duration_since(begun) >= pace.span {
                    return anyhow::Ok(seen);
                }
                let answer = tokio::time::timeout(DEADLINE, link.exchange(make(number))).await;
                judge(number, &answer.context("no answer in time")??)?;
                seen.record(from.elapsed());
            }
        });
    }
    let mut all = Recorder::default();
    while let Some(caller) = callers.join_next().await {
        all.merge(&caller??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let count = all.count();
    Ok(Driven { count, per_second: count as f64 / seconds, latency: all.summary() })
}

/// Judges by the status alone.
pub(crate) fn status(expected: u16) -> impl Fn(u64, &Answer) -> anyhow::Result<()> {
    move |_, answer| {
        let body = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status.as_u16() == expected, "not {expected}: {} {body}", answer.status);
        Ok(())
    }
}
