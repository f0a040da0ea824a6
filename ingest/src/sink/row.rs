//! A row in the form in which it travels: cells already in CQL's binary encoding.
//!
//! A worker encodes each event once, straight from the borrowed fields; from there on a row is a slice
//! that is copied into its batch and into the request. Nothing on the way is typed again.

use contracts::EventId;
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;

use crate::event::Ticks;
use crate::event::body::HEAD;
pub use crate::event::body::{Searchable, cells, encode_body, event_time, searchable};
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
