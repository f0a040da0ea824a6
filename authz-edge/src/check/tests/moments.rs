//! What an answer may have been made from at a moment: of each part of a view any state since which no change
//! of what it rests on was delivered. Parts of two states meet in an answer only as far as changes are still
//! on their way: else it would be one of a state that never was.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included};
use std::sync::Arc;

use contracts::{Revision, TenantId};

use super::memory::{GIANT, Memory, closure_keys, holders, resource_keys};
use super::property::Fence;
use super::world::{Entity, State};
use crate::check::Question;
use crate::model::Key;

/// A kind of parts that are told by their nodes.
struct Kind {
    key: fn(&Entity, &TenantId) -> Option<Key>,
    is_same: fn(&Entity, &Entity) -> bool,
    /// Has a state show a version of a node, as far as the part goes.
    put: fn(&mut State, u64, Option<Entity>),
}

/// What a holder of the closure holds.
const HOLDINGS: Kind = Kind {
    key: |holder, tenant| holder.key.holdings(tenant),
    is_same: |a, b| a.bound == b.bound,
    put: |state, holder, version| {
        let bound = version.map_or_else(Vec::new, |node| node.bound);
        state.nodes.get_mut(&holder).expect("it is in the closure").bound = bound;
    },
};

/// What a role permits.
const GRANTS: Kind = Kind {
    key: |role, _| Some(role.key.clone()),
    is_same: |a, b| a.permits == b.permits,
    put: |state, role, version| {
        state.nodes.remove(&role);
        state.nodes.extend(version.map(|node| (role, node)));
    },
};

/// One moment while an answer was made.
pub(super) struct Moment {
    /// The last time of the graph.
    pub(super) now: u64,
    /// What had been delivered.
    pub(super) delivered: Vec<Fence>,
}

impl Moment {
    /// Whether some views that hold at this moment, of `from` or later, explain an answer.
    pub(super) fn explains(
        &self,
        memory: &Memory,
        question: &Question,
        from: u64,
        is_so: impl Fn(&State, &State) -> bool,
    ) -> bool {
        if from > self.now {
            return false;
        }
        let states: Vec<(u64, Arc<State>)> = memory.with(|history| {
            let later = history.states.range((Excluded(from), Included(self.now)));
            let later = later.map(|(time, state)| (*time, Arc::clone(state)));
            std::iter::once((from, history.at(from))).chain(later).collect()
        });
        // Nothing was delivered of what comes after the last one.
        let Some((_, last)) = states.last() else { return false };
        if is_so(last, last) {
            return true;
        }
        let Question { tenant, subject, resource, .. } = question;
        let holds = |time: &u64, keys: &[Key]| self.holds(*time, keys, question);
        let resources: Vec<_> = states
            .iter()
            .filter(|(time, state)| holds(time, &resource_keys(state, tenant, resource)))
            .collect();
        let is_so = |subjects: &State| resources.iter().any(|(_, of)| is_so(subjects, of));
        if subject.id == GIANT {
            let mut whole = states.iter();
            return whole.any(|(at, state)| holds(at, &[Key::anything(tenant)]) && is_so(state));
        }
        let closures = states.iter().filter(|(at, s)| holds(at, &closure_keys(s, tenant, subject)));
        closures.into_iter().any(|(_, closure)| {
            let holders = Vec::from_iter(holders(closure, tenant, subject));
            self.any_holdings(&states, question, closure, &holders, &is_so)
        })
    }

    /// Whether some holdings of those holders, with some of each role in them, explain it.
    fn any_holdings(
        &self,
        states: &[(u64, Arc<State>)],
        question: &Question,
        mixed: &State,
        holders: &[u64],
        is_so: &impl Fn(&State) -> bool,
    ) -> bool {
        self.any(states, question, mixed, (holders, &HOLDINGS), &|mixed| {
            let bound = mixed.nodes.values().flat_map(|node| &node.bound);
            let roles = Vec::from_iter(bound.map(|bound| bound.role).collect::<BTreeSet<u64>>());
            self.any(states, question, mixed, (&roles, &GRANTS), is_so)
        })
    }

    /// Whether one of the mixtures with some version of each of these parts explains it.
    fn any(
        &self,
        states: &[(u64, Arc<State>)],
        question: &Question,
        mixed: &State,
        (nodes, kind): (&[u64], &Kind),
        is_so: &dyn Fn(&State) -> bool,
    ) -> bool {
        let Some((node, others)) = nodes.split_first() else { return is_so(mixed) };
        self.versions(states, question, *node, kind).into_iter().any(|version| {
            let mut mixed = mixed.clone();
            (kind.put)(&mut mixed, *node, version);
            self.any(states, question, &mixed, (others, kind), is_so)
        })
    }

    /// What a node may be taken for, each once; `None` once it is deleted.
    fn versions(
        &self,
        states: &[(u64, Arc<State>)],
        question: &Question,
        id: u64,
        kind: &Kind,
    ) -> Vec<Option<Entity>> {
        let mut versions = Vec::<Option<Entity>>::new();
        for (time, state) in states {
            let found = state.nodes.get(&id);
            let comes =
                |(later, state): &(u64, Arc<State>)| later > time && state.nodes.contains_key(&id);
            if found.is_none() && states.iter().any(comes) {
                continue;
            }
            let key = found.and_then(|found| (kind.key)(found, &question.tenant));
            let is_known = versions.iter().any(|known| match (known, found) {
                (Some(known), Some(found)) => (kind.is_same)(known, found),
                (None, None) => true,
                _ => false,
            });
            if !is_known && self.holds(*time, &Vec::from_iter(key), question) {
                versions.push(found.cloned());
            }
        }
        versions
    }

    /// Whether nothing that was delivered is about these keys and later than a read.
    fn holds(&self, read: u64, visited: &[Key], question: &Question) -> bool {
        let anything = visited.contains(&Key::anything(&question.tenant));
        !self.delivered.iter().any(|fence| {
            fence.at > Revision(read)
                && fence.tenant == question.tenant
                && (anything || fence.keys.iter().any(|key| visited.contains(key)))
        })
    }
}
