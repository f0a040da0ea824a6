//! From a chunk to rows: decode, identify, place, encode.

use std::sync::Arc;

use chrono::Utc;

use super::chunk::{Chunk, RecordMeta};
use crate::config::LimitsConfig;
use crate::event::{Judge, Rejection, content_bits};
use crate::layout::Layouts;
use crate::sink::row::{encode_body, encode_key};

/// What decoding needs to know.
#[derive(Debug, Clone)]
pub struct Decoder(Judge);

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
        Self(Judge::new(limits))
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
        let judged = self.0.judge(chunk.value(record), &chunk.origin(record))?;
        let (event, time, id) = (&judged.event, judged.time, judged.id);
        let layout = layouts.governing(&event.tenant, time.millis());
        if layout.class.remaining_seconds(time.millis(), now).is_none() {
            return Ok(None);
        }
        let start = out.len();
        encode_key(&event.tenant, time, id, &layout, out);
        let body = out.len();
        encode_body(event, time, id, out);
        Ok(Some(DecodedRow {
            record: 0,
            start: start as u32,
            body: body as u32,
            end: out.len() as u32,
            identity: judged.identity(),
            content: content_bits(id),
        }))
    }
}
