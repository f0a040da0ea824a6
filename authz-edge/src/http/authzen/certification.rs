//! The certification scenario (`certification/authorization-api-1_0-scenario.md` of openid/authzen)
//! on each graph: on Dgraph by `TRIAD_DGRAPH=127.0.0.1:9080 cargo test -p authz-edge certification -- --ignored`.
//! Names of sections are the scenario's.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use super::fixture;
use super::tests::{Answer, Pdp, off};
use crate::graph::GraphDb;
use crate::graph::client::testing::on_each_graph;
use crate::http::TOKEN;

on_each_graph!(
    basic,
    batch,
    search,
    pages_go_on_where_they_ended,
    resources_are_found_from_what_bindings_name_without_the_list,
    a_page_examines_so_many_and_may_be_empty_before_the_end,
);

/// A decision point with the fixture in a tenant of its own, and that tenant.
async fn prepared(graph: impl Into<Arc<GraphDb>>) -> (Pdp, String) {
    let tenant = format!("cert-{:x}", rand::random::<u64>());
    let pdp =
        Pdp::new(Some(graph.into()), &off(Some(&tenant)), Some("https://pdp.example.com")).await;
    for fixture::Request { method, path, body } in fixture::requests(&tenant) {
        let request = Request::builder().method(method).uri(&path);
        let answer = pdp.send(request.body(Body::from(body.to_string())).unwrap()).await;
        assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text);
    }
    (pdp, tenant)
}

fn user(id: &str) -> Value {
    json!({ "type": "user", "id": id })
}

fn admin(id: &str) -> Value {
    json!({ "type": "user", "id": id, "properties": { "role": "admin" } })
}

fn record(number: u8) -> Value {
    json!({ "type": "record", "id": format!("record-{number}") })
}

fn with_status(number: u8, status: &str) -> Value {
    let mut record = record(number);
    record["properties"] = json!({ "status": status });
    record
}

fn action(name: &str) -> Value {
    json!({ "name": name })
}

fn delete(soft: bool) -> Value {
    json!({ "name": "delete", "properties": { "soft": soft } })
}

fn ask(subject: impl Into<Value>, action: impl Into<Value>, resource: impl Into<Value>) -> Value {
    json!({ "subject": subject.into(), "action": action.into(), "resource": resource.into() })
}

async fn basic(graph: GraphDb) {
    let (pdp, _) = prepared(graph).await;
    let (archived, active) = (with_status(2, "archived"), with_status(1, "active"));
    let mut with_context = ask(user("alice"), action("read"), record(1));
    with_context["context"] = json!({ "time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1" });
    let mut with_more = ask(user("alice"), action("read"), active);
    with_more["subject"]["properties"] = json!({ "department": "Sales", "role": "manager" });
    with_more["action"]["properties"] = json!({ "method": "GET" });
    let mut unknown = ask(user("alice"), action("read"), record(1));
    unknown["futureField"] = json!({ "nested": true });
    for (body, decision) in [
        (ask(user("alice"), action("read"), record(1)), true),
        (ask(user("alice"), action("write"), record(1)), true),
        (ask(user("bob"), action("read"), record(1)), true),
        (ask(user("bob"), action("write"), record(1)), false),
        (ask(user("alice"), action("write"), archived.clone()), false),
        (ask(admin("bob"), action("write"), archived), true),
        (ask(user("alice"), delete(true), record(1)), true),
        (ask(user("alice"), delete(false), record(1)), false),
        (with_context, true),
        (with_more, true),
        (unknown, true),
    ] {
        // Idempotency: the later ones come from the cache.
        for _ in 0..3 {
            let answer = pdp.post("/access/v1/evaluation", &body).await;
            assert_eq!(
                (answer.status, answer.json()),
                (200, json!({ "decision": decision })),
                "{body}"
            );
            assert!(answer.headers.contains_key(TOKEN));
        }
    }
}

async fn batch(graph: GraphDb) {
    let (pdp, tenant) = prepared(graph).await;
    let decisions = async |body: Value| {
        let answer = pdp.post("/access/v1/evaluations", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let answer = answer.json();
        let all = answer["evaluations"].as_array().unwrap();
        all.iter().map(|one| one["decision"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    let (active, archived) = (with_status(1, "active"), with_status(2, "archived"));
    let resources = json!([{ "resource": active }, { "resource": archived }]);
    // c-3-2-2: order.
    let body = json!({ "subject": user("bob"), "resource": record(1),
        "evaluations": [{ "action": action("read") }, { "action": action("write") }] });
    assert_eq!(decisions(body).await, [true, false]);
    // c-3-2-3: properties of resources.
    let body =
        json!({ "subject": user("alice"), "action": action("write"), "evaluations": resources });
    assert_eq!(decisions(body).await, [true, false]);
    // c-3-2-4: properties of subjects.
    let body = json!({ "action": action("write"), "resource": archived,
        "evaluations": [{ "subject": user("alice") }, { "subject": admin("bob") }] });
    assert_eq!(decisions(body).await, [false, true]);
    // c-3-2-5: no defaults.
    let body = json!({ "evaluations": [
        ask(user("alice"), action("read"), record(1)), ask(user("bob"), action("write"), record(1)) ] });
    assert_eq!(decisions(body).await, [true, false]);
    // c-3-2-1, c-3-2-6: context, inherited and its own.
    let body = json!({ "subject": user("alice"), "action": action("read"), "context": { "time": "t" },
        "evaluations": [{ "resource": record(1) }, { "resource": record(2), "context": { "time": "u" } }] });
    assert_eq!(decisions(body).await, [true, true]);
    // c-3-2-7: a part that is required comes from the default.
    let body = json!({ "subject": user("alice"), "action": action("write"),
        "resource": { "type": "record" }, "evaluations": [
            { "resource": { "id": "record-1", "properties": { "status": "active" } } },
            { "resource": archived } ] });
    assert_eq!(decisions(body).await, [true, false]);
    // c-3-4-1: an evaluation without resource.
    let body = json!({ "subject": user("alice"), "action": action("read"),
        "evaluations": [{ "resource": record(1) }, {}] });
    assert_eq!(decisions(body).await, [true, false]);
    // c-3-4-2, c-3-4-3: none, and an empty list.
    for evaluations in [Value::Null, json!([])] {
        let mut body = ask(user("alice"), action("read"), record(1));
        body["evaluations"] = evaluations;
        let path = format!("/tenants/{tenant}/access/v1/evaluations");
        assert_eq!(pdp.post(&path, &body).await.json(), json!({ "decision": true }));
    }
    // The specification's semantics.
    let three = |semantic: &str| {
        json!({ "subject": user("bob"), "resource": record(1),
            "options": { "evaluations_semantic": semantic },
            "evaluations": (["read", "write", "read"].map(|name| json!({ "action": action(name) }))) })
    };
    assert_eq!(decisions(three("execute_all")).await, [true, false, true]);
    assert_eq!(decisions(three("deny_on_first_deny")).await, [true, false]);
    assert_eq!(decisions(three("permit_on_first_permit")).await, [true]);
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let name =
        |one: &Value| one.get("id").or(one.get("name")).unwrap().as_str().unwrap().to_owned();
    let mut ids: Vec<_> = answer.json()["results"].as_array().unwrap().iter().map(name).collect();
    ids.sort();
    ids
}

async fn search(graph: GraphDb) {
    let (pdp, _) = prepared(graph).await;
    let find = async |kind: &str, body: &Value| {
        ids(&pdp.post(&format!("/access/v1/search/{kind}"), body).await)
    };
    let users = json!({ "type": "user" });
    let records = json!({ "type": "record" });
    let mut readers = ask(users.clone(), action("read"), record(1));
    assert_eq!(find("subject", &readers).await, ["alice", "bob"]);
    readers["context"] = json!({ "time": "t" });
    assert_eq!(find("subject", &readers).await, ["alice", "bob"]);
    let writers = ask(users, action("write"), with_status(2, "archived"));
    assert_eq!(find("subject", &writers).await, ["bob"]);
    let read = ask(user("alice"), action("read"), records.clone());
    assert_eq!(find("resource", &read).await, ["record-1", "record-2"]);
    let write = ask(admin("bob"), action("write"), records);
    assert_eq!(find("resource", &write).await, ["record-2"]);
    let may = json!({ "subject": user("alice"), "resource": record(1), "context": {} });
    assert_eq!(find("action", &may).await, ["read", "write"]);
    let may = json!({ "subject": admin("bob"), "resource": with_status(2, "archived") });
    assert_eq!(find("action", &may).await, ["read", "write"]);
    // c-4-6: unknown types and ids.
    let spaceship = ask(json!({ "type": "spaceship" }), action("read"), record(1));
    assert_eq!(find("subject", &spaceship).await, [""; 0]);
    let nothing = ask(user("alice"), action("read"), json!({ "type": "planet" }));
    assert_eq!(find("resource", &nothing).await, [""; 0]);
    let nobody = json!({ "subject": user("nobody"), "resource": { "type": "planet", "id": "1" } });
    assert_eq!(find("action", &nobody).await, [""; 0]);
    let nobody = json!({ "subject": user("nonexistent-user"), "resource": record(1) });
    assert_eq!(find("action", &nobody).await, [""; 0]);
}

async fn pages_go_on_where_they_ended(graph: GraphDb) {
    let (pdp, _) = prepared(graph).await;
    for (kind, mut body, expected) in [
        ("subject", ask(json!({ "type": "user" }), action("read"), record(1)), ["alice", "bob"]),
        (
            "resource",
            ask(user("alice"), action("read"), json!({ "type": "record" })),
            ["record-1", "record-2"],
        ),
        ("action", json!({ "subject": user("alice"), "resource": record(1) }), ["read", "write"]),
    ] {
        let path = format!("/access/v1/search/{kind}");
        let (mut found, mut tokens) = (Vec::new(), 0);
        body["page"] = json!({ "limit": 1 });
        loop {
            let answer = pdp.post(&path, &body).await;
            found.extend(ids(&answer));
            let token = answer.json()["page"]["next_token"].as_str().unwrap().to_owned();
            if token.is_empty() {
                break;
            }
            tokens += 1;
            assert!(tokens < 10, "{kind}: it ends");
            body["page"] = json!({ "limit": 1, "token": token });
        }
        found.sort();
        assert_eq!(found, expected, "{kind}");
        // With another search, the token is none.
        body["subject"]["properties"] = json!({ "x": 1 });
        assert_eq!(pdp.post(&path, &body).await.status, if tokens > 0 { 400 } else { 200 });
    }
}

/// Bindings on resources: what is below a folder, for roles with and without the action, through a team.
async fn resources_are_found_from_what_bindings_name_without_the_list(graph: GraphDb) {
    let graph = Arc::new(graph);
    let (pdp, tenant) = prepared(Arc::clone(&graph)).await;
    let doc = |id: &str| json!({ "type": "doc", "id": id });
    let folder = |id: &str| json!({ "type": "folder", "id": id });
    let touch = |relationship: Value| json!({ "op": "touch", "relationship": relationship });
    let below = |resource: Value, parent: Value| {
        touch(json!({ "relation": "parent", "resource": resource, "parent": parent }))
    };
    let bind = |subject: Value, role: &str, on: Value| {
        touch(json!({ "relation": "has_role", "subject": subject, "role": role, "on": on }))
    };
    let team = json!({ "type": "team", "id": "crew" });
    let send = async |method: &str, path: &str, body: Value| {
        let request = Request::builder().method(method).uri(format!("/v1/tenants/{tenant}/{path}"));
        let answer = pdp.send(request.body(Body::from(body.to_string())).unwrap()).await;
        assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text);
        answer.headers[TOKEN].clone()
    };
    send("PUT", "roles/viewer", json!({ "permissions": [{ "action": "view" }] })).await;
    send("PUT", "roles/other", json!({ "permissions": [{ "action": "print" }] })).await;
    let one = json!({ "permissions": [{ "action": "view", "on": doc("named") }] });
    send("PUT", "roles/one", one).await;
    let token = send("POST", "relationships", json!({ "writes": [
        below(doc("in"), folder("f")), below(folder("sub"), folder("f")), below(doc("deep"), folder("sub")),
        below(doc("out"), folder("g")), below(doc("named"), folder("g")),
        below(folder("f"), folder("sub")),
        touch(json!({ "relation": "member_of", "subject": user("dora"), "team": "crew" })),
        bind(team, "viewer", folder("f")), bind(user("dora"), "other", folder("g")),
        bind(user("dora"), "viewer", doc("own")),
        touch(json!({ "relation": "has_role", "subject": user("dora"), "role": "one" })),
    ] })).await;
    let search = ask(user("dora"), action("view"), json!({ "type": "doc" }));
    let request = Request::post("/access/v1/search/resource")
        .header(header::CONTENT_TYPE, "application/json")
        .header(TOKEN, token);
    let answer = pdp.send(request.body(Body::from(search.to_string())).unwrap()).await;
    assert_eq!(ids(&answer), ["deep", "in", "named", "own"]);
    let tenant = contracts::TenantId::parse(&tenant).unwrap();
    let dora = crate::model::SubjectRef::new(crate::model::SubjectType::User, "dora");
    let alice = crate::model::SubjectRef::new(crate::model::SubjectType::User, "alice");
    let candidates = async |who, action: &str, after, first| {
        let about = (who, action, "doc");
        crate::graph::search::named(&graph, &tenant, about, after, first).await.unwrap()
    };
    let all = candidates(&dora, "view", 0, 100).await.unwrap().found;
    assert_eq!(all.len(), 4);
    let rest = candidates(&dora, "view", all[1].node, 1).await.unwrap().found;
    assert_eq!(rest, all[2..3]);
    // Nothing is granted beyond `out` and `named` where it says print.
    assert_eq!(candidates(&dora, "print", 0, 100).await.unwrap().found.len(), 2);
    // Reading is granted on a type: there the list is walked.
    assert_eq!(candidates(&alice, "read", 0, 100).await, None);
    let doc_in = crate::model::ResourceRef::new("doc", "in");
    let (_, actions) =
        crate::graph::search::actions(&graph, &tenant, &dora, &doc_in).await.unwrap();
    assert_eq!(actions, ["view"]);
}

/// More resources than one page may examine: below a folder, and in the list of their type.
async fn a_page_examines_so_many_and_may_be_empty_before_the_end(graph: GraphDb) {
    const DOCS: usize = crate::check::search::MAX_EXAMINED + 5;
    let (pdp, tenant) = prepared(graph).await;
    let send = async |method: &str, path: &str, body: Value| {
        let request = Request::builder().method(method).uri(format!("/v1/tenants/{tenant}/{path}"));
        let answer = pdp.send(request.body(Body::from(body.to_string())).unwrap()).await;
        assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text);
    };
    let never = json!({ "action": "print", "condition": "context.asked == true" });
    send("PUT", "roles/viewer", json!({ "permissions": [{ "action": "view" }] })).await;
    send("PUT", "roles/printer", json!({ "permissions": [never] })).await;
    let folder = json!({ "type": "folder", "id": "f" });
    let below = |at: usize| {
        let doc = json!({ "type": "doc", "id": at.to_string() });
        json!({ "relation": "parent", "resource": doc, "parent": folder })
    };
    let held = |role: &str| json!({ "relation": "has_role", "subject": user("eve"), "role": role });
    let mut on_folder = held("viewer");
    on_folder["on"] = folder.clone();
    let all: Vec<Value> = (0..DOCS).map(below).chain([on_folder, held("printer")]).collect();
    for part in all.chunks(500) {
        let touch = |one: &Value| json!({ "op": "touch", "relationship": one });
        let writes: Vec<Value> = part.iter().map(touch).collect();
        send("POST", "relationships", json!({ "writes": writes })).await;
    }
    for (name, expected) in [("view", [DOCS - 5, 5]), ("print", [0, 0])] {
        let mut body = ask(user("eve"), action(name), json!({ "type": "doc" }));
        body["page"] = json!({ "limit": 5000 });
        for (at, found) in expected.into_iter().enumerate() {
            let answer = pdp.post("/access/v1/search/resource", &body).await;
            assert_eq!(ids(&answer).len(), found, "{name}, page {at}");
            let token = answer.json()["page"]["next_token"].clone();
            assert_eq!(token == "", at == 1, "{name}, page {at}");
            body["page"]["token"] = token;
        }
    }
}
