//! What the graph is, said as plainly as can be: one state, its changes, and the naive evaluator.

use std::collections::{BTreeMap, BTreeSet};

use contracts::TenantId;
use serde_json::json;

use crate::check::{Given, Question};
use crate::model::view::{Micros, NEVER};
use crate::model::{Key, ResourceRef, Scope, SubjectRef, SubjectType};

/// A condition that the naive evaluator knows without CEL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Always,
    /// The context's region is `eu`.
    Europe,
    /// The resource is stored as open.
    Open,
    /// It never holds, and takes some ten thousand steps for forty numbers in the context's `n`.
    Dear,
}

impl Rule {
    pub(super) fn text(self) -> Option<&'static str> {
        match self {
            Self::Always => None,
            Self::Europe => Some(r#"context.region == "eu""#),
            Self::Open => Some("resource.properties.open"),
            Self::Dear => Some("context.n.all(a, context.n.exists(b, a + b < -1))"),
        }
    }
}

/// What a binding or a permission covers: nodes, not names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum On {
    All,
    Type(String),
    Node(u64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) role: u64,
    pub(super) on: On,
    pub(super) until: Micros,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Permits {
    pub(super) action: String,
    pub(super) on: On,
    pub(super) rule: Rule,
}

/// Anything with a key, as long as it has one.
#[derive(Debug, Clone)]
pub(super) struct Entity {
    pub(super) key: Key,
    /// Of a resource.
    pub(super) type_: String,
    /// Teams of a subject, parents of a resource.
    pub(super) up: BTreeSet<u64>,
    pub(super) bound: Vec<Bound>,
    pub(super) permits: Vec<Permits>,
    pub(super) is_barred: bool,
    pub(super) open: Option<bool>,
}

/// The graph at one time.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) names: BTreeMap<Key, u64>,
    pub(super) nodes: BTreeMap<u64, Entity>,
    /// Whether who has no key is a stranger who has what everyone has, and not nobody.
    pub(super) welcomes: bool,
    suspended: BTreeSet<Key>,
    last: u64,
}

/// One write.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Add(SubjectRef),
    Bar(SubjectRef, bool),
    Suspend(bool),
    Member(SubjectRef, String, bool),
    /// Until then; `None` takes it away.
    Bind(SubjectRef, String, Scope, Option<Micros>),
    Role(String, Vec<(String, Scope, Rule)>),
    Open(ResourceRef, Option<bool>),
    Parent(ResourceRef, ResourceRef, bool),
    RemoveSubject(SubjectRef),
    RemoveRole(String),
    RemoveResource(ResourceRef),
}

pub(super) fn team(id: &str) -> SubjectRef {
    SubjectRef::new(SubjectType::Team, id)
}

fn subject_key(tenant: &TenantId, subject: &SubjectRef) -> Key {
    Key::subject(tenant, subject.type_, &subject.id)
}

fn resource_key(tenant: &TenantId, resource: &ResourceRef) -> Key {
    Key::resource(tenant, &resource.type_, &resource.id)
}

impl State {
    /// Applies a change, and says which fences it raises: those whose outgoing edges, attributes or
    /// standing it changed, and those of nodes that it made.
    pub(super) fn apply(&mut self, tenant: &TenantId, change: &Change) -> Vec<Key> {
        let mut changed = BTreeSet::new();
        match change {
            Change::Add(subject) => {
                self.node(subject_key(tenant, subject), "", &mut changed);
            }
            Change::Bar(subject, barred) => {
                self.node(subject_key(tenant, subject), "", &mut changed).is_barred = *barred;
                changed.insert(subject_key(tenant, subject));
            }
            Change::Suspend(suspended) => {
                let key = Key::tenant(tenant);
                self.suspended.remove(&key);
                self.suspended.extend(suspended.then(|| key.clone()));
                changed.insert(key);
            }
            Change::Member(subject, to, on) => {
                let to = self.id(subject_key(tenant, &team(to)), "", &mut changed);
                let from = subject_key(tenant, subject);
                set(&mut self.node(from.clone(), "", &mut changed).up, to, *on);
                changed.insert(from);
            }
            Change::Parent(resource, parent, on) => {
                let to = self.id(resource_key(tenant, parent), &parent.type_, &mut changed);
                let from = resource_key(tenant, resource);
                set(&mut self.node(from.clone(), &resource.type_, &mut changed).up, to, *on);
                changed.insert(from);
            }
            Change::Bind(subject, role, scope, until) => {
                // A role is not made by binding it.
                let Some(role) = self.names.get(&Key::role(tenant, role)).copied() else {
                    return Vec::new();
                };
                let on = self.on(tenant, scope, &mut changed);
                let key = subject_key(tenant, subject);
                let holder = self.node(key.clone(), "", &mut changed);
                holder.bound.retain(|bound| bound.role != role || bound.on != on);
                holder.bound.extend(until.map(|until| Bound { role, on, until }));
                changed.extend(key.holdings(tenant));
            }
            Change::Role(role, permissions) => {
                let mut permits = Vec::new();
                for (action, scope, rule) in permissions {
                    let on = self.on(tenant, scope, &mut changed);
                    permits.push(Permits { action: action.clone(), on, rule: *rule });
                }
                let key = Key::role(tenant, role);
                self.node(key.clone(), "", &mut changed).permits = permits;
                changed.insert(key);
            }
            Change::Open(resource, open) => {
                let key = resource_key(tenant, resource);
                self.node(key.clone(), &resource.type_, &mut changed).open = *open;
                changed.insert(key);
            }
            Change::RemoveSubject(subject) => self.bury(subject_key(tenant, subject), &mut changed),
            Change::RemoveRole(role) => self.bury(Key::role(tenant, role), &mut changed),
            Change::RemoveResource(of) => self.bury(resource_key(tenant, of), &mut changed),
        }
        changed.into_iter().collect()
    }

    /// Edges to it stay, as they do until they are swept: they lead to no name.
    fn bury(&mut self, key: Key, changed: &mut BTreeSet<Key>) {
        if let Some(id) = self.names.remove(&key) {
            self.nodes.remove(&id);
            changed.insert(key);
        }
    }

    fn on(&mut self, tenant: &TenantId, scope: &Scope, changed: &mut BTreeSet<Key>) -> On {
        match scope {
            Scope::All => On::All,
            Scope::Type(type_) => On::Type(type_.clone()),
            Scope::Resource(of) => On::Node(self.id(resource_key(tenant, of), &of.type_, changed)),
        }
    }

    fn id(&mut self, key: Key, type_: &str, changed: &mut BTreeSet<Key>) -> u64 {
        if let Some(id) = self.names.get(&key) {
            return *id;
        }
        self.last += 1;
        let entity = Entity {
            key: key.clone(),
            type_: type_.to_owned(),
            up: BTreeSet::new(),
            bound: Vec::new(),
            permits: Vec::new(),
            is_barred: false,
            open: None,
        };
        self.nodes.insert(self.last, entity);
        changed.insert(key.clone());
        self.names.insert(key, self.last);
        self.last
    }

    fn node(&mut self, key: Key, type_: &str, changed: &mut BTreeSet<Key>) -> &mut Entity {
        let id = self.id(key, type_, changed);
        self.nodes.get_mut(&id).expect("every name has its node")
    }

    pub(super) fn is_suspended(&self, tenant: &TenantId) -> bool {
        self.suspended.contains(&Key::tenant(tenant))
    }

    pub(super) fn named(&self, key: &Key) -> Option<u64> {
        self.names.get(key).copied()
    }

    /// A node and everything above it that still has a name.
    pub(super) fn closure(&self, from: Option<u64>) -> BTreeSet<u64> {
        let (mut seen, mut next) = (BTreeSet::new(), Vec::from_iter(from));
        while let Some(id) = next.pop() {
            if let Some(node) = self.nodes.get(&id)
                && seen.insert(id)
            {
                next.extend(&node.up);
            }
        }
        seen
    }
}

fn set(of: &mut BTreeSet<u64>, id: u64, on: bool) {
    if on {
        of.insert(id);
    } else {
        of.remove(&id);
    }
}

/// The meaning of a check, as `docs/` has it, with no thought of cost. The subject is looked at in one
/// state and the resource in another: they are read apart.
pub(super) fn allows(
    (subjects, resources): (&State, &State),
    question: &Question,
    given: &Given,
    now: Micros,
) -> bool {
    let Question { tenant, subject, action, resource } = question;
    let me = subjects.named(&subject_key(tenant, subject));
    if me.map_or(!subjects.welcomes, |me| subjects.nodes[&me].is_barred)
        || subjects.is_suspended(tenant)
    {
        return false;
    }
    let mut holders = subjects.closure(me);
    if subject.type_ != SubjectType::Team {
        holders.extend(subjects.named(&Key::everyone(tenant, subject.type_)));
    }
    let at = resources.named(&resource_key(tenant, resource));
    let lineage = resources.closure(at);
    let covered = |on: &On| match on {
        On::All => true,
        On::Type(type_) => {
            *type_ == resource.type_ || lineage.iter().any(|id| resources.nodes[id].type_ == *type_)
        }
        On::Node(id) => lineage.contains(id),
    };
    let region = given.context.as_ref().and_then(|context| context.get("region"));
    let holds = |rule: Rule| match rule {
        Rule::Always => true,
        Rule::Europe => region == Some(&json!("eu")),
        Rule::Dear => false,
        Rule::Open => at.is_some_and(|id| resources.nodes[&id].open == Some(true)),
    };
    let bound = holders.iter().flat_map(|id| &subjects.nodes[id].bound);
    bound.filter(|bound| bound.until > now && covered(&bound.on)).any(|bound| {
        let role = subjects.nodes.get(&bound.role);
        role.is_some_and(|role| {
            let mut permits = role.permits.iter();
            permits.any(|p| p.action == *action && covered(&p.on) && holds(p.rule))
        })
    })
}

/// Until then, or for ever.
pub(super) fn until(at: Option<Micros>) -> Micros {
    at.unwrap_or(NEVER)
}
