//! MySQL's migrations.
//!
//! sqlx keeps what was applied in `_sqlx_migrations` and lets one migration run at a time. MySQL has no
//! transactions around DDL, so a migration that was interrupted is left half done; here it is gone through
//! again, statement by statement, and what is there already is passed over. Every statement of a migration
//! is therefore one that can be repeated, or that MySQL refuses by saying that its work is done.

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, SqlSafeStr as _};

use super::Dsn;
use crate::db::{Db, DbError, Migrated, params};

/// By version, from 1.
const MYSQL: [(&str, &str); 8] = [
    ("seed", include_str!("../../../migrations/mysql/0001_seed.sql")),
    ("widen seed", include_str!("../../../migrations/mysql/0002_widen_seed.sql")),
    ("changes", include_str!("../../../migrations/mysql/0003_changes.sql")),
    ("identities", include_str!("../../../migrations/mysql/0004_identities.sql")),
    ("credentials", include_str!("../../../migrations/mysql/0005_credentials.sql")),
    ("relay", include_str!("../../../migrations/mysql/0006_relay.sql")),
    ("people", include_str!("../../../migrations/mysql/0007_people.sql")),
    ("scim", include_str!("../../../migrations/mysql/0008_scim.sql")),
];

/// MySQL says that it is there already: table, column, index, a foreign key of that name; or that there is
/// none to drop or rename.
const DONE: [u16; 6] = [1050, 1060, 1061, 1091, 1176, 1826];

/// As [`crate::db::migrate`].
pub(in crate::db) async fn migrate(dsn: &Dsn) -> Result<Migrated, DbError> {
    let options = dsn.connect_options();
    create_database(&options).await?;
    let mut connection = options.connect().await?;
    let migrator = migrator();
    // Held by this connection across what sqlx locks and unlocks itself: MySQL counts.
    connection.execute("SELECT GET_LOCK(CONCAT('triad_migrate_', CRC32(DATABASE())), -1)").await?;
    let from = applied(&mut connection).await?;
    let migrated = match migrator.run(&mut connection).await {
        Err(MigrateError::Dirty(_)) => {
            resume(&mut connection, &migrator).await?;
            migrator.run(&mut connection).await
        }
        done => done,
    };
    migrated.map_err(refused)?;
    let to = applied(&mut connection).await?;
    // Closing gives the lock back as well; what it says is of no interest.
    let _ = connection.close().await;
    Ok(Migrated { from, to })
}

/// As [`Db::version`].
pub(in crate::db) async fn version(db: &Db) -> Result<i64, DbError> {
    let found = db
        .row(
            "SELECT COUNT(*) AS found FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = '_sqlx_migrations'",
            params![],
        )
        .await?;
    if found.is_none_or(|row| row.int("found").unwrap_or(0) == 0) {
        return Ok(0);
    }
    let row = db
        .row(
            "SELECT COALESCE(MAX(version), 0) AS version, COALESCE(MIN(success), 1) AS whole \
             FROM _sqlx_migrations",
            params![],
        )
        .await?;
    match row {
        Some(row) if row.flag("whole")? => row.int("version"),
        _ => Ok(0),
    }
}

fn migrator() -> Migrator {
    let one = |(version, (name, sql)): (i64, &(&'static str, &'static str))| {
        let sql = sql.into_sql_str();
        Migration::new(version, (*name).into(), MigrationType::Simple, sql, false)
    };
    Migrator::with_migrations((1..).zip(MYSQL.iter()).map(one).collect())
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

/// The version of the last whole migration, 0 without any.
async fn applied(connection: &mut MySqlConnection) -> Result<i64, DbError> {
    let sql = "SELECT MAX(version) FROM _sqlx_migrations WHERE success";
    match sqlx::query_scalar::<_, Option<i64>>(sql).fetch_one(connection).await {
        Ok(version) => Ok(version.unwrap_or(0)),
        Err(error) if number(&error) == 1146 => Ok(0),
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
    use crate::db::VERSION;

    #[test]
    fn the_first_migration_is_the_seed_s_schema_as_given() {
        let all: Vec<_> = statements(MYSQL[0].1).collect();
        assert_eq!(all.len(), 2);
        assert_eq!(i64::try_from(MYSQL.len()), Ok(VERSION));
        assert!(all[0].starts_with("CREATE TABLE tenants (\n    id VARCHAR(36) PRIMARY KEY,"));
        assert!(all[1].ends_with("REFERENCES tenants(id) ON DELETE CASCADE\n);"));
    }

    #[test]
    fn migrations_rest_on_no_check_and_are_cut_where_statements_end() {
        for (name, sql) in MYSQL {
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
