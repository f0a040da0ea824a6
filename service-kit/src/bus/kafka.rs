//! Publishing to Kafka: idempotent, acknowledged by all in-sync replicas, bounded in bytes.

use super::{
    Ack, BrokerWatch, BusError, KafkaConfig, PublishError, Publisher, PublisherOptions, Record,
    renewed::Renewed,
};
use rdkafka::{
    client::{Client, ClientContext},
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer as _},
};
use std::{sync::Arc, time::Duration};

/// How long a record may wait for company, in milliseconds: little beside a replicated write, and
/// enough for concurrent requests to share a batch.
const LINGER_MS: &str = "2";
/// How long a topic that the cluster does not know is waited for, in milliseconds. Topics are made
/// beforehand: with the default of 30 s a missing one would look like a timeout, whose outcome is
/// unknown.
const TOPIC_PROPAGATION_MS: &str = "2000";
/// How long a broker may take to say what partitions there are.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bounds the overhead of tiny records, which the bound in bytes does not count.
const MAX_BUFFERED_RECORDS: &str = "500000";

/// Publishes to Kafka. Clones share the connections and the buffer. What is in the buffer of a client that knows no broker any
/// more has no known outcome.
#[derive(Clone)]
pub struct KafkaPublisher {
    producer: Arc<Renewed<FutureProducer<BrokerWatch>>>,
    max_message_bytes: usize,
}

impl KafkaPublisher {
    /// A publisher that connects in the background: an unreachable broker is no error here.
    ///
    /// # Errors
    /// What [`KafkaConfig::validate`] refuses, and options out of librdkafka's range.
    pub fn new(config: &KafkaConfig, options: PublisherOptions) -> Result<Self, BusError> {
        config.validate()?;
        let mut client = config.client();
        client
            .set("client.id", options.client_id)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", LINGER_MS)
            .set("topic.metadata.propagation.max.ms", TOPIC_PROPAGATION_MS)
            .set("queue.buffering.max.messages", MAX_BUFFERED_RECORDS)
            .set("queue.buffering.max.kbytes", options.max_buffer_kib.to_string())
            .set("message.timeout.ms", options.timeout.as_millis().to_string())
            .set("message.max.bytes", options.max_message_bytes.to_string());
        let producer = Renewed::new(client, |config, watch| config.create_with_context(watch))?;
        Ok(Self { producer: Arc::new(producer), max_message_bytes: options.max_message_bytes })
    }

    /// Waits until nothing is left to be sent, at most `deadline`. Call it in a drain, after the last
    /// publisher is done.
    ///
    /// # Errors
    /// `UnknownOutcome` for what is left.
    pub async fn flush(&self, deadline: Duration) -> Result<(), PublishError> {
        let producer = self.producer.client();
        let flushed = tokio::task::spawn_blocking(move || producer.flush(deadline)).await;
        let left = || format!("{} records left after {deadline:?}", self.in_flight());
        match flushed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(PublishError::UnknownOutcome(left())),
        }
    }

    /// Records that wait for their acknowledgement.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.producer.client().in_flight_count()).unwrap_or_default()
    }

    fn classify(&self, error: &KafkaError, bytes: usize) -> PublishError {
        use RDKafkaErrorCode as Code;
        let text = error.to_string();
        match error.rdkafka_error_code() {
            Some(Code::QueueFull) => PublishError::QueueFull,
            Some(Code::MessageSizeTooLarge) => {
                PublishError::TooLarge { bytes, limit: self.max_message_bytes }
            }
            Some(
                Code::UnknownTopic
                | Code::UnknownTopicOrPartition
                | Code::UnknownPartition
                | Code::InvalidTopic
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed
                | Code::PolicyViolation
                | Code::InvalidRecord,
            ) => PublishError::Refused(text),
            // Timeouts, and whatever may have happened after the record left.
            _ => PublishError::UnknownOutcome(text),
        }
    }
}

impl Publisher for KafkaPublisher {
    async fn publish(&self, topic: &str, record: Record) -> Result<Ack, PublishError> {
        let bytes = record.size();
        let delivery = {
            let mut out = FutureRecord::<[u8], [u8]>::to(topic).payload(&record.payload);
            if let Some(key) = &record.key {
                out = out.key(key);
            }
            if let Some(partition) = record.partition {
                out = out.partition(partition);
            }
            if !record.headers.is_empty() {
                out = out.headers(owned_headers(&record.headers));
            }
            // Nothing has left when this fails, so an error without a class of its own is a refusal.
            self.producer.client().send_result(out).map_err(|(error, _)| {
                match self.classify(&error, bytes) {
                    PublishError::UnknownOutcome(text) => PublishError::Refused(text),
                    known => known,
                }
            })?
        };
        // librdkafka holds a copy by now.
        drop(record);
        match delivery.await {
            Ok(Ok(delivered)) => {
                Ok(Ack { partition: delivered.partition, offset: delivered.offset })
            }
            Ok(Err((error, _))) => Err(self.classify(&error, bytes)),
            Err(_) => Err(PublishError::UnknownOutcome("the publisher was dropped".to_owned())),
        }
    }

    async fn partitions(&self, topic: &str) -> Result<i32, BusError> {
        let (producer, topic) = (self.producer.client(), topic.to_owned());
        let counted = tokio::task::spawn_blocking(move || count(producer.client(), &topic));
        counted.await.map_err(BusError::kafka)?
    }

    /// The idempotent producer lost its sequence or its rights.
    fn fatal(&self) -> Option<String> {
        self.producer
            .client()
            .client()
            .fatal_error()
            .map(|(code, reason)| format!("{code}: {reason}"))
    }
}

/// How many partitions a topic has, asked of a broker; no error when it has some.
pub(super) fn count<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<i32, BusError> {
    let metadata = client.fetch_metadata(Some(topic), PATIENCE).map_err(BusError::kafka)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions =
        found.filter(|found| found.error().is_none()).map_or(0, |f| f.partitions().len());
    match i32::try_from(partitions) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(BusError::Kafka(format!("there is no topic {topic}"))),
    }
}

fn owned_headers(headers: &[(String, bytes::Bytes)]) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |owned, (key, value)| {
        owned.insert(Header { key, value: Some(value.as_ref()) })
    })
}

#[cfg(test)]
mod tests;
