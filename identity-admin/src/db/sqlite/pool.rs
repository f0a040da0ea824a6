//! Connections to one file: one that writes, and some that read.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Sqlite};

use super::{Tx, execute, rows};
use crate::db::{DbError, Options, Row, Sql, Value, within};
use crate::metrics;

/// What the writing connection keeps of the file in memory, in KiB, beside what it has written itself.
const WRITER_KIB: u32 = 4096;
/// What each reading connection keeps.
const READER_KIB: u32 = 1024;
/// Connections that read, at most: each is a thread, and there are only so many processors and disks.
const READERS: u32 = 8;
/// The write-ahead log is cut to this size once it was longer, as behind a long snapshot; in bytes.
const LOG: u32 = 16 << 20;
/// Statements that each connection keeps prepared.
const PREPARED: usize = 64;

/// Connections to one file. Cheap to clone.
#[derive(Clone)]
pub(in crate::db) struct Pool {
    writer: SqlitePool,
    readers: SqlitePool,
    statement_timeout: Duration,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

/// How every connection begins. Temporary tables stay in memory, as the file's folder may be the only one that can be
/// written to; statements bound them.
pub(super) fn connecting(path: &Path, lock_timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(lock_timeout)
        .pragma("temp_store", "MEMORY")
        .pragma("journal_size_limit", LOG.to_string())
        .statement_cache_capacity(PREPARED)
        // Slow statements are seen in metrics; their text in a log would say nothing more.
        .disable_statement_logging()
}

impl Pool {
    pub(in crate::db) fn new(path: &Path, options: &Options) -> Self {
        let pool = |connections: u32| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .min_connections(0)
                .max_lifetime(None)
                .idle_timeout(None)
                .acquire_timeout(options.acquire_timeout)
                .test_before_acquire(false)
        };
        let connecting = connecting(path, options.lock_timeout);
        let writing = connecting.clone().pragma("cache_size", format!("-{WRITER_KIB}"));
        let reading = connecting.pragma("cache_size", format!("-{READER_KIB}"));
        // Not opened read-only: whoever comes first after a crash has to mend the log.
        let reading = reading.pragma("query_only", "ON");
        Self {
            writer: pool(1).connect_lazy_with(writing),
            readers: pool(options.max_open.clamp(1, READERS)).connect_lazy_with(reading),
            statement_timeout: options.statement_timeout,
        }
    }

    async fn acquire(pool: &SqlitePool) -> Result<PoolConnection<Sqlite>, DbError> {
        let begun = std::time::Instant::now();
        let acquired = pool.acquire().await.map_err(DbError::from);
        metrics::acquired(begun, &acquired);
        acquired
    }

    pub(in crate::db) async fn begin(&self) -> Result<Tx, DbError> {
        let connection = Self::acquire(&self.writer).await?;
        Tx::begin(connection, self.statement_timeout, &["BEGIN IMMEDIATE"]).await
    }

    pub(in crate::db) async fn snapshot(&self) -> Result<Tx, DbError> {
        let connection = Self::acquire(&self.readers).await?;
        // What is seen is fixed by the first read.
        let begin = ["BEGIN DEFERRED", "SELECT 1 FROM sqlite_schema LIMIT 1"];
        Tx::begin(connection, self.statement_timeout, &begin).await
    }

    pub(in crate::db) async fn rows(
        &self,
        sql: Sql,
        params: &[Value],
    ) -> Result<Vec<Row>, DbError> {
        let mut connection = Self::acquire(&self.readers).await?;
        let read = within(self.statement_timeout, rows(&mut connection, sql, params)).await;
        spoil(&mut connection, &read);
        read
    }

    pub(in crate::db) async fn execute(&self, sql: Sql, params: &[Value]) -> Result<u64, DbError> {
        let mut connection = Self::acquire(&self.writer).await?;
        let done = within(self.statement_timeout, execute(&mut connection, sql, params)).await;
        spoil(&mut connection, &done);
        done
    }

    pub(in crate::db) fn connections(&self) -> (u32, u32) {
        let idle = self.writer.num_idle() + self.readers.num_idle();
        (self.writer.size() + self.readers.size(), u32::try_from(idle).unwrap_or(u32::MAX))
    }

    /// Whoever is last copies the log into the file.
    pub(in crate::db) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A connection in the middle of a statement, or whose file failed it, is of no more use.
fn spoil<T>(connection: &mut PoolConnection<Sqlite>, done: &Result<T, DbError>) {
    if matches!(done, Err(DbError::Lost(_) | DbError::Deadline | DbError::Storage(_))) {
        connection.close_on_drop();
    }
}
