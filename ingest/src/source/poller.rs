//! The polling loop.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use metrics::counter;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use rdkafka::topic_partition_list::Offset;
use service_kit::bus::Publisher;
use tracing::{debug, warn};

use super::rebalance::Assignments;
use crate::config::Config;
use crate::pipeline::Intake;
use crate::pipeline::chunk::{Headers, Records};
use crate::pipeline::watermark::Epoch;

/// A chunk is delivered at this many records or bytes, or when nothing more is at hand.
const CHUNK_RECORDS: usize = 256;
const CHUNK_BYTES: usize = 128 * 1024;
/// How long one poll waits when nothing is at hand: bounds how late a stop or commit can be.
const POLL: Duration = Duration::from_millis(50);
/// One Kafka partition may hold this share of the budget while others wait for theirs.
const SHARE: usize = 2;

pub(super) struct Poller<P> {
    consumer: BaseConsumer<Assignments>,
    intake: Intake<P>,
    stop: Arc<AtomicBool>,
    commit_interval: Duration,
    pause_after: Duration,
    /// How long what is in flight may take when the process ends.
    drain_wait: Duration,
    /// The chunk that is being filled: partition, epoch, records.
    filling: Option<(i32, Epoch, Records)>,
    /// Bytes in flight by partition.
    shares: HashMap<i32, Arc<AtomicUsize>>,
    /// Paused partitions, with the assignment in which they were: a new one begins unpaused.
    paused: HashMap<i32, Epoch>,
    /// Whether everything is paused because the budget is used up.
    stalled: bool,
}

impl<P: Publisher> Poller<P> {
    pub(super) fn new(
        config: &Config,
        consumer: BaseConsumer<Assignments>,
        intake: Intake<P>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        Self {
            consumer,
            intake,
            stop,
            commit_interval: Duration::from_millis(config.kafka.commit_interval_ms.max(1)),
            pause_after: Duration::from_millis(config.pipeline.pause_after_ms),
            drain_wait: config.drain_deadline() / 2,
            filling: None,
            shares: HashMap::new(),
            paused: HashMap::new(),
            stalled: false,
        }
    }

    pub(super) fn run(mut self) {
        let mut commit_at = Instant::now() + self.commit_interval;
        while !self.stop.load(Ordering::Acquire) {
            self.poll();
            let now = Instant::now();
            if now >= commit_at {
                self.assignments().commit(&self.consumer, CommitMode::Async);
                self.resume();
                self.intake.observe();
                commit_at = now + self.commit_interval;
            }
        }
        self.finish();
    }

    fn assignments(&self) -> Arc<Assignments> {
        Arc::clone(self.consumer.context())
    }

    /// Takes what is at hand, up to a chunk; one call to the clock a chunk.
    fn poll(&mut self) {
        self.hold_back();
        let mut wait = POLL;
        loop {
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let full =
                        Self::take(&mut self.filling, &self.intake, &mut self.shares, &message);
                    if full {
                        break;
                    }
                }
                Some(Err(error)) => {
                    Self::failed(&self.consumer, &error);
                    break;
                }
                None => break,
            }
            wait = Duration::ZERO;
        }
        self.deliver();
    }

    /// Adds a record to the chunk; a record of another partition or epoch delivers the chunk first.
    /// Tells whether the chunk is full.
    fn take(
        filling: &mut Option<(i32, Epoch, Records)>,
        intake: &Intake<P>,
        shares: &mut HashMap<i32, Arc<AtomicUsize>>,
        message: &BorrowedMessage<'_>,
    ) -> bool {
        let partition = message.partition();
        if filling.as_ref().is_none_or(|(current, ..)| *current != partition) {
            Self::hand_on(filling.take(), intake, shares);
            // A record of an assignment that is over is not delivered.
            let Some(epoch) = intake.watermarks.epoch(partition) else { return false };
            *filling = Some((partition, epoch, Records::default()));
        }
        let Some((_, _, records)) = filling else { return false };
        let timestamp = message.timestamp().to_millis().unwrap_or(0);
        let at = (message.offset(), timestamp);
        records.push(at, message.key(), message.payload(), headers(message));
        records.len() >= CHUNK_RECORDS || records.bytes() >= CHUNK_BYTES
    }

    fn deliver(&mut self) {
        Self::hand_on(self.filling.take(), &self.intake, &mut self.shares);
    }

    fn hand_on(
        chunk: Option<(i32, Epoch, Records)>,
        intake: &Intake<P>,
        shares: &mut HashMap<i32, Arc<AtomicUsize>>,
    ) {
        if let Some((partition, epoch, records)) = chunk {
            intake.deliver(partition, epoch, records, shares.entry(partition).or_default());
        }
    }

    /// Back-pressure: waits while the budget is used up, then pauses everything until half of it is
    /// free; and pauses a partition that holds more than its share while others could go on.
    fn hold_back(&mut self) {
        let limit = self.intake.budget.limit();
        if !self.stalled && !self.intake.budget.wait_below(limit, self.pause_after) {
            debug!("paused: the budget is used up");
            counter!("triad_ingest_pauses_total").increment(1);
            self.stalled = true;
        }
        if self.stalled && self.intake.budget.used() < limit / 2 {
            self.stalled = false;
            self.resume();
        }
        let assigned = self.assignments().epochs();
        let alone = assigned.len() < 2;
        let held = |partition: &i32| {
            self.shares.get(partition).map_or(0, |share| share.load(Ordering::Acquire))
        };
        let greedy = |partition: &i32| !alone && held(partition) > limit / SHARE;
        let pause: Vec<(i32, Epoch)> = assigned
            .into_iter()
            .filter(|(partition, epoch)| self.paused.get(partition) != Some(epoch))
            .filter(|(partition, _)| self.stalled || greedy(partition))
            .collect();
        self.pause(&pause);
    }

    fn pause(&mut self, partitions: &[(i32, Epoch)]) {
        if partitions.is_empty() {
            return;
        }
        let list = self.assignments().list(partitions.iter().map(|(partition, _)| *partition));
        if let Err(error) = self.consumer.pause(&list) {
            warn!(%error, "pause");
        }
        self.paused.extend(partitions.iter().copied());
    }

    /// Resumes what is below half of its share, unless everything is paused.
    fn resume(&mut self) {
        if self.paused.is_empty() || self.stalled {
            return;
        }
        let low = self.intake.budget.limit() / SHARE / 2;
        let assigned = self.assignments().epochs();
        let below = |partition: &i32| {
            self.shares.get(partition).is_none_or(|share| share.load(Ordering::Acquire) <= low)
        };
        self.paused.retain(|partition, epoch| assigned.get(partition) == Some(epoch));
        let ready: Vec<i32> = self.paused.keys().copied().filter(below).collect();
        if let Err(error) = self.consumer.resume(&self.assignments().list(ready.iter().copied())) {
            warn!(%error, "resume");
        }
        self.paused.retain(|partition, _| !ready.contains(partition));
    }

    /// An offset that is out of range while consuming: retention overtook the consumer. Everything
    /// that stands before the start of its log goes on from there, counted as lost.
    fn failed(consumer: &BaseConsumer<Assignments>, error: &KafkaError) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AutoOffsetReset) {
            warn!(%error, "poll");
            return;
        }
        let Ok(positions) = consumer.position() else { return };
        for element in positions.elements() {
            let (topic, partition) = (element.topic(), element.partition());
            let timeout = Duration::from_secs(10);
            let Ok((low, high)) = consumer.fetch_watermarks(topic, partition, timeout) else {
                continue;
            };
            let at = match element.offset() {
                Offset::Offset(at) => at,
                _ => continue,
            };
            if at < low || at > high {
                consumer.context().lost(partition, at.min(low), low);
                if let Err(error) = consumer.seek(topic, partition, Offset::Beginning, timeout) {
                    warn!(%error, partition, "seek to the start of the log");
                }
            }
        }
    }

    /// Leaves the group: what is in flight gets its time, what is done is committed.
    fn finish(mut self) {
        self.filling = None;
        let assignments = self.assignments();
        let partitions: Vec<i32> = assignments.epochs().into_keys().collect();
        if let Err(error) = self.consumer.pause(&assignments.list(partitions.iter().copied())) {
            debug!(%error, "pause before leaving");
        }
        let drained = self.intake.watermarks.wait_drained(&partitions, self.drain_wait);
        assignments.commit(&self.consumer, CommitMode::Sync);
        debug!(drained, "left the group");
    }
}

/// The headers of a record; most have none, and then this costs one call.
fn headers(message: &BorrowedMessage<'_>) -> Option<Headers> {
    let headers = message.headers()?;
    let copy = |header: rdkafka::message::Header<'_, &[u8]>| {
        (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
    };
    Some(headers.iter().map(copy).collect())
}
