//! Sweeping what was deleted: its edges, bindings and permissions, in batches. Nothing that is swept was
//! to be seen any more.

use serde::Deserialize;

use super::super::client::CommitError;
use super::super::dql::HasUid;
use super::super::store::GraphError;
use super::Writer;
use super::draft::{Draft, Id};
use super::relationships::BINDING;
use super::role::drop_permission;

/// Edges of one transaction, of each kind.
const BATCH: usize = 500;
/// Nodes of one page.
const NODES: usize = 100;
/// Transactions of one page and sweep; what a node still has then is left to the next sweep.
const TURNS: usize = 1000;

/// What a node still holds when nothing leads to it any more; its mark goes with it.
const LAST: [&str; 10] = [
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

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Nodes that still had something.
    pub nodes: usize,
    /// Edges and nodes that were deleted.
    pub edges: usize,
}

/// What a transaction did.
#[derive(Default)]
struct Page {
    swept: Swept,
    /// Whether a node may have more edges than it took.
    has_more: bool,
    /// Its last node; none at the end.
    last: Option<u64>,
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
    #[serde(flatten)]
    node: HasUid,
    #[serde(rename = "Binding.holder")]
    holder: Option<HasUid>,
}

fn query(after: u64) -> String {
    let first = format!("(first: {BATCH})");
    format!(
        "{{ dead(func: has(deleted), first: {NODES}, after: {after:#x}) {{ uid deleted
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
    /// Sweeps everything that is deleted. A node's mark goes when nothing is left and it was deleted before
    /// `settled` (in microseconds since 1970): until then a transaction that began before the deletion may
    /// still bind something to it. Marks that stay are walked past, however many there are.
    ///
    /// # Errors
    /// When Dgraph does not answer.
    pub async fn sweep(&self, settled: i64) -> Result<Swept, GraphError> {
        let (mut all, mut after, mut turns) = (Swept::default(), 0, 0);
        loop {
            let page = self.sweep_page(settled, after).await?;
            all.nodes += page.swept.nodes;
            all.edges += page.swept.edges;
            turns += 1;
            match page.last {
                None => return Ok(all),
                Some(_) if page.has_more && turns < TURNS => {}
                Some(last) => (after, turns) = (last, 0),
            }
        }
    }

    async fn sweep_page(&self, settled: i64, after: u64) -> Result<Page, GraphError> {
        let (transaction, answer) = self.graph.begin(&query(after)).await?;
        let rows: Rows = answer.read()?;
        let (mut draft, mut page) = (Draft::default(), Page::default());
        for dead in &rows.dead {
            let edges = remove_edges(dead, &mut draft);
            if edges > 0 {
                page.swept.nodes += 1;
            } else if dead.deleted < settled {
                draft.remove_every(stored(&dead.node), &LAST);
            }
            page.swept.edges += edges;
            page.has_more |= edges >= BATCH;
        }
        page.last = rows.dead.last().map(|dead| dead.node.uid.0);
        let deletions = draft.deletions();
        if deletions.is_empty() {
            return Ok(page);
        }
        match transaction.commit(String::new(), deletions).await {
            Ok(_) => Ok(page),
            // Another replica sweeps, or somebody writes: there is a next time.
            Err(CommitError::Aborted) => Ok(Page { last: page.last, ..Page::default() }),
            Err(CommitError::Graph(error)) => Err(error),
        }
    }
}

/// Drafts what is left of its edges, and counts them.
fn remove_edges(dead: &Dead, draft: &mut Draft) -> usize {
    let node = stored(&dead.node);
    let incoming = [
        (&dead.members, "User.memberOf"),
        (&dead.holders, "Team.hasRole"),
        (&dead.children, "Resource.parent"),
    ];
    let mut edges = dead.permissions.len();
    for (from, predicate) in incoming {
        from.iter().for_each(|from| draft.remove_edge(stored(from), predicate, node));
        edges += from.len();
    }
    for bound in [&dead.by_role, &dead.by_resource] {
        bound.iter().for_each(|bound| remove_binding(bound, draft));
        edges += bound.len();
    }
    for (list, bound) in [("Team.hasBinding", &dead.bindings), ("Team.hasWideBinding", &dead.wide)]
    {
        for bound in bound {
            draft.remove_edge(node, list, stored(&bound.node));
            remove_binding(bound, draft);
        }
        edges += bound.len();
    }
    for permission in &dead.permissions {
        drop_permission(draft, node, stored(permission));
    }
    edges
}

fn remove_binding(bound: &Bound, draft: &mut Draft) {
    let binding = stored(&bound.node);
    draft.remove_every(binding, &BINDING);
    if let Some(holder) = &bound.holder {
        for predicate in ["Team.hasBinding", "Team.hasWideBinding"] {
            draft.remove_edge(stored(holder), predicate, binding);
        }
    }
}

fn stored(node: &HasUid) -> Id {
    Id::Stored(node.uid.0)
}
