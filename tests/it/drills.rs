//! The long drills: `make drills`, on three Cassandra nodes at QUORUM.

use anyhow::Result;
use loadtest::child::Service;
use loadtest::system;

use crate::drill::{Drill, reading, unready};
use crate::world::{World, engines};

const NODES: [&str; 3] = ["cassandra-1", "cassandra-2", "cassandra-3"];

/// What the process may use at most, in KiB (ADR 0003).
const MEMORY_KIB: u64 = 256 * 1024;

fn within_memory(ingest: &Service) -> Result<()> {
    let peak = system::memory(ingest.pid())?.peak_kib;
    anyhow::ensure!(peak <= MEMORY_KIB, "{} MiB resident", peak / 1024);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn ten_kills_during_300_000_events() -> Result<()> {
    let drill = Drill::new("kills", 300_000, 3).await?;
    drill.produce(0..300_000).await?;
    for _ in 0..10 {
        let ingest = drill.ingest().await?;
        drill.settled(&ingest, 10_000).await?;
        // Dropping it is SIGKILL.
        drop(ingest);
    }
    let ingest = drill.ingest().await?;
    drill.verified().await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn one_node_of_three_is_killed_and_writes_go_on() -> Result<()> {
    let drill = Drill::new("one-node", 100_000, 3).await?;
    let ingest = drill.ingest().await?;
    drill.produce(0..30_000).await?;
    engines(&["kill", "cassandra-3"])?;
    let verified = async {
        drill.produce(30_000..100_000).await?;
        drill.verified().await
    };
    let verified: Result<()> = verified.await;
    engines(&["start", "cassandra-3"])?;
    verified?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn two_nodes_of_three_are_killed_and_writes_wait() -> Result<()> {
    let drill = Drill::new("two-nodes", 200_000, 3).await?;
    let ingest = drill.ingest().await?;
    drill.produce(0..10_000).await?;
    drill.settled(&ingest, 10_000).await?;
    for node in &NODES[1..] {
        engines(&["kill", node])?;
    }
    let waits = async {
        drill.produce(10_000..200_000).await?;
        unready(&ingest).await?;
        let settled = reading(&ingest).await?.settled();
        anyhow::ensure!(settled < 200_000, "{settled} records are settled without a quorum");
        within_memory(&ingest)
    };
    let waits: Result<()> = waits.await;
    for node in &NODES[1..] {
        engines(&["start", node])?;
    }
    waits?;
    drill.verified().await?;
    within_memory(&ingest)?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn cassandra_stops_for_thirty_seconds() -> Result<()> {
    let drill = Drill::new("thirty", 200_000, 3).await?;
    let ingest = drill.ingest().await?;
    drill.produce(0..10_000).await?;
    drill.settled(&ingest, 5_000).await?;
    for node in NODES {
        engines(&["pause", node])?;
    }
    let produced = drill.produce(10_000..200_000).await;
    // The length of the stall is the drill.
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    for node in NODES {
        engines(&["resume", node])?;
    }
    produced?;
    drill.verified().await?;
    within_memory(&ingest)?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn kafka_is_killed_and_comes_back() -> Result<()> {
    let drill = Drill::new("kafka", 200_000, 3).await?;
    drill.produce(0..100_000).await?;
    let ingest = drill.ingest().await?;
    drill.settled(&ingest, 10_000).await?;
    engines(&["kill", "kafka"])?;
    engines(&["start", "kafka"])?;
    drill.produce(100_000..200_000).await?;
    drill.verified().await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn filters_are_exact_while_a_replica_is_behind() -> Result<()> {
    const EVENTS: usize = 20_000;
    let quorum = [
        ("CASSANDRA__REPLICATION", "3"),
        ("CASSANDRA__CONSISTENCY", "QUORUM"),
        ("CASSANDRA__INDEX", "sai"),
    ];
    let world = World::new("behind", &quorum).await?;
    let ingest = world.ingest().await?;
    engines(&["kill", "cassandra-3"])?;
    let stored = async {
        world.produce_events(0..EVENTS, 1).await?;
        world.stored_exactly(EVENTS).await
    };
    let stored: Result<()> = stored.await;
    engines(&["start", "cassandra-3"])?;
    stored?;
    // The node that was away has none of the rows, or those that hints have brought so far.
    let (mut seen, mut cursor) = (std::collections::BTreeSet::new(), String::new());
    loop {
        let path = format!("/v1/tenants/t-0/audit?resource_id=d-3&limit=500{cursor}");
        let page = ingest.get(&path).await?;
        for event in page["events"].as_array().into_iter().flatten() {
            assert_eq!(event["resource_id"], "d-3");
            assert!(seen.insert(event["event_id"].to_string()), "{event} came twice");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), EVENTS / 10);
    ingest.stop().await
}
