//! A record in a log: time, key, headers, value, each with its length before it, little-endian.

use crate::bus::{Message, Record};
use bytes::Bytes;

/// Stands for no key.
const NONE: u32 = u32::MAX;

pub(super) fn write(record: &Record, now_ms: i64) -> Vec<u8> {
    let mut out = Vec::with_capacity(record.size() + 32 + 8 * record.headers.len());
    out.extend_from_slice(&now_ms.to_le_bytes());
    let mut part = |bytes: Option<&[u8]>| {
        let length = bytes.map_or(NONE, |bytes| u32::try_from(bytes.len()).unwrap_or(NONE - 1));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(bytes.unwrap_or_default());
    };
    part(record.key.as_deref());
    part(Some(&record.payload));
    for (name, value) in &record.headers {
        part(Some(name.as_bytes()));
        part(Some(value));
    }
    out
}

/// Changes when it was written.
pub(super) fn set_time(frame: &mut [u8], now_ms: i64) {
    if let Some(time) = frame.first_chunk_mut() {
        *time = now_ms.to_le_bytes();
    }
}

/// When it was written; `None` for what no log holds.
pub(super) fn time(frame: &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(frame.get(..8)?.try_into().ok()?))
}

/// `None` for what no log holds.
pub(super) fn read(topic: &str, offset: i64, frame: &[u8]) -> Option<Message> {
    let timestamp = time(frame)?;
    let mut rest = frame.get(8..)?;
    let mut part = || -> Option<Option<Bytes>> {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        if length == NONE {
            rest = behind;
            return Some(None);
        }
        let (bytes, behind) = behind.split_at_checked(usize::try_from(length).ok()?)?;
        rest = behind;
        Some(Some(Bytes::copy_from_slice(bytes)))
    };
    let (key, payload) = (part()?, part()?);
    let mut headers = Vec::new();
    while let Some(name) = part() {
        let name = String::from_utf8(name?.to_vec()).ok()?;
        headers.push((name, part()??));
    }
    let topic = topic.to_owned();
    Some(Message { topic, partition: 0, offset, timestamp: Some(timestamp), key, payload, headers })
}
