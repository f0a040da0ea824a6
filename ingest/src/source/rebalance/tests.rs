//! What becomes of assignments when the client is lost, on librdkafka's own broker.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::RDKafkaApiKey;
use service_kit::config::{Source, load};
use service_kit::health::Health;

use super::*;
use crate::source::consumer;

const DEADLINE: Duration = Duration::from_secs(60);

struct Bed {
    cluster: MockCluster<'static, DefaultProducerContext>,
    watermarks: Arc<Watermarks>,
}

impl Bed {
    fn new() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("audit.events", 1, 1).unwrap();
        Self { cluster, watermarks: Arc::default() }
    }

    /// A client of a group of its own, which gives up at once.
    fn client(&self, group: &str) -> BaseConsumer<Assignments> {
        let env = [
            ("KAFKA__BROKERS", self.cluster.bootstrap_servers()),
            ("KAFKA__GROUP", group.to_owned()),
        ];
        let env_prefix = crate::config::ENV_PREFIX;
        let env = env.map(|(key, value)| (format!("{env_prefix}{key}"), value)).into();
        let defaults = crate::config::DEFAULTS;
        let config: Config = load(&Source { defaults, file: None, env_prefix, env }).unwrap();
        let health = Health::new().component("kafka");
        let assignments = Assignments {
            give_up_after: Duration::ZERO,
            ..Assignments::new(&config, Arc::clone(&self.watermarks), health)
        };
        let consumer = consumer(&config, assignments).unwrap();
        consumer.subscribe(&[config.kafka.topic.as_str()]).unwrap();
        consumer
    }
}

fn poll_until(consumer: &BaseConsumer<Assignments>, done: impl Fn(&Assignments) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !done(consumer.context()) {
        assert!(Instant::now() < deadline, "in vain");
        let message = consumer.poll(Duration::from_millis(50));
        assert!(!matches!(message, Some(Ok(_))), "nothing was published");
    }
}

#[test]
fn who_cannot_tell_where_partitions_begin_is_given_up_and_begins_none() {
    let bed = Bed::new();
    bed.cluster.request_errors(
        RDKafkaApiKey::OffsetFetch,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 2],
    );
    let first = bed.client("first");
    poll_until(&first, Assignments::is_lost);
    assert_eq!(first.context().epochs(), HashMap::new());
    assert!(bed.watermarks.epoch(0).is_none());
}

#[test]
fn what_a_lost_client_says_at_its_end_takes_nothing_from_the_next_one() {
    let bed = Bed::new();
    let first = bed.client("first");
    poll_until(&first, |assignments| !assignments.epochs().is_empty());
    let begun = bed.watermarks.epoch(0).unwrap();
    first.context().abandon();
    assert!(bed.watermarks.epoch(0).is_none(), "what it read is not committed any more");

    let second = bed.client("second");
    poll_until(&second, |assignments| !assignments.epochs().is_empty());
    let epoch = bed.watermarks.epoch(0).unwrap();
    assert_ne!(epoch, begun);
    // Says that its partitions are revoked.
    drop(first);
    assert_eq!(bed.watermarks.epoch(0), Some(epoch));
    drop(second);
    assert_eq!(bed.watermarks.epoch(0), None, "who is not lost gives them back");
}
