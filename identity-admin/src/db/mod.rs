//! A small layer over sqlx, so that every statement has one text.
//!
//! Statements are written in the subset that MySQL 8 and SQLite share. What differs is here and nowhere
//! else: how a transaction begins ([`Db::begin`], [`Db::snapshot`]), how rows are locked ([`Tx::lock`]), how rows of
//! some ids are deleted ([`Db::delete`]), and how a duplicate is told ([`DbError::Duplicate`]). A further database is
//! another variant of `Engine`, `Running` and [`Place`], and its own migrations; the repositories stay as they are.
//!
//! | module | what it holds |
//! |---|---|
//! | `place` | where a database is, and how it is reached |
//! | `tx` | transactions |
//! | `value`, `row` | parameters and rows of our own |
//! | `error` | what can go wrong, by what can be done about it |
//! | `retry` | when to try again |
//! | `migrate` | the version of a schema |
//! | `mysql` | MySQL 8 (feature `engines`) |
//! | `sqlite` | SQLite (feature `embedded`) |

mod error;
mod migrate;
#[cfg(feature = "engines")]
mod mysql;
mod place;
mod retry;
mod row;
#[cfg(feature = "embedded")]
mod sqlite;
mod tx;
mod value;

#[cfg(not(any(feature = "engines", feature = "embedded")))]
compile_error!("a database is needed: the feature `engines` or `embedded`");

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

pub use error::DbError;
pub use migrate::{Migrated, Schema, VERSION, migrate};
#[cfg(feature = "engines")]
pub use mysql::Dsn;
pub use place::{Options, Place};
pub use retry::Retry;
pub use row::Row;
use tx::Running;
pub use tx::Tx;
pub use value::Value;
pub(crate) use value::{exact, places};

pub(crate) use value::params;

/// The text of a statement. What clients send never enters it: they are parameters.
pub type Sql = Cow<'static, str>;

/// Does the same with whichever database it is.
macro_rules! each {
    ($kind:ident, $of:expr, $one:ident => $done:expr) => {
        match $of {
            #[cfg(feature = "engines")]
            $kind::MySql($one) => $done,
            #[cfg(feature = "embedded")]
            $kind::Sqlite($one) => $done,
        }
    };
}
use each;

/// A database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db(Engine);

#[derive(Debug, Clone)]
enum Engine {
    #[cfg(feature = "engines")]
    MySql(mysql::Pool),
    #[cfg(feature = "embedded")]
    Sqlite(sqlite::Pool),
}

impl Db {
    /// Connects when it is first asked.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self(match &options.place {
            #[cfg(feature = "engines")]
            Place::MySql(dsn) => Engine::MySql(mysql::Pool::new(dsn, options)),
            #[cfg(feature = "embedded")]
            Place::Sqlite(path) => Engine::Sqlite(sqlite::Pool::new(path, options)),
        })
    }

    /// Begins a transaction that sees what others committed (READ COMMITTED, or nobody commits meanwhile) and may
    /// write.
    ///
    /// # Errors
    /// [`DbError::Saturated`] when no connection comes free in time, [`DbError::Lost`] without a server.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        Ok(Tx(match &self.0 {
            #[cfg(feature = "engines")]
            Engine::MySql(pool) => Running::MySql(pool.begin().await?),
            #[cfg(feature = "embedded")]
            Engine::Sqlite(pool) => Running::Sqlite(pool.begin().await?),
        }))
    }

    /// Begins a transaction that only reads, and sees everything as it was committed at its beginning.
    ///
    /// # Errors
    /// As [`Db::begin`].
    pub async fn snapshot(&self) -> Result<Tx, DbError> {
        Ok(Tx(match &self.0 {
            #[cfg(feature = "engines")]
            Engine::MySql(pool) => Running::MySql(pool.snapshot().await?),
            #[cfg(feature = "embedded")]
            Engine::Sqlite(pool) => Running::Sqlite(pool.snapshot().await?),
        }))
    }

    /// Reads outside of a transaction; tried a second time when the connection was lost.
    ///
    /// # Errors
    /// As [`Db::begin`], and what the statement brings.
    pub async fn rows(&self, sql: impl Into<Sql>, params: &[Value]) -> Result<Vec<Row>, DbError> {
        let sql = sql.into();
        match self.read(sql.clone(), params).await {
            Err(DbError::Lost(_)) => self.read(sql, params).await,
            read => read,
        }
    }

    async fn read(&self, sql: Sql, params: &[Value]) -> Result<Vec<Row>, DbError> {
        each!(Engine, &self.0, pool => pool.rows(sql, params).await)
    }

    /// As [`Db::rows`], of which there is one at most.
    ///
    /// # Errors
    /// As [`Db::rows`].
    pub async fn row(&self, sql: impl Into<Sql>, params: &[Value]) -> Result<Option<Row>, DbError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Writes one statement on its own; the number of rows that it matched.
    ///
    /// # Errors
    /// As [`Db::rows`]; [`DbError::Lost`] leaves open whether it was done.
    pub async fn execute(&self, sql: impl Into<Sql>, params: &[Value]) -> Result<u64, DbError> {
        each!(Engine, &self.0, pool => pool.execute(sql.into(), params).await)
    }

    /// Deletes the rows of a table that have these ids, if a condition holds that is not about them; how many.
    /// Each row is found by its key, and no other is touched.
    ///
    /// # Errors
    /// As [`Db::execute`].
    pub async fn delete(
        &self,
        table: &'static str,
        ids: &[i64],
        (holds, params): (&'static str, &[Value]),
    ) -> Result<u64, DbError> {
        let sql = match &self.0 {
            #[cfg(feature = "engines")]
            Engine::MySql(_) => mysql::deletion(table, holds),
            #[cfg(feature = "embedded")]
            Engine::Sqlite(_) => sqlite::deletion(table, holds),
        };
        let ids = std::iter::once(format!("{ids:?}").into());
        let all: Vec<Value> = ids.chain(params.iter().cloned()).collect();
        self.execute(sql, &all).await
    }

    /// Connections that are open, and those of them that nobody uses now.
    #[must_use]
    pub fn connections(&self) -> (u32, u32) {
        each!(Engine, &self.0, pool => pool.connections())
    }

    /// Ends every connection, once who uses one is done.
    pub async fn close(&self) {
        each!(Engine, &self.0, pool => pool.close().await);
    }
}

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
