//! Granules of the skip index: collected behind the writes, durable before the watermark passes them.
//!
//! A batch gets its place when it is cut, not when it is stored: with many batches of one partition
//! under way they are stored in any order, and a granule of neighbours spans less time.
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
use crate::sink::row::{PartitionKey, event_time};
use crate::sink::skip::{GRANULE_ROWS, Granule, GranuleWriter};

/// A granule spans no more time than this, in milliseconds: late rows get one of their own.
const SPAN_MS: i64 = 600_000;
/// What waits is counted in units of so many bytes: what a row takes, at most.
const UNIT: usize = 16;
/// What a batch takes beside its rows, in units: its place, its granule if it has one of its own.
const BATCH_UNITS: usize = 24;
/// Units that may wait. Near it granules are written early.
const WAITING: usize = 1 << 20;
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
    open: Mutex<HashMap<PartitionKey, Place, RandomState>>,
    linger: Duration,
    waiting: Semaphore,
    in_flight: Semaphore,
    writer: GranuleWriter,
    watermarks: Arc<Watermarks>,
}

/// The granule that a batch belongs to. Cheap to clone.
#[derive(Clone)]
pub(super) struct Place(Arc<Building>);

struct Building {
    key: PartitionKey,
    since: Instant,
    state: Mutex<State>,
}

/// A granule is written when it is closed and all rows that were placed are stored.
#[derive(Default)]
struct State {
    granule: Granule,
    placed: usize,
    stored: usize,
    units: usize,
    closed: bool,
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

    fn open(&self) -> MutexGuard<'_, HashMap<PartitionKey, Place, RandomState>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The granule for the rows of a batch that is about to be written; every place must be
    /// [noted](Granules::note).
    pub(super) fn place(&self, batch: &RowBatch) -> Place {
        let (mut open, mut times) = (self.open(), Granule::default());
        batch.bodies().for_each(|body| times.span(event_time(body)));
        let place = match open.get(batch.key.as_bytes()) {
            Some(place) if place.state().fits(&times) => place.clone(),
            _ => {
                let fresh = Place::new(batch.key.clone());
                if let Some(before) = open.insert(batch.key.clone(), fresh.clone()) {
                    self.close(before);
                }
                fresh
            }
        };
        if place.state().place(&times, batch.len()) >= GRANULE_ROWS {
            open.remove(batch.key.as_bytes());
            self.close(place.clone());
        }
        place
    }

    /// Takes over rows that are stored; each share is settled with its granule. Waits while too much
    /// waits already.
    pub(super) async fn note(&self, place: Place, bodies: &[&[u8]], shares: Vec<Share>) {
        let mut fresh = Granule::default();
        bodies.iter().for_each(|body| fresh.take(body));
        let done = place.state().store(bodies.len(), &fresh.hashes, shares);
        self.write(place, done);
        // After the rows are told of: whoever waits here holds up no granule. Never closed.
        if let Ok(permits) = self.0.waiting.acquire_many(permits(bodies.len() + BATCH_UNITS)).await
        {
            permits.forget();
        }
    }

    /// Lets no more rows into a granule.
    fn close(&self, place: Place) {
        let done = place.state().close();
        self.write(place, done);
    }

    /// Writes a granule that is done.
    fn write(&self, place: Place, done: Option<State>) {
        let Some(done) = done else { return };
        let granules = self.clone();
        tokio::spawn(async move {
            // The semaphore is never closed.
            let _slot = granules.0.in_flight.acquire().await;
            // Boxed: whoever waits for a slot holds a granule, not the state of a request.
            Box::pin(granules.0.writer.write(&place.0.key, done.granule)).await;
            for (chunk, rows) in &done.shares {
                chunk.settled(*rows);
            }
            granules.0.waiting.add_permits(done.units);
        });
    }

    async fn watch(self) {
        let mut ticks =
            tokio::time::interval(TICK.min(self.0.linger.max(Duration::from_millis(1))));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let free = self.0.waiting.available_permits().min(WAITING);
            #[allow(clippy::cast_precision_loss, reason = "below 2^24")]
            gauge!("triad_ingest_index_waiting_bytes").set(((WAITING - free) * UNIT) as f64);
            let pressed = free < WAITING / 4;
            let hurry = pressed || self.0.watermarks.is_awaited();
            self.flush(if hurry { Duration::ZERO } else { self.0.linger });
        }
    }

    /// Closes what is at least so old.
    fn flush(&self, age: Duration) {
        let now = Instant::now();
        let due: Vec<_> =
            self.open().extract_if(|_, place| now.duration_since(place.0.since) >= age).collect();
        due.into_iter().for_each(|(_, place)| self.close(place));
    }

    /// Writes everything and waits for it; all places are noted.
    pub(super) async fn finish(&self) {
        self.flush(Duration::ZERO);
        // All units free again: nothing waits and nothing is on its way.
        let _ = self.0.waiting.acquire_many(permits(WAITING)).await;
    }
}

/// Both the limit and a batch are far below 2^32 units.
fn permits(units: usize) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

impl Place {
    fn new(key: PartitionKey) -> Self {
        Self(Arc::new(Building { key, since: Instant::now(), state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether rows of these times fit beside those that are here.
    fn fits(&self, times: &Granule) -> bool {
        times.last.max(self.granule.last) - times.first.min(self.granule.first) <= SPAN_MS
    }

    /// Rows are on their way; returns how many there are by now.
    fn place(&mut self, times: &Granule, rows: usize) -> usize {
        self.granule.span(times.first);
        self.granule.span(times.last);
        self.placed += rows;
        self.placed
    }

    /// Rows are stored.
    fn store(&mut self, rows: usize, hashes: &[i32], shares: Vec<Share>) -> Option<Self> {
        self.stored += rows;
        self.units += rows + BATCH_UNITS;
        self.granule.hashes.extend_from_slice(hashes);
        self.shares.extend(shares);
        self.done()
    }

    /// No more rows come.
    fn close(&mut self) -> Option<Self> {
        self.closed = true;
        self.done()
    }

    /// The whole, once.
    fn done(&mut self) -> Option<Self> {
        let done = self.closed && self.placed > 0 && self.stored == self.placed;
        done.then(|| std::mem::take(self))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_granule_is_done_once_when_it_is_closed_and_all_is_stored(
            batches in proptest::collection::vec(1_usize..9, 1..9), seed in any::<u64>(),
        ) {
            let mut state = State::default();
            for (time, rows) in (0_i64..).zip(&batches) {
                let times = Granule { first: time, last: time, hashes: Vec::new() };
                prop_assert!(state.fits(&times));
                state.place(&times, *rows);
            }
            // Stored and closed in any order.
            let mut steps: Vec<_> = batches.iter().copied().map(Some).chain([None]).collect();
            let length = steps.len();
            for index in 0..length {
                steps.swap(index, (seed >> index) as usize % length);
            }
            let last = i64::try_from(length).unwrap_or_default() - 1;
            for (index, step) in (0_i64..).zip(steps) {
                let done = match step {
                    Some(rows) => state.store(rows, &vec![0; rows], Vec::new()),
                    None => state.close(),
                };
                prop_assert_eq!(done.is_some(), index == last);
                let Some(done) = done else { continue };
                prop_assert_eq!(done.granule.hashes.len(), batches.iter().sum::<usize>());
                prop_assert_eq!((done.granule.first, done.granule.last), (0, last - 1));
            }
        }
    }

    #[test]
    fn late_rows_do_not_fit() {
        let mut state = State::default();
        let at = |first, last| Granule { first, last, hashes: Vec::new() };
        state.place(&at(SPAN_MS, SPAN_MS + 1), 1);
        assert!(state.fits(&at(1, SPAN_MS)) && state.fits(&at(SPAN_MS, 2 * SPAN_MS)));
        assert!(!state.fits(&at(0, 1)) && !state.fits(&at(SPAN_MS, 2 * SPAN_MS + 1)));
    }
}
