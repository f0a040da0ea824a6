//! The same on Dgraph: what this crate writes at random is written to both graphs, to the same nodes, and
//! every query that it has sent is asked of both. `TRIAD_DGRAPH=host:port cargo test -- --ignored alike`.

use serde_json::{Map, Value};

use super::TIMEOUT;
use super::recorder::Said;
use super::world::World;
use crate::graph::embedded::Embedded;
use crate::graph::{GraphDb, Mode, schema};

/// Nodes that Dgraph gives away for a run.
const NODES: u64 = 20_000;
const ROUNDS: u64 = 12;
const WRITES: usize = 25;

/// What an answer says of the nodes of this run: others may have left nodes of theirs in Dgraph. Of the
/// graph itself, each has its own.
fn ours(answer: Value, from: u64) -> Value {
    let is_ours = |row: &Value| {
        let uid = row["uid"].as_str().and_then(|uid| u64::from_str_radix(&uid[2..], 16).ok());
        uid.is_none_or(|uid| uid >= from)
    };
    let Value::Object(blocks) = answer else { panic!("{answer}") };
    let kept = blocks.into_iter().filter(|(name, _)| name != "meta");
    let kept = kept.map(|(name, rows)| match rows {
        Value::Array(rows) => (name, rows.into_iter().filter(is_ours).collect()),
        other => (name, other),
    });
    Value::Object(kept.collect::<Map<_, _>>())
}

/// Whether an answer depends on what others have left in Dgraph.
fn is_of_all(dql: &str) -> bool {
    let is_cut = dql.contains("first:");
    (dql.contains("func: has(") && is_cut) || dql.contains("eq(Outbox.pending")
}

struct Both {
    dgraph: GraphDb,
    embedded: Embedded,
    /// Whether nobody else has left anything in Dgraph.
    is_alone: bool,
    from: u64,
}

impl Both {
    async fn commit(&self, set: String, delete: String) {
        let (open, _) = self.dgraph.begin(super::NOTHING).await.unwrap();
        let told = format!("{set}\n{delete}");
        open.commit(set, delete).await.unwrap_or_else(|error| panic!("{told}: {error:?}"));
    }

    async fn compare(&self, dql: &str, vars: &[(String, String)]) {
        if is_of_all(dql) && !self.is_alone {
            return;
        }
        let vars: Vec<_> = vars.iter().map(|(name, value)| (&**name, &**value)).collect();
        let expected = self.dgraph.query(Mode::Strict, dql, &vars).await;
        let expected = expected.unwrap_or_else(|error| panic!("{dql}: {error}"));
        let found = self.embedded.query(dql, &vars).await.unwrap();
        let [expected, found] = [expected, found].map(|a| ours(a.read().unwrap(), self.from));
        assert_eq!(found, expected, "{dql} {vars:?}");
    }
}

#[tokio::test]
#[ignore = "needs TRIAD_DGRAPH"]
async fn every_query_of_this_crate_is_answered_alike() {
    let dgraph = GraphDb::from_test_env();
    schema::apply(&dgraph).await.unwrap();
    let count =
        "{ q(func: has(listed)) { count(uid) } o(func: has(Outbox.pending)) { count(uid) } }";
    let count: Value = dgraph.query(Mode::Strict, count, &[]).await.unwrap().read().unwrap();
    let is_alone = count == serde_json::json!({"q": [{"count": 0}], "o": [{"count": 0}]});
    let (mut open, _) = dgraph.begin(super::NOTHING).await.unwrap();
    let blank: String = (0..NODES).map(|n| format!("_:n{n} <deleted> \"1\" .\n")).collect();
    let uids = open.hold(&blank).await;
    let from = *uids.iter().min().unwrap();
    assert_eq!(uids.len() as u64, NODES);
    assert_eq!(uids.iter().max(), Some(&(from + NODES - 1)), "they are one range");

    let embedded = Embedded::in_memory(TIMEOUT);
    schema::apply(&embedded.clone().into()).await.unwrap();
    embedded.go_on_at(from).await;
    let seed = rand::random();
    println!("seed {seed}, alone {is_alone}");
    let name = format!("d{:x}", from);
    let mut world = World::new(embedded.clone().into(), &name, seed);
    let both = Both { dgraph, embedded, is_alone, from };
    let mut asked = std::collections::BTreeSet::new();
    for _ in 0..ROUNDS {
        for _ in 0..WRITES {
            world.write().await;
        }
        world.read().await;
        for said in both.embedded.said() {
            match said {
                Said::Commit { set, delete } => both.commit(set, delete).await,
                Said::Query { dql, vars } => _ = asked.insert((dql, vars)),
            }
        }
        println!("{} queries", asked.len());
        for (dql, vars) in std::mem::take(&mut asked) {
            both.compare(&dql, &vars).await;
        }
        // What comparing asked.
        both.embedded.said();
    }
}
