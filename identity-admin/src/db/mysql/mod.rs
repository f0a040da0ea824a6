//! MySQL 8 through sqlx.

mod dsn;
mod pool;
mod tx;

pub use dsn::Dsn;
pub(super) use pool::Pool;
pub(super) use tx::Tx;

use std::future::Future;
use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::mysql::{MySqlArguments, MySqlConnection};
use sqlx::{Arguments as _, AssertSqlSafe};

use super::{DbError, Row, Sql, Value};

/// A future that must end in time.
async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DbError> {
    match tokio::time::timeout(deadline, work).await {
        Ok(done) => done.map_err(DbError::from),
        Err(_) => Err(DbError::Deadline),
    }
}

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
