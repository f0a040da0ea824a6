//! Permission checks on the real graph: README's walk, what never meets, what inherits nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::edge::{Edge, Edges, below, member, question, role};
use crate::world::until;

const DOCUMENT: (&str, &str) = ("document", "d-1");

fn reader() -> Value {
    json!({"permissions": [{"action": "read"}]})
}

async fn put_role(edge: &Edge, tenant: &str, id: &str, body: &Value) -> Result<String> {
    edge.put(&format!("/v1/tenants/{tenant}/roles/{id}"), body).await
}

#[tokio::test]
async fn a_role_is_made_bound_checked_and_revoked() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("walk"));
    let read = question("u-1", "read", DOCUMENT);
    ensure!(!edge.check(&t, &read).await?);
    let on_folder = json!({"permissions": [{"action": "read", "on": {"type": "document"}}]});
    put_role(&edge, &t, "reader", &on_folder).await?;
    let binding = role("team", "t-2", "reader", &json!({"type": "folder", "id": "f-1"}));
    let all = [
        member("user", "u-1", "t-1"),
        member("team", "t-1", "t-2"),
        // A cycle is harmless.
        member("team", "t-2", "t-1"),
        binding.clone(),
        below(DOCUMENT, ("folder", "f-1")),
        below(("folder", "f-1"), DOCUMENT),
    ];
    edge.write(&t, "touch", &all).await?;
    ensure!(edge.check(&t, &read).await?);
    ensure!(edge.check(&t, &read).await?, "from the cache");
    ensure!(!edge.check(&t, &question("u-1", "write", DOCUMENT)).await?);
    ensure!(!edge.check(&t, &question("u-1", "read", ("document", "d-2"))).await?);
    ensure!(!edge.check(&t, &question("u-2", "read", DOCUMENT)).await?);
    edge.write(&t, "delete", &[binding]).await?;
    ensure!(!edge.check(&t, &read).await?);
    ensure!(edge.metric("triad_authz_checks_total", "source=\"decision\"").await? >= 1.0);
    Ok(())
}

#[tokio::test]
async fn two_tenants_use_the_same_ids_and_never_meet() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let edge = edges.start().await?;
    let (a, b) = (edges.tenant("a"), edges.tenant("b"));
    for tenant in [&a, &b] {
        put_role(&edge, tenant, "reader", &reader()).await?;
    }
    edge.write(&a, "touch", &[member("user", "u", "t"), role("team", "t", "reader", &Value::Null)])
        .await?;
    edge.write(&b, "touch", &[member("user", "u", "t")]).await?;
    let read = question("u", "read", DOCUMENT);
    ensure!(edge.check(&a, &read).await? && !edge.check(&b, &read).await?);
    // A token of one tenant means nothing in the other.
    let token = edge.try_check(&a, &read).await?.token;
    let mut with = read.clone();
    with["at_least"] = token.into();
    ensure!(edge.try_check(&a, &with).await?.status == StatusCode::OK);
    ensure!(edge.try_check(&b, &with).await?.status == StatusCode::BAD_REQUEST);
    Ok(())
}

#[tokio::test]
async fn ids_of_any_printable_kind_are_kept_apart() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("ids"));
    put_role(&edge, &t, "reader", &reader()).await?;
    let ids = ["a\"b", "a\\b", "{a}", "<0x1>", "$s", "a b", "é", "e\u{301}", "_:n0", "* .", "a/b"];
    for (n, id) in ids.iter().enumerate() {
        let on = json!({"type": "document", "id": id});
        edge.write(&t, "create", &[role("user", id, "reader", &on)]).await?;
        for (m, other) in ids.iter().enumerate() {
            let allowed = edge.check(&t, &question(id, "read", ("document", other))).await?;
            ensure!(allowed == (n == m), "{id} on {other}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn writes_are_atomic_idempotent_and_checked() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("writes"));
    put_role(&edge, &t, "reader", &reader()).await?;
    let binding = role("user", "u", "reader", &json!({"type": "document"}));
    edge.write(&t, "create", std::slice::from_ref(&binding)).await?;
    edge.write(&t, "touch", std::slice::from_ref(&binding)).await?;
    let other = member("user", "u", "t");
    let both = json!({"writes": [{"op": "touch", "relationship": other},
                                 {"op": "create", "relationship": binding}]});
    let refused = edge.try_write(&t, &both).await?;
    ensure!(refused.status == StatusCode::CONFLICT, "{}", refused.body);
    ensure!(refused.body["detail"].as_str().is_some_and(|d| d.starts_with("writes[1]")));
    let must = |must: &str, what: &Value| {
        json!({"writes": [{"op": "touch", "relationship": member("user", "v", "t")}],
               "preconditions": [{"must": must, "relationship": what}]})
    };
    // Nothing of the refused list was written.
    ensure!(edge.try_write(&t, &must("exist", &other)).await?.status == StatusCode::CONFLICT);
    ensure!(edge.try_write(&t, &must("not_exist", &binding)).await?.status == StatusCode::CONFLICT);
    ensure!(edge.try_write(&t, &must("exist", &binding)).await?.status == StatusCode::OK);
    let no_role = edge
        .try_write(
            &t,
            &json!({"writes": [{"op": "touch",
        "relationship": role("user", "u", "none", &Value::Null)}]}),
        )
        .await?;
    ensure!(no_role.status == StatusCode::CONFLICT, "{}", no_role.body);
    for bad in [json!({"writes": []}), json!({"writes": [{"op": "own"}]}), json!({})] {
        ensure!(edge.try_write(&t, &bad).await?.status == StatusCode::BAD_REQUEST, "{bad}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_deleted_and_made_again_inherits_nothing() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("again"));
    let named = json!({"type": "document", "id": "d-1"});
    let path = |kind: &str| format!("/v1/tenants/{t}/{kind}");
    let read = question("u", "read", DOCUMENT);
    put_role(&edge, &t, "reader", &reader()).await?;
    let all = [member("user", "u", "t"), role("team", "t", "reader", &named)];
    for deleted in ["roles/reader", "resources/document/d-1", "subjects/team/t", "subjects/user/u"]
    {
        edge.write(&t, "touch", &all).await?;
        ensure!(edge.check(&t, &read).await?, "before {deleted} is deleted");
        edge.delete(&path(deleted)).await?;
        ensure!(!edge.check(&t, &read).await?, "{deleted} is deleted");
        let body = if deleted.starts_with("roles") { reader() } else { json!({}) };
        edge.put(&path(deleted), &body).await?;
        ensure!(!edge.check(&t, &read).await?, "{deleted} is made again");
    }
    Ok(())
}

#[tokio::test]
async fn one_of_many_concurrent_creations_makes_the_node() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("race"));
    put_role(&edge, &t, "reader", &reader()).await?;
    let binding = role("team", "t", "reader", &Value::Null);
    let list = json!({"writes": [{"op": "create", "relationship": binding}]});
    let creations = (0..16).map(|_| edge.try_write(&t, &list));
    let answers = futures::future::try_join_all(creations).await?;
    let created = answers.iter().filter(|a| a.status == StatusCode::OK).count();
    ensure!(created == 1, "{created} of 16 creations of one relationship were done");
    // Members that were added concurrently to a team that none of them found are in one team.
    let members: Vec<_> = (0..16).map(|n| [member("user", &format!("u-{n}"), "new")]).collect();
    let touches = members.iter().map(|m| edge.write(&t, "touch", m));
    futures::future::try_join_all(touches).await?;
    edge.write(&t, "touch", &[role("team", "new", "reader", &Value::Null)]).await?;
    for n in 0..16 {
        ensure!(edge.check(&t, &question(&format!("u-{n}"), "read", DOCUMENT)).await?, "u-{n}");
    }
    Ok(())
}

#[tokio::test]
async fn preconditions_hold_against_write_skew() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("skew"));
    put_role(&edge, &t, "on-call", &reader()).await?;
    // Each takes the duty if the other has not: both at once must not.
    for round in 0..12 {
        let on = json!({"type": "shift", "id": format!("s-{round}")});
        let take = |me: &str, other: &str| {
            json!({"writes": [{"op": "touch", "relationship": role("user", me, "on-call", &on)}],
                   "preconditions": [{"must": "not_exist",
                                      "relationship": role("user", other, "on-call", &on)}]})
        };
        let (mine, yours) = (take("a", "b"), take("b", "a"));
        let (a, b) = tokio::try_join!(edge.try_write(&t, &mine), edge.try_write(&t, &yours))?;
        let taken = [a.status, b.status].iter().filter(|s| **s == StatusCode::OK).count();
        ensure!(taken == 1, "round {round}: {} {}", a.status, b.status);
    }
    Ok(())
}

#[tokio::test]
async fn a_revocation_reaches_every_edge_and_a_token_waits_for_nothing_older() -> Result<()> {
    // Entries, denials too, live a hundred times as long as anything is waited for: what reaches the other
    // edge came by Kafka. The bound is one second for 99 of 100, and these are few.
    let bound = Duration::from_secs(6);
    let life = [("CACHE__LIFE_MS", "600000"), ("CACHE__DENY_LIFE_MS", "600000")];
    let edges = Edges::new(&life).await?;
    let (here, there) = (edges.start().await?, edges.start().await?);
    let t = edges.tenant("bound");
    put_role(&here, &t, "reader", &reader()).await?;
    let membership = [member("user", "u", "t")];
    let token = here
        .write(&t, "touch", &[membership[0].clone(), role("team", "t", "reader", &Value::Null)])
        .await?;
    let read = question("u", "read", DOCUMENT);
    let mut with_token = read.clone();
    with_token["at_least"] = token.into();
    ensure!(there.check(&t, &with_token).await?, "a token's write is in the answer");
    for round in 0..6 {
        until("the grant is seen", async || {
            Ok(if there.check(&t, &read).await? { Ok(()) } else { Err("denied".to_owned()) })
        })
        .await?;
        let token = here.write(&t, "delete", &membership).await?;
        let revoked = Instant::now();
        let mut after = read.clone();
        after["at_least"] = token.into();
        // It reads again what it holds: who asks without a token would have its answer.
        if round % 2 == 0 {
            ensure!(!there.check(&t, &after).await?, "not even once with the token");
        }
        until("the revocation is seen without a token", async || {
            Ok(if there.check(&t, &read).await? { Err("allowed".to_owned()) } else { Ok(()) })
        })
        .await?;
        ensure!(revoked.elapsed() <= bound, "it was allowed for {:?}", revoked.elapsed());
        here.write(&t, "touch", &membership).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_subject_with_too_many_bindings_is_answered_per_question() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("many"));
    put_role(&edge, &t, "reader", &reader()).await?;
    let binding = |n: usize| {
        role("team", "t", "reader", &json!({"type": "document", "id": format!("d-{n}")}))
    };
    edge.write(&t, "touch", &[member("user", "u", "t")]).await?;
    for batch in (0..5000).collect::<Vec<_>>().chunks(1000) {
        let bindings: Vec<_> = batch.iter().map(|n| binding(*n)).collect();
        edge.write(&t, "touch", &bindings).await?;
    }
    for n in [0, 4999] {
        let id = format!("d-{n}");
        ensure!(edge.check(&t, &question("u", "read", ("document", &id))).await?, "{id}");
    }
    ensure!(!edge.check(&t, &question("u", "read", ("document", "d-5000"))).await?);
    edge.write(&t, "delete", &[binding(4999)]).await?;
    ensure!(!edge.check(&t, &question("u", "read", ("document", "d-4999"))).await?);
    Ok(())
}

#[tokio::test]
async fn depth_does_not_matter() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("deep"));
    put_role(&edge, &t, "reader", &reader()).await?;
    let team = |n: usize| format!("t-{n}");
    let mut chain = vec![member("user", "u", &team(0))];
    chain.extend((0..40).map(|n| member("team", &team(n), &team(n + 1))));
    let folder = |n: usize| format!("f-{n}");
    chain.push(below(DOCUMENT, ("folder", &folder(0))));
    chain.extend((0..40).map(|n| below(("folder", &folder(n)), ("folder", &folder(n + 1)))));
    chain.push(role("team", &team(40), "reader", &json!({"type": "folder", "id": folder(40)})));
    edge.write(&t, "touch", &chain).await?;
    ensure!(edge.check(&t, &question("u", "read", DOCUMENT)).await?);
    edge.write(&t, "delete", &[member("team", &team(20), &team(21))]).await?;
    ensure!(!edge.check(&t, &question("u", "read", DOCUMENT)).await?);
    Ok(())
}

#[tokio::test]
async fn expiries_and_conditions_decide_at_the_time_of_the_question() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("when"));
    let conditional = json!({"permissions": [{"action": "read",
        "condition": "resource.properties.status != 'archived'"}]});
    put_role(&edge, &t, "reader", &conditional).await?;
    let ends = chrono::Utc::now() + chrono::Duration::seconds(3);
    let mut binding = role("user", "u", "reader", &Value::Null);
    binding["expires_at"] = ends.to_rfc3339().into();
    edge.write(&t, "touch", &[binding]).await?;
    let with = |status: &str| {
        let mut question = question("u", "read", DOCUMENT);
        question["resource"]["properties"] = json!({"status": status});
        question
    };
    ensure!(edge.check(&t, &with("active")).await? && !edge.check(&t, &with("archived")).await?);
    ensure!(!edge.check(&t, &question("u", "read", DOCUMENT)).await?, "unknown grants nothing");
    let archived = json!({"attributes": {"status": "archived"}});
    edge.put(&format!("/v1/tenants/{t}/resources/document/d-1"), &archived).await?;
    ensure!(edge.check(&t, &with("active")).await?, "the request's properties win");
    ensure!(!edge.check(&t, &question("u", "read", DOCUMENT)).await?, "the stored ones count");
    until("the binding has expired", async || {
        Ok(if edge.check(&t, &with("active")).await? { Err("allowed".to_owned()) } else { Ok(()) })
    })
    .await?;
    ensure!(chrono::Utc::now() >= ends, "not before its end");
    let bad = json!({"permissions": [{"action": "read", "condition": "user.name == 'x'"}]});
    let path = format!("/v1/tenants/{t}/roles/reader");
    let refused = edge.ask(Method::PUT, &path, &[], Some(&bad)).await?;
    ensure!(refused.status == StatusCode::BAD_REQUEST, "{}", refused.body);
    Ok(())
}

#[tokio::test]
async fn identities_come_from_sync_alone_and_a_gap_stops_one_tenant() -> Result<()> {
    let edges = Edges::new(&[("SYNC__MODE", "identity")]).await?;
    let (edge, t, other) = (edges.start().await?, edges.tenant("id"), edges.tenant("gap"));
    for tenant in [&t, &other] {
        put_role(&edge, tenant, "reader", &reader()).await?;
    }
    let user = |active: bool| json!({"id": "u", "active": active});
    let team = json!({"id": "t", "name": "t"});
    let membership = json!({"team_id": "t", "member": {"type": "user", "id": "u"}});
    let history = [
        (1, "user.created", user(true)),
        (2, "team.created", team.clone()),
        (3, "team.member_added", membership),
    ];
    edges.identities(&t, &history).await?;
    // Replayed, and again in part.
    edges.identities(&t, &history).await?;
    edges.identities(&t, &history[1..]).await?;
    let bind = json!({"writes": [{"op": "touch", "relationship": role("team", "t", "reader", &Value::Null)}]});
    until("sync has brought the team", async || {
        let answer = edge.try_write(&t, &bind).await?;
        Ok(if answer.status == StatusCode::OK { Ok(()) } else { Err(answer.body.to_string()) })
    })
    .await?;
    let read = question("u", "read", DOCUMENT);
    let decided = async |tenant: &str, wanted: bool| {
        until(&format!("{tenant} is decided {wanted}"), async || {
            let found = edge.check(tenant, &read).await?;
            Ok(if found == wanted { Ok(()) } else { Err("not yet".to_owned()) })
        })
        .await
    };
    decided(&t, true).await?;
    let by_hand = edge
        .try_write(
            &t,
            &json!({"writes": [{"op": "touch",
        "relationship": member("user", "v", "t")}]}),
        )
        .await?;
    ensure!(by_hand.status == StatusCode::CONFLICT, "{}", by_hand.body);
    // A gap: nothing behind it counts until it is filled; the other tenant goes on.
    edges.identities(&other, &[(1, "user.created", user(true)), (3, "team.created", team)]).await?;
    edges.identities(&t, &[(4, "user.deactivated", user(false))]).await?;
    decided(&t, false).await?;
    until("the gap is seen", async || {
        let stopped = edge.metric("triad_authz_sync_stopped_tenants", "").await?;
        Ok(if stopped >= 1.0 { Ok(()) } else { Err(format!("{stopped} stopped")) })
    })
    .await?;
    edges.identities(&t, &[(5, "user.reactivated", user(true))]).await?;
    decided(&t, true).await?;
    edges
        .identities(&t, &[(6, "user.deleted", json!({"id": "u"})), (7, "user.created", user(true))])
        .await?;
    decided(&t, false).await
}
