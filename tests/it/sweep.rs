//! What was deleted leaves nothing behind in the graph.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use authz_edge::graph::write::{Ownership, Writer};
use authz_edge::graph::{GraphDb, Mode, schema};
use authz_edge::model::{Key, SubjectType};
use contracts::TenantId;
use serde_json::{Value, json};

use crate::edge::{Edges, below, member, role};
use crate::world::until;

/// Nodes with these keys, and those of their bindings and permissions.
async fn nodes(graph: &GraphDb, keys: &[Key]) -> Result<BTreeSet<String>> {
    let keys: Vec<_> = keys.iter().map(Key::as_str).collect();
    let dql = format!(
        "{{ keyed(func: eq(xid, {})) {{ uid Team.hasBinding {{ uid }}
             Team.hasWideBinding {{ uid }} Role.hasPermission {{ uid }} }} }}",
        json!(keys)
    );
    let found: Value = graph.query(Mode::Strict, &dql, &[]).await?.read()?;
    let mut uids = BTreeSet::new();
    collect(&found, &mut uids);
    Ok(uids)
}

fn collect(value: &Value, uids: &mut BTreeSet<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, uids)),
        Value::Object(fields) => {
            uids.extend(fields.get("uid").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| collect(value, uids));
        }
        _ => {}
    }
}

/// Those that still hold something.
async fn left(graph: &GraphDb, uids: &BTreeSet<String>) -> Result<BTreeSet<String>> {
    let predicates = schema::SCHEMA.lines().filter_map(|line| Some(line.split_once(':')?.0));
    let any: Vec<_> = predicates.map(|predicate| format!("has({predicate})")).collect();
    let uids: Vec<_> = uids.iter().map(String::as_str).collect();
    let dql = format!(
        "{{ left(func: uid({})) @filter({}) {{ uid }} }}",
        uids.join(", "),
        any.join(" or ")
    );
    let found: Value = graph.query(Mode::Strict, &dql, &[]).await?.read()?;
    let mut left = BTreeSet::new();
    collect(&found, &mut left);
    Ok(left)
}

#[tokio::test]
async fn of_what_was_deleted_nothing_is_left_once_it_is_swept() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("swept"));
    let (graph, tenant) = (edges.graph()?, TenantId::parse(&t)?);
    let path = |kind: &str| format!("/v1/tenants/{t}/{kind}");
    let on = |id: &str| json!({"type": "document", "id": id});
    edge.put(&path("resources/document/d-1"), &json!({})).await?;
    let permissions = json!({"name": "Reader", "permissions": [
        {"action": "read"}, {"action": "list", "on": {"type": "document"}},
        {"action": "edit", "on": on("d-1"), "condition": "subject.properties.level > 1"},
    ]});
    edge.put(&path("roles/reader"), &permissions).await?;
    let mut until_2100 = role("team", "t", "reader", &Value::Null);
    until_2100["expires_at"] = json!("2100-01-01T00:00:00Z");
    let all = [
        member("user", "u", "t"),
        role("user", "u", "reader", &Value::Null),
        role("user", "u", "reader", &on("d-1")),
        role("team", "t", "reader", &json!({"type": "document"})),
        until_2100,
        below(("document", "d-1"), ("document", "d-2")),
    ];
    edge.write(&t, "touch", &all).await?;
    let resource = |id| Key::resource(&tenant, "document", id);
    let keys = [
        Key::role(&tenant, "reader"),
        Key::subject(&tenant, SubjectType::User, "u"),
        Key::subject(&tenant, SubjectType::Team, "t"),
        resource("d-1"),
        resource("d-2"),
    ];
    let made = nodes(&graph, &keys).await?;
    ensure!(made.len() == 5 + 3 + 3, "nodes, bindings, permissions: {made:?}");
    // The parent first: its edge is found from the other end.
    for deleted in ["resources/document/d-2", "roles/reader", "subjects/team/t"] {
        edge.delete(&path(deleted)).await?;
    }
    for deleted in ["resources/document/d-1", "subjects/user/u"] {
        edge.delete(&path(deleted)).await?;
    }
    ensure!(!left(&graph, &made).await?.is_empty());
    let writer = Writer { graph: &graph, ownership: Ownership::Anyone };
    // A round takes some nodes of all tenants.
    until("everything is swept", async || {
        writer.sweep(i64::MAX).await?;
        let left = left(&graph, &made).await?;
        Ok(if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) })
    })
    .await
}

#[tokio::test]
async fn marks_that_stay_keep_nothing_from_being_swept() -> Result<()> {
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("marks"));
    let (graph, tenant) = (edges.graph()?, TenantId::parse(&t)?);
    let path = |kind: &str, id: &str| format!("/v1/tenants/{t}/{kind}/{id}");
    // More than one page holds, made before what has something to be swept.
    for n in 0..25 {
        edge.put(&path("resources/document", &n.to_string()), &json!({})).await?;
    }
    edge.write(&t, "touch", &[member("user", "u", "t")]).await?;
    let team = Key::subject(&tenant, SubjectType::Team, "t");
    let made = nodes(&graph, std::slice::from_ref(&team)).await?;
    for n in 0..25 {
        edge.delete(&path("resources/document", &n.to_string())).await?;
    }
    edge.delete(&path("subjects/team", "t")).await?;
    let writer = Writer { graph: &graph, ownership: Ownership::Anyone };
    let user = Key::subject(&tenant, SubjectType::User, "u");
    let dql = format!(
        "{{ user(func: eq(xid, {})) @filter(has(User.memberOf)) {{ uid }} }}",
        json!([user.as_str()])
    );
    until("the membership is swept", async || {
        // Nothing was deleted before 1970: every mark stays.
        writer.sweep(0).await?;
        let found: Value = graph.query(Mode::Strict, &dql, &[]).await?.read()?;
        Ok(if found["user"] == json!([]) { Ok(()) } else { Err(found.to_string()) })
    })
    .await?;
    ensure!(left(&graph, &made).await? == made, "its mark is left");
    Ok(())
}

#[tokio::test]
async fn a_binding_that_a_new_team_of_that_name_took_over_is_swept_from_the_old_one() -> Result<()>
{
    let edges = Edges::new(&[]).await?;
    let (edge, t) = (edges.start().await?, edges.tenant("again"));
    let (graph, tenant) = (edges.graph()?, TenantId::parse(&t)?);
    let reader = json!({"permissions": [{"action": "read"}]});
    edge.put(&format!("/v1/tenants/{t}/roles/reader"), &reader).await?;
    let on = |of: Value| role("team", "t", "reader", &of);
    let bindings = [on(json!({"type": "document", "id": "d"})), on(json!({"type": "document"}))];
    edge.write(&t, "touch", &bindings).await?;
    let team = [Key::subject(&tenant, SubjectType::Team, "t")];
    let old = nodes(&graph, &team).await?;
    edge.delete(&format!("/v1/tenants/{t}/subjects/team/t")).await?;
    // Before anything is swept: a binding's key is that of its words.
    edge.write(&t, "touch", &bindings).await?;
    let new = nodes(&graph, &team).await?;
    ensure!(old.len() == 3 && new.len() == 3 && old.is_disjoint(&new), "{old:?} {new:?}");
    let writer = Writer { graph: &graph, ownership: Ownership::Anyone };
    until("the old team is swept", async || {
        writer.sweep(i64::MAX).await?;
        let left = left(&graph, &old).await?;
        Ok(if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) })
    })
    .await?;
    ensure!(left(&graph, &new).await? == new, "what is bound anew stays");
    Ok(())
}
