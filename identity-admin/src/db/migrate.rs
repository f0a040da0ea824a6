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

/// What a database is at, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The version; 0 without any, and while a migration is under way.
    pub version: i64,
    /// The version of the oldest build that works on it: what only adds serves builds that know nothing of it.
    pub serves_from: i64,
}

impl Schema {
    /// One for builds of its own version.
    pub(in crate::db) fn alone(version: i64) -> Self {
        Self { version, serves_from: version }
    }

    /// Whether this build works on it.
    #[must_use]
    pub fn serves(&self) -> bool {
        (self.serves_from..=self.version).contains(&VERSION)
    }
}

/// What [`migrate`] found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 is none.
    pub from: i64,
    /// The version now.
    pub to: i64,
}

/// Creates the database if it is missing, and brings it to [`VERSION`]; one of a newer build that serves this one stays
/// as it is. Repeating it is harmless, and so are several at once: they wait for each other.
///
/// # Errors
/// [`DbError::Lost`] without a server or a folder; [`DbError::Storage`] for a file that is no database, or a disk that
/// does not work; [`DbError::Refused`] for a database of a newer build that does not serve this one, or that is not as
/// this build's migrations made it. What is refused is left as it is.
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
        self.schema().await.map(|schema| schema.version)
    }

    /// The same, and which builds work on it.
    ///
    /// # Errors
    /// As [`Db::rows`].
    pub async fn schema(&self) -> Result<Schema, DbError> {
        match &self.0 {
            #[cfg(feature = "engines")]
            Engine::MySql(_) => mysql::schema(self).await,
            #[cfg(feature = "embedded")]
            Engine::Sqlite(_) => sqlite::schema(self).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(all(feature = "engines", feature = "embedded"))]
    #[test]
    fn both_databases_say_the_same() {
        assert_eq!(mysql::latest(), sqlite::latest());
        assert_eq!(sqlite::latest().version, VERSION);
    }

    #[test]
    fn a_schema_serves_its_own_version_and_those_before_that_it_says() {
        let cases = [
            (Schema::alone(VERSION), true),
            (Schema::alone(0), false),
            (Schema::alone(VERSION - 1), false),
            (Schema::alone(VERSION + 1), false),
            (Schema { version: VERSION + 2, serves_from: VERSION }, true),
            (Schema { version: VERSION + 2, serves_from: VERSION - 1 }, true),
            (Schema { version: VERSION + 2, serves_from: VERSION + 1 }, false),
            (Schema { version: VERSION - 1, serves_from: VERSION - 2 }, false),
        ];
        for (schema, serves) in cases {
            assert_eq!(schema.serves(), serves, "{schema:?}");
        }
    }
}
