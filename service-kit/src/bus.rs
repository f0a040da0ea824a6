//! The bus between services: what is published, how it is read, which topics there are.
//!
//! It is Kafka's, behind the feature `engines` as it links a native client, or within one process, behind
//! `embedded`; [`Bus`] is either.

#[cfg(any(feature = "engines", feature = "embedded"))]
mod any;
mod config;
#[cfg(feature = "engines")]
mod follower;
#[cfg(feature = "engines")]
mod group;
#[cfg(feature = "engines")]
mod kafka;
#[cfg(feature = "embedded")]
pub mod local;
#[cfg(feature = "engines")]
mod renewed;
#[cfg(feature = "engines")]
mod subscriber;
pub mod topics;

#[cfg(any(feature = "engines", feature = "embedded"))]
pub use any::{Bus, BusPublisher, Follower, Group, Subscriber, warn_of_topics};
pub use config::KafkaConfig;
#[cfg(feature = "engines")]
pub use follower::KafkaFollower;
#[cfg(feature = "engines")]
pub use group::KafkaGroup;
#[cfg(feature = "engines")]
pub use kafka::KafkaPublisher;
#[cfg(feature = "engines")]
pub use renewed::{BrokerWatch, put_aside};
#[cfg(feature = "engines")]
pub use subscriber::KafkaSubscriber;
pub use topics::{TopicAction, TopicOutcome, TopicSpec};
#[cfg(feature = "engines")]
pub use topics::{apply_topics, check_topics};

use crate::config::ConfigError;
use bytes::Bytes;
use std::future::Future;
use std::time::Duration;

/// A record to publish.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Decides the partition; without one, any.
    pub key: Option<Bytes>,
    /// The partition, whatever the key is.
    pub partition: Option<i32>,
    /// The value.
    pub payload: Bytes,
    /// In order; names may repeat.
    pub headers: Vec<(String, Bytes)>,
}

impl Record {
    /// What counts against the bounds, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.key.as_ref().map_or(0, Bytes::len) + self.payload.len() + headers.sum::<usize>()
    }
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it stands.
    pub topic: String,
    /// Where it stands.
    pub partition: i32,
    /// Where it stands.
    pub offset: i64,
    /// Milliseconds since 1970, given by the producer or the log as the topic is configured.
    pub timestamp: Option<i64>,
    /// What decided the partition.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub payload: Option<Bytes>,
    /// In order; a header without value is empty.
    pub headers: Vec<(String, Bytes)>,
}

/// Where a published record stands, replicated as the topic demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The partition.
    pub partition: i32,
    /// The offset in it.
    pub offset: i64,
}

/// The bounds of a publisher.
#[derive(Clone, Debug)]
pub struct PublisherOptions {
    /// How the brokers' logs and quotas know this client.
    pub client_id: String,
    /// What may wait to be sent, in KiB; beyond it, `QueueFull`.
    pub max_buffer_kib: u32,
    /// How long a record is tried before its outcome is unknown.
    pub timeout: Duration,
    /// The largest record, in bytes; the topic's `max.message.bytes` must not be lower.
    pub max_message_bytes: usize,
}

/// Where a group without committed offset begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record there is.
    Earliest,
    /// With the next record to come.
    Latest,
}

/// Why following ends. The follower is of no use any more: begin a new one, and take it that records were
/// missed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// Records were deleted before they were read, or the topic was made anew.
    #[error("records were lost: {0}")]
    Lost(String),
    /// The topic or the right to read it is gone, or the client knows no broker any more.
    #[error("{0}")]
    Failed(String),
}

/// How far a group is in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupPosition {
    /// The offset of the oldest record that is kept.
    pub begin: i64,
    /// The offset of the next record to come.
    pub end: i64,
    /// What the group has committed: everything below.
    pub committed: Option<i64>,
}

/// Publishes records, at least once.
pub trait Publisher: Send + Sync + 'static {
    /// Publishes one record and waits until it is replicated. Concurrent calls share batches; the
    /// order of records is the order of first polls. A future dropped after its first poll publishes
    /// nevertheless.
    fn publish(
        &self,
        topic: &str,
        record: Record,
    ) -> impl Future<Output = Result<Ack, PublishError>> + Send;

    /// How many partitions the topic has now: they are added while everybody runs.
    fn partitions(&self, topic: &str) -> impl Future<Output = Result<i32, BusError>> + Send;

    /// Why this publisher can never publish again, if so. Only a new one, and so a restart, helps.
    fn fatal(&self) -> Option<String> {
        None
    }
}

/// Between looks at whether a publisher is dead.
const LOOK: Duration = Duration::from_secs(1);

/// Waits until `publisher` can never publish again, and says why.
pub async fn died(publisher: &impl Publisher) -> String {
    loop {
        if let Some(reason) = publisher.fatal() {
            return reason;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Why a record has no acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The bounded buffer is full: nothing was sent. Slow down and try again.
    #[error("the publisher's buffer is full")]
    QueueFull,
    /// Nothing was sent, and no retry will change that.
    #[error("the record of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// The record's size.
        bytes: usize,
        /// The client's limit; the topic's may be lower.
        limit: usize,
    },
    /// The record may or may not be in the log. Publishing it again may make it stand there twice.
    #[error("the outcome is unknown: {0}")]
    UnknownOutcome(String),
    /// Nothing was stored: the topic is missing or not permitted.
    #[error("refused: {0}")]
    Refused(String),
}

impl PublishError {
    /// One of each kind, for whoever counts them by kind.
    pub const ALL: [Self; 4] = [
        Self::QueueFull,
        Self::TooLarge { bytes: 0, limit: 0 },
        Self::UnknownOutcome(String::new()),
        Self::Refused(String::new()),
    ];
}

/// What goes wrong apart from publishing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A change that this program does not make; the text says how an operator makes it.
    #[error("{0}")]
    Refused(String),
    /// The bus failed or did not answer in time.
    #[error("the bus: {0}")]
    Kafka(String),
}

#[cfg(feature = "engines")]
impl BusError {
    fn kafka(error: impl std::fmt::Display) -> Self {
        Self::Kafka(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Dies when it was looked at that often.
    struct Dying(Mutex<u32>);

    impl Publisher for Dying {
        async fn publish(&self, _: &str, _: Record) -> Result<Ack, PublishError> {
            Err(PublishError::QueueFull)
        }

        async fn partitions(&self, _: &str) -> Result<i32, BusError> {
            Ok(1)
        }

        fn fatal(&self) -> Option<String> {
            let mut left = self.0.lock().unwrap();
            *left = left.saturating_sub(1);
            (*left == 0).then(|| "sequence lost".to_owned())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_publisher_s_death_is_noticed() {
        assert_eq!(died(&Dying(Mutex::new(5))).await, "sequence lost");
    }
}
