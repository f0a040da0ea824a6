//! Faults of what `authz-edge` rests on: nothing is lost, and nothing is granted that was revoked.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::edge::{Edge, Edges, member, question, role};
use crate::world::{engines, until};

const DOCUMENT: (&str, &str) = ("document", "d-1");

async fn granted(edge: &Edge, tenant: &str) -> Result<Value> {
    let reader = json!({"permissions": [{"action": "read"}]});
    edge.put(&format!("/v1/tenants/{tenant}/roles/reader"), &reader).await?;
    let all = [member("user", "u", "t"), role("team", "t", "reader", &Value::Null)];
    edge.write(tenant, "touch", &all).await?;
    Ok(question("u", "read", DOCUMENT))
}

async fn until_decided(edge: &Edge, tenant: &str, read: &Value, wanted: bool) -> Result<()> {
    until(&format!("the decision is {wanted}"), async || {
        let answer = edge.try_check(tenant, read).await?;
        let decided = answer.body["decision"] == json!(wanted);
        Ok(if decided { Ok(()) } else { Err(format!("{} {}", answer.status, answer.body)) })
    })
    .await
}

#[tokio::test]
async fn a_revocation_whose_edge_dies_before_it_is_published_is_published_by_another() -> Result<()>
{
    let edges = Edges::new(&[("CACHE__LIFE_MS", "600000")]).await?;
    let (writer, other) = (edges.start().await?, edges.start().await?);
    let t = edges.tenant("killed");
    let read = granted(&writer, &t).await?;
    until_decided(&other, &t, &read, true).await?;
    // Committed to the graph, and nobody can publish it.
    engines(&["pause", "kafka"])?;
    let revoked = writer.write(&t, "delete", &[member("user", "u", "t")]).await;
    let killed = writer.kill();
    engines(&["resume", "kafka"])?;
    revoked?;
    killed?;
    until_decided(&other, &t, &read, false).await
}

#[tokio::test]
async fn with_kafka_down_a_revocation_is_seen_within_the_life_of_entries() -> Result<()> {
    let (life, strict_after) = (Duration::from_secs(2), Duration::from_secs(1));
    // One look of `until` apart, and each may take as long as Dgraph is given.
    let slack = Duration::from_millis(100) + 2 * Duration::from_secs(1);
    let edges = Edges::new(&[
        ("CACHE__LIFE_MS", "2000"),
        ("CACHE__DENY_LIFE_MS", "1000"),
        ("FRESHNESS__STRICT_AFTER_MS", "1000"),
        ("DGRAPH__TIMEOUT_MS", "1000"),
    ])
    .await?;
    let (writer, other) = (edges.start().await?, edges.start().await?);
    let t = edges.tenant("silent");
    let read = granted(&writer, &t).await?;
    until_decided(&other, &t, &read, true).await?;
    engines(&["pause", "kafka"])?;
    let seen = async {
        writer.write(&t, "delete", &[member("user", "u", "t")]).await?;
        let revoked = Instant::now();
        // Its entry cannot be voided by Kafka: it dies, and what replaces it is read strictly.
        until_decided(&other, &t, &read, false).await?;
        anyhow::Ok(revoked.elapsed())
    };
    let seen = seen.await;
    engines(&["resume", "kafka"])?;
    let seen = seen?;
    ensure!(seen <= life + strict_after + slack, "it was allowed for {seen:?}");
    Ok(())
}

#[tokio::test]
async fn without_the_graph_nothing_is_granted_that_is_not_known() -> Result<()> {
    let edges = Edges::new(&[("CACHE__LIFE_MS", "60000"), ("DGRAPH__TIMEOUT_MS", "1000")]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("graphless"));
    let read = granted(&edge, &t).await?;
    // The grant's own fences (role, user, team) void what was read before they came. Fences of one tenant
    // come in order, and who begins to listen anew misses some: one of a later change has the others behind.
    let mut later = 0;
    until("fences of later changes are heard", async || {
        later += 1;
        let somebody = member("user", &format!("later-{later}"), "others");
        edge.write(&t, "touch", &[somebody]).await?;
        let heard = edge.metric("triad_authz_fences_total", "").await?;
        Ok(if heard >= 6.0 { Ok(()) } else { Err(format!("{heard}")) })
    })
    .await?;
    until_decided(&edge, &t, &read, true).await?;
    engines(&["kill", "dgraph-alpha"])?;
    let asked = async {
        let unknown = edge.try_check(&t, &question("v", "read", DOCUMENT)).await?;
        let known = edge.try_check(&t, &read).await?;
        let written = edge
            .try_write(
                &t,
                &json!({"writes": [{"op": "touch",
                "relationship": member("user", "v", "t")}]}),
            )
            .await?;
        anyhow::Ok((unknown, known, written))
    };
    let asked = asked.await;
    engines(&["start", "dgraph-alpha"])?;
    let (unknown, known, written) = asked?;
    ensure!(
        unknown.status == StatusCode::SERVICE_UNAVAILABLE,
        "{} {}",
        unknown.status,
        unknown.body
    );
    ensure!(
        known.body["decision"] == json!(true),
        "within its life: {} {}",
        known.status,
        known.body
    );
    ensure!(written.status == StatusCode::SERVICE_UNAVAILABLE, "{}", written.status);
    until_decided(&edge, &t, &question("v", "read", DOCUMENT), false).await?;
    edge.write(&t, "delete", &[member("user", "u", "t")]).await?;
    until_decided(&edge, &t, &read, false).await
}
