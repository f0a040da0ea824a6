//! What a transaction rests on: the nodes that it names, with the edges among them.

use std::collections::{BTreeSet, HashMap};

use contracts::TenantId;
use serde::Deserialize;

use super::super::client::Answer;
use super::super::dql::{HasUid, Uid, literals};
use super::super::store::GraphError;
use super::draft::Id;
use crate::model::Key;
use crate::model::view::Micros;

/// A node as it was found; edges only to other nodes that were asked for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Found {
    pub(super) uid: Option<Uid>,
    #[serde(default)]
    xid: String,
    #[serde(default)]
    pub(super) version: i64,
    #[serde(rename = "User.memberOf", default)]
    pub(super) member_of: Vec<HasUid>,
    #[serde(rename = "Team.hasRole", default)]
    pub(super) has_role: Vec<HasUid>,
    #[serde(rename = "Resource.parent", default)]
    pub(super) parents: Vec<HasUid>,
    #[serde(rename = "Binding.holder")]
    pub(super) holder: Option<HasUid>,
    #[serde(rename = "Binding.role")]
    pub(super) role: Option<HasUid>,
    #[serde(rename = "Binding.onResource")]
    pub(super) on_resource: Option<HasUid>,
    #[serde(rename = "Binding.expiresAt")]
    pub(super) expires_at: Option<Micros>,
    #[serde(default)]
    pub(super) attributes: Option<String>,
    #[serde(rename = "Subject.inactive", default)]
    pub(super) inactive: bool,
}

/// Nodes by key.
#[derive(Debug, Default)]
pub(super) struct Nodes(HashMap<Key, Found>);

/// Nodes by their kind.
#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    nodes: Vec<Found>,
    #[serde(default)]
    subjects: Vec<Found>,
    #[serde(default)]
    resources: Vec<Found>,
    #[serde(default)]
    bindings: Vec<Found>,
}

/// The query for them and the relationships among them. Each kind is asked for what it can have only, and
/// not at all when none is named: a predicate and a block cost Dgraph a search even if there is nothing.
pub(super) fn query(tenant: &TenantId, keys: &BTreeSet<Key>) -> String {
    let of = |kind: char| {
        let is_of = |key: &&Key| key.parts(tenant).is_some_and(|(of, ..)| of == kind);
        let named: Vec<_> = keys.iter().filter(is_of).map(Key::as_str).collect();
        (!named.is_empty()).then(|| literals(named))
    };
    let (subjects, roles, bindings) = (of('s'), of('o'), of('b'));
    let mut query = "{".to_owned();
    if let Some(roles) = &roles {
        // A variable that nobody uses is refused.
        let name = if subjects.is_some() { "O as " } else { "" };
        query += &format!(" {name}nodes(func: eq(xid, {roles})) {{ uid xid }}");
    }
    if let Some(subjects) = &subjects {
        let holds = if roles.is_some() { "Team.hasRole @filter(uid(O)) { uid }" } else { "" };
        query += &format!(
            " S as var(func: eq(xid, {subjects}))
             subjects(func: uid(S)) {{ uid xid User.memberOf @filter(uid(S)) {{ uid }} {holds} }}"
        );
    }
    if let Some(resources) = of('r') {
        query += &format!(
            " R as var(func: eq(xid, {resources}))
             resources(func: uid(R)) {{ uid xid Resource.parent @filter(uid(R)) {{ uid }} }}"
        );
    }
    if let Some(bindings) = bindings {
        query += &format!(
            " bindings(func: eq(xid, {bindings})) {{ uid xid Binding.holder {{ uid }}
             Binding.role {{ uid }} Binding.onResource {{ uid }} Binding.expiresAt }}"
        );
    }
    // Dgraph takes no empty query; no node has the empty key.
    if query.len() == 1 {
        query += " nodes(func: eq(xid, \"\")) { uid xid }";
    }
    query + " }"
}

/// The query for what they are themselves.
pub(super) fn values(keys: &BTreeSet<Key>) -> String {
    let keys = literals(keys.iter().map(Key::as_str));
    format!("{{ nodes(func: eq(xid, {keys})) {{ uid xid version attributes Subject.inactive }} }}")
}

/// The query for whether they are there.
pub(super) fn presence(keys: &BTreeSet<Key>) -> String {
    let keys = literals(keys.iter().map(Key::as_str));
    format!("{{ nodes(func: eq(xid, {keys})) {{ uid xid }} }}")
}

impl Nodes {
    pub(super) fn read(answer: &Answer) -> Result<Self, GraphError> {
        let rows: Rows = answer.read()?;
        let keyed = |mut row: Found| (Key::from_text(std::mem::take(&mut row.xid)), row);
        let all = [rows.nodes, rows.subjects, rows.resources, rows.bindings];
        Ok(Self(all.into_iter().flatten().map(keyed).collect()))
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Found> {
        self.0.get(key)
    }

    pub(super) fn uid(&self, key: &Key) -> Option<Uid> {
        self.get(key)?.uid
    }

    pub(super) fn id(&self, key: &Key) -> Option<Id> {
        self.uid(key).map(|uid| Id::Stored(uid.0))
    }
}

/// Whether one of the edges goes to `to`.
pub(super) fn leads_to(edges: &[HasUid], to: Option<Uid>) -> bool {
    edges.iter().any(|edge| Some(edge.uid) == to)
}
