//! Faults that every run tries; `drills.rs` has the long ones.

use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use service_kit::bus::{
    FollowError, KafkaFollower, KafkaGroup, KafkaPublisher, KafkaSubscriber, Publisher,
    PublisherOptions, Record, Start,
};

use crate::fenced::Fenced;
use crate::ghost::haunt;
use crate::world::{World, engine, engines, until};

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_load_and_a_rebalance_loses_nothing() -> Result<()> {
    let world = World::new("rebalance", &[]).await?;
    let first = world.ingest().await?;
    let (produced, second) = tokio::join!(world.produce_events(0..20_000, 50), world.ingest());
    produced?;
    let second = second?;
    world.produce_events(20_000..30_000, 50).await?;
    first.stop().await?;
    world.produce_events(30_000..40_000, 50).await?;
    world.stored_exactly(40_000).await?;
    second.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_processes_lose_and_double_nothing() -> Result<()> {
    let world = World::new("killed", &[]).await?;
    for round in 0..3 {
        let ingest = world.ingest().await?;
        let range = round * 10_000..(round + 1) * 10_000;
        world.produce_events(range, 50).await?;
        ingest.kill()?;
    }
    let ingest = world.ingest().await?;
    world.stored_exactly(30_000).await?;
    assert!(world.dead_letters()?.is_empty());
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_cassandra_holds_everything_up_and_loses_nothing() -> Result<()> {
    let world = World::new("paused", &[("PIPELINE__IN_FLIGHT_BYTES", "2097152")]).await?;
    let ingest = world.ingest().await?;
    world.produce_events(0..1_000, 10).await?;
    world.stored_exactly(1_000).await?;
    engines(&["pause", "cassandra"])?;
    let paused = async {
        world.produce_events(1_000..30_000, 10).await?;
        until("back-pressure reaches the source", async || {
            let pauses = ingest.metric("triad_ingest_pauses_total", "").await?;
            Ok(if pauses > 0.0 { Ok(()) } else { Err("no partition is paused".to_owned()) })
        })
        .await?;
        until("readiness goes", async || {
            Ok(if ingest.is_ready().await? { Err("still ready".to_owned()) } else { Ok(()) })
        })
        .await
    };
    let paused: Result<()> = paused.await;
    engines(&["resume", "cassandra"])?;
    paused?;
    world.stored_exactly(30_000).await?;
    ingest.until_ready().await?;
    assert!(world.dead_letters()?.is_empty());
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_kafka_loses_nothing_that_it_acknowledged() -> Result<()> {
    let world = World::new("kafka", &[]).await?;
    let ingest = world.ingest().await?;
    world.produce_events(0..5_000, 10).await?;
    engines(&["kill", "kafka"])?;
    engines(&["start", "kafka"])?;
    world.produce_events(5_000..10_000, 10).await?;
    world.stored_exactly(10_000).await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_kafka_deleted_unread_are_counted_and_the_rest_is_read() -> Result<()> {
    let world = World::new("retention", &[("KAFKA__PARTITIONS", "2")]).await?;
    let ingest = world.ingest().await?;
    world.produce_events(0..100, 5).await?;
    world.stored_exactly(100).await?;
    let (topic, ends) = (&world.config.kafka.topic, world.ends()?);
    ingest.signal("STOP")?;
    // Brokers answer a fetch that is under way after 20 ms; what is produced then is fetched later.
    let stopped = Instant::now();
    until("no fetch is under way", async || {
        let answered = stopped.elapsed() > Duration::from_secs(1);
        Ok(if answered { Ok(()) } else { Err("it may be".to_owned()) })
    })
    .await?;
    world.produce_events(100..300, 5).await?;
    // Of one partition a part is deleted; the other stays whole.
    let unread = world.ends()?[0] - ends[0];
    let deleted = unread / 2;
    assert!(deleted > 0, "{unread} records in the first partition");
    let client: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", world.config.kafka.brokers.join(","))
        .create()?;
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(topic, 0, Offset::Offset(ends[0] + deleted))?;
    client.delete_records(&before, &AdminOptions::new()).await?;
    ingest.signal("CONT")?;
    world.stored_exactly(300 - usize::try_from(deleted)?).await?;
    let lost = ingest.metric("triad_ingest_lost_offsets_total", "").await?;
    assert_eq!(lost, deleted as f64);
    // And goes on after that.
    world.produce_events(300..400, 5).await?;
    world.stored_exactly(400 - usize::try_from(deleted)?).await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_were_told_of_no_brokers_find_them_again() -> Result<()> {
    let kafka = Fenced::before(engine("TRIAD_KAFKA")?).await?;
    // By default, some clients forget the brokers for good, by chance; like this, all do that ask, and all ask.
    let asks_and_forgets =
        "{metadata.recovery.strategy: none, topic.metadata.refresh.interval.ms: '1000'}";
    let forgets =
        [("KAFKA__BROKERS", kafka.address.as_str()), ("KAFKA__PROPERTIES", asks_and_forgets)];
    let world = World::new("forgotten", &forgets).await?;
    let ingest = world.ingest().await?;
    world.produce_events(0..100, 10).await?;
    world.stored_exactly(100).await?;
    let (cluster, own) = (world.config.kafka.cluster(), &world.config.kafka.group);
    let topic = world.config.kafka.dead_letter_topic.as_str();
    let publisher = KafkaPublisher::new(
        &cluster,
        PublisherOptions {
            client_id: "it".to_owned(),
            max_buffer_kib: 1_024,
            timeout: Duration::from_secs(5),
            max_message_bytes: 1_000_000,
        },
    )?;
    let published = async |topic: &str, payload: Bytes| {
        until("a record is published", async || {
            let record = Record { payload: payload.clone(), ..Record::default() };
            Ok(publisher.publish(topic, record).await.map(drop).map_err(|error| error.to_string()))
        })
        .await
    };
    let subscriber =
        KafkaSubscriber::new(&cluster, &format!("{own}.reads"), &[topic], Start::Earliest)?;
    let read = async |payload: &'static str| {
        until("a record is read", async || {
            let message = subscriber.next(Duration::from_millis(100)).await?;
            let found = message.and_then(|message| message.payload);
            Ok(if found.as_deref() == Some(payload.as_bytes()) {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            })
        })
        .await
    };
    let group = KafkaGroup::new(&cluster, own, &world.config.kafka.topic)?;
    let follower = KafkaFollower::begin(&cluster, topic).await?;
    published(topic, Bytes::from("before")).await?;
    read("before").await?;
    group.positions().await?;

    kafka.fence(true);
    // Another one that is made meanwhile sees no broker either, and waits.
    until("the follower is to begin anew", async || {
        let found = follower.next(Duration::from_millis(100)).await;
        let is_lost = matches!(found, Err(FollowError::Failed(_)));
        Ok(if is_lost { Ok(()) } else { Err(format!("{found:?}")) })
    })
    .await?;
    kafka.fence(false);

    let (reads, writes, looks) = tokio::join!(
        read("after"),
        published(topic, Bytes::from("after")),
        until("how far the group is can be seen", async || {
            Ok(group.positions().await.map(drop).map_err(|error| error.to_string()))
        }),
    );
    reads.and(writes).and(looks)?;
    KafkaFollower::begin(&cluster, topic).await?;
    let event = Bytes::from(World::event(100, "t-1").to_string());
    published(&world.config.kafka.topic, event).await?;
    world.stored_exactly(101).await?;
    ingest.until_ready().await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_does_not_wait_for_long_for_who_is_gone() -> Result<()> {
    let impatient =
        [("KAFKA__SESSION_TIMEOUT_MS", "6000"), ("KAFKA__MAX_POLL_INTERVAL_MS", "10000")];
    let world = World::new("haunted", &impatient).await?;
    // So that the group has a coordinator, and nobody in it.
    world.ingest().await?.stop().await?;
    let (group, topic) = (&world.config.kafka.group, &world.config.kafka.topic);
    haunt(&engine("TRIAD_KAFKA")?, group, topic).await?;
    let ingest = world.ingest().await?;
    world.produce_events(0..100, 10).await?;
    world.stored_exactly(100).await?;
    ingest.stop().await
}
