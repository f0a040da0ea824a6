//! The accounting identity, proved: every record of a run is stored once with the right content, or
//! expired, or dead-lettered for the right reason, and nothing else is there.
//!
//! | module | what it does |
//! |---|---|
//! | `expect` | makes the row of an event again, by ingest's own code |
//! | `scan` | reads all tables, by token range |
//! | `letters` | reads the dead-letter topic from its beginning |
//! | `ledger` | judges what was found |
//!
//! Memory is a bit for each event and an entry for each dead letter.

mod expect;
mod ledger;
mod letters;
mod scan;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

pub use ledger::{Ledger, Problem};
pub(crate) use scan::range;

use crate::ceiling::layouts;
use crate::engines::{Engines, uncommitted};
use crate::run::Run;
use crate::stop::Stop;
use crate::{progress, verify::expect::Expecter};

/// Attempts at what must be known before a proof can begin.
const ATTEMPTS: u32 = 20;

/// How strict it is, and how long it waits first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Wait so long for the run's group to commit everything before looking.
    pub settle: Duration,
    /// A good event may be stored and in the dead-letter topic: it was replayed.
    pub replayed: bool,
}

/// What is known of a run whose records are among others', in topics and tables that it did not make, and of whose
/// records some may be there or not.
#[derive(Debug, Clone, Default)]
pub struct Among {
    /// By index, the partition and offset that Kafka acknowledged; without them, a record may be there or not.
    pub acknowledged: Vec<Option<(i32, i64)>>,
    /// Dead letters before these offsets, by partition, are others'.
    pub letters_from: BTreeMap<i32, i64>,
    /// What is in records of others that are good, so that none of them may be a dead letter.
    pub stored: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// Whether the identity holds.
    pub ok: bool,
    /// Records of the run.
    pub events: u64,
    /// Stored once with the right content.
    pub stored: u64,
    /// Not stored because their life is over.
    pub expired: u64,
    /// Dead letters by reason, copies of one origin counted once.
    pub dead_lettered: BTreeMap<String, u64>,
    /// Further copies of dead letters.
    pub dead_letter_copies: u64,
    /// Records that the group has not committed; with `settle`, after waiting.
    pub uncommitted: u64,
    /// What is wrong, how often.
    pub problems: BTreeMap<&'static str, u64>,
    /// The first of them.
    pub first: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// Verifies `run`.
///
/// # Errors
/// When something cannot be read; what is wrong with the data is in the verdict.
pub async fn verify(
    engines: &Engines,
    run: &Run,
    options: Options,
    stop: &Stop,
) -> anyhow::Result<Verdict> {
    judge(engines, run, options, None, stop).await
}

/// Verifies `run`, whose records are among others': rows and dead letters that do not name it are not looked at.
///
/// # Errors
/// As [`verify`].
pub async fn verify_among(
    engines: &Engines,
    run: &Run,
    options: Options,
    among: Among,
    stop: &Stop,
) -> anyhow::Result<Verdict> {
    judge(engines, run, options, Some(among), stop).await
}

async fn judge(
    engines: &Engines,
    run: &Run,
    options: Options,
    among: Option<Among>,
    stop: &Stop,
) -> anyhow::Result<Verdict> {
    let begun = Instant::now();
    let uncommitted = settle(engines, run, options.settle, stop).await?;
    let db = again(stop, async || engines.session(&run.names).await).await?;
    let layouts = again(stop, async || layouts(engines, &run.names, &db).await).await?;
    let limits = engines.config(&run.names)?.limits.decoder();
    let expecter = Expecter::new(run, layouts, limits);
    let ledger = Arc::new(Ledger::new(expecter, options.replayed, among));
    let bar = progress::bar("rows", run.good());
    scan::scan(&db, &ledger, stop, &bar).await?;
    bar.finish_and_clear();
    letters::read(engines, &ledger, stop).await?;
    let mut verdict = ledger.close(chrono::Utc::now().timestamp_millis());
    verdict.uncommitted = uncommitted;
    verdict.seconds = begun.elapsed().as_secs_f64();
    Ok(verdict)
}

/// Asks until there is an answer: a proof begins where a fault was, and a node that has just died is
/// asked for some seconds more.
pub(super) async fn again<T>(
    stop: &Stop,
    mut ask: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    for _ in 1..ATTEMPTS {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => progress::say(&format!("asking again: {error:#}")),
        }
        stop.check()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    ask().await
}

/// Waits until the group has committed everything, at most `limit`; returns what is left.
async fn settle(engines: &Engines, run: &Run, limit: Duration, stop: &Stop) -> anyhow::Result<u64> {
    let deadline = Instant::now() + limit;
    loop {
        stop.check()?;
        let (engines, names) = (engines.clone(), run.names.clone());
        let ask = move || uncommitted(&engines, &names.topic, &names.group);
        let left = tokio::task::spawn_blocking(ask).await??;
        if left == 0 || Instant::now() >= deadline {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
