//! What can go wrong in a database, by what can be done about it.

use sqlx::error::DatabaseError;

#[cfg(feature = "engines")]
use super::mysql;
#[cfg(feature = "embedded")]
use super::sqlite;

/// Why a statement or a transaction was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// No connection came free in time. Nothing was begun.
    #[error("no connection came free in time")]
    Saturated,
    /// The connection was lost, or there is no server: nothing of the transaction is left.
    #[error("the database does not answer: {0}")]
    Lost(String),
    /// The connection was lost while committing: it may have been done.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// A deadlock: the server undid the transaction, and another try may succeed.
    #[error("a deadlock")]
    Contended,
    /// Another transaction held a lock for longer than is waited.
    #[error("a lock was not given in time")]
    LockTimeout,
    /// A statement took longer than it may.
    #[error("a statement took too long")]
    Deadline,
    /// The file of the database cannot be read or written: its disk is full, read-only or broken, or it is no
    /// database. Nothing of the transaction is left, and only an operator can help.
    #[error("the database's file: {0}")]
    Storage(String),
    /// A value that must be unique is there already.
    #[error("{field} is taken")]
    Duplicate {
        /// Of which field, as MySQL's unique index is named behind `uq_`; `id` of a primary key.
        field: String,
    },
    /// A row that another refers to is missing.
    #[error("a row that is referred to is missing")]
    MissingReference,
    /// A fault of ours: a statement or a value that the database refuses.
    #[error("the database refuses: {0}")]
    Refused(String),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Saturated,
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Lost(error.to_string())
            }
            // Half a packet: the server died while it wrote.
            sqlx::Error::Protocol(reason) => Self::Lost(reason),
            sqlx::Error::Database(error) => Self::of_engine(error.as_ref()),
            error => Self::Refused(error.to_string()),
        }
    }
}

impl DbError {
    fn of_engine(error: &dyn DatabaseError) -> Self {
        #[cfg(feature = "engines")]
        if let Some(error) = error.try_downcast_ref() {
            return mysql::told(error);
        }
        #[cfg(feature = "embedded")]
        if let Some(error) = error.try_downcast_ref() {
            return sqlite::told(error);
        }
        Self::Refused(error.to_string())
    }

    /// Whether a transaction that met it left nothing behind and may well succeed when it is tried again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Contended | Self::Lost(_))
    }
}
