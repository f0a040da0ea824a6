use super::*;
use crate::bus::{GroupPosition, KafkaGroup, KafkaSubscriber, Start};
use bytes::Bytes;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    mocking::MockCluster,
    producer::DefaultProducerContext,
};

const DEADLINE: Duration = Duration::from_secs(60);

/// librdkafka's own broker, in this process.
fn broker() -> (MockCluster<'static, DefaultProducerContext>, KafkaConfig) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let brokers = vec![cluster.bootstrap_servers()];
    let config = KafkaConfig { brokers, properties: Default::default() };
    (cluster, config)
}

fn publisher(config: &KafkaConfig, timeout: Duration) -> KafkaPublisher {
    let client_id = "test".to_owned();
    let options =
        PublisherOptions { client_id, max_buffer_kib: 1024, timeout, max_message_bytes: 2048 };
    KafkaPublisher::new(config, options).unwrap()
}

fn record(payload: &'static str) -> Record {
    let headers = vec![("h".to_owned(), Bytes::from("1")), ("h".to_owned(), Bytes::from("2"))];
    Record {
        key: Some(Bytes::from("k")),
        payload: Bytes::from(payload),
        headers,
        ..Record::default()
    }
}

/// The offset at which the group's next member would begin.
fn committed(config: &KafkaConfig, group: &str) -> Offset {
    let reader: BaseConsumer = config.client().set("group.id", group).create().unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition("t", 0);
    let offsets = reader.committed_offsets(offsets, DEADLINE).unwrap();
    offsets.find_partition("t", 0).unwrap().offset()
}

#[tokio::test]
async fn how_far_a_group_is_can_be_seen_from_outside() {
    let (_cluster, config) = broker();
    let publisher = publisher(&config, DEADLINE);
    for payload in ["one", "two"] {
        publisher.publish("t", record(payload)).await.unwrap();
    }
    let group = KafkaGroup::new(&config, "g", "t").unwrap();
    let position = async || group.positions().await.unwrap()[0];
    assert_eq!(position().await, GroupPosition { begin: 0, end: 2, committed: None });
    let member = KafkaSubscriber::new(&config, "g", &["t"], Start::Earliest).unwrap();
    let one = member.next(DEADLINE).await.unwrap().unwrap();
    member.commit(&one).await.unwrap();
    assert_eq!(position().await.committed, Some(1));
}

#[tokio::test]
async fn what_is_published_is_read_whole_and_comes_again_unless_it_is_committed() {
    let (_cluster, config) = broker();
    let publisher = publisher(&config, DEADLINE);
    let first = publisher.publish("t", record("one")).await.unwrap();
    assert_eq!(publisher.publish("t", record("two")).await.unwrap().offset, first.offset + 1);
    publisher.flush(DEADLINE).await.unwrap();

    let member = KafkaSubscriber::new(&config, "g", &["t"], Start::Earliest).unwrap();
    let one = member.next(DEADLINE).await.unwrap().unwrap();
    assert_eq!((one.partition, one.offset), (first.partition, first.offset));
    assert_eq!((one.key.clone(), one.payload.as_deref()), (record("").key, Some(&b"one"[..])));
    assert_eq!(one.headers, record("").headers);
    member.commit(&one).await.unwrap();
    let two = member.next(DEADLINE).await.unwrap().unwrap();
    assert_eq!(two.payload.as_deref(), Some(&b"two"[..]));
    assert_eq!(committed(&config, "g"), Offset::Offset(two.offset), "read is not committed");
}

#[tokio::test]
async fn failures_tell_whether_the_record_may_be_in_the_log() {
    let (cluster, config) = broker();
    let publisher = publisher(&config, DEADLINE);
    let large = Record { payload: Bytes::from(vec![0; 4096]), ..Record::default() };
    let refused = publisher.publish("t", large).await.unwrap_err();
    assert_eq!(refused, PublishError::TooLarge { bytes: 4096, limit: 2048 });
    let brief = self::publisher(&config, Duration::from_millis(1000));
    cluster.broker_down(1).unwrap();
    let unknown = brief.publish("t", record("late")).await.unwrap_err();
    assert!(matches!(unknown, PublishError::UnknownOutcome(_)), "{unknown:?}");
}

#[tokio::test]
async fn partitions_are_counted_as_they_are() {
    let (cluster, config) = broker();
    cluster.create_topic("wide", 5, 1).unwrap();
    let publisher = publisher(&config, DEADLINE);
    assert_eq!(publisher.partitions("t").await.unwrap(), 1);
    assert_eq!(publisher.partitions("wide").await.unwrap(), 5);
}

#[tokio::test]
async fn a_full_buffer_says_so_at_once() {
    let (cluster, config) = broker();
    cluster.broker_down(1).unwrap();
    let publisher = publisher(&config, DEADLINE);
    let kib = || Record { payload: Bytes::from(vec![0; 1024]), ..Record::default() };
    let mut waiting = Vec::new();
    let full = loop {
        let mut publish = Box::pin(publisher.publish("t", kib()));
        match futures::poll!(&mut publish) {
            std::task::Poll::Pending => waiting.push(publish),
            std::task::Poll::Ready(result) => break result.unwrap_err(),
        }
    };
    assert_eq!(full, PublishError::QueueFull);
    assert!(waiting.len() <= 1024, "bounded in bytes: {}", waiting.len());
}
