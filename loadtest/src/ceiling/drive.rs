//! Sending ready batches with so many in flight, and what it cost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use ingest::sink::Statements;
use ingest::sink::session::Cassandra;
use ingest::sink::skip::GranuleWriter;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use serde::Serialize;

use super::index::IndexTable;
use super::rows::{Rows, RowsBatch};
use crate::latency::{Latency, Recorder};
use crate::stop::Stop;
use crate::system;

/// Cassandra is given up when it acknowledged nothing for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How batches are sent.
#[derive(Clone)]
pub struct Drive {
    /// To where.
    pub db: Cassandra,
    /// Ingest's own statements.
    pub statements: Arc<Statements>,
    /// Batches on their way at once.
    pub in_flight: usize,
    /// What is sent.
    pub load: Load,
}

/// What is sent of each batch.
#[derive(Clone)]
pub enum Load {
    /// Its rows.
    Rows,
    /// Its rows, and the granules of the skip index that end with it.
    Granules(GranuleWriter),
    /// Its rows, and with them its entries in a second table.
    Both(IndexTable),
    /// The entries alone.
    Entries(IndexTable),
}

/// What sending cost.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Driven {
    /// Rows written.
    pub rows: u64,
    /// From the first batch to the last answer.
    pub seconds: f64,
    /// Rows a second.
    pub rows_per_second: f64,
    /// CPU of this process a row, in µs.
    pub cpu_per_row_us: f64,
    /// Of a batch that succeeded, its failed attempts not counted.
    pub latency: Latency,
    /// Batches sent again, by error.
    pub retries: BTreeMap<String, u64>,
    /// Rows written after each 100 ms.
    #[serde(skip)]
    pub timeline: Vec<(f64, u64)>,
}

/// One of the writers' own counts.
#[derive(Default)]
struct Tally {
    latency: Recorder,
    retries: BTreeMap<String, u64>,
}

/// Sends all batches of `rows`. `written` counts rows as they are acknowledged.
///
/// # Errors
/// When a batch is refused for good, nothing is acknowledged for a minute, or `stop` says so.
pub async fn write(
    drive: &Drive,
    rows: &Arc<Rows>,
    stop: &Stop,
    written: &Arc<AtomicU64>,
) -> anyhow::Result<Driven> {
    let (next, before) = (Arc::new(AtomicUsize::new(0)), written.load(Ordering::Relaxed));
    let (begun, cpu) = (Instant::now(), system::cpu_time(std::process::id())?);
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..drive.in_flight.max(1) {
        let (drive, rows, stop) = (drive.clone(), Arc::clone(rows), stop.clone());
        let (next, written) = (Arc::clone(&next), Arc::clone(written));
        writers.spawn(async move { writer(&drive, &rows, &next, &written, &stop).await });
    }
    let (mut all, mut timeline) = (Tally::default(), Vec::new());
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let mut progress = (0, Instant::now());
    loop {
        tokio::select! {
            ended = writers.join_next() => match ended {
                Some(tally) => {
                    let tally = tally??;
                    all.latency.merge(&tally.latency);
                    for (error, count) in tally.retries {
                        *all.retries.entry(error).or_default() += count;
                    }
                }
                None => break,
            },
            _ = ticks.tick() => {
                let rows = written.load(Ordering::Relaxed) - before;
                timeline.push((begun.elapsed().as_secs_f64(), rows));
                if rows > progress.0 {
                    progress = (rows, Instant::now());
                }
                ensure!(progress.1.elapsed() < PATIENCE, "cassandra acknowledged nothing for {PATIENCE:?}");
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = system::cpu_time(std::process::id())?.saturating_sub(cpu);
    let rows = rows.rows;
    Ok(Driven {
        rows,
        seconds,
        rows_per_second: rows as f64 / seconds,
        cpu_per_row_us: cpu.as_secs_f64() * 1e6 / rows.max(1) as f64,
        latency: all.latency.summary(),
        retries: all.retries,
        timeline,
    })
}

async fn writer(
    drive: &Drive,
    rows: &Rows,
    next: &AtomicUsize,
    written: &AtomicU64,
    stop: &Stop,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    while let Some(batch) = rows.batches.get(next.fetch_add(1, Ordering::Relaxed)) {
        let mut backoff = Duration::from_millis(20);
        loop {
            stop.check()?;
            let begun = Instant::now();
            match attempt(drive, batch).await {
                Ok(()) => {
                    tally.latency.record(begun.elapsed());
                    break;
                }
                Err(error) if passes(&error) => {
                    *tally.retries.entry(label(&error)).or_default() += 1;
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(Duration::from_secs(2));
                }
                Err(error) => bail!("cassandra refuses a batch: {error}"),
            }
        }
        written.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }
    Ok(tally)
}

async fn attempt(drive: &Drive, batch: &RowsBatch) -> Result<(), ExecutionError> {
    let now = chrono::Utc::now().timestamp_millis();
    let statement = drive.statements.batch(batch.key.class(), batch.len());
    let rows = async { drive.db.session.batch(&statement, batch.rows(now)).await.map(drop) };
    match &drive.load {
        Load::Rows => rows.await,
        Load::Granules(index) => {
            let granule = async {
                if let Some(granule) = batch.granule() {
                    index.write(&batch.key, granule.clone()).await;
                }
            };
            tokio::join!(rows, granule).0
        }
        Load::Both(index) => tokio::try_join!(rows, index.write(batch, now)).map(drop),
        Load::Entries(index) => index.write(batch, now).await,
    }
}

/// Whether another attempt may succeed.
fn passes(error: &ExecutionError) -> bool {
    !matches!(
        error,
        ExecutionError::BadQuery(_)
            | ExecutionError::LastAttemptError(RequestAttemptError::DbError(
                DbError::Invalid
                    | DbError::SyntaxError
                    | DbError::Unauthorized
                    | DbError::ConfigError,
                _
            ))
    )
}

fn label(error: &ExecutionError) -> String {
    match error {
        ExecutionError::RequestTimeout(_) => "client_timeout".to_owned(),
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => {
            let text = format!("{error:?}");
            text.split([' ', '{', '(']).next().unwrap_or_default().to_owned()
        }
        ExecutionError::ConnectionPoolError(_) => "connection".to_owned(),
        _ => "other".to_owned(),
    }
}
