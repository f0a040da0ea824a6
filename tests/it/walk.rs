//! README's walk, and what every input must be answered with.

use std::time::Duration;

use anyhow::Result;
use contracts::audit::header;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};
use tests::audit::Trail;

use crate::world::{World, header_of, until};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_goes_in_by_http_and_comes_back_every_way() -> Result<()> {
    let world = World::new("walk", &[]).await?;
    let ingest = world.ingest().await?;
    let events = json!([World::event(1, "acme"), {"action": "x.y", "new": [1, 2]}]);
    let path = "/v1/tenants/acme/audit";
    let answer = ingest.client.post(ingest.url(path)).json(&events).send().await?;
    assert_eq!(answer.status(), 202);
    let accepted: serde_json::Value = answer.json().await?;
    let id = accepted["events"][0]["event_id"].as_str().unwrap().to_owned();
    until("both are read back", async || {
        let page = ingest.get(path).await?;
        let count = page["events"].as_array().map_or(0, Vec::len);
        Ok(if count == 2 { Ok(()) } else { Err(page.to_string()) })
    })
    .await?;
    assert_eq!(ingest.get(&format!("{path}/{id}")).await?["id"], "e-1");
    let filtered = ingest.get(&format!("{path}?resource_id=d-1&actor_id=u-1")).await?;
    assert_eq!(filtered["events"].as_array().unwrap().len(), 1);
    let other = ingest.get("/v1/tenants/other/audit").await?;
    assert_eq!(other["events"], json!([]), "tenants never meet");

    let export = async |format: &str| -> Result<bytes::Bytes> {
        let answer = ingest.client.get(ingest.url(&format!("{path}/export?format={format}")));
        Ok(answer.send().await?.error_for_status()?.bytes().await?)
    };
    assert_eq!(export("ndjson").await?.iter().filter(|b| **b == b'\n').count(), 2);
    assert!(String::from_utf8(export("csv").await?.to_vec())?.contains("document.read"));
    let parquet = parquet::file::reader::SerializedFileReader::new(export("parquet").await?)?;
    use parquet::file::reader::FileReader as _;
    assert_eq!(parquet.metadata().file_metadata().num_rows(), 2);
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_keeps_its_promises() -> Result<()> {
    let world = World::new("promises", &[]).await?;
    let ingest = world.ingest().await?;
    let (client, root) = (ingest.client.clone(), ingest.url(""));
    let trail = Trail { client, root, key: None };
    trail.keeps_its_promises("acme", "umbrella").await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_and_topics_can_be_applied_again_and_replication_is_no_start_up_step() -> Result<()>
{
    let world = World::new("again", &[]).await?;
    for arguments in [["schema", "apply"], ["topics", "apply"]] {
        let (code, text) = world.command(&arguments, &[])?;
        assert_eq!(code, Some(0), "{text}");
    }
    let (code, text) = world.command(&["schema", "apply"], &[("CASSANDRA__REPLICATION", "3")])?;
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("nodetool repair"), "names the procedure: {text}");
    let (code, text) = world.command(&["schema", "apply", "--print"], &[])?;
    assert!(code == Some(0) && text.contains("CREATE TABLE IF NOT EXISTS"), "{text}");
    for (key, value) in
        [("CASSANDRA__CONSISTENCY", "ANY"), ("KAFKA__BROKER", "x"), ("HTTP__LISTEN", "0.0.0.0:1")]
    {
        let (code, text) = world.command(&["serve"], &[(key, value)])?;
        assert_eq!(code, Some(64), "{key}: {text}");
    }
    Ok(())
}

/// The forms of contracts/golden, and one with fields that are to come; `from` makes their ids.
fn versions(from: &str) -> Result<[Value; 3]> {
    let least = include_str!("../../contracts/golden/audit_event_minimal.json");
    let whole = include_str!("../../contracts/golden/audit_event.json");
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let mut all =
        [serde_json::from_str::<Value>(least)?, serde_json::from_str(whole)?, Value::Null];
    all[2] = all[1].clone();
    for (n, event) in all.iter_mut().enumerate() {
        event["id"] = json!(format!("{from}-{n}"));
        event["tenant_id"] = json!("acme");
        event["event_time"] = json!(now);
    }
    all[2]["region"] = json!("eu");
    all[2]["trace"] = json!({"id": "t-1", "sampled": true});
    all[2]["details"]["risk"] = json!({"score": 7});
    Ok(all)
}

/// Producers are not updated together: what is sent in the first form, and in one that is to come, is stored side by
/// side, by whichever way it comes, and nothing of it is lost.
#[tokio::test(flavor = "multi_thread")]
async fn events_of_older_and_newer_producers_are_stored_alike() -> Result<()> {
    let world = World::new("versions", &[]).await?;
    let ingest = world.ingest().await?;
    let (posted, produced) = (versions("http")?, versions("kafka")?);
    let path = "/v1/tenants/acme/audit";
    let answer = ingest.client.post(ingest.url(path)).json(&posted).send().await?;
    assert_eq!(answer.status(), 202);
    world.produce(produced.iter().map(|event| event.to_string().into_bytes())).await?;
    world.stored_exactly(6).await?;
    for mut wanted in posted.into_iter().chain(produced) {
        if let Some(members) = wanted.as_object_mut()
            && let (Some(region), Some(trace)) = (members.remove("region"), members.remove("trace"))
        {
            let extra = json!({"region": region, "trace": trace}).to_string();
            wanted["details"]["_extra"] = json!(extra);
            wanted["details"]["risk"] = json!(wanted["details"]["risk"].to_string());
        }
        let page = ingest.get(path).await?;
        let events = page["events"].as_array().cloned().unwrap_or_default();
        let mut found = events.into_iter().find(|event| event["id"] == wanted["id"]);
        if let Some(members) = found.as_mut().and_then(Value::as_object_mut) {
            members.remove("event_id");
        }
        assert_eq!(found, Some(wanted));
    }
    assert!(world.dead_letters()?.is_empty());
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_record_is_a_dead_letter_with_its_reason_and_no_good_one_is() -> Result<()> {
    let world = World::new("bad", &[("LIMITS__MAX_RECORD_BYTES", "2048")]).await?;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("duplicate_key", br#"{"tenant_id":"a","tenant_id":"a","action":"x"}"#.to_vec()),
        ("empty", Vec::new()),
        ("invalid_enum", br#"{"tenant_id":"a","action":"x","status":"OK"}"#.to_vec()),
        ("invalid_json", b"{".to_vec()),
        ("invalid_tenant", br#"{"tenant_id":"A B","action":"x"}"#.to_vec()),
        ("invalid_time", br#"{"tenant_id":"a","action":"x","event_time":"now"}"#.to_vec()),
        ("invalid_utf8", b"{\"tenant_id\":\"a\xff\"}".to_vec()),
        ("missing_field", br#"{"tenant_id":"a"}"#.to_vec()),
        (
            "time_out_of_window",
            br#"{"tenant_id":"a","action":"x","event_time":"2001-01-01T00:00:00Z"}"#.to_vec(),
        ),
        ("too_large", vec![b' '; 2049]),
        ("wrong_type", br#"{"tenant_id":"a","action":7}"#.to_vec()),
    ];
    let expected: Vec<&str> = cases.iter().map(|(reason, _)| *reason).collect();
    let good = (0..500).map(|n| World::event(n, "a").to_string().into_bytes());
    let values: Vec<_> = good.chain(cases.iter().map(|(_, value)| value.clone())).collect();
    world.produce(values).await?;
    let ingest = world.ingest().await?;
    world.stored_exactly(500).await?;
    until("all dead letters are there", async || {
        let reasons = world.reasons()?;
        Ok(if reasons == expected { Ok(()) } else { Err(format!("{reasons:?}")) })
    })
    .await?;
    for letter in world.dead_letters()? {
        assert_eq!(header_of(&letter, header::ORIGIN_TOPIC), world.config.kafka.topic);
        assert!(header_of(&letter, header::ERROR).len() <= 1024);
        let reason = header_of(&letter, header::REASON);
        let original = cases.iter().find(|(name, _)| *name == reason).map(|(_, value)| value);
        let payload = letter.payload.unwrap_or_default();
        assert_eq!(original.map(Vec::as_slice), Some(&payload[..]), "{reason}: the original bytes");
    }
    until("everything is committed", async || {
        let committed = world.committed()?;
        Ok(if committed == 511 { Ok(()) } else { Err(committed.to_string()) })
    })
    .await?;
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_compression_that_a_producer_may_use_is_read() -> Result<()> {
    const EACH: usize = 100;
    let world = World::new("codecs", &[]).await?;
    let producer = |codec: &str| -> Result<FutureProducer> {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", world.config.kafka.brokers.join(","));
        client.set("compression.type", codec).set("linger.ms", "20");
        Ok(client.set("message.max.bytes", "10000000").create()?)
    };
    for (place, codec) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let producer = producer(codec)?;
        let send = async |n: usize| {
            let event = World::event(n, "acme").to_string();
            let key = n.to_string();
            let record = FutureRecord::to(&world.config.kafka.topic).key(&key).payload(&event);
            producer.send(record, Duration::from_secs(30)).await.map_err(|(error, _)| error)
        };
        futures::future::try_join_all((place * EACH..(place + 1) * EACH).map(send)).await?;
    }
    // Small for the topic, because it is compressed; large for everybody who unpacks it.
    let large = vec![b' '; 5_000_000];
    let record = FutureRecord::<[u8], _>::to(&world.config.kafka.topic).payload(&large);
    producer("gzip")?.send(record, Duration::from_secs(30)).await.map_err(|(error, _)| error)?;
    let ingest = world.ingest().await?;
    world.stored_exactly(5 * EACH).await?;
    until("the large one is a dead letter, and nothing waits for it", async || {
        let (reasons, committed) = (world.reasons()?, world.committed()?);
        let done = reasons == ["too_large"] && committed == i64::try_from(5 * EACH + 1)?;
        Ok(if done { Ok(()) } else { Err(format!("{reasons:?}, {committed} committed")) })
    })
    .await?;
    assert_eq!(world.dead_letters()?[0].payload.as_deref(), Some(&large[..]));
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resend_is_one_row_and_other_content_under_one_id_is_two() -> Result<()> {
    let world = World::new("twice", &[]).await?;
    let event = World::event(1, "acme");
    let mut other = event.clone();
    other["action"] = json!("document.deleted");
    let values = [&event, &event, &other, &event].map(|event| event.to_string().into_bytes());
    world.produce(values).await?;
    let ingest = world.ingest().await?;
    until("four records are settled", async || {
        let stored = ingest.metric("triad_ingest_rows_total", "stored").await?;
        Ok(if stored >= 4.0 { Ok(()) } else { Err(stored.to_string()) })
    })
    .await?;
    let page = ingest.get("/v1/tenants/acme/audit").await?;
    let mut actions: Vec<_> =
        page["events"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
    actions.sort_unstable();
    assert_eq!(actions, ["document.deleted", "document.read"]);
    assert!(ingest.metric("triad_ingest_conflicts_total", "").await? >= 1.0);
    ingest.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_keeps_its_origin_and_is_stored_once_it_can_be() -> Result<()> {
    // Refused by one configuration, accepted by the next: what an operator does after a fix.
    let world = World::new("replay", &[("LIMITS__MAX_RECORD_BYTES", "256")]).await?;
    world.produce_events(0..20, 2).await?;
    let ingest = world.ingest().await?;
    until("all are dead letters", async || {
        let count = world.dead_letters()?.len();
        Ok(if count == 20 { Ok(()) } else { Err(count.to_string()) })
    })
    .await?;
    ingest.stop().await?;
    let wide = [("LIMITS__MAX_RECORD_BYTES", "4096")];
    for expected in ["replayed 20", "replayed 0"] {
        let (code, text) = world.command(&["dlq", "replay"], &wide)?;
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(expected), "{text}");
    }
    let world = world.with(&wide)?;
    let ingest = world.ingest().await?;
    world.stored_exactly(20).await?;
    ingest.stop().await
}
