//! SQLite 3 through sqlx: one file, one connection that writes, several that read.
//!
//! Who writes has the file to itself (`BEGIN IMMEDIATE`), so that nothing waits for a row, nothing deadlocks, and ids
//! grow in the order of commits. Who reads sees what was committed when it began, and waits for nobody (write-ahead
//! log). Every commit is on the disk before it is acknowledged (`synchronous = FULL`).
//!
//! Text is UTF-8, compared byte for byte. A time is an integer, its microseconds since 1970: it sorts and compares as
//! MySQL's `DATETIME(6)` does. A truth is 0 or 1.

mod error;
mod migrate;
mod pool;
#[cfg(test)]
mod tests;
mod tx;

#[cfg(test)]
use error::FIELDS;
pub(super) use error::told;
#[cfg(test)]
pub(super) use migrate::latest;
pub(super) use migrate::{migrate, schema};
pub(super) use pool::Pool;
pub(super) use tx::Tx;

use std::sync::Arc;

use futures::TryStreamExt as _;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, Decode, Row as _, Sqlite, TypeInfo as _,
    ValueRef as _,
};

use super::{Row, Sql, Value};

/// Longer texts are prepared each time: lists of places differ, and what is prepared is held in memory.
const KEPT: usize = 4096;

/// Parameters as they are bound.
fn arguments(params: &[Value]) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(params.len(), 32 * params.len());
    for param in params {
        let added = match param {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(value) => arguments.add(*value),
            Value::Text(value) => arguments.add(value.as_str()),
            Value::Bytes(value) => arguments.add(value.as_slice()),
            Value::Time(value) => arguments.add(value.timestamp_micros()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// Runs a statement; the number of rows that it matched.
async fn execute(
    connection: &mut SqliteConnection,
    sql: Sql,
    params: &[Value],
) -> Result<u64, sqlx::Error> {
    let is_kept = sql.len() <= KEPT;
    let query = sqlx::query_with(AssertSqlSafe(sql), arguments(params)?).persistent(is_kept);
    Ok(query.execute(connection).await?.rows_affected())
}

/// All rows of a statement.
async fn rows(
    connection: &mut SqliteConnection,
    sql: Sql,
    params: &[Value],
) -> Result<Vec<Row>, sqlx::Error> {
    let is_kept = sql.len() <= KEPT;
    let query = sqlx::query_with(AssertSqlSafe(sql), arguments(params)?).persistent(is_kept);
    let mut names: Option<Arc<[String]>> = None;
    let rows = query.fetch(connection).and_then(move |row| {
        let names = Arc::clone(names.get_or_insert_with(|| columns(&row)));
        std::future::ready(values(&row).map(|values| Row::held(names, values)))
    });
    rows.try_collect().await
}

fn columns(row: &SqliteRow) -> Arc<[String]> {
    row.columns().iter().map(|column| column.name().to_owned()).collect()
}

/// What a row holds. SQLite turns a value of one type into another when it is asked to; here it is what it is.
fn values(row: &SqliteRow) -> Result<Vec<Value>, sqlx::Error> {
    let value = |at| {
        let found = row.try_get_raw(at)?;
        if found.is_null() {
            return Ok(Value::Null);
        }
        let kind = found.type_info().into_owned();
        let value = match kind.name() {
            "INTEGER" => Decode::<Sqlite>::decode(found).map(Value::Int),
            "TEXT" => Decode::<Sqlite>::decode(found).map(Value::Text),
            "BLOB" => Decode::<Sqlite>::decode(found).map(Value::Bytes),
            other => Err(format!("a value is {other}").into()),
        };
        value.map_err(sqlx::Error::Decode)
    };
    (0..row.len()).map(value).collect()
}

/// The text of [`super::Db::delete`].
pub(super) fn deletion(table: &str, holds: &str) -> String {
    format!("DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?)) AND {holds}")
}
