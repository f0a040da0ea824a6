//! A row as the driver hands it out: borrowed from the response.

use std::net::IpAddr;

use contracts::EventId;
use scylla::DeserializeRow;
use scylla::cluster::metadata::ColumnType;
use scylla::deserialize::FrameSlice;
use scylla::deserialize::value::{DeserializeValue, MapIterator};
use scylla::errors::{DeserializationError, TypeCheckError};
use scylla::value::{CqlTimestamp, CqlTimeuuid};

use super::super::{Position, StoredEvent};

/// The columns of [`Row`], in its order.
pub(super) const COLUMNS: [&str; 11] = [
    "event_time",
    "event_id",
    "source_id",
    "actor_id",
    "actor_type",
    "action",
    "resource_id",
    "resource_type",
    "status",
    "source_ip",
    "details",
];

/// One row, its texts still in the response.
#[derive(DeserializeRow)]
#[scylla(flavor = "enforce_order")]
pub(super) struct Row<'a> {
    event_time: CqlTimestamp,
    event_id: CqlTimeuuid,
    source_id: Option<&'a str>,
    actor_id: Option<&'a str>,
    actor_type: Option<&'a str>,
    action: Option<&'a str>,
    resource_id: Option<&'a str>,
    resource_type: Option<&'a str>,
    status: Option<&'a str>,
    source_ip: Option<IpAddr>,
    details: Details,
}

impl Row<'_> {
    /// The row as one of its own.
    pub(super) fn into_event(self) -> StoredEvent {
        let own = |text: Option<&str>| text.map(str::to_owned);
        StoredEvent {
            position: Position { time: self.event_time.0, id: EventId(self.event_id.into()) },
            source_id: own(self.source_id),
            actor_id: own(self.actor_id),
            actor_type: own(self.actor_type),
            // The sink always writes it; a row by another hand is shown nevertheless.
            action: own(self.action).unwrap_or_default(),
            resource_id: own(self.resource_id),
            resource_type: own(self.resource_type),
            status: own(self.status),
            source_ip: self.source_ip,
            details: self.details.0,
        }
    }
}

/// `map<text, text>` in the order in which it is stored, which is that of its keys; absent is empty.
struct Details(Vec<(String, String)>);

type Entries<'frame, 'metadata> = MapIterator<'frame, 'metadata, &'frame str, &'frame str>;

impl<'frame, 'metadata> DeserializeValue<'frame, 'metadata> for Details {
    fn type_check(typ: &ColumnType<'_>) -> Result<(), TypeCheckError> {
        Entries::type_check(typ)
    }

    fn deserialize(
        typ: &'metadata ColumnType<'metadata>,
        value: Option<FrameSlice<'frame>>,
    ) -> Result<Self, DeserializationError> {
        let entries = Entries::deserialize(typ, value)?;
        let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        entries.map(|entry| entry.map(own)).collect::<Result<_, _>>().map(Self)
    }
}
