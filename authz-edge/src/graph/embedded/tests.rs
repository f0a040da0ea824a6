//! What the engine promises by itself. That it is as Dgraph is, the suites of `graph`, `check`, `sync` and
//! `http` show, which run on both, and [`alike`].

#[cfg(feature = "engines")]
mod alike;
mod answers;
mod disk;
mod offline;
mod parsing;
pub(super) mod recorder;
mod transactions;
mod world;

use std::time::Duration;

use contracts::Revision;
use serde_json::Value;

use super::Embedded;
use crate::graph::client::CommitError;
use crate::graph::schema::SCHEMA;
use crate::graph::store::GraphError;

const TIMEOUT: Duration = Duration::from_secs(10);
const NOTHING: &str = "{ q(func: uid(0x1)) { uid } }";

/// In memory, with the schema.
async fn graph() -> Embedded {
    let graph = Embedded::in_memory(TIMEOUT);
    graph.alter(SCHEMA).await.unwrap();
    graph
}

async fn write(graph: &Embedded, set: &str, delete: &str) -> Result<Revision, CommitError> {
    let (open, _) = graph.begin(NOTHING).await.unwrap();
    open.commit(set.to_owned(), delete.to_owned()).await
}

async fn asked(
    graph: &Embedded,
    dql: &str,
    vars: &[(&str, &str)],
) -> Result<(Revision, Value), GraphError> {
    let answer = graph.query(dql, vars).await?;
    Ok((answer.revision, answer.read()?))
}

async fn ask(graph: &Embedded, dql: &str) -> Value {
    asked(graph, dql, &[]).await.unwrap_or_else(|error| panic!("{dql}: {error}")).1
}
