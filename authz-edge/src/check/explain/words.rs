//! From nodes to names, and from outcomes to sentences.

use std::cell::Cell;
use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};

use super::answer::{Binding, Condition, Cycle, MAX_HOPS, On, Outcome, Path, Permission, Reason};
use super::candidates::{Candidate, Candidates};
use super::walk::{Reached, Ways};
use crate::check::Question;
use crate::model::trace::{Holder, Place, Target, Trace};
use crate::model::view::{Covers, Micros, NEVER, Node};
use crate::model::{ResourceRef, SubjectRef};

/// Roles that a sentence names at most.
const NAMED: usize = 5;

/// Names and ways of one question.
pub(super) struct Map<'a> {
    trace: &'a Trace,
    question: &'a Question,
    teams: &'a Ways<'a>,
    parents: &'a Ways<'a>,
    holders: BTreeMap<Node, &'a Holder>,
    places: BTreeMap<Node, &'a Place>,
    subject: Option<Node>,
    resource: Option<Node>,
    up: Reached,
    above: Reached,
    now: Micros,
    shortened: Cell<bool>,
}

impl<'a> Map<'a> {
    pub(super) fn new(
        trace: &'a Trace,
        question: &'a Question,
        teams: &'a Ways<'a>,
        parents: &'a Ways<'a>,
        now: Micros,
    ) -> Self {
        let subject = trace.holders.iter().find(|h| h.subject == question.subject).map(|h| h.node);
        let resource =
            trace.lineage.iter().find(|p| p.resource == question.resource).map(|p| p.node);
        Self {
            trace,
            question,
            teams,
            parents,
            holders: trace.holders.iter().map(|holder| (holder.node, holder)).collect(),
            places: trace.lineage.iter().map(|place| (place.node, place)).collect(),
            subject,
            resource,
            up: teams.from(subject),
            above: parents.from(resource),
            now,
            shortened: Cell::new(false),
        }
    }

    pub(super) fn knows_resource(&self) -> bool {
        self.resource.is_some()
    }

    /// Rings of teams, then of resources; and whether there are more.
    pub(super) fn cycles(&self, most: usize) -> (Vec<Cycle>, bool) {
        let (teams, more_teams) = self.teams.rings(self.subject, most);
        let (resources, more_resources) = self.parents.rings(self.resource, most);
        let teams = teams.iter().map(|ring| Cycle::Teams(self.subjects(ring)));
        let mut all: Vec<_> = teams.collect();
        all.extend(resources.iter().map(|ring| Cycle::Resources(self.resources(ring))));
        let more = more_teams || more_resources || all.len() > most;
        all.truncate(most);
        (all, more)
    }

    pub(super) fn path(&self, candidate: &Candidate<'_>) -> Path {
        let Candidate { outcome, bound, permitted, condition } = candidate;
        let role = self.trace.roles.get(&bound.role).cloned().unwrap_or_default();
        let binding = Binding {
            role,
            on: on(&bound.on),
            expires_at: (bound.until != NEVER).then(|| time(bound.until)),
            covers: self.covers(&bound.on),
        };
        let unevaluated = || {
            let text = permitted.condition.clone()?;
            Some(Condition { text, result: None, error: None, missing: Vec::new() })
        };
        let permission = Permission {
            action: permitted.action.clone(),
            on: on(&permitted.on),
            covers: self.covers(&permitted.on),
            condition: condition.clone().or_else(unevaluated),
        };
        let through = self.through(bound.holder);
        let because = self.because(*outcome, &through, &binding, &permission);
        Path { outcome: *outcome, because, through, binding, permission }
    }

    /// From the subject to a holder.
    fn through(&self, holder: Node) -> Vec<SubjectRef> {
        if let Some(way) = self.up.way(holder) {
            return self.subjects(&way);
        }
        // Everyone, or one to whom the way was left out.
        let mut ends = vec![self.question.subject.clone()];
        ends.extend(self.holders.get(&holder).map(|holder| holder.subject.clone()));
        ends
    }

    /// Whether something was left out of a way.
    pub(super) fn is_shortened(&self) -> bool {
        self.shortened.get()
    }

    fn subjects(&self, nodes: &[Node]) -> Vec<SubjectRef> {
        let name = |node| self.holders.get(node).map(|holder| holder.subject.clone());
        self.ends(nodes).filter_map(name).collect()
    }

    fn resources(&self, nodes: &[Node]) -> Vec<ResourceRef> {
        let name = |node| self.places.get(node).map(|place| place.resource.clone());
        self.ends(nodes).filter_map(name).collect()
    }

    /// Of a long way, its ends.
    fn ends<'n>(&self, nodes: &'n [Node]) -> impl Iterator<Item = &'n Node> + use<'n> {
        let half = if nodes.len() > MAX_HOPS { MAX_HOPS / 2 } else { nodes.len() };
        self.shortened.set(self.shortened.get() || half < nodes.len());
        let last = nodes.len().saturating_sub(half).max(half);
        nodes[..half].iter().chain(&nodes[last..])
    }

    /// From the resource to what a scope names.
    fn covers(&self, target: &Target) -> Vec<ResourceRef> {
        let way = match &target.covers {
            Covers::All | Covers::Nothing => None,
            Covers::Node(node) => self.above.way(*node),
            Covers::Type(type_) if **type_ == *self.question.resource.type_ => {
                return vec![self.question.resource.clone()];
            }
            Covers::Type(type_) => self.above.nearest(|node| {
                self.places.get(&node).is_some_and(|place| *place.resource.type_ == **type_)
            }),
        };
        way.map_or_else(Vec::new, |way| self.resources(&way))
    }

    fn because(
        &self,
        outcome: Outcome,
        through: &[SubjectRef],
        binding: &Binding,
        permission: &Permission,
    ) -> String {
        let through: Vec<_> = through.iter().map(ToString::to_string).collect();
        let (role, where_) = (&binding.role, place(binding.on.as_ref()));
        let held = format!("{} has role {role} {where_}", through.join(" → "));
        let action = &permission.action;
        let resource = &self.question.resource;
        let permits = format!("{action} {}", place(permission.on.as_ref()));
        let condition = permission.condition.as_ref();
        let when = if condition.is_some() { ", its condition holds" } else { "" };
        match outcome {
            Outcome::Granted => format!("{held}, which permits {permits}{when}"),
            Outcome::WouldGrant => format!("{held}, which would permit {permits}{when}"),
            Outcome::ConditionFailed => {
                let error = condition.and_then(|c| c.error.as_deref()).unwrap_or_default();
                format!("{held}, but its condition for {action} cannot be evaluated: {error}")
            }
            Outcome::ConditionFalse => format!("{held}, but its condition for {action} is false"),
            Outcome::Expired => {
                let until = binding.expires_at.unwrap_or_else(|| time(self.now));
                let until = until.to_rfc3339_opts(SecondsFormat::AutoSi, true);
                format!("{held}, but expired at {until}")
            }
            Outcome::PermissionOutOfScope => {
                format!("{held}, but it permits {permits}, which does not cover {resource}")
            }
            Outcome::BindingOutOfScope => format!("{held}, which does not cover {resource}"),
        }
    }

    /// The whole in one sentence.
    pub(super) fn summary(
        &self,
        reason: Reason,
        best: Option<&Path>,
        found: &Candidates<'_>,
    ) -> String {
        let Question { subject, action, resource, .. } = self.question;
        let may = if reason == Reason::Allowed { "may" } else { "may not" };
        let why = match reason {
            Reason::TenantSuspended => "the tenant is suspended".to_owned(),
            Reason::SubjectInactive => "the subject is inactive".to_owned(),
            Reason::SubjectUnknown => "the graph has no such subject".to_owned(),
            Reason::NoBinding => "neither it nor a team of it holds any role".to_owned(),
            Reason::NoPermission => {
                let named: Vec<_> = found.others.iter().take(NAMED).map(String::as_str).collect();
                let more = found.others.len().saturating_sub(NAMED);
                let more = if more == 0 { String::new() } else { format!(" and {more} more") };
                format!("it holds {}{more}, none with that action", named.join(", "))
            }
            _ => best.map_or_else(|| "the path is not shown".to_owned(), |p| p.because.clone()),
        };
        format!("{subject} {may} {action} {resource}: {why}")
    }
}

fn on(target: &Target) -> Option<On> {
    let none = On { type_: None, id: None, deleted: false };
    match (&target.covers, &target.resource) {
        (Covers::All, _) => None,
        (Covers::Type(type_), _) => Some(On { type_: Some(type_.to_string()), ..none }),
        (Covers::Node(_), Some(of)) => {
            Some(On { type_: Some(of.type_.clone()), id: Some(of.id.clone()), ..none })
        }
        (Covers::Node(_), None) | (Covers::Nothing, _) => Some(On { deleted: true, ..none }),
    }
}

fn place(on: Option<&On>) -> String {
    match on {
        None => "everywhere".to_owned(),
        Some(On { type_: Some(type_), id: Some(id), .. }) => format!("on {type_}:{id}"),
        Some(On { type_: Some(type_), .. }) => format!("on every {type_}"),
        Some(_) => "on a resource that was deleted".to_owned(),
    }
}

fn time(at: Micros) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at).unwrap_or_default()
}
