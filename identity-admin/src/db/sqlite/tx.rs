//! One transaction on one connection.

use std::fmt;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, Sqlite};

use super::error::of_commit;
use super::{execute, rows};
use crate::db::{DbError, Row, Sql, Value, within};

/// As MySQL's, not sqlx's own: one that failed closes its connection.
pub(in crate::db) struct Tx {
    connection: PoolConnection<Sqlite>,
    deadline: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Statements may follow.
    Open,
    /// A statement is under way, or SQLite has undone everything by itself, after which statements would be committed
    /// one by one: only closing the connection is left.
    Broken,
    /// Committed or rolled back; the connection may serve others.
    Ended,
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Tx {
    pub(super) async fn begin(
        connection: PoolConnection<Sqlite>,
        deadline: Duration,
        statements: &[&'static str],
    ) -> Result<Self, DbError> {
        // A beginning that is given up half way may leave a transaction in the connection.
        let mut tx = Self { connection, deadline, state: State::Broken };
        for statement in statements {
            within(deadline, tx.connection.execute(*statement)).await?;
        }
        tx.state = State::Open;
        Ok(tx)
    }

    pub(in crate::db) async fn execute(
        &mut self,
        sql: Sql,
        params: &[Value],
    ) -> Result<u64, DbError> {
        self.is_open()?;
        let done = within(self.deadline, execute(&mut self.connection, sql, params)).await;
        self.note(&done);
        done
    }

    pub(in crate::db) async fn rows(
        &mut self,
        sql: Sql,
        params: &[Value],
    ) -> Result<Vec<Row>, DbError> {
        self.is_open()?;
        let read = within(self.deadline, rows(&mut self.connection, sql, params)).await;
        self.note(&read);
        read
    }

    pub(in crate::db) async fn commit(mut self) -> Result<(), DbError> {
        self.is_open()?;
        match tokio::time::timeout(self.deadline, self.connection.execute("COMMIT")).await {
            Ok(Ok(_)) => {
                self.state = State::Ended;
                Ok(())
            }
            Ok(Err(error)) => Err(of_commit(error)),
            Err(_) => Err(DbError::Unknown("no answer in time".to_owned())),
        }
    }

    pub(in crate::db) async fn rollback(mut self) {
        // Failing, it leaves the connection to be closed, which undoes as well.
        if self.state == State::Open
            && within(self.deadline, self.connection.execute("ROLLBACK")).await.is_ok()
        {
            self.state = State::Ended;
        }
    }

    fn is_open(&self) -> Result<(), DbError> {
        match self.state {
            State::Open => Ok(()),
            _ => Err(DbError::Refused("the transaction is over".to_owned())),
        }
    }

    fn note<T>(&mut self, done: &Result<T, DbError>) {
        match done {
            // Nothing but the statement itself is undone.
            Ok(_)
            | Err(DbError::Duplicate { .. } | DbError::MissingReference | DbError::Refused(_)) => {}
            Err(_) => self.state = State::Broken,
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if self.state != State::Ended {
            self.connection.close_on_drop();
        }
    }
}
