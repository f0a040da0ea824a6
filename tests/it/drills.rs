//! The long drills: `make drills`, on three Cassandra nodes.

use anyhow::Result;

use crate::world::{World, engines, until};

const QUORUM: [(&str, &str); 2] =
    [("CASSANDRA__REPLICATION", "3"), ("CASSANDRA__CONSISTENCY", "QUORUM")];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn ten_kills_during_300_000_events() -> Result<()> {
    let world = World::new("ten_kills", &QUORUM).await?;
    for round in 0..10 {
        let ingest = world.ingest().await?;
        world.produce_events(round * 30_000..(round + 1) * 30_000, 200).await?;
        ingest.kill()?;
    }
    let ingest = world.ingest().await?;
    world.stored_exactly(300_000).await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn one_node_of_three_is_killed_and_writes_go_on() -> Result<()> {
    let world = World::new("one_node", &QUORUM).await?;
    let ingest = world.ingest().await?;
    world.produce_events(0..20_000, 50).await?;
    engines(&["kill", "cassandra-3"])?;
    world.produce_events(20_000..60_000, 50).await?;
    let stored = world.stored_exactly(60_000).await;
    engines(&["start", "cassandra-3"])?;
    stored?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn two_nodes_of_three_are_killed_and_writes_wait() -> Result<()> {
    let world = World::new("two_nodes", &QUORUM).await?;
    let ingest = world.ingest().await?;
    world.produce_events(0..10_000, 50).await?;
    world.stored_exactly(10_000).await?;
    for node in ["cassandra-2", "cassandra-3"] {
        engines(&["kill", node])?;
    }
    world.produce_events(10_000..30_000, 50).await?;
    let waited = until("readiness goes", async || {
        Ok(if ingest.is_ready().await? { Err("still ready".to_owned()) } else { Ok(()) })
    })
    .await;
    for node in ["cassandra-2", "cassandra-3"] {
        engines(&["start", node])?;
    }
    waited?;
    world.stored_exactly(30_000).await?;
    assert!(world.dead_letters()?.is_empty());
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "drill: make drills"]
async fn cassandra_stops_for_thirty_seconds() -> Result<()> {
    let world = World::new("thirty", &QUORUM).await?;
    let ingest = world.ingest().await?;
    for node in ["cassandra-1", "cassandra-2", "cassandra-3"] {
        engines(&["pause", node])?;
    }
    let produced = world.produce_events(0..50_000, 50).await;
    // The length of the stall is the drill.
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    for node in ["cassandra-1", "cassandra-2", "cassandra-3"] {
        engines(&["resume", node])?;
    }
    produced?;
    world.stored_exactly(50_000).await?;
    ingest.stop().await
}
