//! All three services at once: who somebody is, what they may do, and what was done.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::edge::{Edges, question, role};
use crate::identity::Identities;
use crate::world::{World, until};

const TOKEN: &str = "triad-consistency-token";

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_a_team_may_read_and_who_is_deactivated_may_not() -> Result<()> {
    let world = World::new("e2e", &[]).await?;
    let audit = world.config.kafka.topic.clone();
    let edges = Edges::new(&[
        ("SYNC__MODE", "identity"),
        ("KAFKA__AUDIT_TOPIC", &audit),
        ("KAFKA__PARTITIONS", "4"),
    ])
    .await?;
    let identities = Identities::with_kafka(&[
        ("KAFKA__CHANGES_TOPIC", edges.sync_topic()),
        ("KAFKA__AUDIT_TOPIC", &audit),
        ("KAFKA__PARTITIONS", "4"),
    ])
    .await?;
    let (ingest, identity, edge) =
        (world.ingest().await?, identities.start().await?, edges.start().await?);
    let t = edges.tenant("e2e");

    // Who.
    identity.tenant(&t).await?;
    let user = identity.user(&t, "anna").await?;
    let team = identity.team(&t, "engineering").await?;
    let member = format!("/v1/tenants/{t}/teams/{team}/members/user/{user}");
    let joined = identity.put(&member).await?.must(201)?.header(TOKEN).to_owned();

    // What. Each step waits for what it rests on by its token, and for nothing else.
    let reader = json!({"permissions": [{"action": "read"}]});
    edge.put(&format!("/v1/tenants/{t}/roles/reader"), &reader).await?;
    let binding = role("team", &team, "reader", &Value::Null);
    let list = json!({"writes": [{"op": "create", "relationship": binding}]});
    let path = format!("/v1/tenants/{t}/relationships");
    let bound = edge.ask(Method::POST, &path, &[(TOKEN, &joined)], Some(&list)).await?;
    ensure!(bound.status == StatusCode::OK, "{} {}", bound.status, bound.body);
    let may = async |token: &str| -> Result<bool> {
        let asked = question(&user, "read", ("document", "d-1"));
        let path = format!("/v1/tenants/{t}/check");
        let answer = edge.ask(Method::POST, &path, &[(TOKEN, token)], Some(&asked)).await?;
        ensure!(answer.status == StatusCode::OK, "{} {}", answer.status, answer.body);
        Ok(answer.body["decision"] == true)
    };
    ensure!(may(&bound.token).await?, "a member of a team that is bound");
    let path = format!("/v1/tenants/{t}/users/{user}/deactivate");
    let token = identity.post(&path, Value::Null).await?.must(200)?.header(TOKEN).to_owned();
    ensure!(!may(&token).await?, "nobody who is deactivated");
    let path = format!("/v1/tenants/{t}/users/{user}/reactivate");
    let token = identity.post(&path, Value::Null).await?.must(200)?.header(TOKEN).to_owned();
    ensure!(may(&token).await?, "as before");
    let token = identity.delete(&member).await?.must(204)?.header(TOKEN).to_owned();
    ensure!(!may(&token).await?, "nobody who has left");

    // What was done, by everybody.
    let expected: BTreeSet<_> = [
        "tenant.created",
        "user.created",
        "team.created",
        "team.member_added",
        "authz.role.put",
        "authz.relationship.created",
        "user.deactivated",
        "user.reactivated",
        "team.member_removed",
    ]
    .map(str::to_owned)
    .into();
    until("all of it is in the trail", async || {
        let page = ingest.get(&format!("/v1/tenants/{t}/audit?limit=100")).await?;
        let events = page["events"].as_array().cloned().unwrap_or_default();
        let found: BTreeSet<_> =
            events.iter().filter_map(|e| e["action"].as_str().map(str::to_owned)).collect();
        let missing: Vec<_> = expected.difference(&found).cloned().collect();
        Ok(if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {found:?}")) })
    })
    .await?;
    edge.stop().await?;
    identity.stop().await?;
    ingest.stop().await
}
