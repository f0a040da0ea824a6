//! MySQL 8 through sqlx.

mod dsn;
mod error;
mod migrate;
mod pool;
mod tx;

pub use dsn::Dsn;
pub(super) use error::told;
#[cfg(test)]
pub(super) use migrate::latest;
pub(super) use migrate::{migrate, schema};
pub(super) use pool::Pool;
pub(super) use tx::Tx;

use futures::TryStreamExt as _;
use sqlx::mysql::{MySqlArguments, MySqlConnection};
use sqlx::{Arguments as _, AssertSqlSafe};

use super::{Row, Sql, Value};

/// Parameters as they go over the wire.
fn arguments(params: &[Value]) -> Result<MySqlArguments, sqlx::Error> {
    let mut arguments = MySqlArguments::default();
    arguments.reserve(params.len(), 32 * params.len());
    for param in params {
        let added = match param {
            Value::Null => arguments.add(None::<i64>),
            Value::Int(value) => arguments.add(*value),
            Value::Text(value) => arguments.add(value.as_str()),
            Value::Bytes(value) => arguments.add(value.as_slice()),
            Value::Time(value) => arguments.add(value.naive_utc()),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// Runs a statement, prepared once a connection; the number of rows that it matched.
async fn execute(
    connection: &mut MySqlConnection,
    sql: Sql,
    params: &[Value],
) -> Result<u64, sqlx::Error> {
    let query = sqlx::query_with(AssertSqlSafe(sql), arguments(params)?);
    Ok(query.execute(connection).await?.rows_affected())
}

/// All rows of a statement, prepared once a connection.
async fn rows(
    connection: &mut MySqlConnection,
    sql: Sql,
    params: &[Value],
) -> Result<Vec<Row>, sqlx::Error> {
    let query = sqlx::query_with(AssertSqlSafe(sql), arguments(params)?);
    query.fetch(connection).map_ok(Row::from).try_collect().await
}

/// The text of [`super::Db::delete`]. From a list of ids (`id IN (…)`) MySQL reads the whole of a small table instead,
/// waits for rows that others are inserting, and keeps all from inserting until it commits.
pub(super) fn deletion(table: &str, holds: &str) -> String {
    format!(
        "DELETE {table} FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) AS gone \
         STRAIGHT_JOIN {table} ON {table}.id = gone.id WHERE {holds}"
    )
}
