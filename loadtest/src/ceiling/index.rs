//! A second, narrow table for filters by actor and resource: what it would cost, for the decision
//! between it and storage-attached indexes.

use std::sync::Arc;

use ingest::sink::row::cells;
use ingest::sink::session::Cassandra;
use scylla::errors::ExecutionError;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimestamp, CqlTimeuuid};
use uuid::Uuid;

use super::rows::RowsBatch;

/// The kinds of values, with their place among a body's cells.
const KINDS: [(&str, usize); 2] = [("actor", 0), ("resource", 3)];

/// One row of the table: which event has this value.
type Entry<'a> = (&'a str, &'a str, &'a str, &'a str, CqlTimestamp, CqlTimeuuid, i64, i32);

/// The table and its prepared insert.
#[derive(Clone)]
pub struct IndexTable {
    db: Cassandra,
    insert: PreparedStatement,
}

impl IndexTable {
    /// Creates the table in the run's keyspace.
    ///
    /// # Errors
    /// When Cassandra refuses or does not answer.
    pub async fn create(db: &Cassandra) -> anyhow::Result<Self> {
        let table = format!("{}.audit_index", db.keyspace);
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {table} (
    tenant_id text, date_bucket text, kind text, value text, event_time timestamp, event_id timeuuid,
    PRIMARY KEY ((tenant_id, date_bucket, kind), value, event_time, event_id)
) WITH CLUSTERING ORDER BY (value ASC, event_time DESC, event_id DESC)
  AND compaction = {{'class': 'TimeWindowCompactionStrategy',
    'compaction_window_unit': 'DAYS', 'compaction_window_size': '10'}}"
        );
        db.session.query_unpaged(create, ()).await?;
        db.session.await_schema_agreement().await?;
        let insert = format!(
            "INSERT INTO {table} (tenant_id, date_bucket, kind, value, event_time, event_id) \
             VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?"
        );
        let mut insert = db.session.prepare(insert).await?;
        insert.set_is_idempotent(true);
        insert.set_consistency(db.consistency);
        Ok(Self { db: db.clone(), insert })
    }

    /// Writes the entries of `batch`: one unlogged batch, of one partition, for each kind.
    ///
    /// # Errors
    /// What the driver says; entries may have been written.
    pub async fn write(&self, batch: &RowsBatch, now: i64) -> Result<(), ExecutionError> {
        let (actors, resources) =
            (self.write_kind(batch, KINDS[0], now), self.write_kind(batch, KINDS[1], now));
        tokio::try_join!(actors, resources).map(drop)
    }

    async fn write_kind(
        &self,
        batch: &RowsBatch,
        (kind, place): (&str, usize),
        now: i64,
    ) -> Result<(), ExecutionError> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        let (tenant, bucket) = (text(batch.key.tenant()), text(batch.key.bucket()));
        let entry = |body| -> Option<Entry<'_>> {
            let value = text(cells(body).nth(place)??);
            let (time, micros, id) = head(body)?;
            let ttl = batch.key.class().remaining_seconds(time, now).unwrap_or(1);
            Some((tenant, bucket, kind, value, CqlTimestamp(time), id, micros, ttl))
        };
        let entries: Vec<_> = batch.bodies().filter_map(entry).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let batch = self.batch(entries.len());
        self.db.session.batch(&batch, entries).await.map(drop)
    }

    fn batch(&self, rows: usize) -> Arc<Batch> {
        let statements = vec![BatchStatement::PreparedStatement(self.insert.clone()); rows];
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_is_idempotent(true);
        batch.set_consistency(self.db.consistency);
        Arc::new(batch)
    }
}

/// Event time (milliseconds), write timestamp (microseconds) and id of a body.
fn head(body: &[u8]) -> Option<(i64, i64, CqlTimeuuid)> {
    let time = i64::from_be_bytes(*body.first_chunk()?);
    let micros = i64::from_be_bytes(*body.get(8..)?.first_chunk()?);
    let id = Uuid::from_bytes(*body.get(16..)?.first_chunk()?);
    Some((time, micros, CqlTimeuuid::from(id)))
}
