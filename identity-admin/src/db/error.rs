//! What can go wrong in a database, by what can be done about it.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::mysql::MySqlDatabaseError;

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
    /// A value that must be unique is there already.
    #[error("{field} is taken")]
    Duplicate {
        /// Of which field, as the unique index is named.
        field: String,
    },
    /// A row that another refers to is missing.
    #[error("a row that is referred to is missing")]
    MissingReference,
    /// A fault of ours: a statement or a value that the database refuses.
    #[error("the database refuses: {0}")]
    Refused(String),
}

/// The server ends the connection, or is about to: access while it shuts down, a killed query.
const LOST: [u16; 6] = [1040, 1053, 1077, 1152, 1158, 1161];

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::Saturated,
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Lost(error.to_string())
            }
            // Half a packet: the server died while it wrote.
            sqlx::Error::Protocol(reason) => Self::Lost(reason),
            sqlx::Error::Database(error) => Self::of_server(error.as_ref()),
            error => Self::Refused(error.to_string()),
        }
    }
}

impl DbError {
    fn of_server(error: &dyn DatabaseError) -> Self {
        let number =
            error.try_downcast_ref::<MySqlDatabaseError>().map_or(0, MySqlDatabaseError::number);
        match number {
            1213 => return Self::Contended,
            1205 => return Self::LockTimeout,
            number if LOST.contains(&number) => return Self::Lost(error.message().to_owned()),
            _ => {}
        }
        match error.kind() {
            ErrorKind::UniqueViolation => Self::Duplicate { field: duplicate(error.message()) },
            ErrorKind::ForeignKeyViolation => Self::MissingReference,
            // The message may repeat a value; it is logged, never shown.
            _ => Self::Refused(format!("{number}: {}", error.message())),
        }
    }

    /// Whether a transaction that met it left nothing behind and may well succeed when it is tried again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Contended | Self::Lost(_))
    }
}

/// The field of MySQL's `Duplicate entry '…' for key '…'`, whose value may hold anything: the last quoted
/// word counts. Unique indexes are named `uq_` and the field; the primary key is of the id.
fn duplicate(message: &str) -> String {
    let name = message.trim_end_matches('\'').rsplit(['\'', '.']).next().unwrap_or_default();
    match name {
        "PRIMARY" => "id".to_owned(),
        name => name.strip_prefix("uq_").unwrap_or(name).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duplicate_names_its_field_with_or_without_its_table() {
        let field = |key: &str| duplicate(&format!("Duplicate entry 'acme-a@b' for key '{key}'"));
        assert_eq!(field("uq_email"), "email");
        assert_eq!(field("users.uq_email"), "email");
        assert_eq!(field("PRIMARY"), "id");
        assert_eq!(field("tenants.PRIMARY"), "id");
    }

    proptest! {
        #[test]
        fn no_value_is_taken_for_the_field(value in ".{0,40}") {
            let message = format!("Duplicate entry '{value}' for key 'uq_name'");
            prop_assert_eq!(duplicate(&message), "name");
        }
    }
}
