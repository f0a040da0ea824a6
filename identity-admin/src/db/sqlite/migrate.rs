//! SQLite's migrations. Each is one transaction with the number that it leads to (`PRAGMA user_version`): what is
//! interrupted was not begun.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use super::pool::connecting;
use crate::db::{Db, DbError, Migrated, Retry, Schema, VERSION, params};

/// By what each leads to. The first leads from nothing to where MySQL's eighth leads.
const SQLITE: [(Schema, &str); 1] = [(
    Schema { version: 8, serves_from: 8 },
    include_str!("../../../migrations/sqlite/0008_schema.sql"),
)];

/// What the last one leads to.
#[cfg(test)]
pub(in crate::db) fn latest() -> Schema {
    SQLITE[SQLITE.len() - 1].0
}

/// `PRAGMA user_version` has 32 bits: the version in the lower half, and above it that of the oldest build that it
/// serves, if that is another one.
const HALF: u32 = 16;

/// Says whose a file is (`PRAGMA application_id`): `TRID`.
const APPLICATION: i64 = 0x5452_4944;

/// For another process that migrates the same file.
const PATIENCE: Duration = Duration::from_secs(30);

/// As [`crate::db::migrate`].
pub(in crate::db) async fn migrate(path: &Path) -> Result<Migrated, DbError> {
    create(path)?;
    let mut connection = connecting(path, PATIENCE).connect().await?;
    let migrated = bring_up(&mut connection).await;
    // Closing undoes what was not committed; what it says is of no interest.
    let _ = connection.close().await;
    migrated
}

/// As [`Db::schema`].
pub(in crate::db) async fn schema(db: &Db) -> Result<Schema, DbError> {
    let sql = "SELECT user_version AS version FROM pragma_user_version";
    db.row(sql, params![]).await?.map_or(Ok(0), |row| row.int("version")).map(of_stored)
}

/// How it is kept in the file.
pub(super) fn stored(schema: Schema) -> i64 {
    let Schema { version, serves_from } = schema;
    if serves_from == version { version } else { version | (serves_from << HALF) }
}

fn of_stored(stored: i64) -> Schema {
    match stored >> HALF {
        0 => Schema::alone(stored),
        serves_from => Schema { version: stored - (serves_from << HALF), serves_from },
    }
}

/// Makes an empty file, if there is none, that its owner alone may read: it will hold hashes of passwords. What SQLite
/// lays beside it gets the same mode.
fn create(path: &Path) -> Result<(), DbError> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed = |error: std::io::Error| {
        let reason = format!("{}: {error}", path.display());
        match error.kind() {
            std::io::ErrorKind::NotFound => DbError::Lost(reason),
            _ => DbError::Storage(reason),
        }
    };
    options.open(path).map(drop).map_err(failed)
}

async fn bring_up(connection: &mut SqliteConnection) -> Result<Migrated, DbError> {
    let from = found(connection).await?.version;
    keep_log(connection).await?;
    if from >= VERSION {
        return Ok(Migrated { from, to: from });
    }
    connection.execute("BEGIN IMMEDIATE").await?;
    // Another process may have been faster.
    let from = found(connection).await?.version;
    for (schema, sql) in SQLITE.into_iter().filter(|(schema, _)| schema.version > from) {
        connection.execute(sql).await?;
        let version = stored(schema);
        let sql = format!("PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {version}");
        connection.execute(AssertSqlSafe(sql)).await?;
    }
    let to = found(connection).await?.version;
    connection.execute("COMMIT").await?;
    Ok(Migrated { from, to })
}

/// What a file is at that is empty or ours, and serves this build if a newer one made it.
async fn found(connection: &mut SqliteConnection) -> Result<Schema, DbError> {
    let sql = "SELECT user_version, application_id, (SELECT COUNT(*) FROM sqlite_schema) \
               FROM pragma_user_version, pragma_application_id";
    let (version, application, things): (i64, i64, i64) =
        sqlx::query_as(sql).fetch_one(connection).await?;
    if (version, application, things) == (0, 0, 0) {
        return Ok(Schema::alone(0));
    }
    let schema = of_stored(version);
    if application != APPLICATION {
        return Err(DbError::Refused("the file is another program's".to_owned()));
    }
    if schema.version > VERSION && !schema.serves() {
        let version = schema.version;
        let why = format!("a newer build made it version {version}; this one knows {VERSION}");
        return Err(DbError::Refused(why));
    }
    Ok(schema)
}

/// Has commits go to a write-ahead log, which the file remembers. Nobody may use the file meanwhile, and SQLite does not
/// wait until that is so.
async fn keep_log(connection: &mut SqliteConnection) -> Result<(), DbError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let kept = connection.execute("PRAGMA journal_mode = WAL").await.map_err(DbError::from);
        let wait = Retry::TRANSACTION.wait(attempt, &mut rand::rng());
        match (kept, wait) {
            (Err(DbError::LockTimeout | DbError::Contended), Some(wait)) => {
                tokio::time::sleep(wait).await;
            }
            (kept, _) => return kept.map(drop),
        }
    }
}
