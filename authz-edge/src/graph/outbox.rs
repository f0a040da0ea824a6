//! Changes that wait to be published: nodes that were committed with what they tell of.

use contracts::audit::AuditEvent;
use contracts::{Revision, TenantId};
use serde::{Deserialize, Serialize};

use super::client::{CommitError, Dgraph, Mode};
use super::dql::Uid;
use super::store::GraphError;

/// The value that pending nodes are found by; the predicate is not `@upsert`, so that writers never
/// conflict on it.
pub(super) const PENDING: &str = "1";

/// One committed change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Where.
    pub tenant: TenantId,
    /// External keys whose fences are to be raised.
    pub keys: Vec<String>,
    /// The audit events of it, with their ids and times.
    #[serde(default)]
    pub events: Vec<AuditEvent>,
}

/// What one strict read found.
#[derive(Debug)]
pub struct Batch {
    /// The read's time: at or above the commit of each change in it.
    pub revision: Revision,
    /// The changes, each with its node.
    pub changes: Vec<(u64, Pending)>,
    /// Whether there are no others up to `revision`.
    pub complete: bool,
}

#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    pending: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    uid: Uid,
    #[serde(rename = "Outbox.change")]
    change: String,
}

/// Up to `limit` changes that are committed and not yet forgotten.
///
/// # Errors
/// When Dgraph does not answer.
pub async fn pending(graph: &Dgraph, limit: usize) -> Result<Batch, GraphError> {
    let dql = format!(
        "{{ pending(func: eq(Outbox.pending, {PENDING:?}), first: {limit}) {{ uid Outbox.change }} }}"
    );
    let answer = graph.query(Mode::Strict, &dql, &[]).await?;
    let rows: Rows = answer.read()?;
    let complete = rows.pending.len() < limit;
    let read = |row: Row| {
        let change = serde_json::from_str(&row.change);
        change
            .map(|change| (row.uid.0, change))
            .map_err(|error| GraphError::Refused(format!("outbox node {:#x}: {error}", row.uid.0)))
    };
    let changes = rows.pending.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok(Batch { revision: answer.revision, changes, complete })
}

/// Deletes nodes whose changes are published. Another relay may have done it before.
///
/// # Errors
/// When Dgraph does not answer.
pub async fn forget(graph: &Dgraph, nodes: &[u64]) -> Result<(), GraphError> {
    if nodes.is_empty() {
        return Ok(());
    }
    let quads: Vec<_> = nodes
        .iter()
        .map(|node| format!("<{node:#x}> <Outbox.pending> * .\n<{node:#x}> <Outbox.change> * .\n"))
        .collect();
    let (transaction, _) = graph.begin("schema(pred: [xid]) { type }").await?;
    match transaction.commit(String::new(), quads.concat()).await {
        // Aborted: another relay deleted some of them; the rest is found again.
        Ok(_) | Err(CommitError::Aborted) => Ok(()),
        Err(CommitError::Graph(error)) => Err(error),
    }
}
