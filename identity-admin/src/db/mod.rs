//! A small layer over sqlx, so that every statement has one text.
//!
//! Statements are written in the subset that MySQL 8 and SQLite share. What differs is here and nowhere
//! else: how a transaction begins ([`Db::begin`], [`Db::snapshot`]), how rows are locked ([`Tx::lock`]), and how a duplicate
//! is told ([`DbError::Duplicate`]). A second database is another variant of `Engine` and of the types
//! that follow it, and its own migrations; the repositories stay as they are.
//!
//! | module | what it holds |
//! |---|---|
//! | `value`, `row` | parameters and rows of our own |
//! | `error` | what can go wrong, by what can be done about it |
//! | `retry` | when to try again |
//! | `migrate` | the embedded migrations |
//! | `mysql` | the one implementation so far |

mod error;
mod migrate;
mod mysql;
mod retry;
mod row;
mod value;

use std::borrow::Cow;
use std::time::Duration;

pub use error::DbError;
pub use migrate::{Migrated, VERSION, migrate};
pub use mysql::Dsn;
pub use retry::Retry;
pub use row::Row;
pub use value::Value;
pub(crate) use value::{exact, places};

pub(crate) use value::params;

/// The text of a statement. What clients send never enters it: they are parameters.
pub type Sql = Cow<'static, str>;

/// How a database is reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which one.
    pub dsn: Dsn,
    /// Connections at once; further transactions wait for one.
    pub max_open: u32,
    /// Connections that are kept while nobody needs them.
    pub max_idle: u32,
    /// After this a connection is closed when it comes back.
    pub max_lifetime: Duration,
    /// How long to wait for a connection: beyond it, the service is saturated.
    pub acquire_timeout: Duration,
    /// For one statement, as the client sees it.
    pub statement_timeout: Duration,
    /// For a lock that another transaction holds, whole seconds; shorter than `statement_timeout`.
    pub lock_timeout: Duration,
}

/// A database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db(Engine);

#[derive(Debug, Clone)]
enum Engine {
    MySql(mysql::Pool),
}

/// A transaction. Dropped before [`Tx::commit`] it leaves nothing behind.
#[derive(Debug)]
pub struct Tx(Running);

#[derive(Debug)]
enum Running {
    MySql(mysql::Tx),
}

impl Db {
    /// Connects when it is first asked.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self(Engine::MySql(mysql::Pool::new(options)))
    }

    /// Begins a transaction that sees what others committed (READ COMMITTED) and may write.
    ///
    /// # Errors
    /// [`DbError::Saturated`] when no connection comes free in time, [`DbError::Lost`] without a server.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        match &self.0 {
            Engine::MySql(pool) => Ok(Tx(Running::MySql(pool.begin().await?))),
        }
    }

    /// Begins a transaction that only reads, and sees everything as it was committed at its beginning.
    ///
    /// # Errors
    /// As [`Db::begin`].
    pub async fn snapshot(&self) -> Result<Tx, DbError> {
        match &self.0 {
            Engine::MySql(pool) => Ok(Tx(Running::MySql(pool.snapshot().await?))),
        }
    }

    /// Reads outside of a transaction; tried a second time when the connection was lost.
    ///
    /// # Errors
    /// As [`Db::begin`], and what the statement brings.
    pub async fn rows(&self, sql: impl Into<Sql>, params: &[Value]) -> Result<Vec<Row>, DbError> {
        let Engine::MySql(pool) = &self.0;
        let sql = sql.into();
        match pool.rows(sql.clone(), params).await {
            Err(DbError::Lost(_)) => pool.rows(sql, params).await,
            read => read,
        }
    }

    /// As [`Db::rows`], of which there is one at most.
    ///
    /// # Errors
    /// As [`Db::rows`].
    pub async fn row(&self, sql: impl Into<Sql>, params: &[Value]) -> Result<Option<Row>, DbError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Writes one statement on its own.
    ///
    /// # Errors
    /// As [`Db::rows`]; [`DbError::Lost`] leaves open whether it was done.
    pub async fn execute(&self, sql: impl Into<Sql>, params: &[Value]) -> Result<u64, DbError> {
        let Engine::MySql(pool) = &self.0;
        pool.execute(sql.into(), params).await
    }

    /// Deletes the rows of a table that have these ids, if a condition holds that is not about them; how many.
    ///
    /// Each row is found by its key, and no other is touched. From a list of ids (`id IN (…)`) MySQL reads the whole of
    /// a small table instead, waits for rows that others are inserting, and keeps all from inserting until it commits.
    ///
    /// # Errors
    /// As [`Db::execute`].
    pub async fn delete(
        &self,
        table: &'static str,
        ids: &[i64],
        (holds, params): (&'static str, &[Value]),
    ) -> Result<u64, DbError> {
        let Engine::MySql(pool) = &self.0;
        let sql = format!(
            "DELETE {table} FROM JSON_TABLE(?, '$[*]' COLUMNS (id BIGINT PATH '$')) AS gone \
             STRAIGHT_JOIN {table} ON {table}.id = gone.id WHERE {holds}"
        );
        let all: Vec<Value> =
            std::iter::once(format!("{ids:?}").into()).chain(params.iter().cloned()).collect();
        pool.execute(sql.into(), &all).await
    }

    /// Connections that are open, and those of them that nobody uses now.
    #[must_use]
    pub fn connections(&self) -> (u32, u32) {
        let Engine::MySql(pool) = &self.0;
        pool.connections()
    }

    /// Ends every connection, once who uses one is done.
    pub async fn close(&self) {
        let Engine::MySql(pool) = &self.0;
        pool.close().await;
    }
}

impl Tx {
    /// What locks the rows that a SELECT reads, at its end. Empty where a transaction that may write has
    /// the database to itself.
    #[must_use]
    pub fn lock(&self) -> &'static str {
        match &self.0 {
            Running::MySql(_) => " FOR UPDATE",
        }
    }

    /// Runs a statement; the number of rows that it matched.
    ///
    /// # Errors
    /// What the statement brings. After [`DbError::Contended`] and [`DbError::Lost`] nothing of the
    /// transaction is left.
    pub async fn execute(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<u64, DbError> {
        let Running::MySql(tx) = &mut self.0;
        tx.execute(sql.into(), params).await
    }

    /// Reads.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub async fn rows(
        &mut self,
        sql: impl Into<Sql>,
        params: &[Value],
    ) -> Result<Vec<Row>, DbError> {
        let Running::MySql(tx) = &mut self.0;
        tx.rows(sql.into(), params).await
    }

    /// As [`Tx::rows`], of which there is one at most.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub async fn row(
        &mut self,
        sql: impl Into<Sql>,
        params: &[Value],
    ) -> Result<Option<Row>, DbError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Commits.
    ///
    /// # Errors
    /// [`DbError::Unknown`] when no answer came: it may have been done.
    pub async fn commit(self) -> Result<(), DbError> {
        let Running::MySql(tx) = self.0;
        tx.commit().await
    }

    /// Commits what was done, or undoes everything when it failed.
    ///
    /// # Errors
    /// Why it failed; as [`Tx::commit`].
    pub async fn end<T, E: From<DbError>>(self, done: Result<T, E>) -> Result<T, E> {
        match done {
            Ok(done) => {
                self.commit().await?;
                Ok(done)
            }
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
        }
    }

    /// Undoes everything and gives the connection back, which a drop does not.
    pub async fn rollback(self) {
        let Running::MySql(tx) = self.0;
        tx.rollback().await;
    }
}
