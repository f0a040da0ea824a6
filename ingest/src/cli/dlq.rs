//! `ingest dlq list|replay`.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use clap::Subcommand;
use contracts::audit::header;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use service_kit::bus::{KafkaSubscriber, Message, PublishError, Publisher, Record, Start};

use super::say;
use crate::service::publisher;
use crate::{Config, Error};

/// Time for Kafka to answer, and for a silent partition to be given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reading and replaying dead letters.
#[derive(Debug, Subcommand)]
pub(super) enum DlqCommand {
    /// Print every dead letter as a line of JSON, oldest first in each partition. Moves no offset.
    List {
        /// Only this reason.
        #[arg(long)]
        reason: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
        limit: u64,
    },
    /// Publish dead letters to the source topic again, with their first origin, and commit what was
    /// acknowledged. What was replayed before is not replayed again; a reason has progress of its own.
    Replay {
        /// Only this reason.
        #[arg(long)]
        reason: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
        limit: u64,
    },
}

impl DlqCommand {
    pub(super) async fn run(self, config: &Config) -> Result<(), Error> {
        match self {
            Self::List { reason, limit } => list(config, reason.as_deref(), limit).await,
            Self::Replay { reason, limit } => replay(config, reason.as_deref(), limit).await,
        }
    }
}

async fn list(config: &Config, reason: Option<&str>, limit: u64) -> Result<(), Error> {
    let group = format!("{}-dlq-list-{}", config.kafka.group, uuid::Uuid::new_v4());
    let mut letters = Letters::open(config, &group).await?;
    let mut listed = 0;
    while let Some(letter) = letters.next().await? {
        if listed >= limit {
            break;
        }
        if matches(&letter, reason) {
            say(&line(&letter));
            listed += 1;
        }
    }
    Ok(())
}

fn truncated(letter: &Message) -> bool {
    letter.headers.iter().any(|(name, _)| name == header::TRUNCATED_FROM)
}

async fn replay(config: &Config, reason: Option<&str>, limit: u64) -> Result<(), Error> {
    let group = match reason {
        None => format!("{}-dlq-replay", config.kafka.group),
        Some(reason) => format!("{}-dlq-replay-{reason}", config.kafka.group),
    };
    let publisher = publisher(config, "triad-ingest-dlq")?;
    let mut letters = Letters::open(config, &group).await?;
    let (mut replayed, mut refused) = (0, 0);
    while replayed < limit {
        let Some(letter) = letters.next().await? else { break };
        if matches(&letter, reason) && truncated(&letter) {
            refused += 1;
        } else if matches(&letter, reason) {
            match publisher.publish(&config.kafka.topic, again(&letter)).await {
                Ok(_) => replayed += 1,
                // It stays where it is, as a truncated one: a record that the topic cannot take.
                Err(PublishError::TooLarge { .. }) => refused += 1,
                Err(error) => {
                    let place = format!("partition {} offset {}", letter.partition, letter.offset);
                    return Err(Error::Command(format!("{place}: {error}; run it again")));
                }
            }
        }
        letters.commit(&letter).await?;
    }
    say(&format!("replayed {replayed}, too large for {} {refused}", config.kafka.topic));
    Ok(())
}

/// Dead letters from a group's progress to what was the end when the command began.
struct Letters {
    subscriber: KafkaSubscriber,
    /// Offsets still to come, by partition: the end, exclusive.
    ends: HashMap<i32, i64>,
}

impl Letters {
    async fn open(config: &Config, group: &str) -> Result<Self, Error> {
        let topic = config.kafka.dead_letter_topic.clone();
        let mut client = config.kafka.cluster().client();
        client.set("group.id", group);
        let ends = {
            let topic = topic.clone();
            tokio::task::spawn_blocking(move || ends(&client, &topic)).await
        };
        let ends = ends
            .map_err(|error| Error::Command(error.to_string()))?
            .map_err(|error| Error::Command(format!("{topic}: {error}")))?;
        let subscriber =
            KafkaSubscriber::new(&config.kafka.cluster(), group, &[&topic], Start::Earliest)?;
        Ok(Self { subscriber, ends })
    }

    async fn next(&mut self) -> Result<Option<Message>, Error> {
        while !self.ends.is_empty() {
            let Some(letter) = self.subscriber.next(PATIENCE).await? else {
                let left: Vec<_> = self.ends.keys().collect();
                return Err(Error::Command(format!("nothing came from partitions {left:?}")));
            };
            match self.ends.get(&letter.partition) {
                Some(end) if letter.offset + 1 >= *end => {
                    let end = self.ends.remove(&letter.partition).unwrap_or(0);
                    if letter.offset < end {
                        return Ok(Some(letter));
                    }
                }
                Some(_) => return Ok(Some(letter)),
                None => {}
            }
        }
        Ok(None)
    }

    async fn commit(&self, letter: &Message) -> Result<(), Error> {
        Ok(self.subscriber.commit(letter).await?)
    }
}

/// The ends of the partitions in which the group has something left to read.
fn ends(
    client: &rdkafka::ClientConfig,
    topic: &str,
) -> Result<HashMap<i32, i64>, rdkafka::error::KafkaError> {
    let consumer: BaseConsumer = client.create()?;
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let topics = metadata.topics().iter();
    let partitions = topics.flat_map(MetadataTopic::partitions).map(MetadataPartition::id);
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, partition);
    }
    let committed = consumer.committed_offsets(list, PATIENCE)?;
    let mut ends = HashMap::new();
    for element in committed.elements() {
        let (low, high) = consumer.fetch_watermarks(topic, element.partition(), PATIENCE)?;
        let next = match element.offset() {
            Offset::Offset(offset) => offset.max(low),
            _ => low,
        };
        if next < high {
            ends.insert(element.partition(), high);
        }
    }
    Ok(ends)
}

fn header<'a>(letter: &'a Message, name: &str) -> Option<&'a str> {
    let found = letter.headers.iter().find(|(header, _)| header == name);
    found.and_then(|(_, value)| std::str::from_utf8(value).ok())
}

fn matches(letter: &Message, reason: Option<&str>) -> bool {
    reason.is_none_or(|reason| header(letter, header::REASON) == Some(reason))
}

/// The record as it was, with its origin: the origin is what its identity and window hang on.
fn again(letter: &Message) -> Record {
    let fate = [header::REASON, header::ERROR];
    let headers = letter.headers.iter().filter(|(name, _)| !fate.contains(&name.as_str()));
    Record {
        key: letter.key.clone(),
        payload: letter.payload.clone().unwrap_or_default(),
        headers: headers.cloned().collect(),
        ..Record::default()
    }
}

fn line(letter: &Message) -> String {
    let number = |name| header(letter, name).and_then(|text| text.parse::<i64>().ok());
    let value: &[u8] = letter.payload.as_ref().map_or(&[], Bytes::as_ref);
    serde_json::json!({
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": header(letter, header::REASON),
        "error": header(letter, header::ERROR),
        "origin": {
            "topic": header(letter, header::ORIGIN_TOPIC),
            "partition": number(header::ORIGIN_PARTITION),
            "offset": number(header::ORIGIN_OFFSET),
            "timestamp": number(header::ORIGIN_TIMESTAMP),
        },
        "value": String::from_utf8_lossy(&value[..value.len().min(512)]),
    })
    .to_string()
}
