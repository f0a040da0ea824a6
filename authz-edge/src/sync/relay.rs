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
use futures::future::try_join_all;
use metrics::{counter, gauge};
use service_kit::bus::{PublishError, Publisher, Record};
use service_kit::health::Component;
use service_kit::shutdown::Shutdown;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use crate::graph::outbox::{self, Pending};
use crate::graph::{Dgraph, GraphError};

/// Keys of one record: what is longer is cut into several.
const KEYS: usize = 1000;
/// The least time between two rounds: writers share one.
const GAP: Duration = Duration::from_millis(10);
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
    graph: Arc<Dgraph>,
    publisher: Arc<P>,
    epoch: GraphEpoch,
    options: Options,
    wake: Arc<Notify>,
    health: Component,
}

impl<P: Publisher> Relay<P> {
    /// A relay for the graph of that epoch; `wake` begins a round at once.
    #[must_use]
    pub fn new(
        graph: Arc<Dgraph>,
        publisher: Arc<P>,
        epoch: GraphEpoch,
        options: Options,
        wake: Arc<Notify>,
        health: Component,
    ) -> Self {
        Self { graph, publisher, epoch, options, wake, health }
    }

    /// Relays until the drain, and once more then.
    pub async fn run(self, shutdown: Shutdown) {
        loop {
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
        let batch = outbox::pending(&self.graph, self.options.batch).await?;
        gauge!("triad_authz_outbox_pending").set(batch.changes.len() as f64);
        let published =
            batch.changes.iter().map(|(_, change)| self.publish(change, batch.revision));
        try_join_all(published).await?;
        let nodes: Vec<_> = batch.changes.iter().map(|(node, _)| *node).collect();
        outbox::forget(&self.graph, &nodes).await?;
        counter!("triad_authz_relayed_changes_total").increment(nodes.len() as u64);
        if batch.complete {
            self.publish_watermark(batch.revision, at_ms).await?;
        }
        Ok(!batch.complete)
    }

    async fn publish(&self, change: &Pending, fence: Revision) -> Result<(), PublishError> {
        let key = Bytes::copy_from_slice(change.tenant.as_str().as_bytes());
        let record = |payload: Vec<u8>| Record {
            key: Some(key.clone()),
            payload: payload.into(),
            ..Record::default()
        };
        let fences = change.keys.chunks(KEYS).map(|keys| {
            let fence = ChangeRecord::Fence {
                epoch: self.epoch,
                fence,
                tenant: change.tenant.clone(),
                keys: keys.to_vec(),
            };
            (&self.options.changes_topic, json(&fence))
        });
        let events = change.events.iter().map(|event| (&self.options.audit_topic, json(event)));
        let all =
            fences.chain(events).map(|(topic, value)| self.publisher.publish(topic, record(value)));
        try_join_all(all).await.map(drop)
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

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // What is published is made of types that always have a form in JSON.
    serde_json::to_vec(value).unwrap_or_default()
}
