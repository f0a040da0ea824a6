//! Rows, read by column name.

#[cfg(feature = "embedded")]
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
#[cfg(feature = "engines")]
use sqlx::Row as _;
#[cfg(feature = "engines")]
use sqlx::mysql::MySqlRow;

use super::DbError;
#[cfg(feature = "embedded")]
use super::value::{Read, Value};

/// What a statement found. Columns are read by name; one that is missing or of another type is a fault of
/// the statement ([`DbError::Refused`]).
#[derive(Debug)]
pub struct Row(Found);

#[derive(Debug)]
enum Found {
    #[cfg(feature = "engines")]
    MySql(MySqlRow),
    /// Columns' names, and a value for each.
    #[cfg(feature = "embedded")]
    Held(Arc<[String]>, Vec<Value>),
}

macro_rules! get {
    ($row:expr, $column:expr, $type:ty) => {
        match &$row.0 {
            // Unchecked: what a column may hold is known here, and sqlx's own check knows fewer types.
            #[cfg(feature = "engines")]
            Found::MySql(row) => row.try_get_unchecked::<$type, _>($column).map_err(DbError::from),
            #[cfg(feature = "embedded")]
            Found::Held(names, values) => held::<$type>(names, values, $column),
        }
    };
}

impl Row {
    /// Text that is there.
    ///
    /// # Errors
    /// Of the type, as every method here.
    pub fn text(&self, column: &str) -> Result<String, DbError> {
        get!(self, column, String)
    }

    /// Text that may be absent.
    ///
    /// # Errors
    /// Of the type.
    pub fn opt_text(&self, column: &str) -> Result<Option<String>, DbError> {
        get!(self, column, Option<String>)
    }

    /// A number.
    ///
    /// # Errors
    /// Of the type.
    pub fn int(&self, column: &str) -> Result<i64, DbError> {
        get!(self, column, i64)
    }

    /// A number that may be absent.
    ///
    /// # Errors
    /// Of the type.
    pub fn opt_int(&self, column: &str) -> Result<Option<i64>, DbError> {
        get!(self, column, Option<i64>)
    }

    /// A truth.
    ///
    /// # Errors
    /// Of the type.
    pub fn flag(&self, column: &str) -> Result<bool, DbError> {
        Ok(self.int(column)? != 0)
    }

    /// Bytes.
    ///
    /// # Errors
    /// Of the type.
    pub fn bytes(&self, column: &str) -> Result<Vec<u8>, DbError> {
        get!(self, column, Vec<u8>)
    }

    /// Bytes that may be absent.
    ///
    /// # Errors
    /// Of the type.
    pub fn opt_bytes(&self, column: &str) -> Result<Option<Vec<u8>>, DbError> {
        get!(self, column, Option<Vec<u8>>)
    }

    /// A time.
    ///
    /// # Errors
    /// Of the type.
    pub fn time(&self, column: &str) -> Result<DateTime<Utc>, DbError> {
        get!(self, column, DateTime<Utc>)
    }

    /// A time that may be absent.
    ///
    /// # Errors
    /// Of the type.
    pub fn opt_time(&self, column: &str) -> Result<Option<DateTime<Utc>>, DbError> {
        get!(self, column, Option<DateTime<Utc>>)
    }

    /// What a text column holds as JSON.
    ///
    /// # Errors
    /// Of the type, or text that is not that.
    pub fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, DbError> {
        let text = self.text(column)?;
        serde_json::from_str(&text).map_err(|error| DbError::Refused(format!("{column}: {error}")))
    }

    /// Of values that have left their database.
    #[cfg(feature = "embedded")]
    pub(super) fn held(names: Arc<[String]>, values: Vec<Value>) -> Self {
        Self(Found::Held(names, values))
    }
}

#[cfg(feature = "engines")]
impl From<MySqlRow> for Row {
    fn from(row: MySqlRow) -> Self {
        Self(Found::MySql(row))
    }
}

#[cfg(feature = "embedded")]
fn held<T: Read>(names: &[String], values: &[Value], column: &str) -> Result<T, DbError> {
    let at = names.iter().position(|name| name == column);
    let value = at.and_then(|at| values.get(at));
    let value = value.ok_or_else(|| DbError::Refused(format!("there is no column {column}")))?;
    T::read(value).ok_or_else(|| DbError::Refused(format!("{column} is of another type")))
}
