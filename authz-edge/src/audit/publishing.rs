//! The task that publishes what was queued.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use metrics::Counter;
use rand::Rng as _;
use service_kit::bus::{PublishError, Publisher, Record};
use service_kit::shutdown::Shutdown;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::event::Decided;
use crate::metrics::{Audited, audited};

/// Events that are published at once.
const BATCH: usize = 1024;
/// The wait after a batch that was not taken whole, first and longest; what comes meanwhile is queued.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Publishes queued decisions, each until Kafka has it. One that is dropped counts what it has left as
/// failed, so that queued is always published, failed, or still held.
pub struct Publishing<P> {
    receiver: mpsc::Receiver<Decided>,
    /// Not acknowledged yet.
    batch: Vec<Record>,
    publisher: Arc<P>,
    topic: String,
    published: Counter,
    retried: Counter,
    failed: Counter,
}

impl<P: Publisher> Publishing<P> {
    pub(super) fn new(receiver: mpsc::Receiver<Decided>, publisher: Arc<P>, topic: &str) -> Self {
        Self {
            receiver,
            batch: Vec::new(),
            publisher,
            topic: topic.to_owned(),
            published: audited(Audited::Published),
            retried: audited(Audited::Retried),
            failed: audited(Audited::Failed),
        }
    }

    /// Publishes until `last` tells that nothing more is asked, and then what is left. How long that may
    /// take is the caller's: aborting loses nothing but the rest.
    pub async fn run(mut self, last: Shutdown) {
        let mut taken = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                received = self.receiver.recv_many(&mut taken, BATCH) => {
                    if received == 0 {
                        return;
                    }
                    self.batch.extend(taken.drain(..).map(record));
                    if !self.publish().await {
                        return;
                    }
                }
                () = last.draining(), if !self.receiver.is_closed() => self.receiver.close(),
            }
        }
    }

    /// Publishes the batch; false once the publisher is dead.
    async fn publish(&mut self) -> bool {
        let mut backoff = BACKOFF.0;
        loop {
            self.attempt().await;
            if self.batch.is_empty() {
                return true;
            }
            if self.publisher.fatal().is_some() {
                return false;
            }
            let jittered = backoff.mul_f64(rand::rng().random_range(0.5..1.0));
            sleep(jittered).await;
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// Keeps what was not taken and may be the next time: its id and time make a repetition harmless.
    async fn attempt(&mut self) {
        let published =
            self.batch.iter().map(|record| self.publisher.publish(&self.topic, record.clone()));
        let mut outcomes = join_all(published).await.into_iter();
        let (mut published, mut retried, mut failed) = (0, 0, 0);
        let mut last = None;
        self.batch.retain(|_| match outcomes.next() {
            Some(Ok(_)) => {
                published += 1;
                false
            }
            Some(Err(error @ PublishError::TooLarge { .. })) => {
                failed += 1;
                last = Some(error);
                false
            }
            Some(Err(error)) => {
                retried += 1;
                last = Some(error);
                true
            }
            None => true,
        });
        self.published.increment(published);
        self.retried.increment(retried);
        self.failed.increment(failed);
        if let Some(error) = last {
            tracing::warn!(%error, retried, failed, "decision audit events were not taken");
        }
    }
}

impl<P> Drop for Publishing<P> {
    fn drop(&mut self) {
        let lost = self.batch.len() + self.receiver.len();
        if lost > 0 {
            self.failed.increment(lost as u64);
            // Nobody scrapes a process that ends: this line is what there is to know it by.
            tracing::error!(lost, "decision audit events were not published");
        }
    }
}

fn record(decided: Decided) -> Record {
    let key = Bytes::copy_from_slice(decided.tenant().as_str().as_bytes());
    // It is made of texts: it always has a form in JSON.
    let payload = serde_json::to_vec(&decided.event()).unwrap_or_default();
    Record { key: Some(key), payload: payload.into(), ..Record::default() }
}
