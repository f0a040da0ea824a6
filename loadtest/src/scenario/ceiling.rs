//! `ceiling`: the driver alone, with the very rows of the run, before and beside which nothing runs.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context;
use ingest::config::Index;
use ingest::sink::Statements;
use ingest::sink::session::Cassandra;
use ingest::sink::skip::GranuleWriter;
use serde::Serialize;
use service_kit::health::Health;

use crate::ceiling::{self, Drive, Driven, IndexTable, Load, Rows};
use crate::engines::{Engines, IndexKind};
use crate::generate::Generator;
use crate::progress;
use crate::run::{Names, Run};
use crate::stop::Stop;

/// How batches are made and sent.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Rows in a batch, at most.
    pub batch: usize,
    /// Batches on their way at once.
    pub in_flight: usize,
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Rows in a batch, at most.
    pub batch: usize,
    /// Batches on their way at once.
    pub in_flight: usize,
    /// How filters are served.
    pub index: Option<IndexKind>,
    /// Batches sent.
    pub batches: usize,
    /// Bytes of rows, on average.
    pub row_bytes: f64,
    /// What sending cost.
    #[serde(flatten)]
    pub driven: Driven,
}

/// Writes the run's good events into its keyspace, which is created if it is missing.
///
/// # Errors
/// When Cassandra refuses or does not answer, or the time is up.
pub async fn measure(
    engines: &Engines,
    run: &Run,
    shape: Shape,
    stop: &Stop,
) -> anyhow::Result<Measured> {
    let db = engines.apply_schema(&run.names).await?;
    let drive = drive(engines, &run.names, &db, shape.in_flight).await?;
    let rows = prepare(engines, run, &db, shape.batch, stop).await?;
    let bar = progress::bar("written", rows.rows);
    let written = Arc::new(AtomicU64::new(0));
    let ticker = tick(bar.clone(), Arc::clone(&written));
    let driven = ceiling::write(&drive, &rows, stop, &written).await;
    ticker.abort();
    bar.finish_and_clear();
    Ok(Measured {
        batch: shape.batch,
        in_flight: shape.in_flight,
        index: engines.index,
        batches: rows.batches.len(),
        row_bytes: rows.bytes as f64 / rows.rows.max(1) as f64,
        driven: driven?,
    })
}

/// How the run's keyspace is written to, with whatever index is measured or configured.
///
/// # Errors
/// When the schema is not there or nobody answers.
pub async fn drive(
    engines: &Engines,
    names: &Names,
    db: &Cassandra,
    in_flight: usize,
) -> anyhow::Result<Drive> {
    let load = match engines.index {
        Some(IndexKind::Table) => Load::Both(IndexTable::create(db).await?),
        Some(IndexKind::Entries) => Load::Entries(IndexTable::create(db).await?),
        _ if engines.config(names)?.cassandra.index == Index::Skip => {
            let health = Health::new().component("skip index");
            Load::Granules(GranuleWriter::prepare(db, health).await?)
        }
        _ => Load::Rows,
    };
    let statements = Arc::new(Statements::prepare(db).await.context("preparing the inserts")?);
    Ok(Drive { db: db.clone(), statements, in_flight, load })
}

/// All good events of the run as batches.
///
/// # Errors
/// When ingest would refuse one, or the time is up.
pub async fn prepare(
    engines: &Engines,
    run: &Run,
    db: &Cassandra,
    batch: usize,
    stop: &Stop,
) -> anyhow::Result<Arc<Rows>> {
    let layouts = ceiling::layouts(engines, &run.names, db).await?;
    let limits = engines.config(&run.names)?.limits.decoder();
    let (generator, stop, events) = (Generator::new(run), stop.clone(), run.events);
    let work = move || Rows::prepare(&generator, 0..events, &layouts, &limits, batch, &stop);
    Ok(Arc::new(tokio::task::spawn_blocking(work).await??))
}

fn tick(bar: indicatif::ProgressBar, written: Arc<AtomicU64>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            bar.set_position(written.load(std::sync::atomic::Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    })
}
