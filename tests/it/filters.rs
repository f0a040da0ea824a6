//! Filters find exactly what they ask for, by every kind of index, and do not read the rest.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::json;

use crate::process::Process;
use crate::world::{World, until};

const EVENTS: usize = 20_000;
/// Every so many events one is by somebody rare, on something rare.
const RARE: usize = 5_000;

/// Events of one tenant over the last half hour: old enough to be judged by the index alone.
async fn produce(world: &World) -> Result<()> {
    let start = chrono::Utc::now() - chrono::TimeDelta::minutes(31);
    let event = |n: usize| {
        let mut event = World::event(n, "a");
        let at = start + chrono::TimeDelta::milliseconds(90 * i64::try_from(n).unwrap_or(0));
        event["event_time"] = json!(at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
        if n % RARE == 7 {
            event["actor_id"] = json!("rare-actor");
            event["resource_id"] = json!(format!("rare-{}", n / RARE % 2));
        }
        event.to_string().into_bytes()
    };
    world.produce((0..EVENTS).map(event)).await?;
    world.stored_exactly(EVENTS).await?;
    until("everything is committed, so indexed", async || {
        let committed = world.committed()?;
        Ok(if committed == i64::try_from(EVENTS)? { Ok(()) } else { Err(committed.to_string()) })
    })
    .await
}

/// The producer's ids of all pages of a query, in order.
async fn ids(ingest: &Process, query: &str) -> Result<Vec<usize>> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ingest.get(&format!("/v1/tenants/a/audit?{query}{cursor}")).await?;
        let events = page["events"].as_array().into_iter().flatten();
        ids.extend(
            events.filter_map(|e| e["id"].as_str()?.strip_prefix("e-")?.parse::<usize>().ok()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(ids),
        }
    }
}

/// Asks everything there is to ask; returns how many rows were read for it.
async fn ask(ingest: &Process) -> Result<f64> {
    let rare: Vec<usize> = (0..EVENTS).filter(|n| n % RARE == 7).collect();
    let newest: Vec<usize> = rare.iter().rev().copied().collect();
    assert_eq!(ids(ingest, "limit=3&actor_id=rare-actor").await?, newest);
    assert_eq!(ids(ingest, "limit=3&actor_id=rare-actor&order=oldest").await?, rare);
    let odd: Vec<usize> = newest.iter().copied().filter(|n| n / RARE % 2 == 1).collect();
    assert_eq!(ids(ingest, "limit=1&resource_id=rare-1").await?, odd);
    assert_eq!(ids(ingest, "resource_id=rare-1&actor_id=rare-actor").await?, odd);
    assert_eq!(ids(ingest, "resource_id=rare-1&actor_id=u-1").await?, Vec::<usize>::new());
    assert_eq!(ids(ingest, "actor_id=nobody").await?, Vec::<usize>::new());
    let examined = ingest.metric("triad_ingest_query_examined_rows_total", "").await?;
    // What a filter finds everywhere is found, too.
    let common: BTreeSet<_> = ids(ingest, "limit=500&resource_id=d-3").await?.into_iter().collect();
    assert_eq!(common, (0..EVENTS).filter(|n| n % 10 == 3).collect());
    assert_eq!(ingest.metric("triad_ingest_query_index_fallbacks_total", "").await?, 0.0);
    Ok(examined)
}

/// Rows that are read to answer everything. With one Kafka partition granules follow each other in time;
/// with more, how far apart in time the rows of a granule are is up to the brokers.
async fn examined(name: &str, index: &str, partitions: &str) -> Result<f64> {
    let keys = [("CASSANDRA__INDEX", index), ("KAFKA__PARTITIONS", partitions)];
    let world = World::new(name, &keys).await?;
    let ingest = world.ingest().await?;
    produce(&world).await?;
    let examined = ask(&ingest).await?;
    ingest.stop().await?;
    Ok(examined)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_index_answers_the_same_and_the_skip_index_reads_less() -> Result<()> {
    let (skip, none) =
        (examined("skip", "skip", "1").await?, examined("ranges", "none", "1").await?);
    examined("overlaps", "skip", "4").await?;
    examined("sai", "sai", "4").await?;
    assert!(skip * 10.0 < none, "{skip} rows were examined with the index, {none} without");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_from_before_the_index_are_found_all_the_same() -> Result<()> {
    let world = World::new("before", &[("CASSANDRA__INDEX", "none")]).await?;
    let ingest = world.ingest().await?;
    produce(&world).await?;
    ingest.stop().await?;
    let world = world.with(&[("CASSANDRA__INDEX", "skip")])?;
    let (code, text) = world.command(&["schema", "apply"], &[])?;
    assert_eq!(code, Some(0), "{text}");
    let ingest = world.ingest().await?;
    ask(&ingest).await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_index_does_not_name_yet_is_read_and_not_committed() -> Result<()> {
    // Granules wait for an hour: nothing but a drain writes them.
    let world = World::new("linger", &[("PIPELINE__INDEX_LINGER_MS", "3600000")]).await?;
    let ingest = world.ingest().await?;
    world.produce_events(0..100, 1).await?;
    world.stored_exactly(100).await?;
    let page = ingest.get("/v1/tenants/t-0/audit?resource_id=d-3&limit=100").await?;
    assert_eq!(page["events"].as_array().map(Vec::len), Some(10));
    assert_eq!(world.committed()?, 0, "what is not indexed would not be read again");
    ingest.stop().await?;
    assert_eq!(world.committed()?, 100, "a drain writes what waits");
    Ok(())
}
