//! A tenant that sends as much as it can, beside another one that does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{bail, ensure};
use serde::Serialize;

use super::drive::{Pace, drive};
use crate::check::link::{Answer, Ask, Endpoint};

/// Requests of a flood at once.
const CONNECTIONS: usize = 32;
/// It ends with what it is beside, long before.
const LONGEST: Duration = Duration::from_secs(600);

/// How a flood was answered.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Flood {
    pub(super) accepted: u64,
    /// With 429.
    pub(super) refused: u64,
}

/// Does `work` while requests of `make` are sent as fast as they are answered.
///
/// # Errors
/// That of `work`; answers that are neither success nor 429; a flood that was within its rate.
pub(super) async fn beside<T>(
    endpoint: &Endpoint,
    make: impl Fn(u64) -> Ask + Send + Sync + 'static,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(T, Flood)> {
    let counts = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let judged = Arc::clone(&counts);
    let judge = move |_: u64, answer: &Answer| {
        let [accepted, refused] = &*judged;
        match answer.status.as_u16() {
            200 | 202 => accepted.fetch_add(1, Ordering::Relaxed),
            429 => refused.fetch_add(1, Ordering::Relaxed),
            other => bail!("a flood is answered {other}"),
        };
        Ok(())
    };
    let pace = Pace { connections: CONNECTIONS, span: LONGEST, rate: None };
    // Dropped, it ends all its callers.
    let done = tokio::select! {
        done = work => done?,
        ended = drive(endpoint, pace, make, judge) => {
            ended?;
            bail!("the flood ended first");
        }
    };
    let [accepted, refused] = &*counts;
    let flood = Flood {
        accepted: accepted.load(Ordering::Relaxed),
        refused: refused.load(Ordering::Relaxed),
    };
    ensure!(flood.refused > 0, "the flood was within its rate: {flood:?}");
    Ok((done, flood))
}
