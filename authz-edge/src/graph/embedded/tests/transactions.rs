//! Who conflicts with whom, and what is seen when.

use std::collections::BTreeSet;

use contracts::TenantId;
use serde_json::json;

use super::{NOTHING, TIMEOUT, ask, asked, graph, write};
use crate::graph::client::CommitError;
use crate::graph::client::testing::on_each_graph;
use crate::graph::embedded::{Embedded, Transaction};
use crate::graph::schema::{self, SCHEMA};
use crate::graph::{GraphDb, Mode};
use crate::model::Key;

async fn begun(graph: &Embedded) -> Transaction {
    graph.begin(NOTHING).await.unwrap().0
}

on_each_graph!(who_writes_the_same_conflicts_and_nobody_else);

/// N-Quads to set and to delete, of nodes `A`, `B` and `C`.
type Quads = (&'static str, &'static str);

/// Each pair, and whether the second of the two conflicts when they began at once. `#` begins every value of
/// a run.
const PAIRS: [(Quads, Quads, bool); 19] = [
    // Values of one node.
    (("A <version> \"1\" .", ""), ("A <version> \"1\" .", ""), true),
    (("A <version> \"1\" .", ""), ("B <version> \"1\" .", ""), false),
    (("A <version> \"1\" .", ""), ("A <deleted> \"1\" .", ""), false),
    (("A <version> \"1\" .", ""), ("", "A <version> * ."), true),
    (("", "A <version> * ."), ("", "A <version> * ."), true),
    // One edge, and one of many.
    (("A <Binding.role> B .", ""), ("A <Binding.role> C .", ""), true),
    (("A <guard> B .", ""), ("A <guard> C .", ""), false),
    (("A <guard> B .", ""), ("A <guard> B .", ""), true),
    (("A <guard> B .", ""), ("", "A <guard> B ."), true),
    (("", "A <guard> B ."), ("", "A <guard> B ."), true),
    (("A <guard> B .", ""), ("", "A <guard> * ."), false),
    (("", "A <guard> * ."), ("", "A <guard> * ."), true),
    (("A <User.memberOf> B .", ""), ("C <User.memberOf> B .", ""), false),
    // External keys: given, taken off, exchanged.
    (("_:n <xid> \"#1\" .", ""), ("_:n <xid> \"#1\" .", ""), true),
    (("_:n <xid> \"#2\" .", ""), ("_:n <xid> \"#3\" .", ""), false),
    (("", "A <xid> * ."), ("_:n <xid> \"#a\" .", ""), true),
    (("B <xid> \"#bb\" .", ""), ("_:n <xid> \"#b\" .", ""), true),
    // Any other index: as many as like have one value.
    (("_:n <listed> \"#l\" .", ""), ("_:n <listed> \"#l\" .", ""), false),
    (("_:n <Outbox.pending> \"#l\" .", ""), ("_:n <Outbox.pending> \"#l\" .", ""), false),
];

async fn who_writes_the_same_conflicts_and_nobody_else(graph: GraphDb) {
    schema::apply(&graph).await.unwrap();
    let run = uuid::Uuid::new_v4().simple().to_string();
    let begun = async || graph.begin(NOTHING).await.unwrap().0;
    let set = ["a", "b", "c"].map(|name| format!("_:{name} <xid> \"{run}{name}\" .\n")).concat();
    begun().await.commit(set, String::new()).await.unwrap();
    let dql =
        ["a", "b", "c"].map(|name| format!("{name}(func: eq(xid, \"{run}{name}\")) {{ uid }}"));
    let answer = graph.query(Mode::Strict, &format!("{{ {} }}", dql.join(" ")), &[]).await.unwrap();
    let nodes: serde_json::Value = answer.read().unwrap();
    let written = |text: &str| {
        let node = |name: &str| format!("<{}>", nodes[name][0]["uid"].as_str().unwrap());
        let text = text.replace("A ", &(node("a") + " ")).replace("B ", &(node("b") + " "));
        text.replace("C ", &(node("c") + " ")).replace('#', &run)
    };
    for (first, other, conflicts) in PAIRS {
        let (one, two) = (begun().await, begun().await);
        one.commit(written(first.0), written(first.1)).await.unwrap();
        let became = two.commit(written(other.0), written(other.1)).await;
        let told = format!("{first:?}, then {other:?}: {became:?}");
        assert_eq!(became == Err(CommitError::Aborted), conflicts, "{told}");
        assert_eq!(became.is_ok(), !conflicts, "{told}");
    }
}

#[tokio::test]
async fn who_loses_writes_nothing_and_may_begin_again() {
    let graph = graph().await;
    write(&graph, "_:n <version> \"0\" .", "").await.unwrap();
    let late = begun(&graph).await;
    write(&graph, "<0x1> <version> \"1\" .", "").await.unwrap();
    let set = "<0x1> <version> \"2\" .\n_:m <version> \"2\" .".to_owned();
    assert_eq!(late.commit(set, String::new()).await, Err(CommitError::Aborted));
    let all = "{ q(func: has(version)) { uid version } }";
    assert_eq!(ask(&graph, all).await, json!({"q": [{"uid": "0x1", "version": 1}]}));
    write(&graph, "<0x1> <version> \"3\" .", "").await.unwrap();
}

#[tokio::test]
async fn a_claim_conflicts_with_whoever_makes_the_node_and_leaves_nothing() {
    let graph = graph().await;
    let tenant = TenantId::parse("acme").unwrap();
    let key = Key::role(&tenant, "admin");
    let claims = BTreeSet::from([key.clone()]);
    let made = format!("_:n <xid> {:?} .", key.as_str());
    let (mut claiming, other) = (begun(&graph).await, begun(&graph).await);
    claiming.claim(&claims);
    claiming.commit(String::new(), String::new()).await.unwrap();
    assert_eq!(other.commit(made.clone(), String::new()).await, Err(CommitError::Aborted));
    let mut claiming = begun(&graph).await;
    claiming.claim(&claims);
    write(&graph, &made, "").await.unwrap();
    let lost = claiming.commit(String::new(), String::new()).await;
    assert_eq!(lost, Err(CommitError::Aborted));
    let found = ask(&graph, "{ q(func: has(xid)) { count(uid) } }").await;
    assert_eq!(found, json!({"q": [{"count": 1}]}));
}

#[tokio::test]
async fn a_write_removes_before_it_sets_and_edges_go_both_ways() {
    let graph = graph().await;
    write(&graph, "_:a <xid> \"a\" .\n_:b <xid> \"b\" .\n_:c <xid> \"c\" .", "").await.unwrap();
    let all = "{ q(func: uid(0x1, 0x2, 0x3)) { uid xid Binding.role { uid } ~Binding.role { uid }
                 User.memberOf { uid } ~User.memberOf { uid } } }";
    let set = "<0x1> <Binding.role> <0x2> .\n<0x1> <User.memberOf> <0x2> .\n<0x1> <User.memberOf> <0x3> .";
    write(&graph, set, "").await.unwrap();
    let delete = "<0x1> <xid> * .\n<0x1> <User.memberOf> * .\n<0x1> <Binding.role> <0x3> .\n<0x3> <attributes> * .";
    let set = "<0x1> <xid> \"d\" .\n<0x1> <Binding.role> <0x3> .\n<0x1> <User.memberOf> <0x1> .";
    write(&graph, set, delete).await.unwrap();
    let one = json!({"uid": "0x1"});
    let expected = json!({"q": [
        {"uid": "0x1", "xid": "d", "Binding.role": {"uid": "0x3"}, "User.memberOf": [one],
         "~User.memberOf": [one]},
        {"uid": "0x2", "xid": "b"},
        {"uid": "0x3", "xid": "c", "~Binding.role": [one]},
    ]});
    assert_eq!(ask(&graph, all).await, expected);
    let gone = ask(&graph, "{ q(func: eq(xid, [\"a\", \"d\"])) { uid } }").await;
    assert_eq!(gone, json!({"q": [one]}));
    write(
        &graph,
        "",
        "<0x1> <Binding.role> <0x3> .\n<0x1> <xid> * .\n<0x1> <User.memberOf> <0x1> .",
    )
    .await
    .unwrap();
    let left =
        json!({"q": [{"uid": "0x1"}, {"uid": "0x2", "xid": "b"}, {"uid": "0x3", "xid": "c"}]});
    assert_eq!(ask(&graph, all).await, left);
}

#[tokio::test]
async fn a_read_sees_every_commit_up_to_its_revision_and_none_after() {
    let graph = graph().await;
    write(&graph, "_:n <version> \"0\" .", "").await.unwrap();
    let dql = "{ q(func: uid(0x1)) { version } }";
    let mut snapshots = Vec::new();
    for n in 1..50 {
        let (before, _) = asked(&graph, dql, &[]).await.unwrap();
        snapshots.push((n - 1, graph.snapshot(NOTHING, &[]).await.unwrap()));
        let committed = write(&graph, &format!("<0x1> <version> \"{n}\" ."), "").await.unwrap();
        assert!(committed > before);
        let (after, answer) = asked(&graph, dql, &[]).await.unwrap();
        assert!(after >= committed);
        assert_eq!(answer, json!({"q": [{"version": n}]}));
    }
    for (n, (snapshot, begun)) in snapshots {
        let answer = snapshot.query(dql, &[], TIMEOUT).await.unwrap();
        assert_eq!(answer.revision, begun.revision);
        assert_eq!(answer.read::<serde_json::Value>().unwrap(), json!({"q": [{"version": n}]}));
    }
}

#[tokio::test]
async fn a_change_of_the_schema_keeps_what_is_stored_and_aborts_who_is_open() {
    let graph = Embedded::in_memory(TIMEOUT);
    graph.alter("name: string .\nof: [uid] .").await.unwrap();
    write(&graph, "_:a <name> \"n\" .\n_:b <name> \"n\" .\n_:a <of> _:b .", "").await.unwrap();
    let open = begun(&graph).await;
    graph.alter("name: string .").await.unwrap();
    open.commit("<0x1> <name> \"m\" .".to_owned(), String::new()).await.unwrap();
    let open = begun(&graph).await;
    graph.alter("name: string @index(exact) .\nof: [uid] @reverse .").await.unwrap();
    assert_eq!(open.commit(String::new(), String::new()).await, Err(CommitError::Aborted));
    let dql = "{ q(func: eq(name, \"n\")) { uid ~of { name } } }";
    assert_eq!(ask(&graph, dql).await, json!({"q": [{"uid": "0x2", "~of": [{"name": "m"}]}]}));
    graph.alter("name: int .").await.unwrap_err();
    graph.alter(SCHEMA).await.unwrap();
    assert_eq!(ask(&graph, dql).await["q"][0]["uid"], "0x2");
}

const ACCOUNTS: u64 = 4;

/// Moves one from account to account, again and again.
async fn transfers(graph: Embedded, seed: u64) {
    for n in 0..200 {
        let (from, to) = (1 + (seed + n) % ACCOUNTS, 1 + (seed * 7 + n * 3 + 1) % ACCOUNTS);
        if from == to {
            continue;
        }
        let of = |uid| format!("q{uid}(func: uid({uid:#x})) {{ version }}");
        let dql = format!("{{ {} {} }}", of(from), of(to));
        loop {
            let (open, answer) = graph.begin(&dql).await.unwrap();
            let found: serde_json::Value = answer.read().unwrap();
            let has = |uid| found[format!("q{uid}")][0]["version"].as_i64().unwrap();
            let set = |uid, by| format!("<{uid:#x}> <version> \"{}\" .\n", has(uid) + by);
            match open.commit(set(from, -1) + &set(to, 1), String::new()).await {
                Ok(_) => break,
                Err(CommitError::Aborted) => tokio::task::yield_now().await,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

/// Reads all accounts, again and again.
async fn sums(graph: Embedded) {
    for _ in 0..500 {
        let found = ask(&graph, "{ q(func: uid(0x1, 0x2, 0x3, 0x4)) { version } }").await;
        let rows = found["q"].as_array().unwrap();
        let sum: i64 = rows.iter().map(|row| row["version"].as_i64().unwrap()).sum();
        assert_eq!(sum, 400);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_and_readers_at_once_agree() {
    let graph = graph().await;
    let set: String = (0..ACCOUNTS).map(|n| format!("_:n{n} <version> \"100\" .\n")).collect();
    write(&graph, &set, "").await.unwrap();
    let writers = (1..4).map(|seed| tokio::spawn(transfers(graph.clone(), seed)));
    let readers = (0..2).map(|_| tokio::spawn(sums(graph.clone())));
    let all: Vec<_> = writers.chain(readers).collect();
    for one in all {
        one.await.unwrap();
    }
}
