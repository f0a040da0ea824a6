//! An event as it is stored: its head, then cells in CQL's binary encoding, whatever store it is in.
//!
//! A worker encodes each event once, straight from the borrowed fields; from there on it is a slice that is
//! copied. Nothing on the way is typed again.

use std::net::IpAddr;

use contracts::EventId;

use super::{Event, Ticks};

/// The length that stands for an absent cell in a body; such a cell is sent as "unset", which writes
/// neither a value nor a tombstone.
const UNSET: u32 = u32::MAX;

/// Bytes of a body before its cells: event time (8), write timestamp (8), event id (16).
pub(crate) const HEAD: usize = 32;

/// Appends the rest of the row to `out`.
pub fn encode_body(event: &Event<'_>, time: Ticks, id: EventId, out: &mut Vec<u8>) {
    out.extend_from_slice(&time.millis().to_be_bytes());
    out.extend_from_slice(&time.micros().to_be_bytes());
    out.extend_from_slice(id.0.as_bytes());
    text(event.actor_id.as_deref(), out);
    text(event.actor_type.as_deref(), out);
    text(Some(&event.action), out);
    text(event.resource_id.as_deref(), out);
    text(event.resource_type.as_deref(), out);
    text(event.status.as_deref(), out);
    match event.source_ip {
        Some(IpAddr::V4(ip)) => cell(Some(&ip.octets()), out),
        Some(IpAddr::V6(ip)) => cell(Some(&ip.octets()), out),
        None => cell(None, out),
    }
    details(event, out);
    text(event.id.as_deref(), out);
}

fn text(value: Option<&str>, out: &mut Vec<u8>) {
    cell(value.map(str::as_bytes), out);
}

fn cell(value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.map_or(UNSET, length).to_be_bytes());
    out.extend_from_slice(value.unwrap_or_default());
}

/// CQL's `map<text, text>`: the count, then key and value with their lengths.
fn details(event: &Event<'_>, out: &mut Vec<u8>) {
    if event.details.is_empty() {
        return cell(None, out);
    }
    let size: usize = event.details.iter().map(|(key, value)| 8 + key.len() + value.len()).sum();
    out.extend_from_slice(&((4 + size) as u32).to_be_bytes());
    out.extend_from_slice(&(event.details.len() as u32).to_be_bytes());
    for (key, value) in &event.details {
        text(Some(key), out);
        text(Some(value), out);
    }
}

/// Lengths fit: a record is bounded far below 4 GiB.
fn length(bytes: &[u8]) -> u32 {
    bytes.len() as u32
}

/// The `event_time` of a body, or of the first of several, milliseconds since the epoch; 0 of none.
#[must_use]
pub fn event_time(body: &[u8]) -> i64 {
    body.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// The cells of a body behind its head, in the order of the columns from `actor_id` on; `None` is an
/// absent one.
pub fn cells(body: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = body.get(HEAD..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (prefix, behind) = rest.split_first_chunk()?;
        let length = u32::from_be_bytes(*prefix);
        let (cell, behind) = match length {
            UNSET => (None, behind),
            length => {
                let (cell, behind) = behind.split_at_checked(length as usize)?;
                (Some(cell), behind)
            }
        };
        rest = behind;
        Some(cell)
    })
}

/// What of a row the skip index knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Searchable<'a> {
    /// `event_time`, milliseconds.
    pub time: i64,
    /// `actor_id`.
    pub actor: Option<&'a [u8]>,
    /// `resource_id`.
    pub resource: Option<&'a [u8]>,
}

/// The searchable fields of what [`encode_body`] wrote.
#[must_use]
pub fn searchable(body: &[u8]) -> Searchable<'_> {
    // Actor, its type, action, resource: as `encode_body` writes them.
    let mut cells = cells(body);
    let actor = cells.next().flatten();
    Searchable { time: event_time(body), actor, resource: cells.nth(2).flatten() }
}
