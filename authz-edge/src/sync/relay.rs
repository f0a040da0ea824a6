//! From the outbox to Kafka: fences of what changed, audit events, and then the watermark.
//!
//! Every replica relays. What two of them publish twice does no harm: fences only go up, and audit events
//! keep their ids. The order within a round is what makes the watermark true: a node that a strict read
//! does not find was deleted by a relay after its fences were acknowledged.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contracts::authz::ChangeRecord;
use contracts::{GraphEpoch, Revision};
use futures::future::{join_all, try_join_all};
use metrics::{counter, gauge};
use service_kit::bus::{PublishError, Publisher, Record};
use service_kit::health::Component;
use service_kit::shutdown::Shutdown;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::graph::outbox::{self, Pending, Stage};
use crate::graph::{Dgraph, GraphError};

/// Keys of one record: what is longer is cut into several.
const KEYS: usize = 1000;
/// The least time between two rounds: writers share one.
const GAP: Duration = Duration::from_millis(10);
/// Between looks for audit events that were kept.
const CATCH_UP: Duration = Duration::from_secs(2);
/// The wait after a round that failed.
const BACKOFF: Duration = Duration::from_millis(250);

/// Where and how often.
#[derive(Debug, Clone)]
pub struct Options {
    /// Fences and watermarks.
    pub changes_topic: String,
    /// Its partitions.
    pub partitions: i32,
    /// Audit events.
    pub audit_topic: String,
    /// Time between rounds when nothing is known to be pending.
    pub interval: Duration,
    /// Changes of one round.
    pub batch: usize,
}

/// Why a round failed. What it had not published it finds again.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("publishing: {0}")]
    Publish(#[from] PublishError),
}

/// One relay.
pub struct Relay<P> {
    /// Whose outbox it is.
    pub graph: Arc<Dgraph>,
    /// Publishes fences, watermarks and audit events.
    pub publisher: Arc<P>,
    /// Of the graph, as it was at the start.
    pub epoch: GraphEpoch,
    /// Where and how often.
    pub options: Options,
    /// Begins a round at once.
    pub wake: Arc<Notify>,
    /// Not ready until a round was done.
    pub health: Component,
}

impl<P: Publisher> Relay<P> {
    /// Relays until the drain, and once more then.
    pub async fn run(self, shutdown: Shutdown) {
        let mut caught_up = Instant::now();
        loop {
            if caught_up.elapsed() > CATCH_UP {
                self.catch_up().await;
                caught_up = Instant::now();
            }
            let begun = Instant::now();
            let more = self.observed_round().await;
            if shutdown.is_draining() {
                return;
            }
            match more {
                Some(true) => sleep_until(begun + GAP).await,
                Some(false) => {
                    sleep_until(begun + GAP).await;
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = sleep_until(begun + self.options.interval) => {}
                        () = shutdown.draining() => {}
                    }
                }
                None => sleep(BACKOFF).await,
            }
        }
    }

    /// Whether more is pending; `None` when the round failed.
    async fn observed_round(&self) -> Option<bool> {
        match self.round().await {
            Ok(more) => {
                counter!("triad_authz_relay_rounds_total", "outcome" => "ok").increment(1);
                self.health.ready();
                Some(more)
            }
            Err(error) => {
                counter!("triad_authz_relay_rounds_total", "outcome" => "error").increment(1);
                tracing::warn!(%error, "relay");
                None
            }
        }
    }

    async fn round(&self) -> Result<bool, RoundError> {
        // Before the read: the watermark is at least as old as it says.
        let at_ms = u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or(0);
        let batch = outbox::pending(&self.graph, Stage::Fences, self.options.batch).await?;
        gauge!("triad_authz_outbox_pending").set(batch.changes.len() as f64);
        let fences =
            batch.changes.iter().map(|(_, change)| self.publish_fences(change, batch.revision));
        try_join_all(fences).await?;
        if batch.complete {
            self.publish_watermark(batch.revision, at_ms).await?;
        }
        // Fences wait for nothing; audit events that nobody takes now are published later.
        self.settle(&batch.changes, true).await?;
        Ok(!batch.complete)
    }

    /// Publishes audit events that could not be published with their fences.
    async fn catch_up(&self) {
        loop {
            let settled = async {
                let batch = outbox::pending(&self.graph, Stage::Audit, self.options.batch).await?;
                let left = self.settle(&batch.changes, false).await?;
                Ok::<_, RoundError>(left || batch.complete)
            };
            match settled.await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "relaying audit events");
                    return;
                }
            }
        }
    }

    /// Publishes audit events and forgets their changes; those that nobody takes are kept. Whether some
    /// were.
    async fn settle(&self, changes: &[(u64, Pending)], are_new: bool) -> Result<bool, RoundError> {
        let published =
            join_all(changes.iter().map(|(_, change)| self.publish_events(change))).await;
        let (mut done, mut kept) = (Vec::new(), Vec::new());
        for ((node, _), published) in changes.iter().zip(published) {
            match published {
                Ok(()) => done.push(*node),
                Err(error) => {
                    counter!("triad_authz_audit_retries_total").increment(1);
                    tracing::warn!(%error, "an audit event waits");
                    kept.push(*node);
                }
            }
        }
        outbox::forget(&self.graph, &done).await?;
        counter!("triad_authz_relayed_changes_total").increment(done.len() as u64);
        if are_new {
            outbox::keep_for_audit(&self.graph, &kept).await?;
        }
        Ok(!kept.is_empty())
    }

    async fn publish_fences(&self, change: &Pending, fence: Revision) -> Result<(), PublishError> {
        let fences = change.keys.chunks(KEYS).map(|keys| {
            let (epoch, tenant, keys) = (self.epoch, change.tenant.clone(), keys.to_vec());
            let fence = ChangeRecord::Fence { epoch, fence, tenant, keys };
            self.publisher.publish(&self.options.changes_topic, record(change, json(&fence)))
        });
        try_join_all(fences).await.map(drop)
    }

    async fn publish_events(&self, change: &Pending) -> Result<(), PublishError> {
        let events = change.events.iter().map(|event| {
            self.publisher.publish(&self.options.audit_topic, record(change, json(event)))
        });
        try_join_all(events).await.map(drop)
    }

    async fn publish_watermark(&self, watermark: Revision, at_ms: u64) -> Result<(), PublishError> {
        let value =
            Bytes::from(json(&ChangeRecord::Watermark { epoch: self.epoch, watermark, at_ms }));
        let all = (0..self.options.partitions).map(|partition| {
            let record =
                Record { partition: Some(partition), payload: value.clone(), ..Record::default() };
            self.publisher.publish(&self.options.changes_topic, record)
        });
        try_join_all(all).await.map(drop)
    }
}

fn record(change: &Pending, payload: Vec<u8>) -> Record {
    let key = Bytes::copy_from_slice(change.tenant.as_str().as_bytes());
    Record { key: Some(key), payload: payload.into(), ..Record::default() }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // What is published is made of types that always have a form in JSON.
    serde_json::to_vec(value).unwrap_or_default()
}
