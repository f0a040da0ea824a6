//! A row in the form in which it travels: cells already in CQL's binary encoding.
//!
//! A worker encodes each event once, straight from the borrowed fields; from there on a row is a slice
//! that is copied into its batch and into the request. Nothing on the way is typed again.

use std::net::IpAddr;

use contracts::EventId;
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;

use crate::event::{Event, Ticks};
use crate::layout::{Bucket, ClassId, Layout};

/// The columns of [`Row`], in the order of its cells, without `USING TIMESTAMP ? AND TTL ?`.
pub const COLUMNS: [&str; 13] = [
    "tenant_id",
    "date_bucket",
    "event_time",
    "event_id",
    "actor_id",
    "actor_type",
    "action",
    "resource_id",
    "resource_type",
    "status",
    "source_ip",
    "details",
    "source_id",
];

/// The length that stands for an absent cell in a body; such a cell is sent as "unset", which writes
/// neither a value nor a tombstone.
const UNSET: u32 = u32::MAX;

/// Bytes of a body before its cells: event time (8), write timestamp (8), event id (16).
const HEAD: usize = 32;

/// Names one Cassandra partition: the table's class, the tenant and the bucket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionKey(Box<[u8]>);

impl PartitionKey {
    /// From the bytes that [`encode_key`] wrote.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes that [`encode_key`] wrote.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The table.
    #[must_use]
    pub fn class(&self) -> ClassId {
        ClassId::all().nth(usize::from(self.0[0])).unwrap_or(ClassId::ONE_YEAR)
    }

    /// The tenant's text.
    #[must_use]
    pub fn tenant(&self) -> &[u8] {
        &self.0[2..2 + usize::from(self.0[1])]
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &[u8] {
        &self.0[2 + usize::from(self.0[1])..]
    }
}

// A map of keys is searched with the slice of a decoded row: no allocation for a known partition.
impl std::borrow::Borrow<[u8]> for PartitionKey {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// Appends the partition key of an event to `out`.
pub fn encode_key(tenant: &str, time: Ticks, id: EventId, layout: &Layout, out: &mut Vec<u8>) {
    let bucket = Bucket::new(layout.granularity, time.millis(), layout.shard_of(id));
    // Both fit a byte: there are few classes, and a tenant id has at most 36 bytes.
    out.push(layout.class.index() as u8);
    out.push(tenant.len() as u8);
    out.extend_from_slice(tenant.as_bytes());
    out.extend_from_slice(bucket.as_bytes());
}

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

/// The cells of a body behind its head, in the order of [`COLUMNS`] from `actor_id` on; `None` is an
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

/// One row of a batch, ready to be bound.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Its partition.
    pub key: &'a PartitionKey,
    /// What [`encode_body`] wrote.
    pub body: &'a [u8],
    /// Milliseconds since the epoch: what the remaining life is counted from.
    pub now: i64,
}

impl Row<'_> {
    /// At least a second: a row that ran out of life while it waited expires at once.
    fn ttl(&self) -> i32 {
        self.key.class().remaining_seconds(event_time(self.body), self.now).unwrap_or(1)
    }
}

impl SerializeRow for Row<'_> {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        debug_assert_eq!(context.columns().len(), COLUMNS.len() + 2);
        let mut put = |value: &[u8]| {
            writer.make_cell_writer().set_value(value).map(drop).map_err(SerializationError::new)
        };
        put(self.key.tenant())?;
        put(self.key.bucket())?;
        put(&self.body[..8])?;
        put(&self.body[16..HEAD])?;
        for cell in cells(self.body) {
            let writer = writer.make_cell_writer();
            let written = match cell {
                Some(value) => writer.set_value(value),
                None => Ok(writer.set_unset()),
            };
            written.map(drop).map_err(SerializationError::new)?;
        }
        let mut put = |value: &[u8]| {
            writer.make_cell_writer().set_value(value).map(drop).map_err(SerializationError::new)
        };
        put(&self.body[8..16])?;
        put(&self.ttl().to_be_bytes())
    }

    fn is_empty(&self) -> bool {
        false
    }
}
