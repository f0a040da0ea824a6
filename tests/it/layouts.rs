//! Layouts change under a running system, and every event stays in one place.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use ingest::layout::registry::{Registry, RegistryError};
use ingest::layout::{Bucket, ClassId, Granularity, Layout};

use crate::world::{World, until};

/// Small leases, so that a layout takes effect within seconds.
const QUICK: [(&str, &str); 3] = [
    ("LAYOUT__LEASE_SECONDS", "3"),
    ("LAYOUT__CLOCK_SKEW_SECONDS", "0"),
    ("LIMITS__FUTURE_SKEW_SECONDS", "1"),
];

/// Gives tenant `t-0` a finer layout and waits until it is in effect.
async fn refine(world: &World) -> Result<Registry> {
    let registry = Registry::open(&world.db, &world.config.layout, &world.config.limits).await?;
    let fine = Layout {
        effective_from: 0,
        granularity: Granularity::Minute,
        shards: 4,
        ..Layout::DEFAULT
    };
    let set = registry.append("t-0", fine, "test").await?;
    until("the layout takes effect", async || {
        let now = chrono::Utc::now().timestamp_millis();
        Ok(if now > set.effective_from { Ok(()) } else { Err("not yet".to_owned()) })
    })
    .await?;
    Ok(registry)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_across_a_layout_boundary_stays_in_its_partition() -> Result<()> {
    let world = World::new("boundary", &QUICK).await?;
    let ingest = world.ingest().await?;
    world.produce_events(0..300, 1).await?;
    world.stored_exactly(300).await?;
    refine(&world).await?;
    world.produce_events(300..600, 1).await?;
    world.stored_exactly(600).await?;
    let before = world.rows().await?;
    let buckets: BTreeSet<_> = before.iter().map(|row| row.1.clone()).collect();
    assert!(buckets.iter().any(|bucket| !bucket.contains('T')), "{buckets:?}");
    assert!(buckets.iter().any(|bucket| bucket.contains("#0")), "{buckets:?}");
    ingest.stop().await?;

    // Another group reads everything from the start: the same rows, in the same places.
    let again = world.with(&[("KAFKA__GROUP", "boundary-again")])?;
    let ingest = again.ingest().await?;
    until("all are stored again", async || {
        let stored = ingest.metric("triad_ingest_rows_total", "stored").await?;
        Ok(if stored >= 600.0 { Ok(()) } else { Err(stored.to_string()) })
    })
    .await?;
    let key = |row: &(String, String, uuid::Uuid, Option<String>)| (row.1.clone(), row.2);
    let (before, after): (BTreeSet<_>, BTreeSet<_>) =
        (before.iter().map(key).collect(), again.rows().await?.iter().map(key).collect());
    assert_eq!(before, after);

    // Paging over both layouts gives every event once, in order.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = ingest.get(&format!("/v1/tenants/t-0/audit?limit=70{cursor}")).await?;
        let ids =
            page["events"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap().to_owned());
        seen.extend(ids);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 600);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 600);
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_that_somebody_could_miss_is_refused() -> Result<()> {
    let world = World::new("early", &[]).await?;
    let soon = chrono::Utc::now() + chrono::TimeDelta::seconds(60);
    let soon = soon.to_rfc3339();
    let set =
        ["layout", "set", "--tenant", "acme", "--granularity", "hour", "--effective-from", &soon];
    let (code, text) = world.command(&set, &[])?;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("must be at least"), "{text}");
    let (code, text) = world.command(&["layout", "show"], &[])?;
    assert!(code == Some(0) && !text.contains("acme"), "a refusal changes nothing: {text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_outgrows_its_layout_is_promoted() -> Result<()> {
    let mut keys = QUICK.to_vec();
    keys.extend([("LAYOUT__PARTITION_ROWS", "500"), ("LAYOUT__PROMOTE_INTERVAL_SECONDS", "1")]);
    let world = World::new("promote", &keys).await?;
    let ingest = world.ingest().await?;
    world.produce_events(0..2_000, 1).await?;
    let registry = Registry::open(&world.db, &world.config.layout, &world.config.limits).await?;
    until("the tenant has a finer layout", async || {
        registry.refresh().await?;
        let layouts = registry.current();
        let layout = layouts.map(|layouts| layouts.governing("t-0", i64::MAX));
        Ok(match layout {
            Some(layout) if layout.granularity > Granularity::Day => Ok(()),
            other => Err(format!("{other:?}")),
        })
    })
    .await?;
    world.stored_exactly(2_000).await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_cannot_read_the_registry_stops_writing_and_says_so() -> Result<()> {
    let world = World::new("lease", &QUICK).await?;
    let ingest = world.ingest().await?;
    world.produce_events(0..100, 1).await?;
    world.stored_exactly(100).await?;
    let keyspace = &world.config.cassandra.keyspace;
    let drop = format!("DROP TABLE {keyspace}.audit_layouts");
    world.db.session.query_unpaged(drop, ()).await?;
    until("reads are refused", async || {
        let answer = ingest.client.get(ingest.url("/v1/tenants/t-0/audit")).send().await?;
        Ok(if answer.status() == 503 { Ok(()) } else { Err(answer.status().to_string()) })
    })
    .await?;
    world.produce_events(100..200, 1).await?;
    assert_eq!(world.rows().await?.len(), 100, "nothing is placed without the registry");
    for statement in ingest::sink::schema::statements(&world.config.cassandra) {
        world.db.session.query_unpaged(statement, ()).await?;
    }
    world.stored_exactly(200).await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_set_while_one_replica_cannot_read_the_registry_splits_nothing() -> Result<()> {
    let world = World::new("blind", &QUICK).await?;
    let sighted = world.ingest().await?;
    let world = world.with_role("ingest_blind").await?;
    let blind = world.ingest().await?;
    world.produce_events(0..200, 1).await?;
    world.stored_exactly(200).await?;

    let keyspace = &world.config.cassandra.keyspace;
    let revoke = format!("REVOKE SELECT ON KEYSPACE {keyspace} FROM ingest_blind");
    world.db.session.query_unpaged(revoke, ()).await?;
    until("the blind replica refuses reads", async || {
        let answer = blind.client.get(blind.url("/v1/tenants/t-0/audit")).send().await?;
        Ok(if answer.status() == 503 { Ok(()) } else { Err(answer.status().to_string()) })
    })
    .await?;
    let registry = refine(&world).await?;
    // Some of these go to each replica; the blind one, whose layout is the old one, must write none.
    world.produce_events(200..600, 1).await?;
    until("the other replica writes its part", async || {
        let stored = world.rows().await?.len();
        Ok(if stored > 200 { Ok(()) } else { Err(stored.to_string()) })
    })
    .await?;
    blind.kill()?;
    world.stored_exactly(600).await?;
    registry.refresh().await?;
    let layouts = registry.current().unwrap();
    for (tenant, bucket, id, _) in world.rows().await? {
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let time = i64::try_from(seconds * 1000 + u64::from(nanos) / 1_000_000)?;
        let id = contracts::EventId(id);
        let layout = layouts.governing(&tenant, time);
        let expected = Bucket::new(layout.granularity, time, layout.shard_of(id));
        assert_eq!(bucket, expected.as_str(), "the bucket of {id:?}");
    }
    sighted.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_gives_way_to_whoever_was_first() -> Result<()> {
    let world = World::new("first", &QUICK).await?;
    let open = || Registry::open(&world.db, &world.config.layout, &world.config.limits);
    let (operator, replica) = (open().await?, open().await?);
    let newest = |registry: &Registry| registry.current().map(|all| all.governing("t-0", i64::MAX));
    let judged = newest(&replica).context("the lease is over")?;
    // The operator keeps this tenant's events longer; the replica has not read that yet.
    let class = ClassId::all().last().context("no class")?;
    let longer = Layout { effective_from: 0, class, ..judged };
    let set = operator.append("t-0", longer, "operator").await?;
    let finer = |layout| Layout { effective_from: 0, granularity: Granularity::Hour, ..layout };
    let refused = replica.append_over("t-0", judged, finer(judged), "promotion").await;
    assert!(matches!(refused, Err(RegistryError::Conflict)), "{refused:?}");
    assert_eq!(newest(&replica), Some(set), "it has seen the operator's row, and added none");
    // A later look judges that row.
    until("another row may follow", async || {
        let earliest = replica.earliest().timestamp_millis();
        Ok(if earliest > set.effective_from { Ok(()) } else { Err("not yet".to_owned()) })
    })
    .await?;
    let promoted = replica.append_over("t-0", set, finer(set), "promotion").await?;
    assert_eq!((promoted.class, promoted.granularity), (class, Granularity::Hour));
    Ok(())
}
