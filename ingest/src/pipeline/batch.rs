//! Rows of one Cassandra partition, gathered until they are worth a request.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use tokio::time::Instant;

use super::chunk::Chunk;
use super::decode::{Decoded, DecodedRow};
use crate::sink::row::{PartitionKey, event_time};

/// When a batch is cut.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// At this many bytes of rows.
    pub bytes: usize,
    /// At this many rows.
    pub rows: usize,
    /// After this long, while the sink is idle.
    pub linger_min: Duration,
    /// After this long, while the sink is full.
    pub linger_max: Duration,
}

impl BatchLimits {
    /// How long a batch waits for company while `busy` of `slots` requests are under way. A busy sink
    /// is served best by fewer, larger batches; an idle one at once.
    #[must_use]
    pub fn linger(&self, busy: usize, slots: usize) -> Duration {
        let span = self.linger_max.saturating_sub(self.linger_min);
        let (busy, slots) =
            (u32::try_from(busy).unwrap_or(u32::MAX), u32::try_from(slots).unwrap_or(1));
        self.linger_min + span * busy.min(slots) / slots.max(1)
    }
}

/// One row of a batch.
#[derive(Debug, Clone, Copy)]
struct BatchRow {
    end: usize,
    chunk: usize,
    record: u32,
}

/// Rows of one partition, from any Kafka partition.
#[derive(Debug)]
pub struct RowBatch {
    /// The Cassandra partition.
    pub key: PartitionKey,
    opened: Instant,
    bytes: Vec<u8>,
    rows: Vec<BatchRow>,
    chunks: Vec<Arc<Chunk>>,
}

impl RowBatch {
    /// Nothing is reserved: with many partitions most batches stay small, and what is reserved is not
    /// in the budget.
    fn open(key: PartitionKey, now: Instant) -> Self {
        Self { key, opened: now, bytes: Vec::new(), rows: Vec::new(), chunks: Vec::new() }
    }

    fn push(&mut self, decoded: &Decoded, row: &DecodedRow) {
        self.bytes.extend_from_slice(&decoded.bytes[row.body as usize..row.end as usize]);
        if self.chunks.last().is_none_or(|last| !Arc::ptr_eq(last, &decoded.chunk)) {
            self.chunks.push(Arc::clone(&decoded.chunk));
        }
        let (end, chunk) = (self.bytes.len(), self.chunks.len() - 1);
        self.rows.push(BatchRow { end, chunk, record: row.record });
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes of all rows.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The bodies, in order.
    pub fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.rows.iter().map(|row| row.end));
        starts.zip(&self.rows).map(|(start, row)| &self.bytes[start..row.end])
    }

    /// The `event_time` of the first row, milliseconds since the epoch.
    #[must_use]
    pub fn first_event_time(&self) -> i64 {
        event_time(&self.bytes)
    }

    /// The chunk and the record's index of the row at `index`.
    #[must_use]
    pub fn origin(&self, index: usize) -> (&Arc<Chunk>, usize) {
        let row = &self.rows[index];
        (&self.chunks[row.chunk], row.record as usize)
    }

    /// Each chunk with the number of its rows and the first of their records.
    pub fn runs(&self) -> impl Iterator<Item = (&Arc<Chunk>, usize, usize)> {
        // Rows of a chunk stand together, because a chunk is pushed whole.
        self.rows
            .chunk_by(|a, b| a.chunk == b.chunk)
            .map(|run| (&self.chunks[run[0].chunk], run.len(), run[0].record as usize))
    }
}

/// Open batches by partition, and full ones in the order in which they became full.
#[derive(Debug)]
pub struct Batches {
    limits: BatchLimits,
    open: HashMap<PartitionKey, RowBatch, RandomState>,
    /// Open batches, oldest first; entries of batches that were cut meanwhile are skipped.
    order: VecDeque<(Instant, PartitionKey)>,
    full: VecDeque<RowBatch>,
}

impl Batches {
    /// No rows yet.
    #[must_use]
    pub fn new(limits: BatchLimits) -> Self {
        let (open, order, full) = (HashMap::default(), VecDeque::new(), VecDeque::new());
        Self { limits, open, order, full }
    }

    /// Adds one row of `decoded`.
    pub fn push(&mut self, decoded: &Decoded, row: &DecodedRow, now: Instant) {
        let key = &decoded.bytes[row.start as usize..row.body as usize];
        let batch = match self.open.get_mut(key) {
            Some(batch) => batch,
            None => {
                let key = PartitionKey::from_bytes(key);
                self.order.push_back((now, key.clone()));
                let fresh = RowBatch::open(key.clone(), now);
                self.open.entry(key).or_insert(fresh)
            }
        };
        batch.push(decoded, row);
        if (batch.len() >= self.limits.rows || batch.size() >= self.limits.bytes)
            && let Some(batch) = self.open.remove(key)
        {
            self.full.push_back(batch);
        }
    }

    /// The next batch to write: a full one, else the oldest if it has waited for `linger`.
    pub fn next(&mut self, now: Instant, linger: Duration) -> Option<RowBatch> {
        if let Some(full) = self.full.pop_front() {
            return Some(full);
        }
        let (opened, _) = self.oldest()?;
        if now.duration_since(opened) < linger {
            return None;
        }
        let (_, key) = self.order.pop_front()?;
        self.open.remove(&key)
    }

    /// When the oldest open batch was opened; `None` without one.
    pub fn oldest_opened(&mut self) -> Option<Instant> {
        self.oldest().map(|(opened, _)| opened)
    }

    /// Whether a batch is full.
    #[must_use]
    pub fn has_full(&self) -> bool {
        !self.full.is_empty()
    }

    fn oldest(&mut self) -> Option<(Instant, &PartitionKey)> {
        while let Some((opened, key)) = self.order.front() {
            if self.open.get(key).is_some_and(|batch| batch.opened == *opened) {
                break;
            }
            self.order.pop_front();
        }
        self.order.front().map(|(opened, key)| (*opened, key))
    }
}
