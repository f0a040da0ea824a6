//! A chunk: consecutive records of one Kafka partition, and what is left to do of them.
//!
//! Bytes are copied out of the client library's fetch buffers at once: a borrowed record would pin
//! its whole buffer for as long as its batch is under way.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::budget::Permit;
use super::watermark::{Ticket, Watermarks};
use crate::event::Origin;

/// Header names and values.
pub type Headers = Vec<(String, Vec<u8>)>;

/// One record within a chunk.
#[derive(Debug)]
pub struct RecordMeta {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, milliseconds since the epoch.
    pub timestamp: i64,
    key: Option<Range<usize>>,
    value: Range<usize>,
    /// Rare, hence boxed.
    headers: Option<Box<Headers>>,
}

/// Records on their way into a chunk.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    metas: Vec<RecordMeta>,
    header_bytes: usize,
}

impl Records {
    /// Copies one record; an absent value is an empty one.
    pub fn push(
        &mut self,
        (offset, timestamp): (i64, i64),
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Option<Headers>,
    ) {
        let mut copy = |part: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(part);
            start..self.bytes.len()
        };
        let (key, value) = (key.map(&mut copy), copy(value.unwrap_or_default()));
        let size = |(name, value): &(String, Vec<u8>)| name.len() + value.len() + 64;
        self.header_bytes += headers.iter().flatten().map(size).sum::<usize>();
        let headers = headers.map(Box::new);
        self.metas.push(RecordMeta { offset, timestamp, key, value, headers });
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.metas.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }

    /// What the records cost while they are in flight, in bytes: themselves, their rows (about as
    /// long) and their places in chunk and batch.
    #[must_use]
    pub fn cost(&self) -> usize {
        2 * self.bytes.len() + self.header_bytes + 192 * self.metas.len() + 1024
    }

    /// Bytes of keys and values.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The offset behind the last record.
    #[must_use]
    pub fn next_offset(&self) -> Option<i64> {
        self.metas.last().map(|meta| meta.offset + 1)
    }
}

/// Delivered records. When all are durable the watermark is told, and when nobody refers to them any
/// more their bytes go back to the budget.
#[derive(Debug)]
pub struct Chunk {
    topic: Arc<str>,
    partition: i32,
    records: Records,
    settling: Arc<Settling>,
    _permit: Permit,
}

/// How many records of a chunk are not durable yet. It outlives the chunk's bytes.
#[derive(Debug)]
pub struct Settling {
    remaining: AtomicUsize,
    ticket: Ticket,
    watermarks: Arc<Watermarks>,
}

impl Settling {
    /// `count` more records are durable: stored, expired, or acknowledged as dead letters. Each
    /// record is counted once by who settled it; a record that nobody counts is never committed.
    pub fn settled(&self, count: usize) {
        if count > 0 && self.remaining.fetch_sub(count, Ordering::AcqRel) == count {
            self.watermarks.complete(self.ticket);
        }
    }
}

impl Chunk {
    /// Records that were delivered under `ticket`.
    #[must_use]
    pub fn new(
        topic: Arc<str>,
        partition: i32,
        records: Records,
        ticket: Ticket,
        watermarks: Arc<Watermarks>,
        permit: Permit,
    ) -> Arc<Self> {
        let remaining = AtomicUsize::new(records.len());
        let settling = Arc::new(Settling { remaining, ticket, watermarks });
        Arc::new(Self { topic, partition, records, settling, _permit: permit })
    }

    /// `count` more records are durable: [`Settling::settled`].
    pub fn settled(&self, count: usize) {
        self.settling.settled(count);
    }

    /// What is left to do of it, to be told later, when its bytes are gone.
    #[must_use]
    pub fn settling(&self) -> Arc<Settling> {
        Arc::clone(&self.settling)
    }

    /// All records.
    #[must_use]
    pub fn records(&self) -> &[RecordMeta] {
        &self.records.metas
    }

    /// The value of a record.
    #[must_use]
    pub fn value(&self, record: &RecordMeta) -> &[u8] {
        &self.records.bytes[record.value.clone()]
    }

    /// The key of a record.
    #[must_use]
    pub fn key(&self, record: &RecordMeta) -> Option<&[u8]> {
        record.key.clone().map(|range| &self.records.bytes[range])
    }

    /// The headers of a record.
    #[must_use]
    pub fn headers<'a>(&self, record: &'a RecordMeta) -> &'a [(String, Vec<u8>)] {
        record.headers.as_ref().map_or(&[], |headers| headers.as_slice())
    }

    /// Where the record was first seen: here, or where its headers say that it was replayed from.
    #[must_use]
    pub fn origin(&self, record: &RecordMeta) -> Origin {
        let headers = self.headers(record).iter();
        let replayed = Origin::from_headers(headers.map(|(k, v)| (k.as_str(), v.as_slice())));
        replayed.unwrap_or_else(|| Origin {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            offset: record.offset,
            timestamp: record.timestamp,
        })
    }
}
