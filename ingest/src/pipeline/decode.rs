//! From a chunk to rows: decode, identify, place, encode.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use chrono::Utc;
use foldhash::fast::FixedState;

use super::chunk::{Chunk, RecordMeta};
use crate::config::LimitsConfig;
use crate::event::{
    Event, Limits, Origin, Reason, Rejection, Ticks, content_bits, decode, identify,
};
use crate::layout::Layouts;
use crate::sink::row::{encode_body, encode_key};

/// What decoding needs to know.
#[derive(Debug, Clone)]
pub struct Decoder {
    limits: Limits,
    future: i64,
    past: i64,
}

/// The rows of a chunk, and what became of its other records.
#[derive(Debug)]
pub struct Decoded {
    /// The records; settled ones are already counted, except those named below.
    pub chunk: Arc<Chunk>,
    /// Keys and bodies of all rows.
    pub bytes: Vec<u8>,
    /// Rows, in order of their records.
    pub rows: Vec<DecodedRow>,
    /// Records to dead-letter, by index.
    pub refused: Vec<(usize, Rejection)>,
    /// How many records' life was over.
    pub expired: usize,
}

/// One row within [`Decoded::bytes`]: its key is `start..body`, its body `body..end`.
#[derive(Debug, Clone, Copy)]
pub struct DecodedRow {
    /// Index of the record in its chunk.
    pub record: u32,
    /// Where the key starts.
    pub start: u32,
    /// Where the body starts.
    pub body: u32,
    /// Where the row ends.
    pub end: u32,
    /// Names tenant and producer's id; 0 without an id.
    pub identity: u64,
    /// Names the content.
    pub content: u64,
}

impl Decoder {
    /// A decoder within `limits`.
    #[must_use]
    pub fn new(limits: &LimitsConfig) -> Self {
        Self {
            limits: limits.decoder(),
            future: limits.future_millis(),
            past: limits.past_millis(),
        }
    }

    /// Decodes all records of a chunk; `layouts` must be fresh now.
    #[must_use]
    pub fn decode(&self, chunk: Arc<Chunk>, layouts: &Layouts) -> Decoded {
        let now = Utc::now().timestamp_millis();
        let values: usize = chunk.records().iter().map(|r| chunk.value(r).len()).sum();
        let mut bytes = Vec::with_capacity(values + 64 * chunk.records().len());
        let mut rows = Vec::with_capacity(chunk.records().len());
        let (mut refused, mut expired) = (Vec::new(), 0);
        for (index, record) in chunk.records().iter().enumerate() {
            match self.row(&chunk, record, layouts, now, &mut bytes) {
                // A chunk holds far less than 2^32 records.
                Ok(Some(row)) => rows.push(DecodedRow { record: index as u32, ..row }),
                Ok(None) => expired += 1,
                Err(rejection) => refused.push((index, rejection)),
            }
        }
        Decoded { chunk, bytes, rows, refused, expired }
    }

    fn row(
        &self,
        chunk: &Chunk,
        record: &RecordMeta,
        layouts: &Layouts,
        now: i64,
        out: &mut Vec<u8>,
    ) -> Result<Option<DecodedRow>, Rejection> {
        let event = decode(chunk.value(record), &self.limits)?;
        let origin = chunk.origin(record);
        let time = self.time(&event, &origin)?;
        let id = identify(&event, time, &origin);
        let layout = layouts.governing(&event.tenant, time.millis());
        if layout.class.remaining_seconds(time.millis(), now).is_none() {
            return Ok(None);
        }
        let start = out.len();
        encode_key(&event.tenant, time, id, &layout, out);
        let body = out.len();
        encode_body(&event, time, id, out);
        Ok(Some(DecodedRow {
            record: 0,
            start: start as u32,
            body: body as u32,
            end: out.len() as u32,
            identity: identity(&event),
            content: content_bits(id),
        }))
    }

    /// The event's time, or the record's; within the window around the record's time, so that a
    /// backlog that was in time stays in time.
    fn time(&self, event: &Event<'_>, origin: &Origin) -> Result<Ticks, Rejection> {
        let recorded = origin.timestamp.clamp(0, Ticks::MAX.millis());
        let Some(time) = event.time else { return Ok(Ticks::from_millis(recorded)) };
        let ahead = time.millis() - recorded;
        if (-self.past..=self.future).contains(&ahead) {
            return Ok(time);
        }
        let recorded = Ticks::from_millis(recorded).to_rfc3339();
        let detail = format!("event_time {} is too far from {recorded}", time.to_rfc3339());
        Err(Rejection::new(Reason::TimeOutOfWindow, detail))
    }
}

fn identity(event: &Event<'_>) -> u64 {
    let Some(id) = &event.id else { return 0 };
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(event.tenant.as_bytes());
    hasher.write_u8(0xFF);
    hasher.write(id.as_bytes());
    hasher.finish().max(1)
}
