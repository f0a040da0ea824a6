//! How far a consumer group is, for those who are not in it.

use super::{BusError, GroupPosition, KafkaConfig, follower::PATIENCE, kafka::count};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use std::sync::Arc;

/// Looks at a group without joining it.
pub struct KafkaGroup {
    consumer: Arc<BaseConsumer>,
    topic: String,
}

impl KafkaGroup {
    /// Connects in the background.
    ///
    /// # Errors
    /// What [`KafkaConfig::validate`] refuses.
    pub fn new(config: &KafkaConfig, group: &str, topic: &str) -> Result<Self, BusError> {
        config.validate()?;
        let consumer: BaseConsumer = config
            .client()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .create()
            .map_err(BusError::kafka)?;
        Ok(Self { consumer: Arc::new(consumer), topic: topic.to_owned() })
    }

    /// Where every partition ends, and then how far the group is in it: what is committed was looked at
    /// after the ends were.
    ///
    /// # Errors
    /// No broker answers, or there is no such topic.
    pub async fn positions(&self) -> Result<Vec<GroupPosition>, BusError> {
        let (consumer, topic) = (Arc::clone(&self.consumer), self.topic.clone());
        let found = tokio::task::spawn_blocking(move || positions(&consumer, &topic));
        found.await.map_err(BusError::kafka)?
    }
}

fn positions(consumer: &BaseConsumer, topic: &str) -> Result<Vec<GroupPosition>, BusError> {
    let (mut found, mut asked) = (Vec::new(), TopicPartitionList::new());
    for partition in 0..count(consumer.client(), topic)? {
        let ends = consumer.fetch_watermarks(topic, partition, PATIENCE);
        let (begin, end) = ends.map_err(BusError::kafka)?;
        found.push(GroupPosition { begin, end, committed: None });
        asked.add_partition(topic, partition);
    }
    let committed = consumer.committed_offsets(asked, PATIENCE).map_err(BusError::kafka)?;
    for (partition, position) in (0..).zip(&mut found) {
        let of = committed.find_partition(topic, partition);
        if let Some(Offset::Offset(offset)) = of.map(|of| of.offset()) {
            position.committed = Some(offset);
        }
    }
    Ok(found)
}
