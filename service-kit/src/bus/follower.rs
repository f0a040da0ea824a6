//! Following a topic from now on, all of it, without a group: what every replica must hear.

use super::{
    BrokerWatch, BusError, FollowError, KafkaConfig, Message,
    kafka::count,
    renewed::Watched,
    subscriber::{owned, waiting_helps},
};
use chrono::{DateTime, Utc};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// How long a broker may take to say where a partition ends.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Reads every partition of a topic, from the end that it had when this began.
pub struct KafkaFollower {
    consumer: Arc<Watched<StreamConsumer<BrokerWatch>>>,
    topic: String,
    partitions: i32,
    /// By partition, where it ended when this began, as long as that is not read.
    behind: Mutex<HashMap<i32, i64>>,
}

/// Where following begins.
#[derive(Clone, Copy)]
enum From {
    End,
    /// The first record of that time, in milliseconds since 1970.
    Time(i64),
}

impl KafkaFollower {
    /// Fixes where every partition ends, and follows from there. Returns when that is known: whatever is
    /// published later will be read.
    ///
    /// # Errors
    /// No broker answers, or there is no such topic.
    pub async fn begin(config: &KafkaConfig, topic: &str) -> Result<Self, BusError> {
        Self::from(config, topic, From::End).await
    }

    /// As [`KafkaFollower::begin`], from the first records that are not older than `since`, by the log's times.
    ///
    /// # Errors
    /// As [`KafkaFollower::begin`].
    pub async fn since(
        config: &KafkaConfig,
        topic: &str,
        since: DateTime<Utc>,
    ) -> Result<Self, BusError> {
        Self::from(config, topic, From::Time(since.timestamp_millis())).await
    }

    async fn from(config: &KafkaConfig, topic: &str, from: From) -> Result<Self, BusError> {
        config.validate()?;
        let mut client = config.client();
        client
            .set("group.id", "triad-follower")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Never silently somewhere else.
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "50");
        let consumer = Watched::new(client, |config, watch| config.create_with_context(watch))?;
        let consumer = Arc::new(consumer);
        let name = topic.to_owned();
        let assigned = tokio::task::spawn_blocking({
            let consumer = Arc::clone(&consumer);
            move || assign(&consumer, &name, from)
        });
        let (partitions, behind) = assigned.await.map_err(BusError::kafka)??;
        let behind = Mutex::new(behind);
        Ok(Self { consumer, topic: topic.to_owned(), partitions, behind })
    }

    /// Whether everything that was there when this began has been read.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.behind().is_empty()
    }

    fn behind(&self) -> MutexGuard<'_, HashMap<i32, i64>> {
        self.behind.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read_to(&self, message: &Message) {
        let mut behind = self.behind();
        let is_read = |end: &i64| message.offset + 1 >= *end;
        if behind.get(&message.partition).is_some_and(is_read) {
            behind.remove(&message.partition);
        }
    }

    /// How many partitions are followed.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// The next record, or `None` if none came within `deadline`. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`FollowError`]; lost connections are waited for.
    pub async fn next(&self, deadline: Duration) -> Result<Option<Message>, FollowError> {
        let deadline = Instant::now() + deadline;
        loop {
            match timeout_at(deadline, self.consumer.recv()).await {
                Err(_) if self.consumer.is_lost() => {
                    return Err(FollowError::Failed("the client knows no broker".to_owned()));
                }
                Err(_) => return Ok(None),
                Ok(Ok(message)) => {
                    let message = owned(&message);
                    self.read_to(&message);
                    return Ok(Some(message));
                }
                Ok(Err(error)) => judge(&error)?,
            }
        }
    }

    /// Whether the topic has other partitions by now than are followed.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn has_other_partitions(&self) -> Result<bool, BusError> {
        let (consumer, topic) = (Arc::clone(&self.consumer), self.topic.clone());
        let found = tokio::task::spawn_blocking(move || count(consumer.client(), &topic));
        Ok(found.await.map_err(BusError::kafka)?? != self.partitions)
    }
}

/// How many partitions there are, and where those end that begin before their ends.
fn assign(
    consumer: &StreamConsumer<BrokerWatch>,
    topic: &str,
    from: From,
) -> Result<(i32, HashMap<i32, i64>), BusError> {
    let partitions = count(consumer.client(), topic)?;
    let begins = match from {
        From::End => None,
        From::Time(time) => Some(at(consumer, topic, partitions, time)?),
    };
    let (mut offsets, mut behind) = (TopicPartitionList::new(), HashMap::new());
    for partition in 0..partitions {
        let (_, end) =
            consumer.fetch_watermarks(topic, partition, PATIENCE).map_err(BusError::kafka)?;
        // No record of that time or later: there is none yet.
        let begin = begins.as_ref().map_or(end, |begins| *begins.get(&partition).unwrap_or(&end));
        if begin < end {
            behind.insert(partition, end);
        }
        offsets
            .add_partition_offset(topic, partition, Offset::Offset(begin))
            .map_err(BusError::kafka)?;
    }
    consumer.assign(&offsets).map_err(BusError::kafka)?;
    Ok((partitions, behind))
}

/// By partition, the first offset of a time.
fn at(
    consumer: &StreamConsumer<BrokerWatch>,
    topic: &str,
    partitions: i32,
    time: i64,
) -> Result<HashMap<i32, i64>, BusError> {
    let mut times = TopicPartitionList::new();
    for partition in 0..partitions {
        times
            .add_partition_offset(topic, partition, Offset::Offset(time))
            .map_err(BusError::kafka)?;
    }
    let found = consumer.offsets_for_times(times, PATIENCE).map_err(BusError::kafka)?;
    let mut begins = HashMap::new();
    for element in found.elements_for_topic(topic) {
        element.error().map_err(BusError::kafka)?;
        if let Offset::Offset(offset) = element.offset() {
            begins.insert(element.partition(), offset);
        }
    }
    Ok(begins)
}

fn judge(error: &KafkaError) -> Result<(), FollowError> {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(Code::OffsetOutOfRange | Code::AutoOffsetReset) => {
            Err(FollowError::Lost(error.to_string()))
        }
        _ if waiting_helps(error) => {
            tracing::debug!(%error, "waiting");
            Ok(())
        }
        _ => Err(FollowError::Failed(error.to_string())),
    }
}
