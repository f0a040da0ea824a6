//! Apache Parquet, written one row group after the other.

use std::io;
use std::sync::Arc;

use contracts::TenantId;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use crate::http::view::Details;
use crate::query::StoredEvent;

/// A row group is written at this many rows or bytes of rows: what is held in memory until then.
const GROUP_ROWS: usize = 5000;
const GROUP_BYTES: usize = 4 << 20;

/// Text columns in file order, apart from `event_time`, which stands at [`TIME_AT`].
type Text = fn(&TenantId, &StoredEvent) -> Option<ByteArray>;
const TIME_AT: usize = 3;
const COLUMNS: [(&str, Repetition, Option<Text>); 12] = [
    ("tenant_id", Repetition::REQUIRED, Some(|tenant, _| text(Some(tenant.as_str())))),
    ("event_id", Repetition::REQUIRED, Some(|_, e| text(Some(&e.position.id.to_string())))),
    ("id", Repetition::OPTIONAL, Some(|_, e| text(e.source_id.as_deref()))),
    ("event_time", Repetition::REQUIRED, None),
    ("actor_id", Repetition::OPTIONAL, Some(|_, e| text(e.actor_id.as_deref()))),
    ("actor_type", Repetition::OPTIONAL, Some(|_, e| text(e.actor_type.as_deref()))),
    ("action", Repetition::REQUIRED, Some(|_, e| text(Some(&e.action)))),
    ("resource_type", Repetition::OPTIONAL, Some(|_, e| text(e.resource_type.as_deref()))),
    ("resource_id", Repetition::OPTIONAL, Some(|_, e| text(e.resource_id.as_deref()))),
    ("status", Repetition::OPTIONAL, Some(|_, e| text(e.status.as_deref()))),
    (
        "source_ip",
        Repetition::OPTIONAL,
        Some(|_, e| text(e.source_ip.map(|ip| ip.to_string()).as_deref())),
    ),
    ("details", Repetition::OPTIONAL, Some(|_, e| text(Details(&e.details).to_json().as_deref()))),
];

fn text(text: Option<&str>) -> Option<ByteArray> {
    text.map(|text| ByteArray::from(text.as_bytes().to_vec()))
}

pub(in crate::http) struct Parquet {
    tenant: TenantId,
    writer: SerializedFileWriter<Vec<u8>>,
    rows: Vec<StoredEvent>,
    bytes: usize,
}

impl Parquet {
    pub(super) fn new(tenant: TenantId) -> io::Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by("triad-ingest".to_owned())
            .build();
        let schema = schema().map_err(other)?;
        let writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties));
        Ok(Self { tenant, writer: writer.map_err(other)?, rows: Vec::new(), bytes: 0 })
    }

    pub(super) fn push(&mut self, events: Vec<StoredEvent>) -> io::Result<Vec<u8>> {
        for event in events {
            self.bytes += event.bytes();
            self.rows.push(event);
            if self.rows.len() >= GROUP_ROWS || self.bytes >= GROUP_BYTES {
                self.write_group().map_err(other)?;
            }
        }
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        if !self.rows.is_empty() {
            self.write_group().map_err(other)?;
        }
        self.writer.into_inner().map_err(other)
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        let mut group = self.writer.next_row_group()?;
        for (at, (_, repetition, column)) in COLUMNS.into_iter().enumerate() {
            match column {
                Some(of) => {
                    let values = rows.iter().map(|row| of(&self.tenant, row));
                    write_texts(&mut group, repetition, values)?;
                }
                None => {
                    debug_assert_eq!(at, TIME_AT);
                    write_times(&mut group, &rows)?;
                }
            }
        }
        group.close().map(drop)
    }
}

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

fn write_texts(
    group: &mut Group<'_>,
    repetition: Repetition,
    values: impl Iterator<Item = Option<ByteArray>>,
) -> Result<(), ParquetError> {
    let (mut present, mut levels) = (Vec::new(), Vec::new());
    for value in values {
        levels.push(i16::from(value.is_some()));
        present.extend(value);
    }
    let levels = (repetition == Repetition::OPTIONAL).then_some(levels.as_slice());
    let mut column = group.next_column()?.ok_or_else(too_few)?;
    column.typed::<ByteArrayType>().write_batch(&present, levels, None)?;
    column.close()
}

fn write_times(group: &mut Group<'_>, rows: &[StoredEvent]) -> Result<(), ParquetError> {
    let times: Vec<_> = rows.iter().map(|row| row.time().micros()).collect();
    let mut column = group.next_column()?.ok_or_else(too_few)?;
    column.typed::<Int64Type>().write_batch(&times, None, None)?;
    column.close()
}

/// `event_time` in microseconds of UTC: nanoseconds would end in 2262, and the ticks below are in
/// `event_id`.
fn schema() -> Result<Type, ParquetError> {
    let columns = COLUMNS.into_iter().map(|(name, repetition, of)| {
        let (physical, logical) = match of {
            Some(_) => (Physical::BYTE_ARRAY, LogicalType::String),
            None => {
                let unit = TimeUnit::MICROS;
                (Physical::INT64, LogicalType::timestamp(true, unit))
            }
        };
        let column = Type::primitive_type_builder(name, physical);
        column.with_repetition(repetition).with_logical_type(Some(logical)).build().map(Arc::new)
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("audit_event").with_fields(columns).build()
}

fn too_few() -> ParquetError {
    ParquetError::General("the schema has fewer columns than are written".to_owned())
}

fn other(error: ParquetError) -> io::Error {
    io::Error::other(error)
}
