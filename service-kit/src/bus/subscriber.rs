//! Reading topics of little traffic, one record at a time, each committed once it is dealt with.

use super::{BrokerWatch, BusError, KafkaConfig, Message, Start, renewed::Renewed};
use bytes::Bytes;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers as _},
};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What may be fetched ahead, in KiB: these topics are small, and memory is for the hot ones.
const FETCH_AHEAD_KIB: &str = "8192";
/// The interval of polls, unless the properties have one: the name, and milliseconds. It also bounds how
/// long a rebalance waits for members that are gone without their sessions ending, which the coordinator
/// may be at fault for. The default is 5 min, in which nobody would read.
const POLL_INTERVAL: (&str, &str) = ("max.poll.interval.ms", "60000");

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
        let topics: Vec<_> = topics.iter().map(|&topic| topic.to_owned()).collect();
        let consumer = Renewed::new(client(config, group, start), move |config, watch| {
            let consumer: StreamConsumer<_> = config.create_with_context(watch)?;
            consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>())?;
            Ok(consumer)
        })?;
        Ok(Self { consumer })
    }

    /// The next record, or `None` if none came within `deadline`. Who does not call it for
    /// `max.poll.interval.ms` (60 s, unless the properties have another) has left the group, and joins it
    /// again with the next call: what was not committed may come twice. Dropping the future loses nothing.
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

fn client(config: &KafkaConfig, group: &str, start: Start) -> ClientConfig {
    let start = match start {
        Start::Earliest => "earliest",
        Start::Latest => "latest",
    };
    let mut client = config.client();
    let (interval, default) = POLL_INTERVAL;
    if client.get(interval).is_none() {
        client.set(interval, default);
    }
    client
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", start)
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("queued.max.messages.kbytes", FETCH_AHEAD_KIB);
    client
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_rebalance_waits_for_a_minute_unless_another_time_is_configured() {
        let brokers = vec!["127.0.0.1:9092".to_owned()];
        let mut config = KafkaConfig { brokers, properties: BTreeMap::new() };
        let interval = |config: &KafkaConfig| {
            let client = client(config, "g", Start::Earliest);
            client.get(POLL_INTERVAL.0).map(str::to_owned)
        };
        assert_eq!(interval(&config).as_deref(), Some("60000"));
        config.properties.insert(POLL_INTERVAL.0.to_owned(), "90000".to_owned());
        assert_eq!(interval(&config).as_deref(), Some("90000"));
    }
}
