//! Sweeping what was deleted: its edges, bindings and permissions, in batches. Nothing that is swept was
//! to be seen any more.

use serde::Deserialize;

use super::super::client::CommitError;
use super::super::dql::HasUid;
use super::super::store::GraphError;
use super::Writer;

/// Edges of one transaction, of each kind.
const BATCH: usize = 500;
/// Nodes of one round.
const NODES: usize = 20;

/// What one round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Nodes that still had something.
    pub nodes: usize,
    /// Edges and nodes that were deleted.
    pub edges: usize,
}

#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    dead: Vec<Dead>,
}

#[derive(Deserialize)]
struct Dead {
    #[serde(flatten)]
    node: HasUid,
    deleted: i64,
    #[serde(rename = "~User.memberOf", default)]
    members: Vec<HasUid>,
    #[serde(rename = "~Team.hasRole", default)]
    holders: Vec<HasUid>,
    #[serde(rename = "~Resource.parent", default)]
    children: Vec<HasUid>,
    #[serde(rename = "~Binding.role", default)]
    by_role: Vec<Bound>,
    #[serde(rename = "~Binding.onResource", default)]
    by_resource: Vec<Bound>,
    #[serde(rename = "Team.hasBinding", default)]
    bindings: Vec<Bound>,
    #[serde(rename = "Team.hasWideBinding", default)]
    wide: Vec<Bound>,
    #[serde(rename = "Role.hasPermission", default)]
    permissions: Vec<HasUid>,
}

#[derive(Deserialize)]
struct Bound {
    uid: super::super::dql::Uid,
    #[serde(rename = "Binding.holder")]
    holder: Option<HasUid>,
}

fn query() -> String {
    let first = format!("(first: {BATCH})");
    format!(
        "{{ dead(func: has(deleted), first: {NODES}) {{ uid deleted
             ~User.memberOf {first} {{ uid }} ~Team.hasRole {first} {{ uid }}
             ~Resource.parent {first} {{ uid }}
             ~Binding.role {first} {{ uid Binding.holder {{ uid }} }}
             ~Binding.onResource {first} {{ uid Binding.holder {{ uid }} }}
             Team.hasBinding {first} {{ uid Binding.holder {{ uid }} }}
             Team.hasWideBinding {first} {{ uid Binding.holder {{ uid }} }}
             Role.hasPermission {first} {{ uid }} }} }}"
    )
}

impl Writer<'_> {
    /// Sweeps once. A node's mark goes when nothing is left and it was deleted before `settled` (in
    /// microseconds since 1970): until then a transaction that began before the deletion may still bind
    /// something to it.
    ///
    /// # Errors
    /// When Dgraph does not answer.
    pub async fn sweep(&self, settled: i64) -> Result<Swept, GraphError> {
        let (transaction, answer) = self.graph.begin(&query()).await?;
        let rows: Rows = answer.read()?;
        let (mut quads, mut swept) = (String::new(), Swept { nodes: 0, edges: 0 });
        for dead in &rows.dead {
            let edges = edges_of(dead);
            if edges.is_empty() && dead.deleted < settled {
                quads.push_str(&remove_last(dead.node.uid.0));
            } else if !edges.is_empty() {
                swept.nodes += 1;
            }
            swept.edges += edges.len();
            quads.extend(edges);
        }
        if quads.is_empty() {
            return Ok(swept);
        }
        match transaction.commit(String::new(), quads).await {
            // Another replica sweeps, or somebody writes: there is a next time.
            Ok(_) | Err(CommitError::Aborted) => Ok(swept),
            Err(CommitError::Graph(error)) => Err(error),
        }
    }
}

fn edges_of(dead: &Dead) -> Vec<String> {
    let node = dead.node.uid.0;
    let incoming = [
        (&dead.members, "User.memberOf"),
        (&dead.holders, "Team.hasRole"),
        (&dead.children, "Resource.parent"),
    ];
    let mut edges: Vec<_> = incoming
        .into_iter()
        .flat_map(|(from, predicate)| {
            from.iter().map(move |f| format!("<{:#x}> <{predicate}> <{node:#x}> .\n", f.uid.0))
        })
        .collect();
    let bound = [&dead.by_role, &dead.by_resource, &dead.bindings, &dead.wide];
    edges.extend(bound.into_iter().flatten().map(remove_binding));
    edges.extend(dead.permissions.iter().map(|permission| {
        let predicates = ["role", "action", "scope", "onType", "onResource", "condition"];
        let of = |p| format!("<{:#x}> <Permission.{p}> * .\n", permission.uid.0);
        let edge = format!("<{node:#x}> <Role.hasPermission> <{:#x}> .\n", permission.uid.0);
        predicates.map(of).concat() + &edge
    }));
    edges
}

fn remove_binding(bound: &Bound) -> String {
    let uid = bound.uid.0;
    let own = [
        "xid",
        "Binding.holder",
        "Binding.role",
        "Binding.onResource",
        "Binding.onType",
        "Binding.expiresAt",
    ];
    let mut quads: String = own.map(|p| format!("<{uid:#x}> <{p}> * .\n")).concat();
    if let Some(holder) = bound.holder {
        for predicate in ["Team.hasBinding", "Team.hasWideBinding"] {
            quads += &format!("<{:#x}> <{predicate}> <{uid:#x}> .\n", holder.uid.0);
        }
    }
    quads
}

fn remove_last(node: u64) -> String {
    let own = [
        "User.memberOf",
        "Team.hasRole",
        "Team.hasBinding",
        "Team.hasWideBinding",
        "Role.name",
        "Resource.parent",
        "Subject.inactive",
        "guard",
        "version",
        "deleted",
    ];
    own.map(|predicate| format!("<{node:#x}> <{predicate}> * .\n")).concat()
}
