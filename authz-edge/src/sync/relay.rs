//! From the outbox to Kafka: fences of what changed, and then the watermark. Audit events follow in a task
//! of their own ([`audit`]): fences and watermarks wait for nothing of them.
//!
//! Every replica relays. What two of them publish twice does no harm: fences only go up, and audit events
//! keep their ids. The order within a round is what makes the watermark true: a node that a strict read
//! does not find in the first stage left it after a relay's fences were acknowledged.

pub mod audit;
#[cfg(test)]
mod live;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contracts::authz::ChangeRecord;
use contracts::{GraphEpoch, Revision};
use futures::future::try_join_all;
use metrics::{counter, gauge, histogram};
use service_kit::bus::{PublishError, Publisher, Record};
use service_kit::health::Component;
use service_kit::shutdown::Shutdown;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::check::freshness::Freshness;
use crate::clock::Clock;
use crate::graph::outbox::{self, Batch, Outcome, Pending, Stage};
use crate::graph::{GraphDb, GraphError};
use crate::metrics::set_aside;

/// Keys of one record: what is longer is cut into several.
const KEYS: usize = 1000;
/// The least time between two rounds: writers share one.
const GAP: Duration = Duration::from_millis(10);
/// The wait after a round that failed.
const BACKOFF: Duration = Duration::from_millis(250);
/// Between looks how many partitions the topic has: an edge follows new ones within 10 s, and is strict
/// until they have watermarks.
const LOOK: Duration = Duration::from_secs(5);
/// Of a type that no edge knows, so that each keeps nothing that it holds: see [`ChangeRecord::Unknown`].
const CLEAR: &[u8] = br#"{"type":"unreadable"}"#;

/// Changes whose fences are published, on their way to whoever publishes their audit events.
pub type Fenced = Vec<(u64, Pending)>;

/// Where and how often.
#[derive(Debug, Clone)]
pub struct Options {
    /// Fences and watermarks.
    pub changes_topic: String,
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
    pub graph: Arc<GraphDb>,
    /// Publishes fences and watermarks, and nothing that may keep them waiting.
    pub publisher: Arc<P>,
    /// Is told of each read, and of another graph.
    pub freshness: Arc<Freshness>,
    /// The time.
    pub clock: Clock,
    /// Where and how often.
    pub options: Options,
    /// Begins a round at once.
    pub wake: Arc<Notify>,
    /// Takes changes on to their audit events. What it has no room for stays in the graph, where it is
    /// found.
    pub fenced: mpsc::Sender<Fenced>,
    /// Not ready until a round was done.
    pub health: Component,
}

impl<P: Publisher> Relay<P> {
    /// Relays until `last`, and once more then.
    pub async fn run(self, last: Shutdown) {
        let partitions = watch::Sender::new(0);
        tokio::select! {
            () = self.rounds(partitions.subscribe(), &last) => {}
            () = self.count_partitions(&partitions) => {}
        }
    }

    async fn count_partitions(&self, partitions: &watch::Sender<i32>) {
        loop {
            match self.publisher.partitions(&self.options.changes_topic).await {
                Ok(count) => {
                    partitions.send_if_modified(|known| std::mem::replace(known, count) != count);
                    sleep(LOOK).await;
                }
                // Those that were known are, as far as we know.
                Err(error) => {
                    tracing::warn!(%error, "partitions of {}", self.options.changes_topic);
                    sleep(BACKOFF).await;
                }
            }
        }
    }

    async fn rounds(&self, mut partitions: watch::Receiver<i32>, last: &Shutdown) {
        tokio::select! {
            known = partitions.wait_for(|count| *count > 0) => if known.is_err() { return },
            () = last.draining() => return,
        }
        loop {
            let begun = Instant::now();
            let count = *partitions.borrow();
            let more = self.observed_round(count).await;
            if last.is_draining() {
                return;
            }
            match more {
                Some(true) => sleep_until(begun + GAP).await,
                Some(false) => {
                    sleep_until(begun + GAP).await;
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = sleep_until(begun + self.options.interval) => {}
                        () = last.draining() => {}
                    }
                }
                None => sleep(BACKOFF).await,
            }
        }
    }

    /// Whether more is pending; `None` when the round failed.
    async fn observed_round(&self, partitions: i32) -> Option<bool> {
        match self.round(partitions).await {
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

    async fn round(&self, partitions: i32) -> Result<bool, RoundError> {
        // Before the read: the watermark is at least as old as it says.
        let (generation, begun) = (self.freshness.generation(), self.clock.millis());
        let at_ms = wall_ms(&self.clock);
        let batch = outbox::pending(&self.graph, Stage::Fences, 0, self.options.batch).await?;
        // Of the very graph that was read: an edge of another one does not take its fences for its own.
        self.freshness.set_epoch(batch.epoch);
        self.freshness.has_read(generation, batch.revision, begun);
        let oldest = batch.changes.iter().map(|(_, change)| age_ms(change, at_ms)).max();
        gauge!("triad_authz_outbox_age_seconds", "stage" => Stage::Fences.name())
            .set(oldest.unwrap_or(0) as f64 / 1000.0);
        self.publish_fences(&batch).await?;
        if batch.next.is_none() {
            self.publish_watermark(&batch, at_ms, partitions).await?;
        }
        let more = batch.next.is_some();
        self.pass_on(batch).await?;
        Ok(more)
    }

    async fn publish_fences(&self, batch: &Batch) -> Result<(), PublishError> {
        let fences = batch
            .changes
            .iter()
            .map(|(_, change)| self.publish_fence(change, batch.epoch, batch.revision));
        let clear = async {
            if !batch.unreadable.is_empty() {
                let record = Record { payload: Bytes::from_static(CLEAR), ..Record::default() };
                self.publisher.publish(&self.options.changes_topic, record).await?;
            }
            Ok(())
        };
        tokio::try_join!(try_join_all(fences), clear)?;
        let now = wall_ms(&self.clock);
        for (_, change) in &batch.changes {
            let lag = Duration::from_millis(age_ms(change, now));
            histogram!("triad_authz_relay_lag_seconds").record(lag);
        }
        Ok(())
    }

    /// Leaves the first stage: what has no audit event is done, the others go on without us.
    async fn pass_on(&self, batch: Batch) -> Result<(), GraphError> {
        counter!("triad_authz_relayed_changes_total").increment(batch.changes.len() as u64);
        let (done, fenced): (Fenced, Fenced) =
            batch.changes.into_iter().partition(|(_, change)| change.events.is_empty());
        let nodes = |changes: &Fenced| changes.iter().map(|(node, _)| *node).collect();
        let aside = batch.unreadable.iter().map(|(node, _)| *node).collect();
        let outcome = Outcome { done: nodes(&done), audit: nodes(&fenced), aside };
        outbox::settle(&self.graph, &outcome).await?;
        for (node, error) in &batch.unreadable {
            set_aside(*node, "unreadable", error);
        }
        if !fenced.is_empty() && self.fenced.try_send(fenced).is_err() {
            tracing::debug!("audit events wait in the graph");
        }
        Ok(())
    }

    async fn publish_fence(
        &self,
        change: &Pending,
        epoch: GraphEpoch,
        fence: Revision,
    ) -> Result<(), PublishError> {
        let fences = change.keys.chunks(KEYS).map(|keys| {
            let (tenant, keys) = (change.tenant.clone(), keys.to_vec());
            let fence = ChangeRecord::Fence { epoch, fence, tenant, keys };
            self.publisher.publish(&self.options.changes_topic, record(change, json(&fence)))
        });
        try_join_all(fences).await.map(drop)
    }

    async fn publish_watermark(
        &self,
        batch: &Batch,
        at_ms: u64,
        partitions: i32,
    ) -> Result<(), PublishError> {
        let (epoch, watermark) = (batch.epoch, batch.revision);
        let value = Bytes::from(json(&ChangeRecord::Watermark { epoch, watermark, at_ms }));
        let all = (0..partitions).map(|partition| {
            let record =
                Record { partition: Some(partition), payload: value.clone(), ..Record::default() };
            self.publisher.publish(&self.options.changes_topic, record)
        });
        try_join_all(all).await.map(drop)
    }
}

fn wall_ms(clock: &Clock) -> u64 {
    u64::try_from(clock.micros() / 1000).unwrap_or(0)
}

/// How long ago a change was written, milliseconds; 0 when its writer did not say, or by a clock ahead.
fn age_ms(change: &Pending, now_ms: u64) -> u64 {
    if change.at_ms == 0 { 0 } else { now_ms.saturating_sub(change.at_ms) }
}

fn record(change: &Pending, payload: Vec<u8>) -> Record {
    let key = Bytes::copy_from_slice(change.tenant.as_str().as_bytes());
    Record { key: Some(key), payload: payload.into(), ..Record::default() }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // What is published is made of types that always have a form in JSON.
    serde_json::to_vec(value).unwrap_or_default()
}
