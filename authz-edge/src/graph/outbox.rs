//! Changes that wait to be published: nodes that were committed with what they tell of.

use contracts::audit::AuditEvent;
use contracts::{GraphEpoch, Revision, TenantId};
use serde::{Deserialize, Serialize};

use super::client::{CommitError, GraphDb, Mode};
use super::dql::{HasUid, Uid};
use super::schema;
use super::store::GraphError;

/// What is still to be done about a change. The predicate that says so is not `@upsert`: writers never
/// conflict on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its fences, and then its audit events: as it is committed.
    Fences,
    /// Its audit events alone: they must hold up nobody's fences.
    Audit,
    /// Nobody can read it, or its event is too large for the topic. It is kept, and looked at again now
    /// and then, beside the others' way.
    Aside,
}

impl Stage {
    /// All of them, in this order.
    pub const ALL: [Self; 3] = [Self::Fences, Self::Audit, Self::Aside];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Fences => "1",
            Self::Audit => "2",
            Self::Aside => "3",
        }
    }

    /// Its name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fences => "fences",
            Self::Audit => "audit",
            Self::Aside => "aside",
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
    /// When it was written, by its writer's clock, milliseconds since 1970; 0 from a build that did not say.
    #[serde(default)]
    pub at_ms: u64,
}

/// What one strict read found.
#[derive(Debug)]
pub struct Batch {
    /// The graph that was read.
    pub epoch: GraphEpoch,
    /// The read's time: at or above the commit of each change in it.
    pub revision: Revision,
    /// The changes, each with its node.
    pub changes: Vec<(u64, Pending)>,
    /// Nodes that say nothing that this build understands, and why.
    pub unreadable: Vec<(u64, String)>,
    /// The node to go on behind; `None` when there are no others up to `revision`.
    pub next: Option<u64>,
}

#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    meta: Vec<schema::Stored>,
    #[serde(default)]
    pending: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    uid: Uid,
    #[serde(rename = "Outbox.change")]
    change: Option<String>,
}

/// Up to `limit` changes of a stage, by their nodes behind `after`.
///
/// # Errors
/// When Dgraph does not answer, or the graph has no schema.
pub async fn pending(
    graph: &GraphDb,
    stage: Stage,
    after: u64,
    limit: usize,
) -> Result<Batch, GraphError> {
    let (stage, meta) = (stage.as_str(), schema::block());
    let dql = format!(
        "{{ {meta} pending(func: eq(Outbox.pending, {stage:?}), first: {limit}, after: {after:#x})
             {{ uid Outbox.change }} }}"
    );
    let answer = graph.query(Mode::Strict, &dql, &[]).await?;
    let Rows { meta, pending } = answer.read()?;
    let meta = schema::read(&meta)?;
    let meta = meta.ok_or_else(|| GraphError::Refused("the graph has no schema".to_owned()))?;
    let last = pending.last().map(|row| row.uid.0);
    let next = last.filter(|_| pending.len() >= limit);
    let (mut changes, mut unreadable) = (Vec::with_capacity(pending.len()), Vec::new());
    for Row { uid: Uid(node), change } in pending {
        match serde_json::from_str(change.as_deref().unwrap_or_default()) {
            Ok(change) => changes.push((node, change)),
            Err(error) => unreadable.push((node, error.to_string())),
        }
    }
    Ok(Batch { epoch: meta.epoch, revision: answer.revision, changes, unreadable, next })
}

/// How many changes are in each of [`Stage::ALL`].
///
/// # Errors
/// When Dgraph does not answer.
pub async fn depth(graph: &GraphDb) -> Result<[u64; 3], GraphError> {
    #[derive(Deserialize)]
    struct Count {
        count: u64,
    }
    #[derive(Deserialize)]
    struct Counts {
        fences: [Count; 1],
        audit: [Count; 1],
        aside: [Count; 1],
    }
    let block = |stage: Stage| {
        let (name, value) = (stage.name(), stage.as_str());
        format!("{name}(func: eq(Outbox.pending, {value:?})) {{ count(uid) }}")
    };
    let dql = format!("{{ {} }}", Stage::ALL.map(block).join(" "));
    let answer = graph.query(Mode::Strict, &dql, &[]).await?;
    let Counts { fences: [fences], audit: [audit], aside: [aside] } = answer.read()?;
    Ok([fences, audit, aside].map(|found| found.count))
}

/// What becomes of nodes of which something is done.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Nothing is left to do: deleted.
    pub done: Vec<u64>,
    /// Their audit events are to be published.
    pub audit: Vec<u64>,
    /// See [`Stage::Aside`].
    pub aside: Vec<u64>,
}

/// Writes what was done. What another relay has deleted stays deleted: the write rests on what is there.
///
/// # Errors
/// When Dgraph does not answer.
pub async fn settle(graph: &GraphDb, outcome: &Outcome) -> Result<(), GraphError> {
    #[derive(Deserialize)]
    struct Held {
        #[serde(default)]
        held: Vec<HasUid>,
    }
    let moved = outcome.audit.iter().chain(&outcome.aside);
    let nodes: Vec<_> = moved.chain(&outcome.done).map(|node| format!("{node:#x}")).collect();
    if nodes.is_empty() {
        return Ok(());
    }
    let nodes = nodes.join(", ");
    let dql = format!("{{ held(func: uid({nodes})) @filter(has(Outbox.pending)) {{ uid }} }}");
    let (transaction, answer) = graph.begin(&dql).await?;
    let held = answer.read::<Held>()?.held.into_iter().map(|node| node.uid.0);
    let held: std::collections::HashSet<_> = held.collect();
    let (mut set, mut delete) = (String::new(), String::new());
    for (nodes, stage) in [(&outcome.audit, Stage::Audit), (&outcome.aside, Stage::Aside)] {
        for node in nodes.iter().filter(|node| held.contains(node)) {
            set += &format!("<{node:#x}> <Outbox.pending> {:?} .\n", stage.as_str());
        }
    }
    for node in outcome.done.iter().filter(|node| held.contains(node)) {
        delete += &format!("<{node:#x}> <Outbox.pending> * .\n<{node:#x}> <Outbox.change> * .\n");
    }
    if set.is_empty() && delete.is_empty() {
        return Ok(());
    }
    match transaction.commit(set, delete).await {
        // Aborted: another relay did it for some of them; the rest is found again.
        Ok(_) | Err(CommitError::Aborted) => Ok(()),
        Err(CommitError::Graph(error)) => Err(error),
    }
}
