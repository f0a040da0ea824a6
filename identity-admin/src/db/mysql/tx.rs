//! One transaction on one connection.

use std::fmt;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, MySql};

use super::pool::spoil;
use super::{execute, rows};
use crate::db::{DbError, Row, Sql, Value, within};

/// Not sqlx's own: that one cannot close its connection, which is the only way out of a statement that
/// outlasted its deadline.
pub(in crate::db) struct Tx {
    connection: PoolConnection<MySql>,
    deadline: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Statements may follow.
    Open,
    /// Its connection is in the middle of a statement: only closing it is left.
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
        mut connection: PoolConnection<MySql>,
        deadline: Duration,
        statements: &[&'static str],
    ) -> Result<Self, DbError> {
        for statement in statements {
            let begun = within(deadline, connection.execute(*statement)).await;
            spoil(&mut connection, &begun);
            begun?;
        }
        Ok(Self { connection, deadline, state: State::Open })
    }

    pub(in crate::db) async fn execute(
        &mut self,
        sql: Sql,
        params: &[Value],
    ) -> Result<u64, DbError> {
        let done = within(self.deadline, execute(&mut self.connection, sql, params)).await;
        self.note(&done);
        done
    }

    pub(in crate::db) async fn rows(
        &mut self,
        sql: Sql,
        params: &[Value],
    ) -> Result<Vec<Row>, DbError> {
        let read = within(self.deadline, rows(&mut self.connection, sql, params)).await;
        self.note(&read);
        read
    }

    pub(in crate::db) async fn commit(mut self) -> Result<(), DbError> {
        let done = within(self.deadline, self.connection.execute("COMMIT")).await;
        match done {
            Ok(_) => {
                self.state = State::Ended;
                Ok(())
            }
            // The answer is missing, not the commit.
            Err(DbError::Lost(reason)) => Err(DbError::Unknown(reason)),
            Err(DbError::Deadline) => Err(DbError::Unknown("no answer in time".to_owned())),
            Err(error) => Err(error),
        }
    }

    pub(in crate::db) async fn rollback(mut self) {
        if self.state == State::Broken {
            // What is sent now would wait for the statement that nobody waits for any more.
            return;
        }
        // Failing, it leaves the connection to be closed, which undoes as well.
        if within(self.deadline, self.connection.execute("ROLLBACK")).await.is_ok() {
            self.state = State::Ended;
        }
    }

    fn note<T>(&mut self, done: &Result<T, DbError>) {
        if matches!(done, Err(DbError::Lost(_) | DbError::Deadline)) {
            self.state = State::Broken;
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
