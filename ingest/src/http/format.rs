//! The forms of an export.
//!
//! Values are written as they are: nothing is quoted against spreadsheets that run cells as formulas,
//! because a file that is read back must hold what was stored. Import text columns as text.

mod csv;
mod ndjson;
mod parquet;

use std::io;

use contracts::TenantId;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::query::StoredEvent;

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// One JSON object a line, as pages show it.
    #[default]
    Ndjson,
    /// RFC 4180 with a header line; absent fields are empty, `details` is JSON text.
    Csv,
    /// Apache Parquet, Snappy; `details` is JSON text.
    Parquet,
}

impl Format {
    /// The end of the file's name.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// The media type.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// An encoder of a new file.
    ///
    /// # Errors
    /// None in practice: the schema is fixed.
    pub(super) fn encoder(self, tenant: TenantId) -> io::Result<Encoder> {
        Ok(match self {
            Self::Ndjson => Encoder::Ndjson(ndjson::Ndjson::new(tenant)),
            Self::Csv => Encoder::Csv(csv::Csv::new(tenant)?),
            Self::Parquet => Encoder::Parquet(Box::new(parquet::Parquet::new(tenant)?)),
        })
    }
}

/// Writes a file page by page.
pub(super) enum Encoder {
    Ndjson(ndjson::Ndjson),
    Csv(csv::Csv),
    Parquet(Box<parquet::Parquet>),
}

impl Encoder {
    /// The bytes that `events` add; may be none yet.
    ///
    /// # Errors
    /// When the library below refuses; the file is then of no use.
    pub(super) fn push(&mut self, events: Vec<StoredEvent>) -> io::Result<Vec<u8>> {
        match self {
            Self::Ndjson(ndjson) => ndjson.push(&events),
            Self::Csv(csv) => csv.push(&events),
            Self::Parquet(parquet) => parquet.push(events),
        }
    }

    /// The bytes that end the file.
    ///
    /// # Errors
    /// As [`Encoder::push`].
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Ndjson(_) => Ok(Vec::new()),
            Self::Csv(csv) => csv.finish(),
            Self::Parquet(parquet) => parquet.finish(),
        }
    }
}

#[cfg(test)]
mod tests;
