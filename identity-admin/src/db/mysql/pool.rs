//! Connections: how many there are, how they begin, how they end.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::mysql::{MySqlConnection, MySqlPoolOptions};
use sqlx::pool::{PoolConnection, PoolConnectionMetadata};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySql, MySqlPool};

use super::{Dsn, Tx, execute, rows};
use crate::db::{DbError, Options, Row, Sql, Value, within};
use crate::metrics;

/// A connection that was idle for longer is asked whether it still stands before it is used: a restarted
/// server leaves dead ones, and asking each time would double the round trips of a read.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Connections to one database. Cheap to clone.
#[derive(Clone)]
pub(in crate::db) struct Pool {
    pool: MySqlPool,
    statement_timeout: Duration,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool's own form shows its options.
        f.debug_struct("Pool").field("connections", &self.connections()).finish_non_exhaustive()
    }
}

impl Pool {
    pub(in crate::db) fn new(dsn: &Dsn, options: &Options) -> Self {
        // sqlx knows no bound of idle connections, so who comes back asks the pool that it comes back to.
        let own: Arc<OnceLock<MySqlPool>> = Arc::default();
        let (max_idle, pool) = (options.max_idle as usize, Arc::clone(&own));
        let session = session(options);
        let pool = MySqlPoolOptions::new()
            .max_connections(options.max_open)
            .min_connections(0)
            .max_lifetime(options.max_lifetime)
            .idle_timeout(None)
            .acquire_timeout(options.acquire_timeout)
            .test_before_acquire(false)
            .before_acquire(|connection, meta| Box::pin(stands(connection, meta)))
            .after_connect(move |connection, _| {
                let session = session.clone();
                Box::pin(async move {
                    connection.execute(AssertSqlSafe(session)).await?;
                    Ok(())
                })
            })
            .after_release(move |_, _| {
                let keep = pool.get().is_none_or(|pool| pool.num_idle() < max_idle);
                Box::pin(async move { Ok(keep) })
            })
            .connect_lazy_with(dsn.connect_options());
        // It was empty: nobody else has it.
        let _ = own.set(pool.clone());
        Self { pool, statement_timeout: options.statement_timeout }
    }

    async fn acquire(&self) -> Result<PoolConnection<MySql>, DbError> {
        let begun = std::time::Instant::now();
        let acquired = self.pool.acquire().await.map_err(DbError::from);
        metrics::acquired(begun, &acquired);
        acquired
    }

    pub(in crate::db) async fn begin(&self) -> Result<Tx, DbError> {
        Tx::begin(self.acquire().await?, self.statement_timeout, &["START TRANSACTION"]).await
    }

    pub(in crate::db) async fn snapshot(&self) -> Result<Tx, DbError> {
        // For the next transaction only; at READ COMMITTED each statement would see more.
        let begin = [
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
        ];
        Tx::begin(self.acquire().await?, self.statement_timeout, &begin).await
    }

    pub(in crate::db) async fn rows(
        &self,
        sql: Sql,
        params: &[Value],
    ) -> Result<Vec<Row>, DbError> {
        let mut connection = self.acquire().await?;
        let read = within(self.statement_timeout, rows(&mut connection, sql, params)).await;
        spoil(&mut connection, &read);
        read
    }

    pub(in crate::db) async fn execute(&self, sql: Sql, params: &[Value]) -> Result<u64, DbError> {
        let mut connection = self.acquire().await?;
        let done = within(self.statement_timeout, execute(&mut connection, sql, params)).await;
        spoil(&mut connection, &done);
        done
    }

    pub(in crate::db) fn connections(&self) -> (u32, u32) {
        (self.pool.size(), u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX))
    }

    pub(in crate::db) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A connection in the middle of a statement is of no more use.
pub(super) fn spoil<T>(connection: &mut PoolConnection<MySql>, done: &Result<T, DbError>) {
    if matches!(done, Err(DbError::Lost(_) | DbError::Deadline)) {
        connection.close_on_drop();
    }
}

async fn stands(
    connection: &mut MySqlConnection,
    meta: PoolConnectionMetadata,
) -> Result<bool, sqlx::Error> {
    if meta.idle_for > TRUSTED_IDLE {
        connection.ping().await?;
    }
    Ok(true)
}

/// How a session begins. The time zone and the character set are sqlx's doing (`+00:00`, `utf8mb4`).
fn session(options: &Options) -> String {
    let lock = options.lock_timeout.as_secs().max(1);
    // The server gives up when the client has: a query that nobody waits for holds no lock for long.
    let select = options.statement_timeout.as_millis();
    format!(
        "SET SESSION transaction_isolation = 'READ-COMMITTED', innodb_lock_wait_timeout = {lock}, \
         max_execution_time = {select}, sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"
    )
}
