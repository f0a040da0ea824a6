//! A topic, read on from where one left off to where it ends: without a group, committing nothing. Each reading has a client of its
//! own: one that was there while all brokers were fenced may know none any more (librdkafka#5301).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use crate::engines::{Engines, watermarks};
use crate::stop::Stop;

/// The client wants a group's name; nothing is committed, and nobody's assignment is touched.
const GROUP: &str = "loadtest-tail";
const POLL: Duration = Duration::from_millis(200);

/// What of a topic has been read.
pub struct Tail {
    engines: Engines,
    topic: String,
    next: BTreeMap<i32, i64>,
}

impl Tail {
    /// From these offsets on, by partition; of others from the first record that is kept.
    #[must_use]
    pub fn from(engines: &Engines, topic: &str, offsets: BTreeMap<i32, i64>) -> Self {
        Self { engines: engines.clone(), topic: topic.to_owned(), next: offsets }
    }

    /// From the topic's present end on. Blocks.
    ///
    /// # Errors
    /// When the topic is missing or the cluster does not answer.
    pub fn from_end(engines: &Engines, topic: &str) -> anyhow::Result<Self> {
        let ends = watermarks(&engines.consumer(GROUP)?, topic)?;
        let offsets = ends.into_iter().map(|(partition, _, high)| (partition, high)).collect();
        Ok(Self::from(engines, topic, offsets))
    }

    /// The offsets that it goes on at, by partition.
    #[must_use]
    pub fn offsets(&self) -> &BTreeMap<i32, i64> {
        &self.next
    }

    /// Hands `each` every record up to the present end. Blocks until all of them were read, or `stop` says so.
    ///
    /// # Errors
    /// When the topic is missing, the cluster does not answer, or it is time to stop.
    pub fn read(
        &mut self,
        stop: &Stop,
        mut each: impl FnMut(&BorrowedMessage<'_>),
    ) -> anyhow::Result<()> {
        let Self { engines, topic, next } = self;
        let consumer = engines.consumer(GROUP)?;
        let (mut wanted, mut ends) = (TopicPartitionList::new(), HashMap::new());
        for (partition, low, high) in watermarks(&consumer, topic)? {
            let from = next.get(&partition).copied().unwrap_or(low).max(low);
            if from < high {
                wanted.add_partition_offset(topic, partition, Offset::Offset(from))?;
                ends.insert(partition, high);
            }
        }
        if ends.is_empty() {
            return Ok(());
        }
        consumer.assign(&wanted)?;
        // What the client says of a broker that was away is mended by it.
        let mut last: Option<KafkaError> = None;
        while !ends.is_empty() {
            stop.check().with_context(|| format!("reading {topic} ({last:?})"))?;
            let message = match consumer.poll(POLL) {
                None => continue,
                Some(Err(error)) => {
                    last = Some(error);
                    continue;
                }
                Some(Ok(message)) => message,
            };
            let (partition, offset) = (message.partition(), message.offset());
            let Some(end) = ends.get(&partition).copied() else { continue };
            if offset < end {
                each(&message);
                next.insert(partition, offset + 1);
            }
            if offset + 1 >= end {
                ends.remove(&partition);
            }
        }
        Ok(())
    }
}
