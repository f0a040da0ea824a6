//! The graph's schema: applied by `authz-edge schema apply`, versioned, repeatable.

use contracts::GraphEpoch;
use rand::Rng as _;
use serde::Deserialize;

use super::client::{CommitError, Dgraph, Mode};
use super::dql::HasUid;
use super::store::GraphError;

/// The schema's version: raised with every change of it.
pub const VERSION: u64 = 1;

/// The external key of the node that knows version and epoch; no tenant's key looks like it.
const META: &str = "meta";

/// Every predicate. Only `xid` is `@upsert`: two transactions that make the same node conflict, and
/// nothing else does but writers of the same edge or value.
pub const SCHEMA: &str = "\
xid: string @index(hash) @upsert .
listed: string @index(hash) .
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

#[derive(Deserialize)]
struct Stored {
    #[serde(flatten)]
    node: HasUid,
    #[serde(rename = "Meta.version")]
    version: u64,
    #[serde(rename = "Meta.epoch")]
    epoch: String,
}

fn query() -> String {
    format!("{{ meta(func: eq(xid, {META:?})) {{ uid Meta.version Meta.epoch }} }}")
}

fn read(found: &Found) -> Result<Option<Meta>, GraphError> {
    let Some(stored) = found.meta.first() else { return Ok(None) };
    let epoch = u64::from_str_radix(&stored.epoch, 16)
        .map_err(|_| GraphError::Refused("the graph's epoch is unreadable".to_owned()))?;
    Ok(Some(Meta { version: stored.version, epoch: GraphEpoch(epoch) }))
}

/// What the graph says of itself; `None` before the schema was applied.
///
/// # Errors
/// When Dgraph does not answer.
pub async fn meta(graph: &Dgraph) -> Result<Option<Meta>, GraphError> {
    match graph.query(Mode::Strict, &query(), &[]).await {
        Ok(answer) => read(&answer.read()?),
        // Without the schema, `xid` has no index.
        Err(GraphError::Refused(reason)) if reason.contains("not indexed") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Brings the schema up to date. Repeating it changes nothing; the epoch stays.
///
/// # Errors
/// When Dgraph does not answer, or has a newer schema.
pub async fn apply(graph: &Dgraph) -> Result<Meta, GraphError> {
    if let Some(found) = meta(graph).await?.filter(|found| found.version > VERSION) {
        let newer = format!("the graph has schema version {}, newer than {VERSION}", found.version);
        return Err(GraphError::Refused(newer));
    }
    graph.alter(SCHEMA).await?;
    loop {
        let (transaction, answer) = graph.begin(&query()).await?;
        let found: Found = answer.read()?;
        let known = read(&found)?;
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
