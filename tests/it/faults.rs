//! Faults that every run tries; `drills.rs` has the long ones.

use anyhow::Result;

use crate::world::{World, engines, until};

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
