//! The one task that owns all open batches: every row of a Cassandra partition meets its neighbours
//! here, whatever Kafka partition it came from.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::Utc;
use foldhash::fast::RandomState;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use service_kit::bus::Publisher;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::batch::{BatchLimits, Batches, RowBatch};
use super::dead_letter::DeadLetters;
use super::decode::Decoded;
use super::granule::{Granules, Place, Share};
use crate::event::{Reason, Rejection};
use crate::layout::promotion::RowCounts;
use crate::metrics::PipelineMetrics;
use crate::recent::{Recent, Seen};
use crate::sink::Sink;
use crate::sink::row::PartitionKey;

/// Partitions whose rows are counted; beyond it counting starts anew.
const COUNTED_PARTITIONS: usize = 1 << 15;

pub(super) struct Gather<P> {
    limits: BatchLimits,
    slots: usize,
    free: Arc<Semaphore>,
    batches: Batches,
    recent: Recent,
    partition_rows: u64,
    written: HashMap<PartitionKey, u64, RandomState>,
    counts: Arc<RowCounts>,
    writer: Writer<P>,
}

/// What a writing task needs.
struct Writer<P> {
    sink: Sink,
    granules: Option<Granules>,
    dead_letters: DeadLetters<P>,
    metrics: Arc<PipelineMetrics>,
}

impl<P> Clone for Writer<P> {
    fn clone(&self) -> Self {
        Self {
            sink: self.sink.clone(),
            granules: self.granules.clone(),
            dead_letters: self.dead_letters.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}

impl<P: Publisher> Gather<P> {
    pub(super) fn new(
        limits: BatchLimits,
        slots: usize,
        partition_rows: u64,
        sink: Sink,
        granules: Option<Granules>,
        dead_letters: DeadLetters<P>,
        counts: Arc<RowCounts>,
        metrics: Arc<PipelineMetrics>,
    ) -> Self {
        Self {
            limits,
            slots,
            free: Arc::new(Semaphore::new(slots)),
            batches: Batches::new(limits),
            recent: Recent::default(),
            partition_rows,
            written: HashMap::default(),
            counts,
            writer: Writer { sink, granules, dead_letters, metrics },
        }
    }

    /// Gathers until the last sender is gone, then writes what is left and waits for it.
    ///
    /// Chunks come in the order of their delivery, however long each takes to decode: neighbours in a
    /// Kafka partition stay neighbours in batches and granules.
    pub(super) async fn run(
        mut self,
        mut rows: mpsc::UnboundedReceiver<oneshot::Receiver<Decoded>>,
    ) {
        let (mut turns, mut open) = (FuturesOrdered::new(), true);
        let free = Arc::clone(&self.free);
        while open || !turns.is_empty() {
            let due = self.batches.oldest_opened().map(|opened| opened + self.linger());
            // A slot may have come free since `start` found none: then this wakes at once.
            let blocked = self.batches.has_full() || self.free.available_permits() == 0;
            tokio::select! {
                biased;
                turn = rows.recv(), if open => match turn {
                    Some(turn) => turns.push_back(turn),
                    None => open = false,
                },
                // A decoder that panicked took its chunk along: its records are never committed.
                Some(decoded) = turns.next() => if let Ok(decoded) = decoded {
                    self.take(&decoded);
                },
                _free = free.acquire(), if blocked => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && !blocked => {}
            }
            self.start();
        }
        while let Ok(slot) = Arc::clone(&self.free).acquire_owned().await {
            match self.batches.next(Instant::now(), std::time::Duration::ZERO) {
                Some(batch) => self.write(batch, slot),
                None => break,
            }
        }
        // All slots free again: nothing is on its way.
        let _ = self.free.acquire_many(u32::try_from(self.slots).unwrap_or(u32::MAX)).await;
        if let Some(granules) = &self.writer.granules {
            granules.finish().await;
        }
    }

    fn linger(&self) -> std::time::Duration {
        self.limits.linger(self.slots - self.free.available_permits(), self.slots)
    }

    fn take(&mut self, decoded: &Decoded) {
        let now = Instant::now();
        let (mut same, mut conflicts) = (0, 0);
        for row in &decoded.rows {
            match self.recent.note(row.identity, row.content) {
                Seen::New => {}
                Seen::Same => same += 1,
                Seen::Conflict => conflicts += 1,
            }
            self.batches.push(decoded, row, now);
        }
        self.writer.metrics.redelivered.increment(same);
        self.writer.metrics.conflicts.increment(conflicts);
    }

    /// Writes what is full or due, as far as slots are free.
    fn start(&mut self) {
        loop {
            // Before a slot is taken, as `run` computes when to wake: else it wakes too early, in vain.
            let linger = self.linger();
            let Ok(slot) = Arc::clone(&self.free).try_acquire_owned() else { break };
            match self.batches.next(Instant::now(), linger) {
                Some(batch) => self.write(batch, slot),
                None => break,
            }
        }
    }

    fn write(&mut self, batch: RowBatch, slot: OwnedSemaphorePermit) {
        self.count(&batch);
        self.writer.metrics.batches_in_flight.increment(1.0);
        let place = self.writer.granules.as_ref().map(|granules| granules.place(&batch));
        let writer = self.writer.clone();
        tokio::spawn(async move {
            writer.write(&batch, place).await;
            writer.metrics.batches_in_flight.decrement(1.0);
            drop(slot);
        });
    }

    fn count(&mut self, batch: &RowBatch) {
        if self.written.len() >= COUNTED_PARTITIONS {
            self.written.clear();
        }
        let rows = batch.len() as u64;
        self.counts.note(batch.key.tenant(), batch.first_event_time(), rows);
        let written = match self.written.get_mut(batch.key.as_bytes()) {
            Some(written) => written,
            None => self.written.entry(batch.key.clone()).or_default(),
        };
        let before = std::mem::replace(written, *written + rows);
        if before <= self.partition_rows && before + rows > self.partition_rows {
            self.writer.metrics.oversized.increment(1);
        }
    }
}

impl<P: Publisher> Writer<P> {
    async fn write(&self, batch: &RowBatch, place: Option<Place>) {
        let bodies: Vec<_> = batch.bodies().collect();
        let rejected = self.sink.write(&batch.key, &bodies).await;
        for row in &rejected {
            let (chunk, record) = batch.origin(row.index);
            let rejection = Rejection::new(Reason::DatabaseRejected, row.error.clone());
            self.dead_letters.send(chunk, record, &rejection).await;
        }
        let now = Utc::now().timestamp_millis();
        let mut shares: Vec<Share> = Vec::new();
        for (chunk, rows, first) in batch.runs() {
            let dead = rejected.iter().filter(|row| Arc::ptr_eq(batch.origin(row.index).0, chunk));
            // `send` has settled the dead ones.
            let rows = rows - dead.count();
            let lag = now - chunk.records()[first].timestamp;
            // Milliseconds of any real lag are exact in an f64.
            #[allow(clippy::cast_precision_loss)]
            self.metrics.lag.record_many(lag.max(0) as f64 / 1000.0, rows);
            shares.push((chunk.settling(), rows));
        }
        let metrics = &self.metrics;
        metrics.stored.increment((batch.len() - rejected.len()) as u64);
        metrics.dead_lettered.increment(rejected.len() as u64);
        metrics.stored_bytes.increment(batch.size() as u64);
        #[allow(clippy::cast_precision_loss)]
        metrics.batch_bytes.record(batch.size() as f64);
        match self.granules.as_ref().zip(place) {
            Some((granules, place)) => granules.note(place, &bodies, shares).await,
            None => shares.iter().for_each(|(chunk, rows)| chunk.settled(*rows)),
        }
    }
}
