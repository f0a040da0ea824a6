//! What a transaction is going to write.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use contracts::TenantId;
use contracts::audit::{AuditEvent, Status};
use serde_json::Value;
use uuid::Uuid;

use super::super::dql::literal;
use super::super::outbox::{Pending, Stage};
use super::Author;
use crate::model::Key;

/// Keys of one outbox node: a relay reads many nodes in one answer.
const OUTBOX_KEYS: usize = 1000;

/// A node that is there, or is made by this draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Id {
    Stored(u64),
    New(usize),
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stored(uid) => write!(f, "<{uid:#x}>"),
            Self::New(at) => write!(f, "_:n{at}"),
        }
    }
}

/// N-Quads, what they change, and the audit events of it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    set: String,
    delete: String,
    /// Whether each is set or removed. Dgraph removes before it sets, so an edge must not be in both.
    edges: BTreeMap<(Id, &'static str, Id), bool>,
    absent: BTreeSet<Key>,
    new: usize,
    /// Of the first node that is made, where that is decided here.
    first: Option<u64>,
    changed: BTreeSet<Key>,
    events: Vec<AuditEvent>,
    kept: bool,
    quiet: bool,
}

/// A draft as Dgraph takes it.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// N-Quads, with the outbox nodes if there is something to tell.
    pub(super) set: String,
    /// N-Quads.
    pub(super) delete: String,
    /// Nobody else may make them meanwhile.
    pub(super) absent: BTreeSet<Key>,
    /// Whose fences are to be raised.
    pub(super) changed: Vec<Key>,
}

// Writing into a String cannot fail, hence the results that are dropped.
impl Draft {
    /// One whose changes another event tells of.
    pub(super) fn quiet() -> Self {
        Self { quiet: true, ..Self::default() }
    }

    /// The same for a graph that is made as a whole: its nodes have the ids from `first` on.
    pub(super) fn offline(first: u64) -> Self {
        Self { first: Some(first), ..Self::quiet() }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Of an edge that is set and removed, the last counts.
    pub(super) fn edge(&mut self, from: Id, predicate: &'static str, to: Id) {
        self.edges.insert((from, predicate, to), true);
    }

    /// Writes an edge as it was found, so that whoever changes it at the same time conflicts; what the
    /// draft does to it otherwise stays.
    pub(super) fn guard_edge(&mut self, from: Id, predicate: &'static str, to: Id, exists: bool) {
        self.edges.entry((from, predicate, to)).or_insert(exists);
    }

    /// Has whoever makes the node of `key` at the same time conflict.
    pub(super) fn guard_absence(&mut self, key: Key) {
        self.absent.insert(key);
    }

    pub(super) fn text(&mut self, of: Id, predicate: &str, text: &str) {
        let _ = writeln!(self.set, "{of} <{predicate}> {} .", literal(text));
    }

    pub(super) fn int(&mut self, of: Id, predicate: &str, value: i64) {
        let _ = writeln!(self.set, "{of} <{predicate}> \"{value}\" .");
    }

    pub(super) fn flag(&mut self, of: Id, predicate: &str, value: bool) {
        let _ = writeln!(self.set, "{of} <{predicate}> \"{value}\" .");
    }

    /// Nothing to do for a node that is only being made.
    pub(super) fn remove_edge(&mut self, from: Id, predicate: &'static str, to: Id) {
        self.edges.insert((from, predicate, to), false);
    }

    pub(super) fn remove_all(&mut self, of: Id, predicate: &str) {
        if let Id::Stored(_) = of {
            let _ = writeln!(self.delete, "{of} <{predicate}> * .");
        }
    }

    /// [`Self::remove_all`] of each predicate.
    pub(super) fn remove_every(&mut self, of: Id, predicates: &[&str]) {
        predicates.iter().for_each(|predicate| self.remove_all(of, predicate));
    }

    /// A node without key.
    pub(super) fn node(&mut self) -> Id {
        let made = self.next();
        self.new += 1;
        made
    }

    /// The node that is made next.
    pub(super) fn next(&self) -> Id {
        match self.first {
            Some(first) => Id::Stored(first + self.new as u64),
            None => Id::New(self.new),
        }
    }

    /// A node with its key, in its list; its fence is raised, as views may have missed it.
    pub(super) fn keyed(&mut self, tenant: &TenantId, key: &Key) -> Id {
        let id = self.node();
        self.text(id, "xid", key.as_str());
        self.text(id, "listed", &key.list(tenant));
        self.change(key.clone());
        id
    }

    /// Says that views that visited `key` are void.
    pub(super) fn change(&mut self, key: Key) {
        self.changed.insert(key);
    }

    /// Takes the key off a node, so that nothing finds it, and marks it to be swept.
    pub(super) fn bury(&mut self, id: Id, key: &Key, now_micros: i64) {
        self.remove_every(id, &["xid", "listed", "attributes"]);
        self.int(id, "deleted", now_micros);
        self.change(key.clone());
    }

    /// Records what was done.
    pub(super) fn event(
        &mut self,
        tenant: &TenantId,
        author: &Author,
        action: &str,
        resource: (&str, &str),
        details: impl IntoIterator<Item = (&'static str, Value)>,
    ) {
        if self.quiet {
            return;
        }
        let mut details: std::collections::BTreeMap<String, Value> =
            details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        if let Some(id) = &author.request_id {
            details.insert("request_id".to_owned(), id.as_str().into());
        }
        self.events.push(AuditEvent {
            id: Some(Uuid::new_v4().to_string()),
            tenant_id: tenant.clone(),
            event_time: Some(author.at.to_rfc3339_opts(SecondsFormat::Micros, true)),
            actor_id: author.actor.clone(),
            actor_type: Some(author.actor_type),
            action: action.to_owned(),
            resource_type: Some(resource.0.to_owned()),
            resource_id: Some(resource.1.to_owned()),
            status: Some(Status::Success),
            source_ip: None,
            details,
        });
    }

    /// Has it committed even if no view can see what it writes.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    pub(super) fn changes_nothing(&self) -> bool {
        self.changed.is_empty() && !self.kept
    }

    /// The N-Quads to delete, of a draft that sets nothing and has nothing to tell.
    pub(super) fn deletions(mut self) -> String {
        self.render_edges();
        self.delete
    }

    /// The N-Quads of a graph that is made as a whole, and the id behind its last node. There is nothing to
    /// delete, and nobody to tell.
    pub(super) fn made(mut self) -> (String, u64) {
        self.render_edges();
        (self.set, self.first.unwrap_or(0) + self.new as u64)
    }

    fn render_edges(&mut self) {
        for ((from, predicate, to), is_set) in std::mem::take(&mut self.edges) {
            // A node that is only being made has nothing to remove.
            let is_stored = matches!((from, to), (Id::Stored(_), Id::Stored(_)));
            let quads = if is_set { &mut self.set } else { &mut self.delete };
            if is_set || is_stored {
                let _ = writeln!(quads, "{from} <{predicate}> {to} .");
            }
        }
    }

    /// The N-Quads to set and to delete, with the outbox nodes if there is something to tell, and what they
    /// change.
    pub(super) fn finish(mut self, tenant: &TenantId, now: DateTime<Utc>) -> Finished {
        self.render_edges();
        let changed: Vec<_> = std::mem::take(&mut self.changed).into_iter().collect();
        let mut parts = changed.chunks(OUTBOX_KEYS);
        let first = parts.next().unwrap_or_default();
        let events = std::mem::take(&mut self.events);
        if !first.is_empty() || !events.is_empty() {
            self.tell(tenant, first, events, now);
        }
        parts.for_each(|keys| self.tell(tenant, keys, Vec::new(), now));
        let Self { set, delete, absent, .. } = self;
        Finished { set, delete, absent, changed }
    }

    fn tell(
        &mut self,
        tenant: &TenantId,
        keys: &[Key],
        events: Vec<AuditEvent>,
        now: DateTime<Utc>,
    ) {
        let keys = keys.iter().map(|key| key.as_str().to_owned()).collect();
        let at_ms = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        let pending = Pending { tenant: tenant.clone(), keys, events, at_ms };
        let outbox = self.node();
        self.text(outbox, "Outbox.pending", Stage::Fences.as_str());
        // What it is made of always has a form in JSON.
        self.text(outbox, "Outbox.change", &serde_json::to_string(&pending).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_keys_are_told_by_several_nodes() {
        let tenant = TenantId::parse("acme").unwrap();
        let mut draft = Draft::quiet();
        for n in 0..=2 * OUTBOX_KEYS {
            draft.change(Key::role(&tenant, &n.to_string()));
        }
        let Finished { set, changed, .. } = draft.finish(&tenant, Utc::now());
        assert_eq!(changed.len(), 2 * OUTBOX_KEYS + 1);
        assert_eq!(set.matches("<Outbox.pending>").count(), 3);
        for key in &changed {
            assert_eq!(set.matches(&format!("\\\"{}\\\"", key.as_str())).count(), 1);
        }
    }

    #[test]
    fn an_edge_is_set_or_removed_and_what_is_written_wins_over_its_guard() {
        let tenant = TenantId::parse("acme").unwrap();
        let [from, to, other] = [1, 2, 3].map(Id::Stored);
        let mut draft = Draft::quiet();
        draft.guard_edge(from, "to", to, true);
        draft.remove_edge(from, "to", to);
        draft.edge(from, "to", other);
        draft.guard_edge(from, "to", other, false);
        draft.guard_edge(to, "to", other, true);
        draft.remove_edge(from, "to", Id::New(0));
        let Finished { set, delete, .. } = draft.finish(&tenant, Utc::now());
        assert_eq!(set, "<0x1> <to> <0x3> .\n<0x2> <to> <0x3> .\n");
        assert_eq!(delete, "<0x1> <to> <0x2> .\n");
    }
}
