//! Following a topic from now on, all of it, without a group: what every replica must hear.

use super::{
    BusError, KafkaConfig, Message,
    kafka::count,
    subscriber::{owned, waiting_helps},
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// How long a broker may take to say where a partition ends.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Why following ends. The follower is of no use any more: begin a new one, and take it that records were
/// missed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// Records were deleted before they were read, or the topic was made anew.
    #[error("records were lost: {0}")]
    Lost(String),
    /// The topic or the right to read it is gone.
    #[error("{0}")]
    Failed(String),
}

/// Reads every partition of a topic, from the end that it had when this began.
pub struct KafkaFollower {
    consumer: Arc<StreamConsumer>,
    topic: String,
    partitions: i32,
}

impl KafkaFollower {
    /// Fixes where every partition ends, and follows from there. Returns when that is known: whatever is
    /// published later will be read.
    ///
    /// # Errors
    /// No broker answers, or there is no such topic.
    pub async fn begin(config: &KafkaConfig, topic: &str) -> Result<Self, BusError> {
        config.validate()?;
        let consumer: StreamConsumer = config
            .client()
            .set("group.id", "triad-follower")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Never silently somewhere else.
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "50")
            .create()
            .map_err(BusError::kafka)?;
        let consumer = Arc::new(consumer);
        let name = topic.to_owned();
        let assigned = tokio::task::spawn_blocking({
            let consumer = Arc::clone(&consumer);
            move || assign(&consumer, &name)
        });
        let partitions = assigned.await.map_err(BusError::kafka)??;
        Ok(Self { consumer, topic: topic.to_owned(), partitions })
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
                Err(_) => return Ok(None),
                Ok(Ok(message)) => return Ok(Some(owned(&message))),
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

fn assign(consumer: &StreamConsumer, topic: &str) -> Result<i32, BusError> {
    let partitions = count(consumer.client(), topic)?;
    let mut offsets = TopicPartitionList::new();
    for partition in 0..partitions {
        let (_, end) =
            consumer.fetch_watermarks(topic, partition, PATIENCE).map_err(BusError::kafka)?;
        offsets
            .add_partition_offset(topic, partition, Offset::Offset(end))
            .map_err(BusError::kafka)?;
    }
    consumer.assign(&offsets).map_err(BusError::kafka)?;
    Ok(partitions)
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
