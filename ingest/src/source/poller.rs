//! The polling loop.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use metrics::counter;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use service_kit::bus::{Publisher, put_aside};
use tokio::sync::oneshot;
use tracing::{debug, error, warn};

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
/// A Kafka partition that holds more than this part of the budget (1/2) is greedy. With one hot tenant
/// that is as it should be, as long as its records move on.
const SHARE: usize = 2;
/// While greedy partitions stand still, the others may use this part of the budget (1/2) more than
/// there is.
const LOAN: usize = 2;

/// What is paused because the budget stays used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pressure {
    /// Nothing.
    None,
    /// Partitions that hold most of the budget and do not move on; the others go on with a loan.
    Greedy,
    /// Everything.
    All,
}

impl Pressure {
    /// The budget was used up for long; `greedy` tells whether some partition holds most of it.
    fn more(self, greedy: bool) -> Self {
        if self == Self::None && greedy { Self::Greedy } else { Self::All }
    }
}

/// Makes a client that subscribes to the topic.
pub(super) type Make = dyn Fn() -> KafkaResult<BaseConsumer<Assignments>> + Send;

pub(super) struct Poller<P> {
    consumer: BaseConsumer<Assignments>,
    /// For the time when that one is lost.
    make: Box<Make>,
    intake: Intake<P>,
    stop: Arc<AtomicBool>,
    /// Told when what was in flight is committed; the group is left after that.
    done: oneshot::Sender<()>,
    commit_interval: Duration,
    pause_after: Duration,
    /// How long what is in flight may take when the process ends.
    drain_wait: Duration,
    /// The chunk that is being filled: partition, epoch, records.
    filling: Option<(i32, Epoch, Records)>,
    /// Bytes in flight by partition.
    shares: HashMap<i32, Arc<AtomicUsize>>,
    /// Paused partitions, with the assignment in which they were: a new one is begun unpaused.
    paused: HashMap<i32, Epoch>,
    pressure: Pressure,
    /// A partition was out of range, and is not put right yet.
    astray: bool,
    mend_at: Instant,
}

impl<P: Publisher> Poller<P> {
    pub(super) fn new(
        config: &Config,
        make: Box<Make>,
        intake: Intake<P>,
        stop: Arc<AtomicBool>,
        done: oneshot::Sender<()>,
    ) -> KafkaResult<Self> {
        Ok(Self {
            consumer: make()?,
            make,
            intake,
            stop,
            done,
            commit_interval: Duration::from_millis(config.kafka.commit_interval_ms.max(1)),
            pause_after: Duration::from_millis(config.pipeline.pause_after_ms),
            drain_wait: config.drain_deadline() / 2,
            filling: None,
            shares: HashMap::new(),
            paused: HashMap::new(),
            pressure: Pressure::None,
            astray: false,
            mend_at: Instant::now(),
        })
    }

    pub(super) fn run(mut self) {
        let mut commit_at = Instant::now() + self.commit_interval;
        while !self.stop.load(Ordering::Acquire) {
            self.poll();
            let now = Instant::now();
            if now >= commit_at {
                if self.assignments().is_lost() {
                    self.renew();
                }
                self.assignments().commit(&self.consumer, CommitMode::Async);
                self.resume();
                self.intake.observe();
                commit_at = now + self.commit_interval;
            }
        }
        self.finish();
    }

    /// Goes on with another client, which reads again what this one did not commit.
    fn renew(&mut self) {
        match (self.make)() {
            Ok(consumer) => {
                self.assignments().abandon();
                self.filling = None;
                self.paused.clear();
                (self.pressure, self.astray) = (Pressure::None, false);
                put_aside(std::mem::replace(&mut self.consumer, consumer));
            }
            Err(error) => error!(%error, "a client cannot be made anew"),
        }
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
                    warn!(%error, "poll");
                    let code = error.rdkafka_error_code();
                    self.astray |= code == Some(RDKafkaErrorCode::AutoOffsetReset);
                    break;
                }
                None => break,
            }
            wait = Duration::ZERO;
        }
        self.deliver();
        if self.astray && Instant::now() >= self.mend_at {
            self.mend_at = Instant::now() + self.commit_interval;
            self.mend();
        }
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

    /// Back-pressure: waits while the budget is used up. When nothing comes back for long, something
    /// stands still, and pausing is worth what it costs: the client throws away what it fetched ahead.
    fn hold_back(&mut self) {
        let limit = self.intake.budget.limit();
        let lent = if self.pressure == Pressure::Greedy { limit / LOAN } else { 0 };
        if self.pressure != Pressure::All
            && !self.intake.budget.wait_below(limit + lent, self.pause_after)
        {
            self.pressure = self
                .pressure
                .more(self.assignments().epochs().keys().any(|partition| self.greedy(*partition)));
            debug!(pressure = ?self.pressure, "paused: the budget is used up");
            counter!("triad_ingest_pauses_total").increment(1);
        }
        if self.pressure != Pressure::None && self.intake.budget.used() < limit / 2 {
            self.pressure = Pressure::None;
            self.resume();
        }
        if self.pressure == Pressure::None {
            return;
        }
        // Also what was assigned since the pressure began.
        let pause: Vec<(i32, Epoch)> = self
            .assignments()
            .epochs()
            .into_iter()
            .filter(|(partition, epoch)| self.paused.get(partition) != Some(epoch))
            .filter(|(partition, _)| self.pressure == Pressure::All || self.greedy(*partition))
            .collect();
        self.pause(&pause);
    }

    /// Bytes of a partition that are in flight.
    fn held(&self, partition: i32) -> usize {
        self.shares.get(&partition).map_or(0, |share| share.load(Ordering::Acquire))
    }

    /// Whether a partition holds more than its share of the budget.
    fn greedy(&self, partition: i32) -> bool {
        self.held(partition) > self.intake.budget.limit() / SHARE
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

    /// Resumes what is below half of its share, unless everything has to wait.
    fn resume(&mut self) {
        if self.paused.is_empty() || self.pressure == Pressure::All {
            return;
        }
        let low = self.intake.budget.limit() / SHARE / 2;
        let assigned = self.assignments().epochs();
        self.paused.retain(|partition, epoch| assigned.get(partition) == Some(epoch));
        let ready: Vec<i32> =
            self.paused.keys().copied().filter(|partition| self.held(*partition) <= low).collect();
        if let Err(error) = self.consumer.resume(&self.assignments().list(ready.iter().copied())) {
            warn!(%error, "resume");
        }
        self.paused.retain(|partition, _| !ready.contains(partition));
        if self.paused.is_empty() {
            self.pressure = Pressure::None;
        }
    }

    /// Goes on after an offset was out of range: retention overtook the consumer. The client fetches
    /// such a partition no more, not even after a seek (librdkafka#2961), and does not say which one it
    /// is. So all are assigned again where they stand; one that stands before the start of its log, or
    /// behind the end of one that was made anew, at the start, and what is missing is counted as lost.
    fn mend(&mut self) {
        let assignments = self.assignments();
        let (mut again, mut lost) = (Vec::new(), Vec::new());
        self.astray = false;
        for (partition, stands) in assignments.positions(&self.consumer) {
            match assignments.log(&self.consumer, partition) {
                Ok((low, high)) => {
                    let within = stands.filter(|at| (low..=high).contains(at));
                    again.push((partition, within.unwrap_or(low)));
                    if let (None, Some(at)) = (within, stands) {
                        lost.push((partition, at.min(low), low));
                    }
                }
                Err(error) => {
                    warn!(%error, partition, "start and end of the log; asking again");
                    self.astray = true;
                }
            }
        }
        match assignments.assign_again(&self.consumer, &again) {
            // Not before: what fails is tried again, and would be counted again.
            Ok(()) => lost.into_iter().for_each(|(p, from, to)| assignments.lost(p, from, to)),
            Err(error) => {
                warn!(%error, "assigning partitions again");
                self.astray = true;
            }
        }
        let paused = assignments.list(self.paused.keys().copied());
        if let Err(error) = self.consumer.pause(&paused) {
            warn!(%error, "pause");
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
        debug!(drained, "leaving the group");
        // Nobody waits: then it is as well.
        let _ = self.done.send(());
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
