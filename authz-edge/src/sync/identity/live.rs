//! On real engines: `TRIAD_DGRAPH=host:port TRIAD_KAFKA=host:port cargo test -- --ignored`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use contracts::TenantId;
use service_kit::bus::{
    Bus, BusError, KafkaConfig, KafkaPublisher, Publisher as _, PublisherOptions, Record,
    TopicSpec, apply_topics,
};
use service_kit::health::Health;
use service_kit::shutdown::{Shutdown, ShutdownTrigger};
use tokio::task::JoinHandle;

use super::{Consumer, Options, retry};
use crate::graph::write::snapshot::Rebuild;
use crate::graph::write::{Ownership, Writer, Written};
use crate::graph::{GraphDb, schema};

const PATIENCE: Duration = Duration::from_secs(60);

fn record(tenant: &TenantId, seq: u64, kind: &str) -> Record {
    let value = serde_json::json!({
        "event_id": uuid::Uuid::new_v4(), "tenant_id": tenant, "seq": seq, "type": kind,
        "occurred_at": Utc::now(), "data": {"id": format!("u{seq}"), "active": true},
    });
    let key = Some(tenant.as_str().to_owned().into());
    Record { key, payload: value.to_string().into(), ..Record::default() }
}

async fn applied(graph: &GraphDb, tenant: &TenantId, wanted: u64) {
    let writer = Writer { graph, ownership: Ownership::Sync };
    let reached = async {
        while writer.apply_identity(tenant, &[], Utc::now()).await.unwrap().last_seq != wanted {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("the changes are applied");
}

/// Engines, topics of this test, and consumers of them.
struct World {
    cluster: KafkaConfig,
    graph: Arc<GraphDb>,
    publisher: Arc<KafkaPublisher>,
    health: Health,
    options: Options,
    run: String,
}

type Consuming = (ShutdownTrigger, JoinHandle<Result<(), BusError>>);

impl World {
    async fn new() -> Self {
        let address = |name| std::env::var(name).expect("the engines are named");
        let cluster =
            KafkaConfig { brokers: vec![address("TRIAD_KAFKA")], properties: BTreeMap::new() };
        let graph = Arc::new(GraphDb::from_test_env());
        schema::apply(&graph).await.unwrap();
        let run = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let topic = |name: &str| TopicSpec {
            name: format!("{name}-{run}"),
            partitions: 1,
            replication: 1,
            config: BTreeMap::new(),
        };
        let topics = [topic("identity"), topic("dlq")];
        apply_topics(&cluster, &topics).await.unwrap();
        let bounds = PublisherOptions {
            client_id: "test".to_owned(),
            max_buffer_kib: 1024,
            timeout: Duration::from_secs(20),
            max_message_bytes: 1 << 20,
        };
        let publisher = Arc::new(KafkaPublisher::new(&cluster, bounds).unwrap());
        let options = Options {
            group: format!("sync-{run}"),
            topic: topics[0].name.clone(),
            dead_letter_topic: topics[1].name.clone(),
            look: Duration::from_millis(200),
            ..Options::default()
        };
        Self { cluster, graph, publisher, health: Health::new(), options, run }
    }

    fn tenants(&self) -> [TenantId; 2] {
        ["a", "b"].map(|t| TenantId::parse(&format!("{t}{}", self.run)).unwrap())
    }

    fn consume(&self) -> Consuming {
        let (trigger, shutdown) = Shutdown::new();
        let consumer = Consumer {
            graph: Arc::clone(&self.graph),
            publisher: Arc::clone(&self.publisher),
            options: self.options.clone(),
            health: self.health.component("sync"),
        };
        let (to, written) = (self.cluster.clone(), |_: &TenantId, _: &Written| {});
        (
            trigger,
            tokio::spawn(async move { consumer.run(&Bus::Kafka(to), shutdown, written).await }),
        )
    }

    async fn publish(&self, tenant: &TenantId, seq: u64, kind: &str) {
        self.publisher.publish(&self.options.topic, record(tenant, seq, kind)).await.unwrap();
    }
}

async fn ended((trigger, task): Consuming) {
    trigger.trigger();
    task.await.unwrap().unwrap();
}

#[tokio::test]
#[ignore = "needs TRIAD_DGRAPH and TRIAD_KAFKA"]
async fn what_waits_for_a_rebuild_comes_again_after_a_restart() {
    let world = World::new().await;
    let [one, other] = world.tenants();
    let writer = Writer { graph: &world.graph, ownership: Ownership::Sync };
    let rebuild = Rebuild::begin(&writer, &one, 0, false).await.unwrap();
    let first = world.consume();
    for seq in [1, 2] {
        world.publish(&one, seq, "user.created").await;
    }
    // Their rounds are over, commits included, when a later change of the other tenant is applied.
    for seq in [1, 2] {
        world.publish(&other, seq, "user.created").await;
        applied(&world.graph, &other, seq).await;
    }
    ended(first).await;
    let second = world.consume();
    rebuild.end(0, false, &[]).await.unwrap();
    applied(&world.graph, &one, 2).await;
    ended(second).await;
}

#[tokio::test]
#[ignore = "needs TRIAD_DGRAPH and TRIAD_KAFKA"]
async fn a_poisoned_tenant_stands_still_and_goes_on_after_a_retry_while_others_never_stop() {
    let world = World::new().await;
    let ([one, other], consuming) = (world.tenants(), world.consume());
    let World { cluster, graph, publisher, health, options, .. } = &world;
    for seq in [1, 2, 2, 1, 3] {
        let kind = if seq == 3 { "user.enchanted" } else { "user.created" };
        publisher.publish(&options.topic, record(&one, seq, kind)).await.unwrap();
        publisher.publish(&options.topic, record(&other, seq, "user.created")).await.unwrap();
    }
    publisher.publish(&options.topic, record(&one, 4, "user.created")).await.unwrap();
    publisher.publish(&options.topic, record(&other, 4, "user.created")).await.unwrap();
    applied(graph, &other, 4).await;
    applied(graph, &one, 2).await;

    // As if a newer build knew the type: the record that it reads is a change.
    let late = record(&one, 3, "user.created");
    publisher.publish(&options.dead_letter_topic, late).await.unwrap();
    let component = health.component("retry");
    let retried =
        retry(graph, &Bus::Kafka(cluster.clone()), options, &component, Duration::from_secs(10))
            .await
            .unwrap();
    assert_eq!((retried.read, retried.poison, retried.applied), (2, 1, 1));
    applied(graph, &one, 4).await;
    ended(consuming).await;
}
