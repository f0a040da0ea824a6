//! On each graph: on Dgraph by `TRIAD_DGRAPH=host:port cargo test -- --ignored`. Tenants are new each time.

use std::collections::BTreeSet;

use chrono::Utc;
use contracts::TenantId;
use contracts::audit::ActorType;
use contracts::identity::Change;
use serde_json::{Value, json};

use super::super::{Author, Ownership, Writer};
use super::{Applied, ApplyError};
use crate::graph::client::testing::on_each_graph;
use crate::graph::client::{GraphDb, Mode};
use crate::graph::dql::literals;
use crate::graph::schema;
use crate::model::{Key, Op, Relationship, Role, Scope, SubjectRef, SubjectType, Write, WriteList};
use crate::sync::rebuild::{RebuildError, rebuild};

on_each_graph!(
    replays_and_cuts_change_nothing_and_a_gap_stops,
    a_user_that_is_deleted_and_created_again_inherits_nothing,
    a_rebuild_is_the_snapshot_and_sync_goes_on_behind_it,
    a_rebuild_hands_nothing_on_to_who_was_created_again_within_the_gap,
);

fn tenant() -> TenantId {
    TenantId::parse(&format!("t{}", &uuid::Uuid::new_v4().simple().to_string()[..20])).unwrap()
}

fn history(tenant: &TenantId, kinds: &[(&str, Value)]) -> Vec<Change> {
    let one = |(at, (kind, data)): (usize, &(&str, Value))| {
        let record = json!({
            "event_id": uuid::Uuid::new_v4(), "tenant_id": tenant, "seq": at + 1,
            "occurred_at": "2026-01-01T00:00:00Z", "type": kind, "data": data,
        });
        Change::parse(&serde_json::to_vec(&record).unwrap()).unwrap()
    };
    kinds.iter().enumerate().map(one).collect()
}

fn member(kind: &str, id: &str, team: &str) -> Value {
    json!({"team_id": team, "member": {"type": kind, "id": id}})
}

/// Every subject with state and teams, whatever its node is.
async fn subjects(graph: &GraphDb, tenant: &TenantId) -> BTreeSet<String> {
    let lists = [SubjectType::User, SubjectType::ServiceAccount, SubjectType::Team]
        .map(|type_| Key::subjects(tenant, type_));
    let dql = format!(
        "{{ all(func: eq(listed, {})) {{ xid Subject.inactive attributes
             User.memberOf @filter(has(xid)) {{ xid }} }} }}",
        literals(lists.iter().map(String::as_str))
    );
    let answer = graph.query(Mode::Strict, &dql, &[]).await.unwrap();
    let mut read: Value = answer.read().unwrap();
    let rows = read["all"].as_array_mut().unwrap();
    for row in rows.iter_mut() {
        if let Some(teams) = row.get_mut("User.memberOf").and_then(Value::as_array_mut) {
            teams.sort_by_key(ToString::to_string);
        }
    }
    rows.iter().map(ToString::to_string).collect()
}

async fn apply(writer: &Writer<'_>, tenant: &TenantId, changes: &[Change]) -> Applied {
    writer.apply_identity(tenant, changes, Utc::now()).await.unwrap()
}

fn a_history(tenant: &TenantId) -> Vec<Change> {
    let user = |id: &str, active: bool| json!({"id": id, "active": active, "attributes": {"n": 1}});
    let team = |id: &str| json!({"id": id, "name": id});
    history(
        tenant,
        &[
            ("user.created", user("ann", true)),
            ("team.created", team("eng")),
            ("team.created", team("all")),
            ("team.member_added", member("user", "ann", "eng")),
            ("team.member_added", member("team", "eng", "all")),
            ("service_account.created", json!({"id": "bot", "name": "b", "active": true})),
            ("team.member_added", member("service_account", "bot", "eng")),
            ("user.deactivated", user("ann", false)),
            ("team.deleted", json!({"id": "eng"})),
            ("team.created", team("eng")),
            ("team.member_added", member("service_account", "bot", "eng")),
            ("team.member_added", member("user", "nobody", "eng")),
            ("api_key.revoked", json!({"id": "k", "service_account_id": "bot"})),
            ("user.created", user("eve", true)),
            ("user.deleted", json!({"id": "eve"})),
            ("team.member_added", member("service_account", "bot", "all")),
            ("team.member_removed", member("service_account", "bot", "all")),
        ],
    )
}

async fn replays_and_cuts_change_nothing_and_a_gap_stops(graph: GraphDb) {
    schema::apply(&graph).await.unwrap();
    let writer = Writer { graph: &graph, ownership: Ownership::Sync };
    let mut states = Vec::new();
    for cut in [1, 4, 100] {
        let tenant = tenant();
        let history = a_history(&tenant);
        for at in 0..history.len().div_ceil(cut) {
            let upto = ((at + 1) * cut).min(history.len());
            apply(&writer, &tenant, &history[at * cut..upto]).await;
            let back = apply(&writer, &tenant, &history[..upto]).await;
            assert_eq!((back.applied, back.repeated), (0, upto));
            assert!(back.written.changed.is_empty());
            assert_eq!(back.last_seq, upto as u64);
        }
        let found = subjects(&graph, &tenant).await;
        assert_eq!(found.len(), 4, "{found:?}");
        states.push(found.iter().map(|s| s.replace(tenant.as_str(), "")).collect::<BTreeSet<_>>());
        let mut gap = history[0].clone();
        gap.seq = history.len() as u64 + 2;
        let refused = writer.apply_identity(&tenant, &[gap.clone()], Utc::now()).await;
        assert_eq!(refused, Err(ApplyError::Gap { expected: gap.seq - 1, found: gap.seq }));
    }
    assert_eq!(states[0], states[1]);
    assert_eq!(states[1], states[2]);
}

async fn a_user_that_is_deleted_and_created_again_inherits_nothing(graph: GraphDb) {
    schema::apply(&graph).await.unwrap();
    let (writer, tenant) = (Writer { graph: &graph, ownership: Ownership::Sync }, tenant());
    let user = json!({"id": "ann", "active": true});
    let history = history(
        &tenant,
        &[
            ("user.created", user.clone()),
            ("team.created", json!({"id": "eng", "name": "Eng"})),
            ("team.member_added", member("user", "ann", "eng")),
            ("user.deleted", json!({"id": "ann"})),
            ("user.created", user),
        ],
    );
    apply(&writer, &tenant, &history[..3]).await;
    let author =
        Author { actor: None, actor_type: ActorType::System, at: Utc::now(), request_id: None };
    let role = Role { name: None, permissions: Vec::new() };
    writer.put_role(&tenant, "admin", &role, &author).await.unwrap();
    let relationship = Relationship::HasRole {
        subject: SubjectRef::new(SubjectType::User, "ann"),
        role: "admin".to_owned(),
        on: Scope::All,
        expires_at: None,
    };
    let list = WriteList {
        writes: vec![Write { op: Op::Create, relationship }],
        preconditions: Vec::new(),
    };
    writer.write_relationships(&tenant, &list, &author).await.unwrap();
    apply(&writer, &tenant, &history[3..]).await;
    let key = Key::subject(&tenant, SubjectType::User, "ann");
    let dql = format!(
        "{{ ann(func: eq(xid, {})) {{ xid User.memberOf {{ uid }} Team.hasRole {{ uid }} }} }}",
        literals([key.as_str()])
    );
    let answer = graph.query(Mode::Strict, &dql, &[]).await.unwrap();
    let found: Value = answer.read().unwrap();
    assert_eq!(found, json!({"ann": [{"xid": key.as_str()}]}));
    // The binding can be made anew: the old one is not taken for it.
    writer.write_relationships(&tenant, &list, &author).await.unwrap();
}

async fn a_rebuild_is_the_snapshot_and_sync_goes_on_behind_it(graph: GraphDb) {
    schema::apply(&graph).await.unwrap();
    let (writer, tenant) = (Writer { graph: &graph, ownership: Ownership::Sync }, tenant());
    let history = a_history(&tenant);
    apply(&writer, &tenant, &history[..8]).await;
    let header = |seq: u64| {
        format!(r#"{{"type":"header","tenant_id":"{tenant}","seq":{seq},"status":"active"}}"#)
    };
    let body = [
        r#"{"type":"service_account","id":"bot","name":"b","active":true}"#,
        r#"{"type":"user","id":"kim","active":false}"#,
        r#"{"type":"team","id":"all","name":"All"}"#,
        r#"{"type":"team","id":"ops","name":"Ops"}"#,
        r#"{"type":"member","team_id":"ops","member":{"type":"service_account","id":"bot"}}"#,
        r#"{"type":"member","team_id":"all","member":{"type":"team","id":"ops"}}"#,
        r#"{"type":"end","count":6}"#,
    ];
    let whole = |seq: u64| [&[header(seq).as_str()], &body[..]].concat().join("\n");
    let before = subjects(&graph, &tenant).await;
    let cut = whole(40).rsplit_once('\n').unwrap().0.to_owned();
    let refused = rebuild(&writer, &tenant, cut.as_bytes()).await;
    assert!(matches!(refused, Err(RebuildError::Malformed { .. })));
    let old = rebuild(&writer, &tenant, whole(7).as_bytes()).await;
    assert!(matches!(old, Err(RebuildError::Step(_))));
    assert_eq!(subjects(&graph, &tenant).await, before);
    for again in [false, true] {
        let rebuilt = rebuild(&writer, &tenant, whole(40).as_bytes()).await.unwrap();
        assert_eq!((rebuilt.subjects, rebuilt.memberships, rebuilt.skipped), (4, 2, 0));
        assert_eq!(rebuilt.buried, if again { 0 } else { 2 });
    }
    let found = subjects(&graph, &tenant).await;
    assert_eq!(found.len(), 4);
    let all = found.iter().cloned().collect::<String>();
    assert_eq!(all.matches("User.memberOf").count(), 2);
    let mut next = history[0].clone();
    next.seq = 41;
    let applied = apply(&writer, &tenant, &[next]).await;
    assert_eq!((applied.applied, applied.last_seq), (1, 41));
}

/// Who has a role everywhere.
fn holder(type_: SubjectType, id: &str) -> Write {
    let subject = SubjectRef::new(type_, id);
    let (role, on) = ("admin".to_owned(), Scope::All);
    let relationship = Relationship::HasRole { subject, role, on, expires_at: None };
    Write { op: Op::Create, relationship }
}

async fn a_rebuild_hands_nothing_on_to_who_was_created_again_within_the_gap(graph: GraphDb) {
    schema::apply(&graph).await.unwrap();
    let (writer, tenant) = (Writer { graph: &graph, ownership: Ownership::Sync }, tenant());
    let changes = history(
        &tenant,
        &[
            ("user.created", json!({"id": "ann", "active": true})),
            ("user.created", json!({"id": "bob", "active": true})),
            ("team.created", json!({"id": "eng", "name": "Eng"})),
        ],
    );
    apply(&writer, &tenant, &changes).await;
    let author = Author::system(Utc::now());
    let role = Role { name: None, permissions: Vec::new() };
    writer.put_role(&tenant, "admin", &role, &author).await.unwrap();
    let (user, team) = (SubjectType::User, SubjectType::Team);
    let bind = async |type_, id| {
        let list = WriteList { writes: vec![holder(type_, id)], preconditions: Vec::new() };
        writer.write_relationships(&tenant, &list, &author).await
    };
    for (type_, id) in [(user, "ann"), (user, "bob"), (team, "eng")] {
        bind(type_, id).await.unwrap();
    }
    // Ann is another one; who created Bob is not said.
    let snapshot = format!(
        r#"{{"type":"header","tenant_id":"{tenant}","seq":9,"status":"active"}}
{{"type":"user","id":"ann","active":true,"created_seq":8}}
{{"type":"user","id":"bob","active":true}}
{{"type":"team","id":"eng","name":"Eng","created_seq":3}}
{{"type":"end","count":3}}"#
    );
    let rebuilt = rebuild(&writer, &tenant, snapshot.as_bytes()).await.unwrap();
    assert_eq!((rebuilt.subjects, rebuilt.buried), (3, 1));
    // What can be created was not there.
    bind(user, "ann").await.unwrap();
    bind(user, "bob").await.unwrap_err();
    bind(team, "eng").await.unwrap_err();
    let again = rebuild(&writer, &tenant, snapshot.as_bytes()).await.unwrap();
    assert_eq!(again.buried, 0);
    bind(user, "ann").await.unwrap_err();
}
