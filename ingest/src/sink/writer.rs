//! Writing a batch until it is written, and telling a poisonous row from an outage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::TenantId;
use rand::Rng;
use scylla::errors::ExecutionError;
use service_kit::health::Component;
use tokio::sync::Mutex;
use tracing::warn;

use super::classify::{Verdict, classify, label};
use super::row::{PartitionKey, Row};
use super::session::Cassandra;
use super::statements::Statements;
use crate::layout::{CLASSES, ClassId};
use crate::metrics::SinkMetrics;

const FIRST_BACKOFF: Duration = Duration::from_millis(20);
const LAST_BACKOFF: Duration = Duration::from_secs(2);
/// Failing for longer than this takes the process out of readiness.
const PATIENCE: Duration = Duration::from_secs(5);

/// A row is a dead letter when it was refused so often alone; before that a refusal divides its batch.
const REFUSALS: usize = 5;

/// One row of a batch: what [`super::row::encode_body`] wrote.
pub type SinkRow<'a> = &'a [u8];

/// A row that the database refuses, alone, while it takes others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its place in the batch.
    pub index: usize,
    /// What the database said.
    pub error: String,
}

/// Writes batches. Cheap to clone.
#[derive(Clone)]
pub struct Sink(Arc<Inner>);

struct Inner {
    db: Cassandra,
    statements: Statements,
    metrics: SinkMetrics,
    health: Component,
    /// The last canary of each class: when it was sent, and what came of it.
    probes: Vec<Mutex<Option<Probe>>>,
}

/// A canary that was sent.
struct Probe {
    at: Instant,
    outcome: Result<(), String>,
}

impl Sink {
    /// A sink over prepared statements.
    #[must_use]
    pub fn new(
        db: Cassandra,
        statements: Statements,
        metrics: SinkMetrics,
        health: Component,
    ) -> Self {
        health.ready();
        let probes = CLASSES.iter().map(|_| Mutex::default()).collect();
        Self(Arc::new(Inner { db, statements, metrics, health, probes }))
    }

    /// Writes all rows, which are of one partition, and returns when each is durable at the configured
    /// consistency or known to be refused. It tries for as long as it takes: an outage ends in neither
    /// a loss nor a dead letter, and the caller's bounded bytes hold up the source meanwhile.
    pub async fn write(&self, key: &PartitionKey, rows: &[SinkRow<'_>]) -> Vec<Rejected> {
        let mut rejected = Vec::new();
        // Halves of refused batches, as ranges of `rows`.
        let mut pending = vec![(0, rows.len())];
        while let Some((from, to)) = pending.pop() {
            match self.settle(key, &rows[from..to]).await {
                Ok(()) => {}
                Err(error) if to - from == 1 => rejected.push(Rejected { index: from, error }),
                Err(_) => {
                    let middle = from + (to - from) / 2;
                    pending.extend([(middle, to), (from, middle)]);
                }
            }
        }
        rejected
    }

    /// Writes rows together. `Err` means: the database refused them, several times over a while if it is
    /// one row alone, and after each refusal took a known-good row into the same table. So it is them
    /// and not the database, and not one node of it that coordinates some requests and not others.
    async fn settle(&self, key: &PartitionKey, rows: &[SinkRow<'_>]) -> Result<(), String> {
        let mut backoff = Backoff::default();
        let enough = if rows.len() == 1 { REFUSALS } else { 1 };
        let mut refusals = 0;
        loop {
            let Err(error) = self.attempt(key, rows).await else {
                backoff.over(&self.0.health);
                return Ok(());
            };
            self.0.metrics.retried(label(&error));
            let mut why = error.to_string();
            if classify(&error) == Verdict::Refused {
                match self.probe(key.class(), Instant::now()).await {
                    Ok(()) => {
                        refusals += 1;
                        if refusals >= enough {
                            backoff.over(&self.0.health);
                            return Err(why);
                        }
                    }
                    Err(outage) => {
                        refusals = 0;
                        why = outage;
                    }
                }
            } else {
                refusals = 0;
            }
            backoff.wait(&self.0.health, &why).await;
        }
    }

    async fn attempt(
        &self,
        key: &PartitionKey,
        rows: &[SinkRow<'_>],
    ) -> Result<(), ExecutionError> {
        let now = chrono::Utc::now().timestamp_millis();
        let values: Vec<_> = rows.iter().map(|body| Row { key, body, now }).collect();
        let started = Instant::now();
        let batch = self.0.statements.batch(key.class(), rows.len());
        self.0.db.session.batch(&batch, values).await?;
        self.0.metrics.wrote(rows.len(), started.elapsed());
        Ok(())
    }

    /// Writes a known-good row into the table of `class`, begun no earlier than `since`. Batches that
    /// fail together share one.
    async fn probe(&self, class: ClassId, since: Instant) -> Result<(), String> {
        let mut last = self.0.probes[class.index()].lock().await;
        if let Some(probe) = &*last
            && probe.at >= since
        {
            return probe.outcome.clone();
        }
        let begun = Instant::now();
        let outcome = self.canary(class).await.map_err(|error| error.to_string());
        *last = Some(Probe { at: begun, outcome: outcome.clone() });
        outcome
    }

    /// The canary lives for a minute in a bucket that no reader's time range names.
    async fn canary(&self, class: ClassId) -> Result<(), ExecutionError> {
        let (keyspace, table) = (&self.0.db.keyspace, class.class().table);
        let system = TenantId::SYSTEM;
        let insert = format!(
            "INSERT INTO {keyspace}.{table} (tenant_id, date_bucket, event_time, event_id, action) \
             VALUES ('{system}', 'canary', toTimestamp(now()), now(), 'canary') USING TTL 60"
        );
        self.0.db.session.query_unpaged(insert, ()).await.map(drop)
    }
}

/// Exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015), and
/// what it means for readiness.
pub(super) struct Backoff {
    next: Duration,
    failing_since: Option<Instant>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST_BACKOFF, failing_since: None }
    }
}

impl Backoff {
    pub(super) async fn wait(&mut self, health: &Component, why: &str) {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            health.not_ready(format!("cassandra: {why}"));
            warn!(error = why, "cassandra does not take a batch; trying on");
        }
        let pause = rand::rng().random_range(Duration::ZERO..=self.next);
        self.next = (self.next * 2).min(LAST_BACKOFF);
        tokio::time::sleep(pause).await;
    }

    pub(super) fn over(&self, health: &Component) {
        if self.failing_since.is_some() {
            health.ready();
        }
    }
}
