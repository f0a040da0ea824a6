//! The graph's schema: applied by `authz-edge schema apply`, versioned, repeatable.

use std::time::{Duration, Instant};

use contracts::GraphEpoch;
use rand::Rng as _;
use serde::Deserialize;

use super::client::{CommitError, GraphDb, Mode};
use super::dql::HasUid;
use super::store::GraphError;

/// How long open transactions may keep a change of the schema waiting.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// The schema's version: raised with every change of it.
pub const VERSION: u64 = 2;

/// The external key of the node that knows version and epoch; no tenant's key looks like it.
const META: &str = "meta";

/// Every predicate. Only `xid` is `@upsert`: two transactions that make the same node conflict, and
/// nothing else does but writers of the same edge or value.
pub const SCHEMA: &str = "\
xid: string @index(hash) @upsert .
listed: string @index(exact) .
version: int .
deleted: int .
attributes: string .
guard: [uid] .
User.memberOf: [uid] @reverse .
Team.hasRole: [uid] @reverse .
Team.hasBinding: [uid] .
Team.hasWideBinding: [uid] .
Binding.holder: uid .
Binding.role: uid @reverse .
Binding.onResource: uid @reverse .
Binding.onType: string .
Binding.expiresAt: int .
Role.name: string .
Role.hasPermission: [uid] .
Permission.role: uid .
Permission.action: string .
Permission.onResource: uid @reverse .
Permission.onType: string .
Permission.scope: string .
Permission.condition: string .
Resource.parent: [uid] @reverse .
Subject.inactive: bool .
Tenant.suspended: bool .
Tenant.seq: int .
Tenant.generation: int .
Outbox.pending: string @index(hash) .
Outbox.change: string .
Meta.version: int .
Meta.epoch: string .
";

/// What the graph says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// The schema's version.
    pub version: u64,
    /// A random number of this graph: revisions of another one mean nothing here.
    pub epoch: GraphEpoch,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    meta: Vec<Stored>,
}

/// The node of it.
#[derive(Deserialize)]
pub(super) struct Stored {
    #[serde(flatten)]
    node: HasUid,
    #[serde(rename = "Meta.version")]
    version: u64,
    #[serde(rename = "Meta.epoch")]
    epoch: String,
}

/// The block `meta` of a query, for what must know which graph it reads.
pub(super) fn block() -> String {
    format!("meta(func: eq(xid, {META:?})) {{ uid Meta.version Meta.epoch }}")
}

fn query() -> String {
    format!("{{ {} }}", block())
}

/// Reads the block `meta`.
pub(super) fn read(meta: &[Stored]) -> Result<Option<Meta>, GraphError> {
    let Some(stored) = meta.first() else { return Ok(None) };
    let epoch = u64::from_str_radix(&stored.epoch, 16)
        .map_err(|_| GraphError::Refused("the graph's epoch is unreadable".to_owned()))?;
    Ok(Some(Meta { version: stored.version, epoch: GraphEpoch(epoch) }))
}

/// What the graph says of itself; `None` before the schema was applied.
///
/// # Errors
/// When Dgraph does not answer.
pub async fn meta(graph: &GraphDb) -> Result<Option<Meta>, GraphError> {
    match graph.query(Mode::Strict, &query(), &[]).await {
        Ok(answer) => read(&answer.read::<Found>()?.meta),
        // Without the schema, `xid` has no index; once everything was dropped, Dgraph says it differently.
        Err(GraphError::Refused(reason))
            if reason.contains("not indexed") || reason.contains("Schema not defined") =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Dgraph changes no schema while transactions that touch it are open: it aborts them and asks to be
/// asked again. Their writers repeat them, so a few rounds may be needed.
async fn alter(graph: &GraphDb) -> Result<(), GraphError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match graph.alter(SCHEMA).await {
            Err(GraphError::Contended) if Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            altered => return altered,
        }
    }
}

/// Brings the schema up to date. Repeating it changes nothing and disturbs nobody; the epoch stays.
///
/// # Errors
/// When Dgraph does not answer, has a newer schema, or is too busy for a change of it.
pub async fn apply(graph: &GraphDb) -> Result<Meta, GraphError> {
    match meta(graph).await? {
        Some(found) if found.version > VERSION => {
            let found = found.version;
            let newer = format!("the graph has schema version {found}, newer than {VERSION}");
            return Err(GraphError::Refused(newer));
        }
        Some(found) if found.version == VERSION => return Ok(found),
        _ => {}
    }
    alter(graph).await?;
    loop {
        let (transaction, answer) = graph.begin(&query()).await?;
        let found: Found = answer.read()?;
        let known = read(&found.meta)?;
        if let Some(known) = known.filter(|known| known.version == VERSION) {
            return Ok(known);
        }
        let node =
            found.meta.first().map_or("_:meta".to_owned(), |m| format!("<{:#x}>", m.node.uid.0));
        let epoch = known.map_or_else(|| GraphEpoch(rand::rng().random()), |known| known.epoch);
        let set = format!(
            "{node} <xid> {META:?} .\n{node} <Meta.version> \"{VERSION}\" .\n\
             {node} <Meta.epoch> \"{:016x}\" .\n",
            epoch.0
        );
        match transaction.commit(set, String::new()).await {
            Ok(_) => return Ok(Meta { version: VERSION, epoch }),
            // Somebody else applied it at the same time: look again.
            Err(CommitError::Aborted) => {}
            Err(CommitError::Graph(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::testing::on_each_graph;
    use super::*;

    /// FNV-1a: <http://www.isthe.com/chongo/tech/comp/fnv/>.
    fn fingerprint(text: &str) -> u64 {
        let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        text.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
    }

    /// A graph of the same version is left as it is.
    #[test]
    fn the_schema_changes_with_its_version_only() {
        assert_eq!(
            (VERSION, fingerprint(SCHEMA)),
            (2, 0xfc69_1eb3_42cf_2a63),
            "raise VERSION with a changed schema"
        );
    }

    on_each_graph!(
        applied_again_it_disturbs_no_open_write,
        a_graph_without_it_is_told_from_one_that_does_not_answer,
    );

    /// A transaction of a graph with the schema that has written and not committed.
    async fn held(graph: &GraphDb) -> super::super::client::Transaction {
        apply(graph).await.unwrap();
        let (mut open, _) = graph.begin(&query()).await.unwrap();
        let node = uuid::Uuid::new_v4();
        open.hold(&format!("_:node <xid> \"{node}\" .")).await;
        open
    }

    async fn applied_again_it_disturbs_no_open_write(graph: GraphDb) {
        let open = held(&graph).await;
        apply(&graph).await.unwrap();
        open.commit(String::new(), String::new()).await.unwrap();
    }

    async fn a_graph_without_it_is_told_from_one_that_does_not_answer(graph: GraphDb) {
        let before = meta(&graph).await.unwrap();
        let applied = apply(&graph).await.unwrap();
        assert!(before.is_none_or(|before| before == applied));
        assert_eq!(meta(&graph).await, Ok(Some(applied)));
        assert_eq!(apply(&graph).await, Ok(applied));
    }

    /// Dgraph has it wait, and aborts them when it is asked often enough.
    #[cfg(feature = "engines")]
    #[tokio::test]
    #[ignore = "needs TRIAD_DGRAPH"]
    async fn a_change_of_it_outlasts_open_writes() {
        let graph = GraphDb::from_test_env();
        let open = held(&graph).await;
        let refused = graph.alter(SCHEMA).await;
        assert_eq!(refused, Err(GraphError::Contended), "else this test shows nothing");
        alter(&graph).await.unwrap();
        let aborted = open.commit(String::new(), String::new()).await;
        assert_eq!(aborted, Err(CommitError::Aborted));
    }
}
