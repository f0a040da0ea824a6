//! The version of a schema. Migrations are embedded; they are run by a command, or by whoever embeds the database,
//! and never by the service itself.

#[cfg(feature = "engines")]
use super::mysql;
#[cfg(feature = "embedded")]
use super::sqlite;
use super::{Db, DbError, Engine, Place};

/// What this build works on; one number for all databases. Each brings its own to the same tables by its own
/// migrations.
pub const VERSION: i64 = 8;

/// What [`migrate`] found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 is none.
    pub from: i64,
    /// The version now.
    pub to: i64,
}

/// Creates the database if it is missing, and brings it to [`VERSION`]. Repeating it is harmless, and so are
/// several at once: they wait for each other.
///
/// # Errors
/// [`DbError::Lost`] without a server or a folder; [`DbError::Storage`] for a file that is no database, or a disk that
/// does not work; [`DbError::Refused`] for a database that a newer build migrated, or that is not as this build's
/// migrations made it. What is refused is left as it is.
pub async fn migrate(place: &Place) -> Result<Migrated, DbError> {
    match place {
        #[cfg(feature = "engines")]
        Place::MySql(dsn) => mysql::migrate(dsn).await,
        #[cfg(feature = "embedded")]
        Place::Sqlite(path) => sqlite::migrate(path).await,
    }
}

impl Db {
    /// The version that the database is at; 0 without any, and while a migration is under way.
    ///
    /// # Errors
    /// As [`Db::rows`].
    pub async fn version(&self) -> Result<i64, DbError> {
        match &self.0 {
            #[cfg(feature = "engines")]
            Engine::MySql(_) => mysql::version(self).await,
            #[cfg(feature = "embedded")]
            Engine::Sqlite(_) => sqlite::version(self).await,
        }
    }
}
