//! One bus, whatever it is made of.

#[cfg(feature = "embedded")]
use super::local::{LocalBus, LocalFollower, LocalPublisher, LocalSubscriber};
use super::{
    Ack, BusError, FollowError, GroupPosition, Message, PublishError, Publisher, PublisherOptions,
    Record, Start, TopicSpec,
};
#[cfg(feature = "engines")]
use super::{
    KafkaConfig, KafkaFollower, KafkaGroup, KafkaPublisher, KafkaSubscriber, check_topics,
};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// What a service publishes to and reads from. Clones are the same one.
#[derive(Clone, Debug)]
pub enum Bus {
    /// A cluster.
    #[cfg(feature = "engines")]
    Kafka(KafkaConfig),
    /// Topics of this process.
    #[cfg(feature = "embedded")]
    Local(LocalBus),
}

impl Bus {
    /// A publisher. One of a cluster has a buffer and connections of its own.
    ///
    /// # Errors
    /// As `KafkaPublisher::new`.
    #[allow(clippy::needless_pass_by_value, reason = "a cluster's publisher keeps them")]
    pub fn publisher(&self, options: PublisherOptions) -> Result<BusPublisher, BusError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(config) => Ok(BusPublisher::Kafka(KafkaPublisher::new(config, options)?)),
            #[cfg(feature = "embedded")]
            Self::Local(bus) => Ok(BusPublisher::Local(bus.publisher(options.max_message_bytes))),
        }
    }

    /// Reads a topic, all of it, from now on.
    ///
    /// # Errors
    /// As `KafkaFollower::begin`.
    pub async fn follow(&self, topic: &str) -> Result<Follower, BusError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(config) => Ok(Follower::Kafka(KafkaFollower::begin(config, topic).await?)),
            #[cfg(feature = "embedded")]
            Self::Local(bus) => Ok(Follower::Local(bus.follow(topic)?)),
        }
    }

    /// As [`Bus::follow`], from the first records that are not older than `since`.
    ///
    /// # Errors
    /// As [`Bus::follow`].
    pub async fn follow_since(
        &self,
        topic: &str,
        since: DateTime<Utc>,
    ) -> Result<Follower, BusError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(config) => {
                Ok(Follower::Kafka(KafkaFollower::since(config, topic, since).await?))
            }
            #[cfg(feature = "embedded")]
            Self::Local(bus) => Ok(Follower::Local(bus.follow_since(topic, since)?)),
        }
    }

    /// Joins a group that shares the topics' records.
    ///
    /// # Errors
    /// As `KafkaSubscriber::new`.
    pub fn subscribe(
        &self,
        group: &str,
        topics: &[&str],
        start: Start,
    ) -> Result<Subscriber, BusError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(config) => {
                Ok(Subscriber::Kafka(KafkaSubscriber::new(config, group, topics, start)?))
            }
            #[cfg(feature = "embedded")]
            Self::Local(bus) => Ok(Subscriber::Local(bus.subscribe(group, topics, start)?)),
        }
    }

    /// Looks at how far a group is, without joining it.
    ///
    /// # Errors
    /// As `KafkaGroup::new`.
    pub fn group(&self, group: &str, topic: &str) -> Result<Group, BusError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(config) => Ok(Group::Kafka(KafkaGroup::new(config, group, topic)?)),
            #[cfg(feature = "embedded")]
            Self::Local(bus) => Ok(Group::Local {
                bus: bus.clone(),
                group: group.to_owned(),
                topic: topic.to_owned(),
            }),
        }
    }

    /// What production would not accept of the topics; brokers that do not answer take a while.
    pub async fn warnings(&self, specs: &[TopicSpec]) -> Vec<String> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(config) => check_topics(config, specs).await,
            #[cfg(feature = "embedded")]
            Self::Local(_) => {
                let _ = specs;
                Vec::new()
            }
        }
    }
}

/// Logs what [`Bus::warnings`] says.
pub async fn warn_of_topics(bus: Bus, specs: Vec<TopicSpec>) {
    for warning in bus.warnings(&specs).await {
        tracing::warn!("{warning}");
    }
}

/// A publisher of a [`Bus`].
#[derive(Clone)]
pub enum BusPublisher {
    /// To a cluster.
    #[cfg(feature = "engines")]
    Kafka(KafkaPublisher),
    /// Within this process.
    #[cfg(feature = "embedded")]
    Local(LocalPublisher),
}

impl BusPublisher {
    /// Waits until nothing is left to be sent, at most `deadline`. Call it in a drain, after the last publisher
    /// is done.
    ///
    /// # Errors
    /// `UnknownOutcome` for what is left.
    pub async fn flush(&self, deadline: Duration) -> Result<(), PublishError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(publisher) => publisher.flush(deadline).await,
            // What is submitted is written before the disk closes.
            #[cfg(feature = "embedded")]
            Self::Local(_) => {
                let _ = deadline;
                Ok(())
            }
        }
    }
}

impl Publisher for BusPublisher {
    async fn publish(&self, topic: &str, record: Record) -> Result<Ack, PublishError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(publisher) => publisher.publish(topic, record).await,
            #[cfg(feature = "embedded")]
            Self::Local(publisher) => publisher.publish(topic, record).await,
        }
    }

    async fn partitions(&self, topic: &str) -> Result<i32, BusError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(publisher) => publisher.partitions(topic).await,
            #[cfg(feature = "embedded")]
            Self::Local(publisher) => publisher.partitions(topic).await,
        }
    }

    fn fatal(&self) -> Option<String> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(publisher) => publisher.fatal(),
            #[cfg(feature = "embedded")]
            Self::Local(publisher) => publisher.fatal(),
        }
    }
}

/// Reads every partition of a topic.
pub enum Follower {
    /// Of a cluster.
    #[cfg(feature = "engines")]
    Kafka(KafkaFollower),
    /// Within this process.
    #[cfg(feature = "embedded")]
    Local(LocalFollower),
}

impl Follower {
    /// Whether everything that was there when this began has been read.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(follower) => follower.is_caught_up(),
            #[cfg(feature = "embedded")]
            Self::Local(follower) => follower.is_caught_up(),
        }
    }

    /// How many partitions are followed.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(follower) => follower.partitions(),
            #[cfg(feature = "embedded")]
            Self::Local(_) => 1,
        }
    }

    /// The next record, or `None` if none came within `deadline`. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`FollowError`]; lost connections are waited for.
    pub async fn next(&self, deadline: Duration) -> Result<Option<Message>, FollowError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(follower) => follower.next(deadline).await,
            #[cfg(feature = "embedded")]
            Self::Local(follower) => follower.next(deadline).await,
        }
    }

    /// Whether the topic has other partitions by now than are followed.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn has_other_partitions(&self) -> Result<bool, BusError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(follower) => follower.has_other_partitions().await,
            #[cfg(feature = "embedded")]
            Self::Local(_) => Ok(false),
        }
    }
}

/// A member of a group.
pub enum Subscriber {
    /// Of a cluster.
    #[cfg(feature = "engines")]
    Kafka(KafkaSubscriber),
    /// Within this process.
    #[cfg(feature = "embedded")]
    Local(LocalSubscriber),
}

impl Subscriber {
    /// The next record, or `None` if none came within `deadline`. Dropping the future loses nothing.
    ///
    /// # Errors
    /// What waiting does not mend.
    pub async fn next(&self, deadline: Duration) -> Result<Option<Message>, BusError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(subscriber) => subscriber.next(deadline).await,
            #[cfg(feature = "embedded")]
            Self::Local(subscriber) => subscriber.next(deadline).await,
        }
    }

    /// Commits everything of a partition before the offset `next`, and waits until that is kept.
    ///
    /// # Errors
    /// It is not: the records will come again.
    pub async fn commit_before(
        &self,
        topic: &str,
        partition: i32,
        next: i64,
    ) -> Result<(), BusError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(subscriber) => subscriber.commit_before(topic, partition, next).await,
            #[cfg(feature = "embedded")]
            Self::Local(subscriber) => {
                let _ = partition;
                subscriber.commit_before(topic, next).await
            }
        }
    }
}

/// How far a group is, for those who are not in it.
pub enum Group {
    /// Of a cluster.
    #[cfg(feature = "engines")]
    Kafka(KafkaGroup),
    /// Within this process.
    #[cfg(feature = "embedded")]
    Local {
        /// Where the topic is.
        bus: LocalBus,
        /// Which group.
        group: String,
        /// Which topic.
        topic: String,
    },
}

impl Group {
    /// Where every partition ends, and then how far the group is in it.
    ///
    /// # Errors
    /// No broker answers, or there is no such topic.
    pub async fn positions(&self) -> Result<Vec<GroupPosition>, BusError> {
        match self {
            #[cfg(feature = "engines")]
            Self::Kafka(group) => group.positions().await,
            #[cfg(feature = "embedded")]
            Self::Local { bus, group, topic } => Ok(vec![bus.position(group, topic)?]),
        }
    }
}
