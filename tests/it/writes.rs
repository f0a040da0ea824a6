//! What a list of writes promises: the later write counts, preconditions hold and make nothing, tokens are
//! waited for, and the trail says what was changed.

use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use contracts::audit::AuditEvent;
use contracts::{ConsistencyToken, TenantId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use service_kit::bus::KafkaFollower;

use crate::edge::{Answer, Edge, Edges, below, member, question, role};
use crate::world::{PATIENCE, until};

const DOCUMENT: (&str, &str) = ("document", "d-1");

async fn reader(edge: &Edge, tenant: &str) -> Result<()> {
    let role = json!({"permissions": [{"action": "read"}]});
    edge.put(&format!("/v1/tenants/{tenant}/roles/reader"), &role).await.map(drop)
}

/// One write, if something is so.
fn list(op: &str, what: &Value, must: &str, tested: &Value) -> Value {
    json!({"writes": [{"op": op, "relationship": what}],
           "preconditions": [{"must": must, "relationship": tested}]})
}

/// The check with the token of the write before it.
async fn after(edge: &Edge, tenant: &str, token: &str) -> Result<bool> {
    let mut read = question("u", "read", DOCUMENT);
    read["at_least"] = token.into();
    edge.check(tenant, &read).await
}

#[tokio::test]
async fn what_is_deleted_because_it_exists_is_gone() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("gone"));
    reader(&edge, &t).await?;
    let folder = json!({"type": "folder", "id": "f"});
    let chain = [
        member("user", "u", "t"),
        role("team", "t", "reader", &folder),
        below(DOCUMENT, ("folder", "f")),
    ];
    let everywhere = [role("user", "u", "reader", &Value::Null)];
    for all in [&chain[..], &everywhere] {
        for one in all {
            let granted = edge.write(&t, "touch", all).await?;
            ensure!(after(&edge, &t, &granted).await?, "before {one} is deleted");
            let deleted = edge.try_write(&t, &list("delete", one, "exist", one)).await?;
            ensure!(deleted.status == StatusCode::OK, "{one}: {}", deleted.body);
            ensure!(!after(&edge, &t, &deleted.token).await?, "{one} is deleted");
            let again = edge.try_write(&t, &list("delete", one, "exist", one)).await?;
            ensure!(again.status == StatusCode::CONFLICT, "{one}: {}", again.body);
            // And made, because it does not exist.
            let made = edge.try_write(&t, &list("touch", one, "not_exist", one)).await?;
            ensure!(made.status == StatusCode::OK, "{one}: {}", made.body);
            ensure!(after(&edge, &t, &made.token).await?, "{one} is made");
        }
        edge.write(&t, "delete", all).await?;
    }
    Ok(())
}

#[tokio::test]
async fn of_writes_about_one_relationship_the_last_counts() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("last"));
    reader(&edge, &t).await?;
    let all = [
        member("user", "u", "t"),
        role("team", "t", "reader", &json!({"type": "folder"})),
        below(DOCUMENT, ("folder", "f")),
    ];
    for one in &all {
        for stands in [true, false] {
            for (ops, wanted) in [
                (&["touch", "delete"][..], false),
                (&["delete", "touch"], true),
                (&["delete", "create"], true),
                (&["touch", "delete", "create", "delete"], false),
            ] {
                edge.write(&t, if stands { "touch" } else { "delete" }, std::slice::from_ref(one))
                    .await?;
                let others: Vec<_> = all.iter().filter(|other| *other != one).cloned().collect();
                edge.write(&t, "touch", &others).await?;
                let write = |op: &&str| json!({"op": op, "relationship": one});
                let writes: Vec<_> = ops.iter().map(write).collect();
                let answer = edge.try_write(&t, &json!({"writes": writes})).await?;
                ensure!(answer.status == StatusCode::OK, "{}", answer.body);
                let found = after(&edge, &t, &answer.token).await?;
                ensure!(found == wanted, "{ops:?} of {one}, which stood: {stands}");
            }
        }
    }
    Ok(())
}

/// Both lists at once, and how many were written.
async fn both(edge: &Edge, tenant: &str, lists: [Value; 2]) -> Result<usize> {
    let [a, b] = &lists;
    let (a, b) = tokio::try_join!(edge.try_write(tenant, a), edge.try_write(tenant, b))?;
    for answer in [&a, &b] {
        let fine = [StatusCode::OK, StatusCode::CONFLICT].contains(&answer.status);
        ensure!(fine, "{} {}", answer.status, answer.body);
    }
    Ok([a, b].iter().filter(|answer| answer.status == StatusCode::OK).count())
}

#[tokio::test]
async fn preconditions_on_edges_hold_against_write_skew_also_where_nodes_are_missing() -> Result<()>
{
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("skew"));
    let room = ("room", "r");
    edge.write(&t, "touch", &[below(room, ("house", "h"))]).await?;
    for round in 0..12 {
        let team = format!("t-{round}");
        let [a, b] = ["a", "b"].map(|user| member("user", user, &team));
        edge.put(&format!("/v1/tenants/{t}/subjects/team/{team}"), &json!({})).await?;
        // Each comes if the other is not there.
        let come = [list("touch", &a, "not_exist", &b), list("touch", &b, "not_exist", &a)];
        let came = both(&edge, &t, come).await?;
        ensure!(came == 1, "round {round}: {came} came");
        edge.write(&t, "touch", &[a.clone(), b.clone()]).await?;
        // Each leaves if the other stays.
        let leave = [list("delete", &a, "exist", &b), list("delete", &b, "exist", &a)];
        let left = both(&edge, &t, leave).await?;
        ensure!(left == 1, "round {round}: {left} left");
        // Of two that delete the same, one finds it.
        edge.write(&t, "touch", std::slice::from_ref(&a)).await?;
        let gone = both(&edge, &t, [(); 2].map(|()| list("delete", &a, "exist", &a))).await?;
        ensure!(gone == 1, "round {round}: {gone} deleted it");
        // Neither seat is there before.
        let [a, b] = ["a", "b"].map(|seat| below(("seat", &format!("{seat}-{round}")), room));
        let sit = [list("touch", &a, "not_exist", &b), list("touch", &b, "not_exist", &a)];
        let sat = both(&edge, &t, sit).await?;
        ensure!(sat == 1, "round {round}: {sat} sat down");
    }
    Ok(())
}

#[tokio::test]
async fn a_precondition_on_what_is_missing_holds_and_makes_nothing() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("missing"));
    let tested = [
        role("user", "u", "nobody-has-it", &Value::Null),
        role("user", "u", "nobody-has-it", &json!({"type": "document", "id": "d"})),
        member("user", "u", "t"),
        below(("document", "d"), ("folder", "f")),
    ];
    let written = member("user", "v", "w");
    for one in &tested {
        edge.write(&t, "delete", std::slice::from_ref(&written)).await?;
        let list = list("touch", &written, "not_exist", one);
        let answer = edge.try_write(&t, &list).await?;
        ensure!(answer.status == StatusCode::OK, "{one}: {}", answer.body);
    }
    for path in [
        "roles/nobody-has-it",
        "subjects/user/u",
        "subjects/team/t",
        "resources/document/d",
        "resources/folder/f",
    ] {
        let path = format!("/v1/tenants/{t}/{path}");
        let found = edge.ask(Method::GET, &path, &[], None).await?;
        ensure!(found.status == StatusCode::NOT_FOUND, "{path}: {}", found.body);
    }
    // One end that the list itself makes.
    let seat = below(("seat", "s"), ("room", "r"));
    let other = below(("seat", "s"), ("room", "other"));
    let answer = edge.try_write(&t, &list("touch", &seat, "not_exist", &other)).await?;
    ensure!(answer.status == StatusCode::OK, "{}", answer.body);
    let answer = edge.try_write(&t, &list("touch", &seat, "exist", &seat)).await?;
    ensure!(answer.status == StatusCode::OK, "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn ids_of_the_greatest_length_are_bound_and_found() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("long"));
    // 128 bytes each, of letters of four bytes.
    let id = |last: &str| "\u{1d11e}".repeat(31) + last;
    let (one, other) = (id("\u{1d11e}"), id("\u{1d11f}"));
    let grants = json!({"permissions": [{"action": one}]});
    edge.put(&format!("/v1/tenants/{t}/roles/{one}"), &grants).await?;
    let on = json!({"type": one, "id": one});
    let binding = role("user", &one, &one, &on);
    let granted = edge.write(&t, "create", std::slice::from_ref(&binding)).await?;
    let ask = |subject: &str, resource: (&str, &str)| {
        let mut question = question(subject, &one, resource);
        question["at_least"] = granted.clone().into();
        question
    };
    ensure!(edge.check(&t, &ask(&one, (&one, &one))).await?);
    for question in
        [ask(&other, (&one, &one)), ask(&one, (&other, &one)), ask(&one, (&one, &other))]
    {
        ensure!(!edge.check(&t, &question).await?, "{question}");
    }
    let deleted = edge.try_write(&t, &list("delete", &binding, "exist", &binding)).await?;
    ensure!(deleted.status == StatusCode::OK, "{}", deleted.body);
    Ok(())
}

async fn bind(edge: &Edge, tenant: &str, team: &str, token: &str) -> Result<Answer> {
    let binding = role("team", team, "reader", &Value::Null);
    let list = json!({"writes": [{"op": "touch", "relationship": binding}]});
    let headers: &[(&str, &str)] = &[("triad-consistency-token", token)];
    let headers = if token.is_empty() { &[] } else { headers };
    let path = format!("/v1/tenants/{tenant}/relationships");
    edge.ask(Method::POST, &path, headers, Some(&list)).await
}

#[tokio::test]
async fn whom_sync_is_still_to_bring_is_bound_behind_its_token() -> Result<()> {
    let edges = Edges::new(&[("SYNC__MODE", "identity")]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("wait"));
    reader(&edge, &t).await?;
    let team = |seq: u64| (seq, "team.created", json!({"id": format!("t-{seq}"), "name": "t"}));
    edges.identities(&t, &[team(1)]).await?;
    until("sync has begun", async || {
        let answer = bind(&edge, &t, "t-1", "").await?;
        Ok(if answer.status == StatusCode::OK { Ok(()) } else { Err(answer.body.to_string()) })
    })
    .await?;
    let tenant = TenantId::parse(&t)?;
    let token = |seq: u64| ConsistencyToken::Identity { seq }.encode(&tenant);
    for seq in 2..8 {
        edges.identities(&t, &[team(seq)]).await?;
        let answer = bind(&edge, &t, &format!("t-{seq}"), &token(seq)).await?;
        ensure!(answer.status == StatusCode::OK, "{seq}: {}", answer.body);
    }
    ensure!(bind(&edge, &t, "t-99", "").await?.status == StatusCode::CONFLICT);
    ensure!(bind(&edge, &t, "t-1", &token(99)).await?.status == StatusCode::SERVICE_UNAVAILABLE);
    let foreign = ConsistencyToken::Identity { seq: 1 }.encode(&TenantId::parse("other")?);
    ensure!(bind(&edge, &t, "t-1", &foreign).await?.status == StatusCode::BAD_REQUEST);
    Ok(())
}

#[tokio::test]
async fn a_limit_is_no_denial_in_a_batch() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("limit"));
    reader(&edge, &t).await?;
    edge.write(&t, "touch", &[role("user", "u", "reader", &Value::Null)]).await?;
    for batch in (0..5000).collect::<Vec<_>>().chunks(1000) {
        let parents: Vec<_> =
            batch.iter().map(|n| below(DOCUMENT, ("folder", &format!("f-{n}")))).collect();
        edge.write(&t, "touch", &parents).await?;
    }
    let (large, small) =
        (question("u", "read", DOCUMENT), question("u", "read", ("document", "d")));
    let path = format!("/tenants/{t}/access/v1/evaluations");
    for semantic in ["execute_all", "deny_on_first_deny", "permit_on_first_permit"] {
        let body = json!({"evaluations": [large, small],
            "options": {"evaluations_semantic": semantic}});
        let answer = edge.ask(Method::POST, &path, &[], Some(&body)).await?;
        ensure!(answer.status == StatusCode::UNPROCESSABLE_ENTITY, "{semantic}: {}", answer.body);
    }
    let body = json!({"checks": [large, small]});
    let path = format!("/v1/tenants/{t}/check/batch");
    let answer = edge.ask(Method::POST, &path, &[], Some(&body)).await?;
    ensure!(answer.body["results"][0].get("decision").is_none(), "{}", answer.body);
    ensure!(answer.body["results"][1] == json!({"decision": true}), "{}", answer.body);
    Ok(())
}

/// The next event of that action.
async fn event(topic: &KafkaFollower, action: &str) -> Result<AuditEvent> {
    loop {
        let message = topic.next(PATIENCE).await?.context("the topic went silent")?;
        let event: AuditEvent = serde_json::from_slice(&message.payload.context("a tombstone")?)?;
        if event.action == action {
            return Ok(event);
        }
    }
}

#[tokio::test]
async fn the_trail_says_what_was_changed_and_keeps_no_request_id_that_is_too_long() -> Result<()> {
    let edges = Edges::new(&[("KAFKA__PARTITIONS", "1")]).await?;
    let topic = edges.follow_audit().await?;
    let (edge, t) = (edges.start().await?, edges.tenant("trail"));
    let path = format!("/v1/tenants/{t}/subjects/user/u");
    for (active, id, kept) in [(true, "r-1", true), (false, &*"x".repeat(4096), false)] {
        let headers = [("x-request-id", id)];
        let body = json!({"active": active, "attributes": {"n": 1}});
        let answer = edge.ask(Method::PUT, &path, &headers, Some(&body)).await?;
        ensure!(answer.status == StatusCode::OK, "{}", answer.body);
        let event = event(&topic, "authz.subject.put").await?;
        ensure!(event.details["active"] == active, "{event:?}");
        ensure!(event.details.contains_key("request_id") == kept, "{event:?}");
    }
    let path = format!("/v1/tenants/{t}/roles/r");
    for actions in [["read", "write"], ["write", "share"]] {
        let permissions = actions.map(|action| json!({"action": action}));
        edge.put(&path, &json!({"permissions": permissions})).await?;
    }
    event(&topic, "authz.role.put").await?;
    let event = event(&topic, "authz.role.put").await?;
    ensure!(event.details["added"] == json!([{"action": "share"}]), "{event:?}");
    ensure!(event.details["removed"] == json!([{"action": "read"}]), "{event:?}");
    Ok(())
}

#[tokio::test]
async fn a_rebuild_is_one_event_at_its_beginning_and_one_at_its_end() -> Result<()> {
    let edges = Edges::new(&[("KAFKA__PARTITIONS", "1"), ("SYNC__MODE", "identity")]).await?;
    let topic = edges.follow_audit().await?;
    let (_edge, t) = (edges.start().await?, edges.tenant("rebuilt"));
    let mut snapshot = tempfile::NamedTempFile::new()?;
    writeln!(snapshot, r#"{{"type":"header","tenant_id":"{t}","seq":9,"status":"active"}}"#)?;
    writeln!(snapshot, r#"{{"type":"user","id":"u","active":true,"created_seq":3}}"#)?;
    writeln!(snapshot, r#"{{"type":"end","count":1}}"#)?;
    let mut command = edges.command()?;
    command.args(["rebuild", "--tenant", &t, "--snapshot"]).arg(snapshot.path());
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let begun = event(&topic, "authz.identity.rebuild_started").await?;
    ensure!(begun.details["seq"] == 9 && begun.details["applied_seq"] == 0, "{begun:?}");
    let ended = event(&topic, "authz.identity.rebuilt").await?;
    ensure!(ended.details["subjects"] == 1 && ended.details["seq"] == 9, "{ended:?}");
    ensure!(ended.tenant_id.as_str() == t && ended.actor_type.is_some(), "{ended:?}");
    Ok(())
}
