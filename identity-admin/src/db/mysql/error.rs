//! What MySQL's error numbers say.

use sqlx::error::{DatabaseError as _, ErrorKind};
use sqlx::mysql::MySqlDatabaseError;

use crate::db::DbError;

/// The server ends the connection, or is about to: access while it shuts down, a killed query.
const LOST: [u16; 6] = [1040, 1053, 1077, 1152, 1158, 1161];

/// What can be done about an error of the server.
pub(in crate::db) fn told(error: &MySqlDatabaseError) -> DbError {
    let number = error.number();
    match number {
        1213 => return DbError::Contended,
        1205 => return DbError::LockTimeout,
        number if LOST.contains(&number) => return DbError::Lost(error.message().to_owned()),
        _ => {}
    }
    match error.kind() {
        ErrorKind::UniqueViolation => DbError::Duplicate { field: duplicate(error.message()) },
        ErrorKind::ForeignKeyViolation => DbError::MissingReference,
        // The message may repeat a value; it is logged, never shown.
        _ => DbError::Refused(format!("{number}: {}", error.message())),
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
