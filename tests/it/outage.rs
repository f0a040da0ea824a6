//! Telling poison from an outage, with a role that can be restricted.

use anyhow::Result;

use crate::world::{World, until};

/// Permissions are cached by the nodes: waits until ingest's role is really refused.
async fn refused(world: &World) -> Result<()> {
    let db = ingest::sink::session::Cassandra::connect(&world.config.cassandra).await?;
    let insert = format!(
        "INSERT INTO {}.audit_logs (tenant_id, date_bucket, event_time, event_id) \
         VALUES ('_system', 'canary', toTimestamp(now()), now()) USING TTL 60",
        world.config.cassandra.keyspace
    );
    until("a write is refused", async || {
        let outcome = db.session.query_unpaged(insert.as_str(), ()).await;
        Ok(if outcome.is_err() { Ok(()) } else { Err("it is taken".to_owned()) })
    })
    .await
}

/// While `broken`, rows wait; after `mend` they are stored, and none was dead-lettered.
async fn is_an_outage(world: &World, broken: &str, mend: &[String]) -> Result<()> {
    let ingest = world.ingest().await?;
    world.produce_events(0..200, 2).await?;
    world.stored_exactly(200).await?;
    world.db.session.query_unpaged(broken, ()).await?;
    refused(world).await?;
    world.produce_events(200..400, 2).await?;
    until("writes are refused and readiness goes", async || {
        let ready = ingest.is_ready().await?;
        Ok(if ready { Err("ready".to_owned()) } else { Ok(()) })
    })
    .await?;
    let committed = world.committed()?;
    assert!(committed <= 200, "{committed}: nothing is committed past an outage");
    for statement in mend {
        world.db.session.query_unpaged(statement.as_str(), ()).await?;
    }
    until("everything is committed", async || {
        let committed = world.committed()?;
        Ok(if committed == 400 { Ok(()) } else { Err(committed.to_string()) })
    })
    .await?;
    assert!(world.dead_letters()?.is_empty(), "an outage is no poison");
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_is_an_outage() -> Result<()> {
    let world = World::new("revoked", &[]).await?.with_role("ingest_revoked").await?;
    let keyspace = &world.config.cassandra.keyspace;
    let revoke = format!("REVOKE MODIFY ON KEYSPACE {keyspace} FROM ingest_revoked");
    let grant = format!("GRANT MODIFY ON KEYSPACE {keyspace} TO ingest_revoked");
    is_an_outage(&world, &revoke, &[grant]).await?;
    world.stored_exactly(400).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_table_is_an_outage() -> Result<()> {
    let world = World::new("dropped", &[]).await?;
    let drop = format!("DROP TABLE {}.audit_logs", world.config.cassandra.keyspace);
    let mend = ingest::sink::schema::statements(&world.config.cassandra);
    is_an_outage(&world, &drop, &mend).await?;
    world.stored_exactly(200).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_database_refuses_is_dead_lettered_alone() -> Result<()> {
    // The engines refuse values above 512 KiB to ordinary roles.
    let wide = [("LIMITS__MAX_RECORD_BYTES", "1048576"), ("KAFKA__PARTITIONS", "1")];
    let world = World::new("poison", &wide).await?.with_role("ingest_poison").await?;
    let mut values: Vec<_> =
        (0..300).map(|n| World::event(n, "a").to_string().into_bytes()).collect();
    let mut poison = World::event(1_000, "a");
    poison["details"] = serde_json::json!({"k": "x".repeat(600 * 1024)});
    values.insert(150, poison.to_string().into_bytes());
    world.produce(values).await?;
    let ingest = world.ingest().await?;
    world.stored_exactly(300).await?;
    until("the poison is a dead letter", async || {
        let reasons = world.reasons()?;
        Ok(if reasons == ["database_rejected"] { Ok(()) } else { Err(format!("{reasons:?}")) })
    })
    .await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_committed_past_a_dead_letter_that_nobody_takes() -> Result<()> {
    let world = World::new("nodlq", &[("KAFKA__PARTITIONS", "1")]).await?;
    let admin: rdkafka::admin::AdminClient<_> = world.config.kafka.cluster().client().create()?;
    let options = rdkafka::admin::AdminOptions::new();
    let dlq = world.config.kafka.dead_letter_topic.as_str();
    for outcome in admin.delete_topics(&[dlq], &options).await? {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    let mut values: Vec<_> =
        (0..100).map(|n| World::event(n, "a").to_string().into_bytes()).collect();
    values.insert(50, b"nonsense".to_vec());
    world.produce(values).await?;
    let ingest = world.ingest().await?;
    world.stored_exactly(100).await?;
    until("the dead letter is tried", async || {
        let retries = ingest.metric("triad_ingest_dead_letter_retries_total", "").await?;
        Ok(if retries > 0.0 { Ok(()) } else { Err("no retry yet".to_owned()) })
    })
    .await?;
    assert!(world.committed()? <= 50, "nothing past the dead letter");
    let specs = ingest::topics::specs(&world.config);
    service_kit::bus::apply_topics(&world.config.kafka.cluster(), &specs).await?;
    until("everything is committed", async || {
        let committed = world.committed()?;
        Ok(if committed == 101 { Ok(()) } else { Err(committed.to_string()) })
    })
    .await?;
    assert_eq!(world.reasons()?, ["invalid_json"]);
    ingest.stop().await
}
