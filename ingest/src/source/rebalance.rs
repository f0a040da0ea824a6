//! Assignments: where each begins, and what is committed when it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, gauge};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::{self, Statistics};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList, TopicPartitionListElem};
use rdkafka::types::RDKafkaRespErr;
use service_kit::bus::BrokerWatch;
use service_kit::health::Component;
use tracing::{debug, error, info, warn};

use crate::config::Config;
use crate::metrics::{Commit, commits};
use crate::pipeline::watermark::{Epoch, Watermarks};

/// How long the brokers may take to tell an offset.
const OFFSETS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may fail to tell where new partitions begin. Within the callback nothing says whether it knows a broker at
/// all; with one that does not this would go on for ever.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);
/// Between two attempts.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// The consumer's context: called by `poll`, on the polling thread.
pub(super) struct Assignments {
    topic: String,
    revoke_wait: Duration,
    watermarks: Arc<Watermarks>,
    current: Mutex<HashMap<i32, Current>>,
    health: Component,
    watch: BrokerWatch,
    give_up_after: Duration,
}

/// A partition that is assigned.
#[derive(Debug, Clone, Copy)]
struct Current {
    epoch: Epoch,
    /// Where it began; `None` is the start of the log.
    begin: Option<i64>,
}

impl Assignments {
    pub(super) fn new(config: &Config, watermarks: Arc<Watermarks>, health: Component) -> Self {
        Self {
            topic: config.kafka.topic.clone(),
            revoke_wait: Duration::from_millis(config.kafka.revoke_wait_ms),
            watermarks,
            current: Mutex::default(),
            health,
            watch: BrokerWatch::default(),
            give_up_after: GIVE_UP_AFTER,
        }
    }

    /// Whether the client is of no use any more.
    pub(super) fn is_lost(&self) -> bool {
        self.watch.is_lost()
    }

    /// Forgets all partitions of a client that is lost: it can neither commit nor give them back, and what it still says when it ends
    /// counts no more.
    pub(super) fn abandon(&self) {
        self.watch.give_up();
        let partitions: Vec<i32> = self.lock().drain().map(|(partition, _)| partition).collect();
        for partition in &partitions {
            self.watermarks.revoke(*partition);
        }
        warn!(?partitions, "the client knows no broker any more: a new one is made");
        gauge!("triad_ingest_assigned_partitions").set(0.0);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partitions that are assigned now, each with the epoch of its assignment.
    pub(super) fn epochs(&self) -> HashMap<i32, Epoch> {
        self.lock().iter().map(|(partition, current)| (*partition, current.epoch)).collect()
    }

    /// Where each assigned partition stands: behind the last record that was polled, or before the
    /// first one where its assignment began; `None` when that is the start of the log.
    pub(super) fn positions(&self, consumer: &BaseConsumer<Self>) -> Vec<(i32, Option<i64>)> {
        let positions = consumer.position().unwrap_or_else(|_| TopicPartitionList::new());
        let polled = |partition| {
            positions.find_partition(&self.topic, partition).and_then(|e| offset(e.offset()))
        };
        let current = self.lock();
        current.iter().map(|(p, current)| (*p, polled(*p).max(current.begin))).collect()
    }

    /// The first offset of a partition's log, and the one behind its last.
    pub(super) fn log(
        &self,
        consumer: &BaseConsumer<Self>,
        partition: i32,
    ) -> KafkaResult<(i64, i64)> {
        consumer.fetch_watermarks(&self.topic, partition, OFFSETS_TIMEOUT)
    }

    /// Lets the client fetch partitions anew, from these offsets; their assignments go on.
    pub(super) fn assign_again(
        &self,
        consumer: &BaseConsumer<Self>,
        offsets: &[(i32, i64)],
    ) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        for (partition, at) in offsets {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*at))?;
        }
        // After an attempt that failed half-way it is unassigned already; what matters is the second.
        if let Err(error) = consumer.incremental_unassign(&list) {
            warn!(%error, "unassign");
        }
        consumer.incremental_assign(&list)?;
        let mut current = self.lock();
        for (partition, at) in offsets {
            if let Some(current) = current.get_mut(partition) {
                current.begin = Some(*at);
            }
        }
        Ok(())
    }

    pub(super) fn list(&self, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        list
    }

    /// Commits every watermark that moved.
    pub(super) fn commit(&self, consumer: &BaseConsumer<Self>, mode: CommitMode) {
        let moved = self.watermarks.uncommitted();
        if moved.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &moved {
            // An offset is at least 1 behind a record, and a partition is added once.
            let _ = list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset));
        }
        match consumer.commit(&list, mode) {
            Ok(()) => {
                for (partition, offset) in moved {
                    self.watermarks.committed(partition, offset);
                }
                // Of the others the callback tells.
                if matches!(mode, CommitMode::Sync) {
                    commits(Commit::Ok).increment(1);
                }
            }
            Err(error) => {
                warn!(%error, "commit");
                commits(Commit::Failed).increment(1);
            }
        }
    }

    /// Records of ours that are not durable, as far as the logs' ends are known.
    fn behind(&self, known: &HashMap<i32, statistics::Partition>) -> i64 {
        let behind = |(partition, current): (&i32, &Current)| {
            let log = known.get(partition)?;
            let at = self.watermarks.watermark(*partition).or(current.begin);
            Some((log.ls_offset - at.unwrap_or(log.lo_offset.max(0))).max(0))
        };
        self.lock().iter().filter_map(behind).sum()
    }

    /// Decides where newly assigned partitions begin: at the committed offset; at the earliest record
    /// without one; and there too, as a loss, when the log no longer has the committed offset.
    fn begin(
        &self,
        consumer: &BaseConsumer<Self>,
        assigned: &TopicPartitionList,
    ) -> KafkaResult<TopicPartitionList> {
        let partitions: Vec<i32> =
            assigned.elements().iter().map(TopicPartitionListElem::partition).collect();
        let committed = consumer.committed_offsets(self.list(partitions), OFFSETS_TIMEOUT)?;
        let mut begin = TopicPartitionList::new();
        for element in committed.elements() {
            let partition = element.partition();
            let offset = match element.offset() {
                Offset::Offset(committed) => {
                    let (low, high) = self.log(consumer, partition)?;
                    if committed < low {
                        self.lost(partition, committed, low);
                        Offset::Beginning
                    } else if committed > high {
                        // The topic was made anew: what it holds now was never read.
                        error!(
                            partition,
                            committed, high, "the log ends before the committed offset"
                        );
                        Offset::Beginning
                    } else {
                        Offset::Offset(committed)
                    }
                }
                _ => Offset::Beginning,
            };
            begin.add_partition_offset(&self.topic, partition, offset)?;
        }
        Ok(begin)
    }

    /// Records that the log deleted before they were read.
    pub(super) fn lost(&self, partition: i32, from: i64, to: i64) {
        error!(partition, from, to, "data loss: Kafka deleted records before they were read");
        let count = u64::try_from(to - from).unwrap_or(0);
        counter!("triad_ingest_lost_offsets_total").increment(count);
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, assigned: &TopicPartitionList) {
        let give_up_at = Instant::now() + self.give_up_after;
        let begin = loop {
            match self.begin(consumer, assigned) {
                Ok(begin) => break begin,
                // Beginning anywhere else would skip or repeat; the group waits meanwhile.
                Err(error) => {
                    self.health.not_ready(format!("kafka offsets: {error}"));
                    warn!(%error, "offsets of newly assigned partitions; asking again");
                }
            }
            if Instant::now() >= give_up_at {
                self.watch.give_up();
                return;
            }
            std::thread::sleep(ASK_AGAIN);
        };
        for element in begin.elements() {
            let epoch = self.watermarks.assign(element.partition());
            let current = Current { epoch, begin: offset(element.offset()) };
            self.lock().insert(element.partition(), current);
        }
        if let Err(error) = consumer.incremental_assign(&begin) {
            error!(%error, "assign");
        }
        // The client remembers a pause beyond the assignment in which it was asked for; whoever pauses
        // here knows of this one only.
        if let Err(error) = consumer.resume(&begin) {
            error!(%error, "resume what was assigned");
        }
        self.assigned();
    }

    /// Waits a little for what is in flight, commits, and forgets the rest. An assignment that was
    /// lost belongs to somebody else already: nothing of it is committed.
    fn revoke(&self, consumer: &BaseConsumer<Self>, revoked: &TopicPartitionList) {
        let partitions: Vec<i32> =
            revoked.elements().iter().map(TopicPartitionListElem::partition).collect();
        if consumer.assignment_lost() {
            warn!(?partitions, "assignment lost");
        } else {
            let drained = self.watermarks.wait_drained(&partitions, self.revoke_wait);
            self.commit(consumer, CommitMode::Sync);
            info!(?partitions, drained, "revoked");
        }
        for partition in &partitions {
            self.lock().remove(partition);
            self.watermarks.revoke(*partition);
        }
        if let Err(error) = consumer.incremental_unassign(revoked) {
            error!(%error, "unassign");
        }
        self.assigned();
    }

    fn assigned(&self) {
        let count = self.lock().len();
        info!(partitions = count, "assigned");
        gauge!("triad_ingest_assigned_partitions")
            .set(f64::from(u32::try_from(count).unwrap_or(0)));
        self.health.ready();
    }
}

fn offset(offset: Offset) -> Option<i64> {
    match offset {
        Offset::Offset(at) => Some(at),
        _ => None,
    }
}

impl ClientContext for Assignments {
    fn stats(&self, statistics: Statistics) {
        self.watch.look(&statistics);
        if self.is_lost() {
            return self.health.not_ready("kafka: the client knows no broker");
        }
        // Nobody calls back when brokers return.
        if statistics.brokers.values().any(|broker| broker.state == "UP") {
            self.health.ready();
        }
        let topic = statistics.topics.get(&self.topic);
        let lag = topic.map_or(0, |topic| self.behind(&topic.partitions));
        // Exact up to 2^53 records.
        #[allow(clippy::cast_precision_loss)]
        gauge!("triad_ingest_consumer_lag_records").set(lag as f64);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        warn!(%error, reason, "kafka");
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.health.not_ready("kafka: all brokers are down");
        }
    }
}

impl ConsumerContext for Assignments {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        if self.is_lost() {
            // Others own them by now, or will: see `abandon`.
            if event != RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
                && let Err(error) = consumer.incremental_unassign(list)
            {
                debug!(%error, "unassign from a client that is lost");
            }
        } else if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, list);
        } else {
            self.revoke(consumer, list);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            _ if self.is_lost() => {}
            Ok(()) => commits(Commit::Ok).increment(1),
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => {}
            Err(error) => {
                warn!(%error, "commit");
                commits(Commit::Failed).increment(1);
                for element in offsets.elements() {
                    self.watermarks.commit_failed(element.partition());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
