//! Changes that wait to be published: nodes that were committed with what they tell of.

use contracts::audit::AuditEvent;
use contracts::{Revision, TenantId};
use serde::{Deserialize, Serialize};

use super::client::{CommitError, Dgraph, Mode};
use super::dql::Uid;
use super::store::GraphError;

/// What is still to be done about a change. The predicate that says so is not `@upsert`: writers never
/// conflict on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its fences, and then its audit events: as it is committed.
    Fences,
    /// Its audit events alone: they could not be published with the fences, which must not wait.
    Audit,
}

impl Stage {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Fences => "1",
            Self::Audit => "2",
        }
    }
}

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

/// Up to `limit` changes of a stage.
///
/// # Errors
/// When Dgraph does not answer.
pub async fn pending(graph: &Dgraph, stage: Stage, limit: usize) -> Result<Batch, GraphError> {
    let stage = stage.as_str();
    let dql = format!(
        "{{ pending(func: eq(Outbox.pending, {stage:?}), first: {limit}) {{ uid Outbox.change }} }}"
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
    let quads = nodes
        .iter()
        .map(|node| format!("<{node:#x}> <Outbox.pending> * .\n<{node:#x}> <Outbox.change> * .\n"));
    write(graph, String::new(), quads.collect()).await
}

/// Leaves nodes whose fences are published to whoever publishes their audit events.
///
/// # Errors
/// When Dgraph does not answer.
pub async fn keep_for_audit(graph: &Dgraph, nodes: &[u64]) -> Result<(), GraphError> {
    let stage = Stage::Audit.as_str();
    let quads = nodes.iter().map(|node| format!("<{node:#x}> <Outbox.pending> {stage:?} .\n"));
    write(graph, quads.collect(), String::new()).await
}

async fn write(graph: &Dgraph, set: String, delete: String) -> Result<(), GraphError> {
    if set.is_empty() && delete.is_empty() {
        return Ok(());
    }
    let (transaction, _) = graph.begin("schema(pred: [xid]) { type }").await?;
    match transaction.commit(set, delete).await {
        // Aborted: another relay did it for some of them; the rest is found again.
        Ok(_) | Err(CommitError::Aborted) => Ok(()),
        Err(CommitError::Graph(error)) => Err(error),
    }
}
