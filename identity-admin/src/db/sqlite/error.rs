//! What SQLite's result codes say (sqlite.org/rescode.html). Extended codes hold the kind in their lowest byte.

use sqlx::error::DatabaseError as _;
use sqlx::sqlite::SqliteError;

use crate::db::DbError;

/// Another connection holds a lock.
const BUSY: i32 = 5;
/// The same within one process that shares its cache.
const LOCKED: i32 = 6;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const CANTOPEN: i32 = 14;
/// No memory, read-only, I/O, corrupt, full, no database.
const STORAGE: [i32; 6] = [7, 8, IOERR, 11, 13, 26];

/// What somebody else begun must end first: another process recovers the file, or wrote since a snapshot.
const BUSY_RECOVERY: i32 = 261;
const BUSY_SNAPSHOT: i32 = 517;
const FOREIGN_KEY: i32 = 787;
const PRIMARY_KEY: i32 = 1555;
const UNIQUE: i32 = 2067;
const ROWID: i32 = 2579;

/// The field of each unique index by its columns, as SQLite names them: `DbError::Duplicate` says the field.
pub(super) const FIELDS: [(&str, &str); 17] = [
    ("tenants.name", "name"),
    ("users.tenant_id, users.email", "email"),
    ("users.tenant_id, users.id", "id"),
    ("users.tenant_id, users.user_name_key", "user_name"),
    ("service_accounts.tenant_id, service_accounts.id", "id"),
    ("service_accounts.tenant_id, service_accounts.name", "name"),
    ("teams.tenant_id, teams.id", "id"),
    ("teams.tenant_id, teams.name", "name"),
    ("team_members.tenant_id, team_members.team_id, team_members.user_id", "user"),
    (
        "team_members.tenant_id, team_members.team_id, team_members.service_account_id",
        "service_account",
    ),
    ("team_members.tenant_id, team_members.team_id, team_members.member_team_id", "member_team"),
    ("api_keys.tenant_id, api_keys.id", "id"),
    ("api_keys.secret_hmac", "secret"),
    ("principal_scopes.tenant_id, principal_scopes.user_id, principal_scopes.scope", "user_scope"),
    (
        "principal_scopes.tenant_id, principal_scopes.service_account_id, principal_scopes.scope",
        "service_account_scope",
    ),
    (
        "principal_scopes.tenant_id, principal_scopes.api_key_id, principal_scopes.scope",
        "api_key_scope",
    ),
    ("device_grants.user_code_hmac", "user_code"),
];

/// What can be done about an error of SQLite's.
pub(in crate::db) fn told(error: &SqliteError) -> DbError {
    let (code, message) = (code(error), error.message());
    match (code, code & 0xff) {
        (PRIMARY_KEY | ROWID, _) => DbError::Duplicate { field: "id".to_owned() },
        (UNIQUE, _) => DbError::Duplicate { field: duplicate(message) },
        (FOREIGN_KEY, _) => DbError::MissingReference,
        (BUSY_RECOVERY | BUSY_SNAPSHOT, _) | (_, LOCKED) => DbError::Contended,
        (_, BUSY) => DbError::LockTimeout,
        (_, INTERRUPT) => DbError::Deadline,
        (_, CANTOPEN) => DbError::Lost(message.to_owned()),
        (_, kind) if STORAGE.contains(&kind) => DbError::Storage(format!("{message} ({code})")),
        // The message may repeat a value; it is logged, never shown.
        _ => DbError::Refused(format!("{code}: {message}")),
    }
}

/// As [`told`], of a commit: when its writing failed midway, it may be found done once the file is opened again.
pub(super) fn of_commit(error: sqlx::Error) -> DbError {
    let kind = match &error {
        sqlx::Error::Database(error) => error.try_downcast_ref().map_or(0, code) & 0xff,
        _ => 0,
    };
    match DbError::from(error) {
        DbError::Storage(reason) if kind == IOERR => DbError::Unknown(reason),
        // The answer is missing, not the commit.
        DbError::Lost(reason) => DbError::Unknown(reason),
        error => error,
    }
}

fn code(error: &SqliteError) -> i32 {
    error.code().and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// The field of `UNIQUE constraint failed: users.tenant_id, users.email`; an index that is not known is named by its
/// last column.
fn duplicate(message: &str) -> String {
    let columns = message.rsplit(": ").next().unwrap_or_default();
    let known = FIELDS.iter().find(|(known, _)| *known == columns).map(|(_, field)| *field);
    known.unwrap_or_else(|| columns.rsplit('.').next().unwrap_or_default()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_names_the_field_of_its_index() {
        let field = |columns: &str| duplicate(&format!("UNIQUE constraint failed: {columns}"));
        assert_eq!(field("users.tenant_id, users.user_name_key"), "user_name");
        assert_eq!(field("api_keys.secret_hmac"), "secret");
        assert_eq!(field("later.tenant_id, later.colour"), "colour");
    }
}
