//! The schema: printed or applied as an explicit step, versioned, repeatable.

use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::value::CqlValue;

use super::session::Cassandra;
use crate::config::{CassandraConfig, Index};
use crate::layout::{CLASSES, EVERYONE, Layout};
use crate::skip::ROLL_OUT_MS;

/// The version that [`statements`] describes. A release that changes them raises it.
pub const VERSION: i32 = 2;

/// The row of `schema_version` that says since when there is a skip index.
const SKIP: &str = "skip_index";

/// Columns that filters name, served by an index of their own.
pub const INDEXED: [&str; 2] = ["actor_id", "resource_id"];

/// Why the schema was not applied.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Changing replication moves data: an operator's procedure, not a start-up step.
    #[error(
        "keyspace {keyspace} has replication {found}, the configuration says {wanted}. To change it: \
         ALTER KEYSPACE {keyspace} WITH replication = {wanted}; then run `nodetool repair --full \
         {keyspace}` on every node before the next step of the factor, and set cassandra.replication"
    )]
    Replication {
        /// The keyspace.
        keyspace: String,
        /// What it has.
        found: String,
        /// What is configured.
        wanted: String,
    },
    /// A newer release was here.
    #[error("the schema has version {found}, this program knows {VERSION}: use the newer release")]
    Newer {
        /// The version in the keyspace.
        found: i32,
    },
    /// Cassandra refused or did not answer.
    #[error("cassandra: {0}")]
    Cassandra(#[from] ExecutionError),
    /// An answer without the rows or columns that every Cassandra 4 or 5 has.
    #[error("cassandra answered unexpectedly: {0}")]
    Unexpected(String),
}

/// What `schema apply` executes, in order; each statement can be repeated. At last comes [`skip_note`].
#[must_use]
pub fn statements(config: &CassandraConfig) -> Vec<String> {
    let keyspace = &config.keyspace;
    let mut all = vec![format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {}",
        replication(config)
    )];
    for class in CLASSES {
        all.push(table(keyspace, class.table, class.window_days));
        for column in INDEXED {
            all.push(index(keyspace, class.table, column, config.index));
        }
        all.push(skip_table(keyspace, class.table, class.window_days));
    }
    all.push(format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.audit_layouts (
    scope text, effective_from timestamp, granularity text, shards int, class text,
    created_at timestamp, created_by text,
    PRIMARY KEY (scope, effective_from)
)"
    ));
    all.push(format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.audit_rates (
    slot timestamp, tenant_id text, replica uuid, row_count bigint,
    PRIMARY KEY (slot, tenant_id, replica)
) WITH default_time_to_live = 7200 AND gc_grace_seconds = 3600"
    ));
    all.push(format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.schema_version (
    component text PRIMARY KEY, version int, applied_at timestamp
)"
    ));
    let layout = Layout::DEFAULT;
    all.push(format!(
        "INSERT INTO {keyspace}.audit_layouts (scope, effective_from, granularity, shards, class, \
         created_at, created_by) VALUES ('{EVERYONE}', {}, '{}', {}, '{}', toTimestamp(now()), \
         'schema') IF NOT EXISTS",
        layout.effective_from,
        layout.granularity.as_str(),
        layout.shards,
        layout.class.class().name,
    ));
    all.push(format!(
        "INSERT INTO {keyspace}.schema_version (component, version, applied_at) \
         VALUES ('ingest', {VERSION}, toTimestamp(now()))"
    ));
    all
}

fn replication(config: &CassandraConfig) -> String {
    let (datacenter, factor) = (&config.datacenter, config.replication);
    format!("{{'class': 'NetworkTopologyStrategy', '{datacenter}': '{factor}'}}")
}

/// Compaction of a table and of its index.
fn windows(days: u32) -> String {
    format!(
        "compaction = {{'class': 'TimeWindowCompactionStrategy',
    'compaction_window_unit': 'DAYS', 'compaction_window_size': '{days}'}}"
    )
}

/// The frozen map is one cell: a replaced one leaves no range tombstone behind.
fn table(keyspace: &str, table: &str, window_days: u32) -> String {
    let windows = windows(window_days);
    format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.{table} (
    tenant_id text, date_bucket text, event_time timestamp, event_id timeuuid,
    actor_id text, actor_type text, action text, resource_id text, resource_type text,
    status text, source_ip inet, details frozen<map<text, text>>, source_id text,
    PRIMARY KEY ((tenant_id, date_bucket), event_time, event_id)
) WITH CLUSTERING ORDER BY (event_time DESC, event_id DESC)
  AND {windows}"
    )
}

/// The skip index of a table, partitioned as it is.
fn skip_table(keyspace: &str, table: &str, window_days: u32) -> String {
    let windows = windows(window_days);
    format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.{table}_skip (
    tenant_id text, date_bucket text, last_time timestamp, granule blob,
    first_time timestamp, hashes frozen<set<int>>,
    PRIMARY KEY ((tenant_id, date_bucket), last_time, granule)
) WITH CLUSTERING ORDER BY (last_time DESC, granule ASC)
  AND {windows}"
    )
}

fn index(keyspace: &str, table: &str, column: &str, index: Index) -> String {
    let name = format!("{table}_by_{column}");
    match index {
        Index::Sai => {
            format!(
                "CREATE INDEX IF NOT EXISTS {name} ON {keyspace}.{table} ({column}) USING 'sai'"
            )
        }
        Index::Skip | Index::None => format!("DROP INDEX IF EXISTS {keyspace}.{name}"),
    }
}

/// Applies the schema, or finds it applied.
///
/// # Errors
/// [`SchemaError`]; what was applied before it stays, and a repetition goes on from there.
pub async fn apply(db: &Cassandra, config: &CassandraConfig) -> Result<(), SchemaError> {
    refuse_other_replication(db, config).await?;
    let found = refuse_newer(db, config).await?;
    for statement in statements(config) {
        db.session.query_unpaged(statement, ()).await?;
        db.session.await_schema_agreement().await.map_err(ExecutionError::from)?;
    }
    let since = match (config.index, found) {
        (Index::Skip, None) => Some(0),
        (Index::Skip, Some(_)) => Some(chrono::Utc::now().timestamp_millis() + ROLL_OUT_MS),
        _ => None,
    };
    db.session.query_unpaged(note(config, since), ()).await?;
    Ok(())
}

/// What `schema apply` executes after [`statements`]: it notes since when all rows are in the skip
/// index, for a keyspace that has rows already. In a new one that is since 0.
#[must_use]
pub fn skip_note(config: &CassandraConfig) -> String {
    let rolled_out = chrono::Utc::now().timestamp_millis() + ROLL_OUT_MS;
    note(config, (config.index == Index::Skip).then_some(rolled_out))
}

fn note(config: &CassandraConfig, since: Option<i64>) -> String {
    let keyspace = &config.keyspace;
    match since {
        Some(since) => format!(
            "INSERT INTO {keyspace}.schema_version (component, version, applied_at) \
             VALUES ('{SKIP}', {VERSION}, {since}) IF NOT EXISTS"
        ),
        None => {
            format!("DELETE FROM {keyspace}.schema_version WHERE component = '{SKIP}' IF EXISTS")
        }
    }
}

/// Rows of this `event_time` (milliseconds) or later are all in the skip index; `None` when there is
/// none. A row from before the index has an earlier time, or a time in the future of its writing,
/// which the roll-out covers.
///
/// # Errors
/// [`SchemaError`] when Cassandra does not tell.
pub async fn skip_since(db: &Cassandra) -> Result<Option<i64>, SchemaError> {
    let since = noted(db, &db.keyspace, "applied_at", SKIP).await?;
    Ok(since.and_then(|since| since.as_cql_timestamp()).map(|since| since.0))
}

async fn refuse_other_replication(
    db: &Cassandra,
    config: &CassandraConfig,
) -> Result<(), SchemaError> {
    let Some(found) = replication_of(db, &config.keyspace).await? else { return Ok(()) };
    let same = found.get("class").is_some_and(|class| class.ends_with("NetworkTopologyStrategy"))
        && found.get(&config.datacenter) == Some(&config.replication.to_string())
        && found.len() == 2;
    if same {
        return Ok(());
    }
    let found: Vec<_> = found.iter().map(|(key, value)| format!("'{key}': '{value}'")).collect();
    Err(SchemaError::Replication {
        keyspace: config.keyspace.clone(),
        found: format!("{{{}}}", found.join(", ")),
        wanted: replication(config),
    })
}

type Options = std::collections::BTreeMap<String, String>;

/// The replication options of a keyspace; `None` when there is no such keyspace.
///
/// # Errors
/// [`SchemaError`] when Cassandra does not tell.
pub async fn replication_of(
    db: &Cassandra,
    keyspace: &str,
) -> Result<Option<Options>, SchemaError> {
    let query = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let rows = db.session.query_unpaged(query, (keyspace,)).await?;
    let rows = rows.into_rows_result().map_err(|error| unexpected(&error))?;
    let row = rows.maybe_first_row::<(Options,)>().map_err(|error| unexpected(&error))?;
    Ok(row.map(|(options,)| options))
}

/// The version that was applied; `None` when nothing was.
async fn refuse_newer(
    db: &Cassandra,
    config: &CassandraConfig,
) -> Result<Option<i32>, SchemaError> {
    // Before the first time there is no keyspace to ask in.
    if replication_of(db, &config.keyspace).await?.is_none() {
        return Ok(None);
    }
    match version(db, &config.keyspace).await {
        Ok(Some(found)) if found > VERSION => Err(SchemaError::Newer { found }),
        Ok(found) => Ok(found),
        // A keyspace that somebody made, without our tables. No answer is another matter: a keyspace
        // with rows that passes for a new one would have its rows in no index, and nobody told.
        Err(SchemaError::Cassandra(ExecutionError::LastAttemptError(
            RequestAttemptError::DbError(DbError::Invalid, _),
        ))) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The version that was applied to `keyspace`.
///
/// # Errors
/// [`SchemaError`] also when the keyspace or its version table does not exist.
pub async fn version(db: &Cassandra, keyspace: &str) -> Result<Option<i32>, SchemaError> {
    let version = noted(db, keyspace, "version", "ingest").await?;
    Ok(version.and_then(|version| version.as_int()))
}

/// What `schema_version` has in that column for a component.
async fn noted(
    db: &Cassandra,
    keyspace: &str,
    column: &str,
    component: &str,
) -> Result<Option<CqlValue>, SchemaError> {
    let query =
        format!("SELECT {column} FROM {keyspace}.schema_version WHERE component = '{component}'");
    let rows = db.session.query_unpaged(query, ()).await?;
    let rows = rows.into_rows_result().map_err(|error| unexpected(&error))?;
    let row = rows.maybe_first_row::<(CqlValue,)>().map_err(|error| unexpected(&error))?;
    Ok(row.map(|(value,)| value))
}

fn unexpected(error: &impl std::error::Error) -> SchemaError {
    SchemaError::Unexpected(error.to_string())
}
