//! Graphs that are made as a whole, beside what an import of the same lines commits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Cursor;

use chrono::Utc;
use contracts::{GraphEpoch, TenantId};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::super::nquads::{Id, Object, parse};
use super::graph;
use super::recorder::Said;
use crate::graph::GraphDb;
use crate::graph::write::{Author, Offline, Ownership, WriteError, Writer};
use crate::model::{Relationship, Role};
use crate::transfer::format::{FORMAT, VERSION};
use crate::transfer::import::{Import, Options};

const OPTIONS: Options =
    Options { batch: 3, in_flight: 2, skip_identities: false, skip_missing: false };

fn acme() -> TenantId {
    TenantId::parse("acme").unwrap()
}

fn roles() -> Vec<(String, Role)> {
    let role = |value| serde_json::from_value::<Role>(value).unwrap();
    let reader = json!({"name": "Reads", "permissions": [{"action": "read"}]});
    let editor = json!({"permissions": [
        {"action": "read", "on": {"type": "document"}},
        {"action": "write", "on": {"type": "document", "id": "d-1"}, "condition": "context.mfa == true"},
    ]});
    vec![("reader".to_owned(), role(reader)), ("editor".to_owned(), role(editor))]
}

fn relationships() -> Vec<Relationship> {
    let user = |id: &str| json!({"type": "user", "id": id});
    let team = |id: &str| json!({"type": "team", "id": id});
    let document = |id: &str| json!({"type": "document", "id": id});
    let all = json!([
        {"relation": "member_of", "subject": user("ann"), "team": "eng"},
        {"relation": "member_of", "subject": user("\"bob\\"), "team": "eng"},
        {"relation": "member_of", "subject": team("eng"), "team": "all"},
        {"relation": "has_role", "subject": team("all"), "role": "reader"},
        {"relation": "has_role", "subject": team("eng"), "role": "editor", "on": {"type": "document"}},
        {"relation": "has_role", "subject": user("ann"), "role": "editor", "on": document("d-1")},
        {"relation": "has_role", "subject": user("ann"), "role": "reader",
            "expires_at": "2099-01-01T00:00:00Z"},
        {"relation": "parent", "resource": document("d-1"), "parent": {"type": "folder", "id": "f"}},
        {"relation": "parent", "resource": document("d-2"), "parent": {"type": "folder", "id": "f"}},
    ]);
    serde_json::from_value(all).unwrap()
}

/// The file of them.
fn lines() -> String {
    let header = json!({"format": FORMAT, "version": VERSION, "tenant": "acme",
        "epoch": "0000000000000001", "revision": 1});
    let mut lines = vec![json!({ "header": header })];
    for (id, role) in roles() {
        let mut line = serde_json::to_value(role).unwrap();
        line["id"] = json!(id);
        lines.push(json!({ "role": line }));
    }
    lines.extend(relationships().iter().map(|one| json!({ "relationship": one })));
    let end = json!({"roles": 2, "subjects": 0, "resources": 0, "relationships": 9});
    lines.push(json!({ "end": end }));
    lines.iter().map(|line: &Value| format!("{line}\n")).collect()
}

/// Triples with names in place of ids, without outboxes: a node's external key, or what is said of it.
fn named(quads: &str) -> BTreeSet<String> {
    let uid = |id: Id<'_>| match id {
        Id::Stored(uid) => uid,
        Id::Blank(name) => panic!("{name} has no id"),
    };
    let mut quads = parse(quads).unwrap();
    quads.retain(|quad| !quad.predicate.starts_with("Outbox."));
    let mut keys = HashMap::new();
    for quad in &quads {
        if let ("xid", Object::Text(key)) = (quad.predicate, &quad.object) {
            assert_eq!(keys.insert(uid(quad.subject), key.to_string()), None, "one key a node");
        }
    }
    let of = |object: &Object<'_>, names: &HashMap<u64, String>| match object {
        Object::Node(id) => match names.get(&uid(*id)) {
            Some(name) => format!("<{name}>"),
            None => "…".to_owned(),
        },
        Object::Text(text) => format!("{text:?}"),
        Object::Star => panic!("everything cannot be set"),
    };
    let mut said = BTreeMap::<u64, BTreeSet<String>>::new();
    for quad in &quads {
        let own = format!("{} {}", quad.predicate, of(&quad.object, &keys));
        said.entry(uid(quad.subject)).or_default().insert(own);
    }
    let name = |(uid, said): (u64, BTreeSet<String>)| {
        let own = said.into_iter().collect::<Vec<_>>().join(", ");
        (uid, keys.get(&uid).cloned().unwrap_or(own))
    };
    let names = said.into_iter().map(name).collect::<HashMap<_, _>>();
    let triple = |quad: &super::super::nquads::Quad<'_>| {
        let subject = &names[&uid(quad.subject)];
        format!("<{subject}> {} {}", quad.predicate, of(&quad.object, &names))
    };
    quads.iter().map(triple).collect()
}

#[tokio::test]
async fn a_graph_that_is_made_as_a_whole_is_what_an_import_leaves() {
    let (graph, tenant) = (graph().await, acme());
    graph.go_on_at(1000).await;
    let db = GraphDb::from(graph.clone());
    let import = Import {
        writer: Writer { graph: &db, ownership: Ownership::Anyone },
        epoch: GraphEpoch(1),
        tenant: &tenant,
        author: Author::system(Utc::now()),
        options: OPTIONS,
        bar: ProgressBar::hidden(),
    };
    import.stream(Cursor::new(lines())).await.unwrap();
    let mut committed = String::new();
    for said in graph.said() {
        if let Said::Commit { set, .. } = said {
            committed += &set;
        }
    }
    let mut offline = Offline::new(0x5000);
    let author = Author::system(Utc::now());
    let quads = offline.tenant(&tenant, &roles(), relationships(), &author).unwrap();
    assert_eq!(named(&quads), named(&committed));
    let nodes: BTreeSet<_> = parse(&quads)
        .unwrap()
        .into_iter()
        .map(|quad| match quad.subject {
            Id::Stored(uid) => uid,
            Id::Blank(name) => panic!("{name} has no id"),
        })
        .collect();
    assert_eq!(nodes, (0x5000..offline.next()).collect(), "ids follow each other");
}

#[test]
fn a_role_that_is_not_there_is_missed() {
    let mut offline = Offline::new(1);
    let author = Author::system(Utc::now());
    let missing = offline.tenant(&acme(), &roles()[..1], relationships(), &author);
    assert_eq!(missing, Err(WriteError::Missing { what: "role editor".to_owned() }));
    assert_eq!(offline.next(), 1, "nothing was given away");
}
