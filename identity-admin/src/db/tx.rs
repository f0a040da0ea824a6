//! A transaction, whichever database it is of.

#[cfg(feature = "engines")]
use super::mysql;
#[cfg(feature = "embedded")]
use super::sqlite;
use super::{DbError, Row, Sql, Value, each};

/// A transaction. Dropped before [`Tx::commit`] it leaves nothing behind.
#[derive(Debug)]
pub struct Tx(pub(super) Running);

#[derive(Debug)]
pub(super) enum Running {
    #[cfg(feature = "engines")]
    MySql(mysql::Tx),
    #[cfg(feature = "embedded")]
    Sqlite(sqlite::Tx),
}

impl Tx {
    /// What locks the rows that a SELECT reads, at its end. Empty where a transaction that may write has
    /// the database to itself.
    #[must_use]
    pub fn lock(&self) -> &'static str {
        match &self.0 {
            #[cfg(feature = "engines")]
            Running::MySql(_) => " FOR UPDATE",
            #[cfg(feature = "embedded")]
            Running::Sqlite(_) => "",
        }
    }

    /// Runs a statement; the number of rows that it matched.
    ///
    /// # Errors
    /// What the statement brings. After [`DbError::Contended`], [`DbError::Lost`] and [`DbError::Storage`] nothing
    /// of the transaction is left.
    pub async fn execute(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<u64, DbError> {
        each!(Running, &mut self.0, tx => tx.execute(sql.into(), params).await)
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
        each!(Running, &mut self.0, tx => tx.rows(sql.into(), params).await)
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
        each!(Running, self.0, tx => tx.commit().await)
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
        each!(Running, self.0, tx => tx.rollback().await);
    }
}
