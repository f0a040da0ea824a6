//! What a transaction rests on: the nodes that it names, with the edges among them.

use std::collections::{BTreeSet, HashMap};

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

#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    nodes: Vec<Found>,
}

/// The query for them.
pub(super) fn query(keys: &BTreeSet<Key>) -> String {
    let keys = literals(keys.iter().map(Key::as_str));
    format!(
        "{{ N as var(func: eq(xid, {keys}))
           nodes(func: uid(N)) {{ uid xid version attributes Subject.inactive
             User.memberOf @filter(uid(N)) {{ uid }}
             Team.hasRole @filter(uid(N)) {{ uid }}
             Resource.parent @filter(uid(N)) {{ uid }}
             Binding.holder {{ uid }} Binding.role {{ uid }} Binding.onResource {{ uid }}
             Binding.expiresAt }} }}"
    )
}

impl Nodes {
    pub(super) fn read(answer: &Answer) -> Result<Self, GraphError> {
        let rows: Rows = answer.read()?;
        let keyed = |mut row: Found| (Key::from_text(std::mem::take(&mut row.xid)), row);
        Ok(Self(rows.nodes.into_iter().map(keyed).collect()))
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
