//! The topics that `authz-edge` owns.

use std::collections::BTreeMap;

use service_kit::bus::TopicSpec;

use crate::config::Config;

/// What `topics apply` creates. Changes are short-lived: who was away clears what it holds.
#[must_use]
pub fn specs(config: &Config) -> Vec<TopicSpec> {
    let kafka = &config.kafka;
    let settings = [
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("min.insync.replicas", kafka.min_insync_replicas.to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
        ("retention.ms", (u64::from(kafka.changes_retention_minutes) * 60_000).to_string()),
        ("cleanup.policy", "delete".to_owned()),
    ];
    vec![TopicSpec {
        name: kafka.changes_topic.clone(),
        partitions: kafka.partitions,
        replication: kafka.replication,
        config: BTreeMap::from(settings.map(|(key, value)| (key.to_owned(), value))),
    }]
}
