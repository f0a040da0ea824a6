//! Lists of relationships: atomic, with preconditions; touching what is so changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use contracts::TenantId;

use super::draft::{Draft, Id};
use super::load::{self, Nodes, leads_to};
use super::{Author, Ownership, WriteError, Writer, Written};
use crate::model::relationship::Must;
use crate::model::view::{Micros, NEVER};
use crate::model::{Key, Op, Relationship, ResourceRef, Scope, SubjectRef, SubjectType, WriteList};

/// All that a binding's node holds.
pub(super) const BINDING: [&str; 6] = [
    "xid",
    "Binding.holder",
    "Binding.role",
    "Binding.onResource",
    "Binding.onType",
    "Binding.expiresAt",
];

/// The relationship without its expiry: what two writes about the same one share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Edge { from: Key, predicate: &'static str, to: Key },
    Binding { subject: SubjectRef, role: String, scope: Scope, key: Key },
}

/// Until when it holds, if it is there.
type State = Option<Micros>;

impl Writer<'_> {
    /// Writes a list.
    ///
    /// # Errors
    /// [`WriteError`]; then nothing of the list is written.
    pub async fn write_relationships(
        &self,
        tenant: &TenantId,
        list: &WriteList,
        author: &Author,
    ) -> Result<Written, WriteError> {
        list.check()?;
        if self.ownership == Ownership::Sync {
            refuse_memberships(list)?;
        }
        let named = list.writes.iter().map(|write| &write.relationship);
        let tested = list.preconditions.iter().map(|precondition| &precondition.relationship);
        let mut keys = BTreeSet::new();
        for relationship in named.chain(tested) {
            name(tenant, relationship, &mut keys);
        }
        let plan = |answer: &_| {
            let nodes = Nodes::read(answer)?;
            let mut plan = Plan::new(tenant, &nodes, self.ownership, author);
            plan.preconditions(list)?;
            plan.writes(list)?;
            plan.guards();
            Ok((plan.draft, ()))
        };
        Ok(self.transact(tenant, &load::query(tenant, &keys), plan).await?.0)
    }
}

fn refuse_memberships(list: &WriteList) -> Result<(), WriteError> {
    let membership = |index: usize| format!("writes[{index}]: a membership");
    let mut writes = list.writes.iter();
    match writes.position(|w| matches!(w.relationship, Relationship::MemberOf { .. })) {
        Some(index) => Err(WriteError::Managed { what: membership(index) }),
        None => Ok(()),
    }
}

/// The keys of every node that a relationship may touch.
pub(super) fn name(tenant: &TenantId, relationship: &Relationship, keys: &mut BTreeSet<Key>) {
    match relationship {
        Relationship::MemberOf { subject, team } => {
            keys.insert(Key::subject(tenant, subject.type_, &subject.id));
            keys.insert(Key::subject(tenant, SubjectType::Team, team));
        }
        Relationship::HasRole { subject, role, on, .. } => {
            keys.insert(Key::subject(tenant, subject.type_, &subject.id));
            keys.insert(Key::role(tenant, role));
            keys.insert(Key::binding(tenant, subject, role, on));
            if let Scope::Resource(resource) = on {
                keys.insert(key_of(tenant, resource));
            }
        }
        Relationship::Parent { resource, parent } => {
            keys.insert(key_of(tenant, resource));
            keys.insert(key_of(tenant, parent));
        }
    }
}

fn key_of(tenant: &TenantId, resource: &ResourceRef) -> Key {
    Key::resource(tenant, &resource.type_, &resource.id)
}

/// One list on its way into a draft.
pub(super) struct Plan<'a> {
    tenant: &'a TenantId,
    nodes: &'a Nodes,
    ownership: Ownership,
    author: &'a Author,
    now: Micros,
    made: BTreeMap<Key, Id>,
    tested: Vec<Identity>,
    /// Relationships that are not as they were.
    pub(super) written: usize,
    pub(super) draft: Draft,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        tenant: &'a TenantId,
        nodes: &'a Nodes,
        ownership: Ownership,
        author: &'a Author,
    ) -> Self {
        let now = author.at.timestamp_micros();
        let (made, tested, draft) = (BTreeMap::new(), Vec::new(), Draft::default());
        Self { tenant, nodes, ownership, author, now, made, tested, written: 0, draft }
    }

    fn identity(&self, relationship: &Relationship) -> (Identity, Micros) {
        let tenant = self.tenant;
        let subject_key = |s: &SubjectRef| Key::subject(tenant, s.type_, &s.id);
        match relationship {
            Relationship::MemberOf { subject, team } => {
                let to = Key::subject(tenant, SubjectType::Team, team);
                let from = subject_key(subject);
                (Identity::Edge { from, predicate: "User.memberOf", to }, NEVER)
            }
            Relationship::Parent { resource, parent } => {
                let (from, to) = (key_of(tenant, resource), key_of(tenant, parent));
                (Identity::Edge { from, predicate: "Resource.parent", to }, NEVER)
            }
            Relationship::HasRole { subject, role, on, expires_at } => {
                let key = Key::binding(tenant, subject, role, on);
                let until = expires_at.map_or(NEVER, |at| at.timestamp_micros());
                let (subject, role, scope) = (subject.clone(), role.clone(), on.clone());
                (Identity::Binding { subject, role, scope, key }, until)
            }
        }
    }

    /// As it is stored; what has expired is not there.
    fn stored(&self, identity: &Identity) -> State {
        self.kept(identity).filter(|until| *until > self.now)
    }

    /// As it is stored, expired or not.
    fn kept(&self, identity: &Identity) -> State {
        match identity {
            Identity::Edge { from, predicate, to } => {
                let from = self.nodes.get(from)?;
                let edges =
                    if *predicate == "User.memberOf" { &from.member_of } else { &from.parents };
                leads_to(edges, self.nodes.uid(to)).then_some(NEVER)
            }
            Identity::Binding { subject, role, scope, key } => {
                let role = self.nodes.uid(&Key::role(self.tenant, role))?;
                let holder_key = Key::subject(self.tenant, subject.type_, &subject.id);
                let holder = self.nodes.get(&holder_key)?;
                if scope.is_all() && leads_to(&holder.has_role, Some(role)) {
                    return Some(NEVER);
                }
                // A binding of a former role, subject or resource of that name is another one.
                let binding = self.nodes.get(key)?;
                let of = |to: Option<super::super::dql::HasUid>| to.map(|to| to.uid);
                let resource = match scope {
                    Scope::Resource(on) => Some(self.nodes.uid(&key_of(self.tenant, on))?),
                    _ => None,
                };
                let is_it = of(binding.role) == Some(role)
                    && of(binding.holder) == holder.uid
                    && of(binding.on_resource) == resource;
                is_it.then_some(binding.expires_at.unwrap_or(NEVER))
            }
        }
    }

    fn preconditions(&mut self, list: &WriteList) -> Result<(), WriteError> {
        for (index, precondition) in list.preconditions.iter().enumerate() {
            let (identity, _) = self.identity(&precondition.relationship);
            let exists = self.stored(&identity).is_some();
            if exists != (precondition.must == Must::Exist) {
                return Err(WriteError::Precondition { index });
            }
            self.tested.push(identity);
        }
        Ok(())
    }

    /// Writes what was tested, so that whoever changes it at the same time conflicts. Behind the writes,
    /// which have made what they need and win over the guards.
    fn guards(&mut self) {
        for identity in std::mem::take(&mut self.tested) {
            match &identity {
                Identity::Edge { from, predicate, to } => {
                    let exists = self.kept(&identity).is_some();
                    self.guard(from, predicate, to, exists);
                }
                Identity::Binding { subject, role, .. } => {
                    let holder = Key::subject(self.tenant, subject.type_, &subject.id);
                    self.guard(&holder, "guard", &Key::role(self.tenant, role), true);
                }
            }
        }
    }

    fn guard(&mut self, from: &Key, predicate: &'static str, to: &Key, exists: bool) {
        match (self.nodes.id(from), self.nodes.id(to)) {
            (Some(from), Some(to)) => self.draft.guard_edge(from, predicate, to, exists),
            // Without its ends there is no relationship, and one that this list makes is guarded thereby.
            (from_id, _) => {
                let missing = if from_id.is_none() { from } else { to };
                if !self.made.contains_key(missing) {
                    self.draft.guard_absence(missing.clone());
                }
            }
        }
    }

    pub(super) fn writes(&mut self, list: &WriteList) -> Result<(), WriteError> {
        let mut wanted = BTreeMap::<Identity, (State, usize)>::new();
        for (index, write) in list.writes.iter().enumerate() {
            let (identity, until) = self.identity(&write.relationship);
            let before = match wanted.get(&identity) {
                Some((state, _)) => *state,
                None => self.stored(&identity),
            };
            let after = match write.op {
                Op::Create if before.is_some() => return Err(WriteError::Exists { index }),
                Op::Create | Op::Touch => Some(until),
                Op::Delete => None,
            };
            wanted.insert(identity, (after, index));
        }
        for (identity, (after, index)) in wanted {
            let before = self.kept(&identity);
            if before != after {
                self.write(&identity, before, after)?;
                let write = &list.writes[index];
                self.record(write.op, &write.relationship);
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        identity: &Identity,
        before: State,
        after: State,
    ) -> Result<(), WriteError> {
        match identity {
            Identity::Edge { from, predicate, to } => {
                let (from_id, to_id) = (self.node(from)?, self.node(to)?);
                if after.is_some() {
                    self.draft.edge(from_id, predicate, to_id);
                } else {
                    self.draft.remove_edge(from_id, predicate, to_id);
                }
                self.draft.change(from.clone());
            }
            Identity::Binding { subject, role, scope, key } => {
                let holder_key = Key::subject(self.tenant, subject.type_, &subject.id);
                let role_id = self.node(&Key::role(self.tenant, role))?;
                let holder = self.node(&holder_key)?;
                self.draft.edge(holder, "guard", role_id);
                self.bind(holder, role_id, scope, key, before, after)?;
                // Views of its members stay: what it holds is a part of its own.
                holder_key.holdings(self.tenant).into_iter().for_each(|key| self.draft.change(key));
            }
        }
        Ok(())
    }

    /// A binding without scope and end is an edge, every other one a node.
    fn bind(
        &mut self,
        holder: Id,
        role: Id,
        scope: &Scope,
        key: &Key,
        before: State,
        after: State,
    ) -> Result<(), WriteError> {
        let is_edge = |state: State| state == Some(NEVER) && scope.is_all();
        let is_node = |state: State| state.is_some() && !is_edge(state);
        let list: &'static str = if matches!(scope, Scope::Resource(_)) {
            "Team.hasBinding"
        } else {
            "Team.hasWideBinding"
        };
        let old = self.nodes.id(key);
        if is_edge(before) && !is_edge(after) {
            self.draft.remove_edge(holder, "Team.hasRole", role);
        }
        if is_edge(after) {
            self.draft.edge(holder, "Team.hasRole", role);
        }
        if let Some(old) = old.filter(|_| !(is_node(before) && is_node(after))) {
            // Gone, or of a former role, subject or resource of that name.
            self.draft.remove_edge(holder, list, old);
            self.draft.remove_every(old, &BINDING);
        }
        let Some(until) = after.filter(|_| is_node(after)) else { return Ok(()) };
        let binding = match old.filter(|_| is_node(before)) {
            Some(old) => old,
            None => self.new_binding(holder, role, scope, key, list)?,
        };
        if until == NEVER {
            self.draft.remove_all(binding, "Binding.expiresAt");
        } else {
            self.draft.int(binding, "Binding.expiresAt", until);
        }
        Ok(())
    }

    fn new_binding(
        &mut self,
        holder: Id,
        role: Id,
        scope: &Scope,
        key: &Key,
        list: &'static str,
    ) -> Result<Id, WriteError> {
        let binding = self.draft.node();
        self.draft.text(binding, "xid", key.as_str());
        self.draft.edge(binding, "Binding.holder", holder);
        self.draft.edge(binding, "Binding.role", role);
        self.draft.edge(holder, list, binding);
        match scope {
            Scope::All => {}
            Scope::Type(type_) => self.draft.text(binding, "Binding.onType", type_),
            Scope::Resource(resource) => {
                let resource = self.node(&key_of(self.tenant, resource))?;
                self.draft.edge(binding, "Binding.onResource", resource);
            }
        }
        Ok(binding)
    }

    /// The node of a key, made if it may be.
    pub(super) fn node(&mut self, key: &Key) -> Result<Id, WriteError> {
        if let Some(known) = self.nodes.id(key).or_else(|| self.made.get(key).copied()) {
            return Ok(known);
        }
        let (kind, type_, id) = key.parts(self.tenant).unwrap_or(('?', "", ""));
        let everyone = kind == 's' && id == crate::model::key::EVERYONE;
        let may = match kind {
            'r' => true,
            's' => everyone || self.ownership == Ownership::Anyone,
            _ => false,
        };
        if !may {
            let what = if kind == 'o' { format!("role {id}") } else { format!("{type_} {id}") };
            return Err(WriteError::Missing { what });
        }
        let made = self.draft.keyed(self.tenant, key);
        self.made.insert(key.clone(), made);
        Ok(made)
    }

    /// Says that the draft makes the node of a key elsewhere.
    pub(super) fn is_made(&mut self, key: Key, node: Id) {
        self.made.insert(key, node);
    }

    fn record(&mut self, op: Op, relationship: &Relationship) {
        self.written += 1;
        if self.draft.is_quiet() {
            return;
        }
        let action = match op {
            Op::Touch => "authz.relationship.touched",
            Op::Create => "authz.relationship.created",
            Op::Delete => "authz.relationship.deleted",
        };
        let (type_, id) = match relationship {
            Relationship::MemberOf { team, .. } => ("team", team.as_str()),
            Relationship::HasRole { role, .. } => ("role", role.as_str()),
            Relationship::Parent { resource, .. } => {
                (resource.type_.as_str(), resource.id.as_str())
            }
        };
        let details = serde_json::to_value(relationship).unwrap_or_default();
        self.draft.event(
            self.tenant,
            self.author,
            action,
            (type_, id),
            [("relationship", details)],
        );
    }
}
