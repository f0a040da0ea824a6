//! A store in memory: every commit has its time and stays readable at it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use contracts::{Revision, TenantId};
use serde_json::json;
use tokio::sync::oneshot;

use super::world::{Change, On, State};
use crate::check::Question;
use crate::graph::store::{Part, Parts, ResourceReading, SubjectReading, Whole};
use crate::graph::{Graph, GraphError, Mode, Reading};
use crate::model::condition::Compiler;
use crate::model::parts::Closure;
use crate::model::trace::{Bound, Holder, Permitted, Place, Target, Trace};
use crate::model::view::{
    Covers, Grant, Holding, Node, ResourceView, RoleGrants, Standing, SubjectView,
};
use crate::model::{Condition, Key, Properties, ResourceRef, SubjectRef, SubjectType};

/// Who is called this is too large for a view.
pub(super) const GIANT: &str = "giant";

/// The id of a node, as views know it.
fn node(id: u64) -> Node {
    Node(id)
}

/// States by the time of the commit that made them.
pub(super) struct History {
    pub(super) states: BTreeMap<u64, Arc<State>>,
    /// The last time that was given out, to a commit or to a read.
    pub(super) now: u64,
    /// How far the alphas are behind.
    pub(super) lag: u64,
    /// The last identity change that was applied.
    pub(super) applied: u64,
    /// How reads fail, if they do.
    pub(super) failure: Option<GraphError>,
    held: VecDeque<(What, oneshot::Sender<()>, oneshot::Receiver<()>)>,
    pub(super) reads: Vec<(What, Mode)>,
}

/// Which of the reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Subject,
    Closure,
    Parts,
    Narrowed,
    Resource,
    Applied,
}

/// A read that is held: it has looked, and does not return.
pub(super) struct Held {
    arrived: Option<oneshot::Receiver<()>>,
    release: oneshot::Sender<()>,
}

impl Held {
    /// Waits until the read has looked.
    pub(super) async fn arrived(&mut self) {
        self.arrived.take().expect("asked once").await.expect("the read is there");
    }

    pub(super) fn release(self) {
        let _ = self.release.send(());
    }
}

/// Shared by the checker and the test.
#[derive(Clone)]
pub(super) struct Memory {
    history: Arc<Mutex<History>>,
    europe: Condition,
    open: Condition,
    dear: Condition,
    pub(super) reading: Arc<AtomicUsize>,
}

impl Memory {
    pub(super) fn new() -> Self {
        let history = History {
            states: BTreeMap::from([(0, Arc::default())]),
            now: 0,
            lag: 0,
            applied: 0,
            failure: None,
            held: VecDeque::new(),
            reads: Vec::new(),
        };
        let compile = |rule: super::world::Rule| {
            Compiler::new().compile(rule.text().expect("one with a text")).expect("one that is")
        };
        Self {
            history: Arc::new(Mutex::new(history)),
            europe: compile(super::world::Rule::Europe),
            open: compile(super::world::Rule::Open),
            dear: compile(super::world::Rule::Dear),
            reading: Arc::default(),
        }
    }

    pub(super) fn with<T>(&self, f: impl FnOnce(&mut History) -> T) -> T {
        f(&mut self.history.lock().unwrap())
    }

    /// Commits a change: the keys whose fences it raises, and its time.
    pub(super) fn commit(&self, tenant: &TenantId, change: &Change) -> (Vec<Key>, Revision) {
        self.with(|history| {
            let mut state = State::clone(&history.last());
            let keys = state.apply(tenant, change);
            history.now += 1;
            history.states.insert(history.now, Arc::new(state));
            (keys, Revision(history.now))
        })
    }

    /// The next read of that kind looks, and then waits.
    pub(super) fn hold(&self, what: What) -> Held {
        let (arrived, has_arrived) = oneshot::channel();
        let (release, released) = oneshot::channel();
        self.with(|history| history.held.push_back((what, arrived, released)));
        Held { arrived: Some(has_arrived), release }
    }

    /// From now on strangers have what everyone of their type has.
    pub(super) fn welcome(&self) {
        self.with(|history| {
            let mut state = State::clone(&history.last());
            state.welcomes = true;
            history.states.insert(history.now, Arc::new(state));
        });
    }

    /// Nothing that is to come is held any more.
    pub(super) fn hold_nothing(&self) {
        self.with(|history| history.held.clear());
    }

    pub(super) fn lag(&self, lag: u64) {
        self.with(|history| history.lag = lag);
    }

    /// The reads since this was asked last.
    pub(super) fn reads(&self) -> Vec<(What, Mode)> {
        self.with(|history| std::mem::take(&mut history.reads))
    }

    async fn read<T>(
        &self,
        what: What,
        mode: Mode,
        look: impl FnOnce(&State) -> (Vec<Key>, T),
    ) -> Result<Reading<T>, GraphError> {
        let (reading, held) = self.with(|history| {
            history.reads.push((what, mode));
            let revision = history.begin(mode);
            let result = match history.failure.clone() {
                Some(failure) => Err(failure),
                None => {
                    let (visited, view) = look(&history.at(revision));
                    Ok(Reading { revision: Revision(revision), visited, view })
                }
            };
            let at = history.held.iter().position(|(of, ..)| *of == what);
            (result, at.and_then(|at| history.held.remove(at)))
        });
        self.reading.fetch_add(1, Ordering::SeqCst);
        if let Some((_, arrived, released)) = held {
            let _ = arrived.send(());
            let _ = released.await;
        }
        self.reading.fetch_sub(1, Ordering::SeqCst);
        reading
    }

    fn subject_view(&self, state: &State, tenant: &TenantId, subject: &SubjectRef) -> SubjectView {
        let Whole { closure, parts, .. } = self.whole(state, tenant, subject);
        let roles = parts.roles.into_iter().map(|role| (role.node, role.part));
        SubjectView::compose(&closure, parts.holders.iter().map(|holder| &holder.part), roles)
    }

    fn whole(&self, state: &State, tenant: &TenantId, subject: &SubjectRef) -> Whole {
        let me = state.named(&Key::subject(tenant, subject.type_, &subject.id));
        let standing = match me {
            _ if state.is_suspended(tenant) => Standing::Barred,
            Some(me) if state.nodes[&me].is_barred => Standing::Barred,
            Some(_) => Standing::Active,
            None if state.welcomes => Standing::Active,
            None => Standing::Unknown,
        };
        let holders = holders(state, tenant, subject);
        let ids = holders.iter().copied().map(node).collect();
        let closure = Closure { standing, attributes: None, holders: ids };
        let keys = closure_keys(state, tenant, subject);
        Whole { closure, keys, parts: self.held(state, tenant, &holders, &BTreeSet::new()) }
    }

    /// What holders hold in a state, and those roles.
    fn held(
        &self,
        state: &State,
        tenant: &TenantId,
        holders: &BTreeSet<u64>,
        roles: &BTreeSet<u64>,
    ) -> Parts {
        let (mut parts, mut roles) = (Parts::default(), roles.clone());
        for id in holders {
            let holder = state.nodes.get(id);
            let bound = holder.map_or(&[][..], |holder| &holder.bound);
            roles.extend(bound.iter().map(|bound| bound.role));
            let holding = |bound: &super::world::Bound| {
                let holding = Holding { covers: covers(&bound.on), until: bound.until };
                (node(bound.role), holding)
            };
            let part = bound.iter().map(holding).collect();
            let key = holder.and_then(|holder| holder.key.holdings(tenant));
            parts.holders.push(Part { node: node(*id), key, part });
        }
        for id in roles {
            let role = state.nodes.get(&id);
            let part = role.map(|role| self.grants(&role.permits));
            parts.roles.push(Part { node: node(id), key: role.map(|role| role.key.clone()), part });
        }
        parts
    }

    fn grants(&self, permits: &[super::world::Permits]) -> Arc<RoleGrants> {
        let grants = permits.iter().map(|permits| {
            let condition = match permits.rule {
                super::world::Rule::Always => None,
                super::world::Rule::Europe => Some(self.europe.clone()),
                super::world::Rule::Open => Some(self.open.clone()),
                super::world::Rule::Dear => Some(self.dear.clone()),
            };
            let grant = Grant { covers: covers(&permits.on), condition };
            (Box::<str>::from(permits.action.as_str()), grant)
        });
        Arc::new(RoleGrants::new(grants))
    }
}

fn everyone(tenant: &TenantId, subject: &SubjectRef) -> Key {
    match subject.type_ {
        SubjectType::Team => Key::anything(tenant),
        type_ => Key::everyone(tenant, type_),
    }
}

/// Whose roles a subject has in a state.
pub(super) fn holders(state: &State, tenant: &TenantId, subject: &SubjectRef) -> BTreeSet<u64> {
    let mut holders = state.closure(state.named(&Key::subject(tenant, subject.type_, &subject.id)));
    holders.extend(state.named(&everyone(tenant, subject)));
    holders
}

/// What its closure in a state depends on.
pub(super) fn closure_keys(state: &State, tenant: &TenantId, subject: &SubjectRef) -> Vec<Key> {
    let me = Key::subject(tenant, subject.type_, &subject.id);
    let mut keys = vec![me, everyone(tenant, subject), Key::tenant(tenant)];
    let holders = holders(state, tenant, subject);
    keys.extend(holders.iter().map(|id| state.nodes[id].key.clone()));
    keys
}

/// What its view in a state depends on.
pub(super) fn resource_keys(state: &State, tenant: &TenantId, resource: &ResourceRef) -> Vec<Key> {
    let key = Key::resource(tenant, &resource.type_, &resource.id);
    let lineage = state.closure(state.named(&key));
    let above = lineage.iter().map(|id| state.nodes[id].key.clone());
    std::iter::once(key).chain(above).collect()
}

/// What a resource is in a state.
fn resource_view(state: &State, tenant: &TenantId, resource: &ResourceRef) -> ResourceView {
    let at = state.named(&Key::resource(tenant, &resource.type_, &resource.id));
    let lineage = state.closure(at);
    let mut types = vec![Box::from(resource.type_.as_str())];
    types.extend(lineage.iter().map(|id| Box::from(state.nodes[id].type_.as_str())));
    let open = at.and_then(|id| state.nodes[&id].open);
    let attributes =
        open.map(|open| Arc::new(Properties::from_iter([("open".to_owned(), json!(open))])));
    ResourceView::new(attributes, lineage.into_iter().map(node).collect(), types)
}

impl Memory {
    /// What a reading for an explanation has.
    pub(super) fn trace(&self, state: &State, question: &Question) -> Trace {
        let Question { tenant, subject, resource, .. } = question;
        let me = state.named(&Key::subject(tenant, subject.type_, &subject.id));
        let mut ids = state.closure(me);
        if subject.type_ != SubjectType::Team {
            ids.extend(state.named(&Key::everyone(tenant, subject.type_)));
        }
        let up = |id: &u64| state.nodes[id].up.iter().copied().map(node).collect();
        let holder = |id: &u64| {
            let (_, type_, name) = state.nodes[id].key.parts(tenant).unwrap();
            let subject = SubjectRef::new(SubjectType::parse(type_).unwrap(), name);
            Holder { node: node(*id), subject, teams: up(id) }
        };
        let named = |id: &u64| {
            let (_, type_, name) = state.nodes.get(id)?.key.parts(tenant)?;
            Some(ResourceRef::new(type_, name))
        };
        let target = |on: &On| {
            let resource = if let On::Node(id) = on { named(id) } else { None };
            Target { covers: covers(on), resource }
        };
        let bound = ids.iter().flat_map(|id| state.nodes[id].bound.iter().map(move |b| (*id, b)));
        let bound: Vec<_> =
            bound.filter(|(_, bound)| state.nodes.contains_key(&bound.role)).collect();
        let bindings = bound.iter().map(|(id, bound)| Bound {
            holder: node(*id),
            role: node(bound.role),
            on: target(&bound.on),
            until: bound.until,
        });
        let roles: BTreeSet<u64> = bound.iter().map(|(_, bound)| bound.role).collect();
        let name = |id: &u64| state.nodes[id].key.parts(tenant).unwrap().2.to_owned();
        let permits =
            roles.iter().flat_map(|id| state.nodes[id].permits.iter().map(move |p| (*id, p)));
        let permissions = permits.map(|(id, permits)| Permitted {
            role: node(id),
            action: permits.action.clone(),
            on: target(&permits.on),
            condition: permits.rule.text().map(str::to_owned),
        });
        let lineage =
            state.closure(state.named(&Key::resource(tenant, &resource.type_, &resource.id)));
        let place =
            |id: &u64| Place { node: node(*id), resource: named(id).unwrap(), parents: up(id) };
        Trace {
            subject: self.subject_view(state, tenant, subject),
            resource: resource_view(state, tenant, resource),
            suspended: state.is_suspended(tenant),
            holders: ids.iter().map(holder).collect(),
            bindings: bindings.collect(),
            roles: roles.iter().map(|id| (node(*id), name(id))).collect(),
            permissions: permissions.collect(),
            lineage: lineage.iter().map(place).collect(),
            narrowed: false,
            cut: false,
        }
    }
}

impl History {
    pub(super) fn last(&self) -> Arc<State> {
        self.at(self.now)
    }

    /// As it was at a time.
    pub(super) fn at(&self, time: u64) -> Arc<State> {
        let before = self.states.range(..=time).next_back();
        Arc::clone(before.expect("the empty one is at zero").1)
    }

    /// The time of a read that begins now: a strict one gets one of its own.
    fn begin(&mut self, mode: Mode) -> u64 {
        if mode == Mode::Strict {
            self.now += 1;
            return self.now;
        }
        self.now.saturating_sub(self.lag)
    }
}

fn covers(on: &On) -> Covers {
    match on {
        On::All => Covers::All,
        On::Type(type_) => Covers::Type(type_.as_str().into()),
        On::Node(id) => Covers::Node(node(*id)),
    }
}

impl Graph for Memory {
    async fn subject(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        mode: Mode,
    ) -> Result<SubjectReading, GraphError> {
        let look = |state: &State| {
            if subject.id == GIANT {
                return (vec![Key::anything(tenant)], None);
            }
            let whole = self.whole(state, tenant, subject);
            (whole.keys.iter().chain(whole.parts.keys()).cloned().collect(), Some(whole))
        };
        self.read(What::Subject, mode, look).await
    }

    async fn closure(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        mode: Mode,
    ) -> Result<Reading<Option<Closure>>, GraphError> {
        let look = |state: &State| {
            let Whole { closure, keys, .. } = self.whole(state, tenant, subject);
            (keys, Some(closure))
        };
        self.read(What::Closure, mode, look).await
    }

    async fn parts(
        &self,
        tenant: &TenantId,
        holders: &[Node],
        roles: &[Node],
        mode: Mode,
    ) -> Result<Reading<Parts>, GraphError> {
        let ids = |nodes: &[Node]| nodes.iter().map(|node| node.0).collect();
        let look = |state: &State| {
            let parts = self.held(state, tenant, &ids(holders), &ids(roles));
            (parts.keys().cloned().collect(), parts)
        };
        self.read(What::Parts, mode, look).await
    }

    async fn narrowed(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        _: &str,
        _: &ResourceRef,
        mode: Mode,
    ) -> Result<Reading<SubjectView>, GraphError> {
        let look = |state: &State| {
            (vec![Key::anything(tenant)], self.subject_view(state, tenant, subject))
        };
        self.read(What::Narrowed, mode, look).await
    }

    async fn resource(
        &self,
        tenant: &TenantId,
        resource: &ResourceRef,
        mode: Mode,
    ) -> Result<ResourceReading, GraphError> {
        let look = |state: &State| {
            (resource_keys(state, tenant, resource), resource_view(state, tenant, resource))
        };
        self.read(What::Resource, mode, look).await
    }

    async fn applied(&self, _: &TenantId) -> Result<(u64, Revision), GraphError> {
        let seq = self.with(|history| history.applied);
        let read = self.read(What::Applied, Mode::Strict, |_| (Vec::new(), ())).await?;
        Ok((seq, read.revision))
    }
}
