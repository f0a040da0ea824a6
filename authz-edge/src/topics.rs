//! The topics that `authz-edge` owns.

use service_kit::bus::TopicSpec;

use crate::config::{Config, SyncMode};

/// How long identity changes that could not be applied are kept: four weeks.
const LETTERS_MINUTES: u64 = 28 * 24 * 60;

/// What `topics apply` creates. Changes are short-lived: who was away clears what it holds.
#[must_use]
pub fn specs(config: &Config) -> Vec<TopicSpec> {
    let kafka = &config.kafka;
    let spec = |name: &str, retention_minutes: u64| {
        let settings = [
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("min.insync.replicas", kafka.min_insync_replicas.to_string()),
            ("unclean.leader.election.enable", "false".to_owned()),
            ("retention.ms", (retention_minutes * 60_000).to_string()),
            ("cleanup.policy", "delete".to_owned()),
        ];
        TopicSpec {
            name: name.to_owned(),
            partitions: kafka.partitions,
            replication: kafka.replication,
            config: settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        }
    };
    let changes = spec(&kafka.changes_topic, u64::from(kafka.changes_retention_minutes));
    let letters = (config.sync.mode == SyncMode::Identity)
        .then(|| spec(&config.sync.dead_letter_topic, LETTERS_MINUTES));
    std::iter::once(changes).chain(letters).collect()
}
