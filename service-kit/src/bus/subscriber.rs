//! Reading topics of little traffic, one record at a time, each committed once it is dealt with.

use super::{BrokerWatch, BusError, KafkaConfig, Message, Start, renewed::Renewed};
use bytes::Bytes;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers as _},
};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What may be fetched ahead, in KiB: these topics are small, and memory is for the hot ones.
const FETCH_AHEAD_KIB: &str = "8192";

/// A member of a consumer group. What was not committed is delivered again to whoever comes next:
/// dealing with a record must be idempotent.
pub struct KafkaSubscriber {
    consumer: Renewed<StreamConsumer<BrokerWatch>>,
}

impl KafkaSubscriber {
    /// Joins `group`; connecting happens in the background.
    ///
    /// # Errors
    /// What [`KafkaConfig::validate`] refuses.
    pub fn new(
        config: &KafkaConfig,
        group: &str,
        topics: &[&str],
        start: Start,
    ) -> Result<Self, BusError> {
        config.validate()?;
        let start = match start {
            Start::Earliest => "earliest",
            Start::Latest => "latest",
        };
        let mut client = config.client();
        client
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", start)
            .set("isolation.level", "read_committed")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("queued.max.messages.kbytes", FETCH_AHEAD_KIB);
        let topics: Vec<_> = topics.iter().map(|&topic| topic.to_owned()).collect();
        let consumer = Renewed::new(client, move |config, watch| {
            let consumer: StreamConsumer<_> = config.create_with_context(watch)?;
            consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
            Ok(consumer)
        })?;
        Ok(Self { consumer })
    }

    /// The next record, or `None` if none came within `deadline`. Call it often enough to stay in
    /// the group (`max.poll.interval.ms`, 5 min). Dropping the future loses nothing.
    ///
    /// # Errors
    /// What waiting does not mend: a missing topic, a missing right. Lost connections are waited for.
    pub async fn next(&self, deadline: Duration) -> Result<Option<Message>, BusError> {
        let deadline = Instant::now() + deadline;
        loop {
            match timeout_at(deadline, self.consumer.client().recv()).await {
                Err(_) => return Ok(None),
                Ok(Ok(message)) => return Ok(Some(owned(&message))),
                Ok(Err(error)) if waiting_helps(&error) => tracing::debug!(%error, "waiting"),
                Ok(Err(error)) => return Err(BusError::kafka(error)),
            }
        }
    }

    /// Commits everything of the message's partition up to and including it, and waits for the
    /// broker.
    ///
    /// # Errors
    /// The partition has another owner by now, or no broker answered: the record will come again.
    pub async fn commit(&self, message: &Message) -> Result<(), BusError> {
        self.commit_before(&message.topic, message.partition, message.offset + 1).await
    }

    /// Commits everything of a partition before the offset `next`, and waits for the broker.
    ///
    /// # Errors
    /// As [`KafkaSubscriber::commit`].
    pub async fn commit_before(
        &self,
        topic: &str,
        partition: i32,
        next: i64,
    ) -> Result<(), BusError> {
        let mut offsets = TopicPartitionList::with_capacity(1);
        let next = Offset::Offset(next);
        offsets.add_partition_offset(topic, partition, next).map_err(BusError::kafka)?;
        let consumer = self.consumer.client();
        let commit = move || consumer.commit(&offsets, CommitMode::Sync);
        let committed = tokio::task::spawn_blocking(commit).await;
        committed.map_err(BusError::kafka)?.map_err(BusError::kafka)
    }
}

/// Whether a consumer that goes on gets over it by itself.
pub(super) fn waiting_helps(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let permanent = [
        Code::UnknownTopicOrPartition,
        Code::UnknownTopic,
        Code::UnknownPartition,
        Code::InvalidTopic,
        Code::TopicAuthorizationFailed,
        Code::GroupAuthorizationFailed,
        Code::ClusterAuthorizationFailed,
        Code::SaslAuthenticationFailed,
        Code::Authentication,
        Code::Fatal,
    ];
    !error.rdkafka_error_code().is_some_and(|code| permanent.contains(&code))
}

pub(super) fn owned(message: &BorrowedMessage<'_>) -> Message {
    let header = |header: rdkafka::message::Header<'_, &[u8]>| {
        (header.key.to_owned(), Bytes::copy_from_slice(header.value.unwrap_or_default()))
    };
    Message {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(Bytes::copy_from_slice),
        payload: message.payload().map(Bytes::copy_from_slice),
        headers: message.headers().map_or_else(Vec::new, |all| all.iter().map(header).collect()),
    }
}
