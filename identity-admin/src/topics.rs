//! The topic that `identity-admin` owns.

use service_kit::bus::TopicSpec;

use crate::config::Config;

/// What `topics apply` creates. Changes are deleted by age and never compacted: a consumer needs each.
#[must_use]
pub fn specs(config: &Config) -> Vec<TopicSpec> {
    let kafka = &config.kafka;
    let retention = u64::from(kafka.changes_retention_hours) * 3_600_000;
    let settings = [
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("min.insync.replicas", kafka.min_insync_replicas.to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
        ("retention.ms", retention.to_string()),
        ("cleanup.policy", "delete".to_owned()),
    ];
    vec![TopicSpec {
        name: kafka.changes_topic.clone(),
        partitions: kafka.partitions,
        replication: kafka.replication,
        config: settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    }]
}
