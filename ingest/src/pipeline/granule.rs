//! Granules of the skip index: collected behind the writes, durable before the watermark passes them.
//!
//! A row counts as settled when its granule is written, not before: after a crash it is read again and
//! indexed then. What waits here is some bytes a row, no event, so it holds nothing of the budget.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use metrics::gauge;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::batch::RowBatch;
use super::chunk::Settling;
use super::watermark::Watermarks;
use crate::sink::row::{PartitionKey, searchable};
use crate::sink::skip::{Granule, GranuleWriter};
use crate::skip::{Field, hash};

/// A granule is written at this many rows: what one match makes a reader read.
const ROWS: usize = 256;
/// A granule spans no more time than this, in milliseconds: late rows get one of their own.
const SPAN_MS: i64 = 600_000;
/// Rows that may wait; 8 bytes each, and a count for each chunk. Near it granules are written early.
const WAITING: usize = 1 << 19;
/// Granules on their way at once.
const IN_FLIGHT: usize = 16;
/// Between looks at how old granules are.
const TICK: Duration = Duration::from_millis(100);

/// Rows of a chunk that a granule settles.
pub(super) type Share = (Arc<Settling>, usize);

/// Collects granules. Cheap to clone.
#[derive(Clone)]
pub(super) struct Granules(Arc<Inner>);

struct Inner {
    open: Mutex<HashMap<PartitionKey, Open, RandomState>>,
    linger: Duration,
    waiting: Semaphore,
    in_flight: Semaphore,
    writer: GranuleWriter,
    watermarks: Arc<Watermarks>,
}

struct Open {
    since: Instant,
    granule: Granule,
    rows: usize,
    shares: Vec<Share>,
}

impl Granules {
    /// Starts looking at what is due. The task ends by [`JoinHandle::abort`], after [`Granules::finish`].
    pub(super) fn start(
        writer: GranuleWriter,
        linger: Duration,
        watermarks: Arc<Watermarks>,
    ) -> (Self, JoinHandle<()>) {
        let granules = Self(Arc::new(Inner {
            open: Mutex::default(),
            linger,
            waiting: Semaphore::new(WAITING),
            in_flight: Semaphore::new(IN_FLIGHT),
            writer,
            watermarks,
        }));
        let task = tokio::spawn(granules.clone().watch());
        (granules, task)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<PartitionKey, Open, RandomState>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over rows that are stored; each share is settled with its granule. Waits while too many
    /// rows wait already.
    pub(super) async fn note(&self, batch: &RowBatch, shares: Vec<Share>) {
        let rows = batch.len().min(WAITING);
        // The semaphore is never closed.
        if let Ok(permits) = self.0.waiting.acquire_many(u32::try_from(rows).unwrap_or(1)).await {
            permits.forget();
        }
        for done in self.add(batch, rows, shares) {
            self.write(done);
        }
    }

    /// Adds a batch to its partition's granule; what is complete by that comes back.
    fn add(&self, batch: &RowBatch, rows: usize, shares: Vec<Share>) -> Vec<(PartitionKey, Open)> {
        let mut fresh = Open::new(rows, shares);
        for body in batch.bodies() {
            fresh.granule.take(body);
        }
        let (mut done, mut open) = (Vec::new(), self.open());
        match open.remove_entry(batch.key.as_bytes()) {
            Some((key, before)) if !before.joins(&fresh) => done.push((key, before)),
            Some((_, before)) => fresh.join(before),
            None => {}
        }
        if fresh.rows >= ROWS {
            done.push((batch.key.clone(), fresh));
        } else {
            open.insert(batch.key.clone(), fresh);
        }
        done
    }

    fn write(&self, (key, open): (PartitionKey, Open)) {
        let granules = self.clone();
        tokio::spawn(async move {
            // The semaphore is never closed.
            let _slot = granules.0.in_flight.acquire().await;
            granules.0.writer.write(&key, open.granule).await;
            for (chunk, rows) in &open.shares {
                chunk.settled(*rows);
            }
            granules.0.waiting.add_permits(open.rows);
        });
    }

    async fn watch(self) {
        let mut ticks =
            tokio::time::interval(TICK.min(self.0.linger.max(Duration::from_millis(1))));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let free = self.0.waiting.available_permits();
            #[allow(clippy::cast_precision_loss, reason = "below 2^19")]
            gauge!("triad_ingest_index_waiting_rows").set((WAITING - free) as f64);
            let pressed = free < WAITING / 4;
            let hurry = pressed || self.0.watermarks.is_awaited();
            self.flush(if hurry { Duration::ZERO } else { self.0.linger });
        }
    }

    /// Writes what is at least so old.
    fn flush(&self, age: Duration) {
        let now = Instant::now();
        let due: Vec<_> =
            self.open().extract_if(|_, open| now.duration_since(open.since) >= age).collect();
        for open in due {
            self.write(open);
        }
    }

    /// Writes everything and waits for it.
    pub(super) async fn finish(&self) {
        self.flush(Duration::ZERO);
        // All rows free again: nothing waits and nothing is on its way.
        let _ = self.0.waiting.acquire_many(u32::try_from(WAITING).unwrap_or(u32::MAX)).await;
    }
}

impl Open {
    fn new(rows: usize, shares: Vec<Share>) -> Self {
        Self { since: Instant::now(), granule: Granule::default(), rows, shares }
    }

    /// Whether both fit into one granule.
    fn joins(&self, other: &Self) -> bool {
        let (one, two) = (&self.granule, &other.granule);
        one.last.max(two.last) - one.first.min(two.first) <= SPAN_MS
    }

    /// Takes over an older one.
    fn join(&mut self, mut older: Self) {
        self.since = older.since;
        self.rows += older.rows;
        older.granule.join(&self.granule);
        std::mem::swap(&mut self.granule, &mut older.granule);
        self.shares.append(&mut older.shares);
    }
}

impl Granule {
    fn take(&mut self, body: &[u8]) {
        let row = searchable(body);
        (self.first, self.last) = (self.first.min(row.time), self.last.max(row.time));
        let actor = row.actor.map(|value| hash(Field::Actor, value));
        let resource = row.resource.map(|value| hash(Field::Resource, value));
        self.hashes.extend(actor.into_iter().chain(resource));
    }

    fn join(&mut self, other: &Self) {
        (self.first, self.last) = (self.first.min(other.first), self.last.max(other.last));
        self.hashes.extend_from_slice(&other.hashes);
    }
}
