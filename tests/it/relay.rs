//! What Kafka's operators do to the topics of relays and edges: nothing stays allowed that was revoked,
//! and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, ensure};
use contracts::audit::AuditEvent;
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;
use service_kit::bus::{KafkaSubscriber, Start, TopicSpec, apply_topics};

use crate::edge::{Edge, Edges, member, question, role};
use crate::world::until;

const DOCUMENT: (&str, &str) = ("document", "d-1");

/// Entries that live long: what is not heard of is not seen.
async fn edges() -> Result<Edges> {
    Edges::new(&[("CACHE__LIFE_MS", "600000"), ("CACHE__DENY_LIFE_MS", "1000")]).await
}

/// `u` may read what is there, and `edge` knows it and follows the changes. (An edge answers before it
/// follows, by strict reads.)
async fn granted(writer: &Edge, edge: &Edge, tenant: &str) -> Result<Value> {
    until_cleared(edge, "followed").await?;
    let reader = serde_json::json!({"permissions": [{"action": "read"}]});
    writer.put(&format!("/v1/tenants/{tenant}/roles/reader"), &reader).await?;
    let all = [member("user", "u", "t"), role("team", "t", "reader", &Value::Null)];
    writer.write(tenant, "touch", &all).await?;
    let read = question("u", "read", DOCUMENT);
    until_decided(edge, tenant, &read, true).await?;
    Ok(read)
}

async fn until_decided(edge: &Edge, tenant: &str, read: &Value, wanted: bool) -> Result<()> {
    until(&format!("the decision is {wanted}"), async || {
        let found = edge.check(tenant, read).await?;
        Ok(if found == wanted { Ok(()) } else { Err(format!("{found}")) })
    })
    .await
}

async fn until_cleared(edge: &Edge, reason: &str) -> Result<()> {
    until(&format!("the edge has cleared: {reason}"), async || {
        let clears = edge.metric("triad_authz_clears_total", reason).await?;
        Ok(if clears >= 1.0 { Ok(()) } else { Err("not yet".to_owned()) })
    })
    .await
}

#[tokio::test]
async fn without_an_audit_topic_changes_are_heard_and_their_events_come_once_it_is_there()
-> Result<()> {
    let edges = edges().await?;
    let (writer, other) = (edges.start().await?, edges.start().await?);
    let t = edges.tenant("mute");
    let read = granted(&writer, &other, &t).await?;
    let topic = edges.audit_topic();
    let admin = edges.admin()?;
    admin.delete_topics(&[topic], &AdminOptions::new()).await?;
    until("the topic is gone", async || {
        let gone = edges.ends(topic).is_ok_and(|ends| ends.is_empty());
        Ok(if gone { Ok(()) } else { Err("still there".to_owned()) })
    })
    .await?;
    for _ in 0..10 {
        for (op, allowed) in [("delete", false), ("touch", true)] {
            writer.write(&t, op, &[member("user", "u", "t")]).await?;
            until_decided(&other, &t, &read, allowed).await?;
        }
    }
    let spec = TopicSpec {
        name: topic.to_owned(),
        partitions: 1,
        replication: 1,
        config: BTreeMap::new(),
    };
    apply_topics(&edges.cluster(), &[spec]).await?;
    let group = format!("{}.all", edges.own);
    let reader = KafkaSubscriber::new(&edges.cluster(), &group, &[topic], Start::Earliest)?;
    let mut ids = BTreeSet::new();
    until("every event is published", async || {
        while let Some(message) = reader.next(Duration::from_secs(1)).await? {
            let event: AuditEvent = serde_json::from_slice(&message.payload.unwrap_or_default())?;
            ids.insert(event.id);
        }
        Ok(if ids.len() >= 20 { Ok(()) } else { Err(format!("{} of 20", ids.len())) })
    })
    .await
}

#[tokio::test]
async fn an_edge_whose_records_were_deleted_unread_keeps_nothing() -> Result<()> {
    let edges = edges().await?;
    let (writer, other) = (edges.start().await?, edges.start().await?);
    let t = edges.tenant("lost");
    let read = granted(&writer, &other, &t).await?;
    let topic = edges.changes_topic();
    let moved = async |by: i64| {
        let before = edges.ends(topic)?;
        until("watermarks are published", async || {
            let moved = edges.ends(topic)?.iter().zip(&before).all(|(now, then)| now - then >= by);
            Ok(if moved { Ok(()) } else { Err("too few".to_owned()) })
        })
        .await
    };
    other.pause()?;
    let lost = async {
        // What it has fetched already is not lost.
        moved(10).await?;
        writer.write(&t, "delete", &[member("user", "u", "t")]).await?;
        moved(10).await?;
        let mut read = TopicPartitionList::new();
        for (partition, end) in (0..).zip(edges.ends(topic)?) {
            read.add_partition_offset(topic, partition, Offset::Offset(end))?;
        }
        edges.admin()?.delete_records(&read, &AdminOptions::new()).await?;
        anyhow::Ok(())
    };
    let lost = lost.await;
    other.resume()?;
    lost?;
    until_cleared(&other, "lost").await?;
    ensure!(!other.check(&t, &read).await?, "cleared, and read strictly");
    Ok(())
}

#[tokio::test]
async fn partitions_that_are_added_are_followed_and_have_watermarks() -> Result<()> {
    let edges = edges().await?;
    let (writer, other) = (edges.start().await?, edges.start().await?);
    let t = edges.tenant("wider");
    let read = granted(&writer, &other, &t).await?;
    let more = NewPartitions::new(edges.changes_topic(), 7);
    edges.admin()?.create_partitions([&more], &AdminOptions::new()).await?;
    until_cleared(&other, "partitions").await?;
    let lax = async || other.metric("triad_authz_graph_requests_total", "best_effort").await;
    let (before, mut asked) = (lax().await?, 0);
    until("its watermark lets reads be other than strict", async || {
        asked += 1;
        other.check(&t, &question(&format!("v{asked}"), "read", DOCUMENT)).await?;
        Ok(if lax().await? > before { Ok(()) } else { Err("strict".to_owned()) })
    })
    .await?;
    until_decided(&other, &t, &read, true).await?;
    writer.write(&t, "delete", &[member("user", "u", "t")]).await?;
    until_decided(&other, &t, &read, false).await
}
