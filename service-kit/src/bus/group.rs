//! How far a consumer group is, for those who are not in it.

use super::{
    BrokerWatch, BusError, GroupPosition, KafkaConfig, follower::PATIENCE, kafka::count,
    renewed::Renewed,
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
};
use std::time::Duration;

/// Looks at a group without joining it.
pub struct KafkaGroup {
    consumer: Renewed<BaseConsumer<BrokerWatch>>,
    topic: String,
}

impl KafkaGroup {
    /// Connects in the background.
    ///
    /// # Errors
    /// What [`KafkaConfig::validate`] refuses.
    pub fn new(config: &KafkaConfig, group: &str, topic: &str) -> Result<Self, BusError> {
        config.validate()?;
        let mut client = config.client();
        client.set("group.id", group).set("enable.auto.commit", "false");
        let consumer = Renewed::new(client, |config, watch| config.create_with_context(watch))?;
        Ok(Self { consumer, topic: topic.to_owned() })
    }

    /// Where every partition ends, and then how far the group is in it: what is committed was looked at
    /// after the ends were.
    ///
    /// # Errors
    /// No broker answers, or there is no such topic.
    pub async fn positions(&self) -> Result<Vec<GroupPosition>, BusError> {
        let (consumer, topic) = (self.consumer.client(), self.topic.clone());
        let found = tokio::task::spawn_blocking(move || positions(&consumer, &topic));
        found.await.map_err(BusError::kafka)?
    }
}

fn positions(
    consumer: &BaseConsumer<BrokerWatch>,
    topic: &str,
) -> Result<Vec<GroupPosition>, BusError> {
    // It reads nothing; what the client says of itself comes with a poll.
    let nothing = consumer.poll(Duration::ZERO);
    debug_assert!(!matches!(nothing, Some(Ok(_))), "nothing is subscribed to");
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
