//! Writing granules of the skip index.

use std::sync::Arc;

use scylla::errors::PrepareError;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use service_kit::health::Component;

use super::row::{PartitionKey, searchable};
use super::session::Cassandra;
use super::writer::Backoff;
use crate::layout::CLASSES;
use crate::skip::{Field, hash};

/// Rows of one partition that came one after another, and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granule {
    /// The first `event_time`, milliseconds.
    pub first: i64,
    /// The last one.
    pub last: i64,
    /// [`crate::skip::hash`]es of the values in them, in any order, perhaps repeated.
    pub hashes: Vec<i32>,
}

/// A granule is written at this many rows: what one match makes a reader read.
pub const GRANULE_ROWS: usize = 256;

impl Default for Granule {
    fn default() -> Self {
        Self { first: i64::MAX, last: i64::MIN, hashes: Vec::new() }
    }
}

impl Granule {
    /// Takes in the time of a row.
    pub fn span(&mut self, time: i64) {
        (self.first, self.last) = (self.first.min(time), self.last.max(time));
    }

    /// Takes in a row as [`super::row::encode_body`] wrote it.
    pub fn take(&mut self, body: &[u8]) {
        let row = searchable(body);
        self.span(row.time);
        let actor = row.actor.map(|value| hash(Field::Actor, value));
        let resource = row.resource.map(|value| hash(Field::Resource, value));
        self.hashes.extend(actor.into_iter().chain(resource));
    }
}

/// Writes granules. Cheap to clone.
#[derive(Clone)]
pub struct GranuleWriter {
    db: Cassandra,
    inserts: Arc<[PreparedStatement]>,
    health: Component,
}

impl GranuleWriter {
    /// Prepares the inserts.
    ///
    /// # Errors
    /// When the schema is not there, or nobody answers.
    pub async fn prepare(db: &Cassandra, health: Component) -> Result<Self, PrepareError> {
        let mut inserts = Vec::with_capacity(CLASSES.len());
        for class in CLASSES {
            let insert = format!(
                "INSERT INTO {}.{}_skip \
                 (tenant_id, date_bucket, last_time, granule, first_time, hashes) \
                 VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?",
                db.keyspace, class.table
            );
            let mut insert = db.session.prepare(insert).await?;
            insert.set_is_idempotent(true);
            insert.set_consistency(db.consistency);
            inserts.push(insert);
        }
        health.ready();
        Ok(Self { db: db.clone(), inserts: inserts.into(), health })
    }

    /// Writes a granule; tries for as long as it takes. An equal one is written to the same row, so a
    /// replay of the same granule adds none.
    pub async fn write(&self, key: &PartitionKey, granule: Granule) {
        let Granule { first, last, mut hashes } = granule;
        hashes.sort_unstable();
        hashes.dedup();
        let mut content = blake3::Hasher::new();
        content.update(&first.to_be_bytes());
        for hash in &hashes {
            content.update(&hash.to_be_bytes());
        }
        let name = content.finalize().as_bytes()[..16].to_vec();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let (tenant, bucket) = (text(key.tenant()), text(key.bucket()));
        let mut backoff = Backoff::default();
        loop {
            let now = chrono::Utc::now().timestamp_millis();
            let life = key.class().remaining_seconds(last, now).unwrap_or(1);
            let times = (CqlTimestamp(last), CqlTimestamp(first));
            let values = (&tenant, &bucket, times.0, &name, times.1, &hashes, last * 1000, life);
            match self.db.session.execute_unpaged(&self.inserts[key.class().index()], values).await
            {
                Ok(_) => break,
                Err(error) => backoff.wait(&self.health, &error.to_string()).await,
            }
        }
        backoff.over(&self.health);
    }
}
