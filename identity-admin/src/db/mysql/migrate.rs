//! MySQL's migrations.
//!
//! sqlx keeps what was applied in `_sqlx_migrations` and lets one migration run at a time. MySQL has no
//! transactions around DDL, so a migration that was interrupted is left half done; here it is gone through
//! again, statement by statement, and what is there already is passed over. Every statement of a migration
//! is therefore one that can be repeated, or that MySQL refuses by saying that its work is done.
//!
//! Which builds a migration serves stands in its description there, where builds that do not know it find it.

use std::borrow::Cow;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, SqlSafeStr as _};

use super::Dsn;
use crate::db::{Db, DbError, Migrated, Schema, VERSION, params};

/// By version, from 1: its name, and the version of the oldest build that works on what it leads to. Of a migration
/// that only adds, that is the one before.
const MYSQL: [(&str, i64, &str); 8] = [
    ("seed", 1, include_str!("../../../migrations/mysql/0001_seed.sql")),
    ("widen seed", 2, include_str!("../../../migrations/mysql/0002_widen_seed.sql")),
    ("changes", 3, include_str!("../../../migrations/mysql/0003_changes.sql")),
    ("identities", 4, include_str!("../../../migrations/mysql/0004_identities.sql")),
    ("credentials", 5, include_str!("../../../migrations/mysql/0005_credentials.sql")),
    ("relay", 6, include_str!("../../../migrations/mysql/0006_relay.sql")),
    ("people", 7, include_str!("../../../migrations/mysql/0007_people.sql")),
    ("scim", 8, include_str!("../../../migrations/mysql/0008_scim.sql")),
];

/// What the last one leads to.
#[cfg(test)]
pub(in crate::db) fn latest() -> Schema {
    let (_, serves_from, _) = MYSQL[MYSQL.len() - 1];
    Schema { version: VERSION, serves_from }
}

/// MySQL says that it is there already: table, column, index, a foreign key of that name; or that there is
/// none to drop or rename.
const DONE: [u16; 6] = [1050, 1060, 1061, 1091, 1176, 1826];

/// Before the version in a description, if it is another than the migration's own.
const SERVES: &str = ", serves from ";

/// As [`crate::db::migrate`].
pub(in crate::db) async fn migrate(dsn: &Dsn) -> Result<Migrated, DbError> {
    let options = dsn.connect_options();
    create_database(&options).await?;
    let mut connection = options.connect().await?;
    let migrator = migrator();
    // Held by this connection across what sqlx locks and unlocks itself: MySQL counts.
    connection.execute("SELECT GET_LOCK(CONCAT('triad_migrate_', CRC32(DATABASE())), -1)").await?;
    let found = applied(&mut connection).await?;
    let from = found.version;
    if from > VERSION && found.serves() {
        let _ = connection.close().await;
        return Ok(Migrated { from, to: from });
    }
    let migrated = match migrator.run(&mut connection).await {
        Err(MigrateError::Dirty(_)) => {
            resume(&mut connection, &migrator).await?;
            migrator.run(&mut connection).await
        }
        done => done,
    };
    migrated.map_err(refused)?;
    let to = applied(&mut connection).await?.version;
    // Closing gives the lock back as well; what it says is of no interest.
    let _ = connection.close().await;
    Ok(Migrated { from, to })
}

/// As [`Db::schema`].
pub(in crate::db) async fn schema(db: &Db) -> Result<Schema, DbError> {
    let found = db
        .row(
            "SELECT COUNT(*) AS found FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = '_sqlx_migrations'",
            params![],
        )
        .await?;
    if found.is_none_or(|row| row.int("found").unwrap_or(0) == 0) {
        return Ok(Schema::alone(0));
    }
    let row = db
        .row(
            "SELECT COALESCE(MAX(version), 0) AS version, COALESCE(MIN(success), 1) AS whole \
             FROM _sqlx_migrations",
            params![],
        )
        .await?;
    let version = match row {
        Some(row) if row.flag("whole")? => row.int("version")?,
        _ => 0,
    };
    if version <= VERSION {
        return Ok(Schema::alone(version));
    }
    let sql = "SELECT description FROM _sqlx_migrations WHERE version = ?";
    let row = db.row(sql, params![version]).await?;
    let description = row.map(|row| row.text("description")).transpose()?;
    Ok(described(version, &description.unwrap_or_default()))
}

/// What a migration is called in the database.
fn description(version: i64, name: &'static str, serves_from: i64) -> Cow<'static, str> {
    if serves_from == version { name.into() } else { format!("{name}{SERVES}{serves_from}").into() }
}

/// What the last migration leads to, by its description.
fn described(version: i64, description: &str) -> Schema {
    let serves_from = description.rsplit_once(SERVES).and_then(|(_, from)| from.parse().ok());
    Schema { version, serves_from: serves_from.unwrap_or(version) }
}

fn migrator() -> Migrator {
    let one = |(version, (name, serves_from, sql)): (i64, (&'static str, i64, &'static str))| {
        let name = description(version, name, serves_from);
        Migration::new(version, name, MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations((1..).zip(MYSQL).map(one).collect())
}

async fn create_database(options: &MySqlConnectOptions) -> Result<(), DbError> {
    let name = options.get_database().unwrap_or_default().replace('`', "``");
    let mut server = options.clone().database("").connect().await?;
    let sql = format!("CREATE DATABASE IF NOT EXISTS `{name}` DEFAULT CHARACTER SET utf8mb4");
    let created = server.execute(AssertSqlSafe(sql)).await.map(drop).map_err(DbError::from);
    // Who may not create one may well use one that is there: connecting to it will tell.
    if let Err(error) = created {
        tracing::warn!(%error, "the database was not created");
    }
    let _ = server.close().await;
    Ok(())
}

/// What the last whole migration led to.
async fn applied(connection: &mut MySqlConnection) -> Result<Schema, DbError> {
    let sql = "SELECT version, description FROM _sqlx_migrations WHERE success \
               ORDER BY version DESC LIMIT 1";
    match sqlx::query_as::<_, (i64, String)>(sql).fetch_optional(connection).await {
        Ok(Some((version, description))) => Ok(described(version, &description)),
        Ok(None) => Ok(Schema::alone(0)),
        Err(error) if number(&error) == 1146 => Ok(Schema::alone(0)),
        Err(error) => Err(error.into()),
    }
}

/// Goes through a half-done migration again.
async fn resume(connection: &mut MySqlConnection, migrator: &Migrator) -> Result<(), DbError> {
    let sql = "SELECT MIN(version) FROM _sqlx_migrations WHERE NOT success";
    let version = sqlx::query_scalar::<_, Option<i64>>(sql).fetch_one(&mut *connection).await?;
    let half = migrator.iter().find(|migration| Some(migration.version) == version);
    let half = half.ok_or_else(|| DbError::Refused("a newer build's migration".to_owned()))?;
    tracing::warn!(version = half.version, "going on with a migration that was interrupted");
    for statement in statements(half.sql.as_str()) {
        match connection.execute(AssertSqlSafe(statement.to_owned())).await {
            Err(error) if !DONE.contains(&number(&error)) => return Err(error.into()),
            _ => {}
        }
    }
    let sql = "UPDATE _sqlx_migrations SET success = TRUE WHERE version = ?";
    sqlx::query(sql).bind(half.version).execute(connection).await?;
    Ok(())
}

/// The statements of a migration: each ends with a `;` at the end of a line.
fn statements(sql: &str) -> impl Iterator<Item = &str> {
    sql.split_inclusive(";\n").map(str::trim).filter(|statement| !statement.is_empty())
}

fn number(error: &sqlx::Error) -> u16 {
    let error = error.as_database_error();
    error
        .and_then(|e| e.try_downcast_ref::<MySqlDatabaseError>())
        .map_or(0, MySqlDatabaseError::number)
}

fn refused(error: MigrateError) -> DbError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        error => DbError::Refused(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_migration_is_the_seed_s_schema_as_given() {
        let all: Vec<_> = statements(MYSQL[0].2).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(i64::try_from(MYSQL.len()), Ok(VERSION));
        assert!(all[0].starts_with("CREATE TABLE tenants (\n    id VARCHAR(36) PRIMARY KEY,"));
        assert!(all[1].ends_with("REFERENCES tenants(id) ON DELETE CASCADE\n);"));
    }

    #[test]
    fn a_migration_says_which_builds_it_serves_and_never_older_ones_than_the_one_before() {
        for (version, (name, serves_from, _)) in (1..).zip(MYSQL) {
            let told = described(version, &description(version, name, serves_from));
            assert_eq!(told, Schema { version, serves_from }, "{name}");
            assert!(serves_from <= version, "{name}");
        }
        assert!(MYSQL.is_sorted_by_key(|(_, serves_from, _)| *serves_from));
        assert_eq!(description(9, "labels", 9), "labels");
        assert_eq!(description(9, "labels", 8), "labels, serves from 8");
        let labels = |description| described(9, description).serves_from;
        assert_eq!(labels("labels, serves from 8"), 8);
        for unsaid in ["labels", "labels, serves from", "labels, serves from all"] {
            assert_eq!(labels(unsaid), 9, "{unsaid}");
        }
    }

    #[test]
    fn migrations_rest_on_no_check_and_are_cut_where_statements_end() {
        for (name, _, sql) in MYSQL {
            for statement in statements(sql) {
                assert!(statement.ends_with(';'), "{name}: {statement}");
                let words = statement.lines().filter(|line| !line.trim_start().starts_with("--"));
                let words = words.collect::<Vec<_>>().join("\n");
                assert!(!words.contains("CHECK"), "{name}: {statement}");
                assert_eq!(words.matches(';').count(), 1, "{name}: {statement}");
            }
        }
    }
}
