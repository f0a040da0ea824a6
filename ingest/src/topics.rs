//! The topics that `ingest` owns, and what production asks of them.

use std::collections::BTreeMap;
use std::time::Duration;

use service_kit::bus::{PublisherOptions, TopicSpec};

use crate::config::Config;

/// Room that a dead letter needs beyond its original: origin, reason and error.
pub const DEAD_LETTER_ROOM: usize = 8 * 1024;

/// Room for key and headers beside a value of the largest size.
const RECORD_ROOM: usize = 16 * 1024;

/// The largest record on the source topic, in bytes. Larger values than `limits.max_record_bytes` may
/// still be published by others: they become dead letters, not errors of their producers.
#[must_use]
pub fn max_source_bytes(config: &Config) -> usize {
    (2 * config.limits.max_record_bytes + RECORD_ROOM).max(1 << 20)
}

/// The largest record on the dead-letter topic, in bytes: above the source's, so that every record of
/// the source fits with its reason.
#[must_use]
pub fn max_dead_letter_bytes(config: &Config) -> usize {
    max_source_bytes(config) + DEAD_LETTER_ROOM
}

/// The largest record that a producer here takes, in bytes: what its buffer holds. Clients count bytes
/// before compression and brokers after it, so a record that came in compressed may be far above its
/// topic's limit.
#[must_use]
pub fn max_uncompressed_bytes(config: &Config) -> usize {
    (config.kafka.producer_buffer_kib as usize * 1024).max(max_dead_letter_bytes(config))
}

/// A producer as configured; brokers know it by `client_id`.
#[must_use]
pub fn publisher(config: &Config, client_id: &str) -> PublisherOptions {
    PublisherOptions {
        client_id: client_id.to_owned(),
        max_buffer_kib: config.kafka.producer_buffer_kib,
        timeout: Duration::from_millis(config.kafka.producer_timeout_ms),
        max_message_bytes: max_uncompressed_bytes(config),
    }
}

/// What `topics apply` creates.
#[must_use]
pub fn specs(config: &Config) -> Vec<TopicSpec> {
    let kafka = &config.kafka;
    let spec = |name: &str, max_bytes: usize, hours: u64| TopicSpec {
        name: name.to_owned(),
        partitions: kafka.partitions,
        replication: kafka.replication,
        config: BTreeMap::from(
            [
                // Producers' clocks cannot move the accepted time window.
                ("message.timestamp.type", "LogAppendTime".to_owned()),
                ("min.insync.replicas", kafka.min_insync_replicas.to_string()),
                ("unclean.leader.election.enable", "false".to_owned()),
                ("max.message.bytes", max_bytes.to_string()),
                ("retention.ms", (hours * 3_600_000).to_string()),
                ("cleanup.policy", "delete".to_owned()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        ),
    };
    let hours = u64::from(kafka.retention_hours);
    vec![
        spec(&kafka.topic, max_source_bytes(config), hours),
        spec(&kafka.dead_letter_topic, max_dead_letter_bytes(config), 4 * hours),
    ]
}
