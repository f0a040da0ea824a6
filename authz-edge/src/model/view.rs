//! What one reading of the graph says about a subject, or about a resource; and what follows from both.

use std::sync::Arc;

use super::weight::share_of;
use super::{Condition, Properties};

/// A node of the graph. Bindings and permissions refer to nodes, not to external keys, so that a
/// resource that was deleted and made again inherits nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node(pub u64);

/// When something ends, in microseconds since 1970; [`NEVER`] if it does not.
pub type Micros = i64;

/// The end of what has none.
pub const NEVER: Micros = Micros::MAX;

/// Whether a subject may act at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Active,
    /// It is deactivated, or its tenant is suspended.
    Barred,
    /// The graph has no such subject.
    Unknown,
}

/// What a binding or a permission covers, as stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Covers {
    /// Everything.
    All,
    /// Resources of a type and what is below them.
    Type(Box<str>),
    /// A resource and what is below it.
    Node(Node),
    /// Nothing any more: its resource is gone.
    Nothing,
}

impl Covers {
    /// Memory beside itself, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        if let Self::Type(type_) = self { type_.len() } else { 0 }
    }
}

/// One way in which a subject holds a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Where the role applies.
    pub covers: Covers,
    /// From when on it does not.
    pub until: Micros,
}

/// One permission of a role, its action apart.
#[derive(Debug, Clone)]
pub struct Grant {
    /// What it covers.
    pub covers: Covers,
    /// Under which condition; always without.
    pub condition: Option<Condition>,
}

/// A role's permissions by action; shared by all views of its holders.
#[derive(Debug, Clone, Default)]
pub struct RoleGrants {
    /// Sorted by action.
    actions: Vec<(Box<str>, Vec<Grant>)>,
}

impl RoleGrants {
    /// Of permissions in any order.
    #[must_use]
    pub fn new(permissions: impl IntoIterator<Item = (Box<str>, Grant)>) -> Self {
        let mut actions = std::collections::BTreeMap::<Box<str>, Vec<Grant>>::new();
        for (action, grant) in permissions {
            actions.entry(action).or_default().push(grant);
        }
        Self { actions: actions.into_iter().collect() }
    }

    /// The grants of an action.
    #[must_use]
    pub fn of(&self, action: &str) -> &[Grant] {
        let found = self.actions.binary_search_by(|(name, _)| (**name).cmp(action));
        found.map_or(&[], |at| &self.actions[at].1)
    }

    /// Every action, sorted.
    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().map(|(name, _)| &**name)
    }

    /// How many grants there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.actions.iter().map(|(_, grants)| grants.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// Memory that it holds, in bytes, roughly; conditions that others hold too are counted in part.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let condition = |grant: &Grant| grant.condition.as_ref().map_or(0, Condition::share);
        let grants = |grants: &[Grant]| grants.iter().map(|g| 64 + condition(g)).sum::<usize>();
        self.actions.iter().map(|(action, of)| action.len() + grants(of)).sum()
    }
}

/// A role that a subject has, itself or through its teams.
#[derive(Debug, Clone)]
pub struct HeldRole {
    /// What it permits.
    pub grants: Arc<RoleGrants>,
    /// Until when it applies everywhere, if it does.
    everywhere: Option<Micros>,
    /// By type.
    types: Vec<(Box<str>, Micros)>,
    /// By node, sorted.
    nodes: Vec<(Node, Micros)>,
}

impl HeldRole {
    /// Of the ways in which it is held; of equal ones the latest end counts.
    #[must_use]
    pub fn new(grants: Arc<RoleGrants>, holdings: impl IntoIterator<Item = Holding>) -> Self {
        let mut role = Self { grants, everywhere: None, types: Vec::new(), nodes: Vec::new() };
        for Holding { covers, until } in holdings {
            match covers {
                Covers::All => role.everywhere = role.everywhere.max(Some(until)),
                Covers::Type(type_) => role.types.push((type_, until)),
                Covers::Node(node) => role.nodes.push((node, until)),
                Covers::Nothing => {}
            }
        }
        // Later ends first, so that the first of equal ones is kept.
        role.types.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        role.types.dedup_by(|a, b| a.0 == b.0);
        role.nodes.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        role.nodes.dedup_by(|a, b| a.0 == b.0);
        role.types.shrink_to_fit();
        role.nodes.shrink_to_fit();
        role
    }

    /// Until when it applies to a resource, if it ever does.
    #[must_use]
    pub fn until(&self, resource: &ResourceView) -> Option<Micros> {
        let types = self.types.iter().filter(|(type_, _)| resource.is_within_type(type_));
        let by_type = types.map(|(_, until)| *until).max();
        let nodes = resource.lineage.iter().filter_map(|node| {
            let found = self.nodes.binary_search_by_key(node, |(node, _)| *node);
            found.ok().map(|at| self.nodes[at].1)
        });
        self.everywhere.max(by_type).max(nodes.max())
    }

    fn items(&self) -> usize {
        1 + self.types.len() + self.nodes.len()
    }
}

/// A subject: its standing, its attributes, and every role that it has.
#[derive(Debug, Clone)]
pub struct SubjectView {
    /// Whether it may act.
    pub standing: Standing,
    /// As stored.
    pub attributes: Option<Arc<Properties>>,
    /// Its own, of everyone of its type, and of its teams.
    pub roles: Vec<HeldRole>,
}

/// A resource: its attributes, and what it is below.
#[derive(Debug, Clone)]
pub struct ResourceView {
    /// As stored.
    pub attributes: Option<Arc<Properties>>,
    /// Itself and its ancestors, as far as the graph knows them; sorted.
    lineage: Vec<Node>,
    /// Their types; sorted, its own among them.
    types: Vec<Box<str>>,
}

impl ResourceView {
    /// Of nodes and types in any order.
    #[must_use]
    pub fn new(
        attributes: Option<Arc<Properties>>,
        mut lineage: Vec<Node>,
        mut types: Vec<Box<str>>,
    ) -> Self {
        lineage.sort_unstable();
        lineage.dedup();
        types.sort_unstable();
        types.dedup();
        Self { attributes, lineage, types }
    }

    fn is_within_type(&self, type_: &str) -> bool {
        self.types.iter().any(|known| **known == *type_)
    }

    /// Whether it is covered.
    #[must_use]
    pub fn is_covered_by(&self, covers: &Covers) -> bool {
        match covers {
            Covers::All => true,
            Covers::Type(type_) => self.is_within_type(type_),
            Covers::Node(node) => self.lineage.binary_search(node).is_ok(),
            Covers::Nothing => false,
        }
    }

    /// The nodes and types that it is made of.
    #[must_use]
    pub fn items(&self) -> usize {
        self.lineage.len() + self.types.len()
    }

    /// Memory that it holds, in bytes, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let types = self.types.iter().map(|type_| type_.len() + 16);
        size_of::<Self>()
            + 8 * self.lineage.len()
            + types.sum::<usize>()
            + share_of(&self.attributes)
    }
}

impl SubjectView {
    /// The holdings and grants that it is made of.
    #[must_use]
    pub fn items(&self) -> usize {
        self.roles.iter().map(|role| role.items() + role.grants.len()).sum()
    }

    /// Memory that it holds, in bytes, roughly; roles that it shares are counted in part.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.weigh(|grants| grants.bytes() / Arc::strong_count(grants).max(1))
    }

    /// Memory that it would hold if it shared no role.
    #[must_use]
    pub fn unshared_bytes(&self) -> usize {
        self.weigh(|grants| grants.bytes())
    }

    fn weigh(&self, grants: impl Fn(&Arc<RoleGrants>) -> usize) -> usize {
        let roles = self.roles.iter().map(|role| {
            let types = role.types.iter().map(|(type_, _)| type_.len() + 24);
            let nodes = 16 * role.nodes.len();
            size_of::<HeldRole>() + nodes + types.sum::<usize>() + grants(&role.grants)
        });
        size_of::<Self>() + roles.sum::<usize>() + share_of(&self.attributes)
    }
}

/// What follows from a subject's view and a resource's, before the request's own properties.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It is allowed, until then.
    Allow(Micros),
    /// Nothing allows it.
    Deny,
    /// It is allowed until then where the condition holds; none of them is sure.
    When(Vec<(Condition, Micros)>),
}

/// Whether `subject` may do `action` to `resource` at `now`.
///
/// Cost: for each role with that action, its grants, and for those that cover, a binary search for each
/// ancestor of the resource.
#[must_use]
pub fn evaluate(
    subject: &SubjectView,
    resource: &ResourceView,
    action: &str,
    now: Micros,
) -> Verdict {
    if subject.standing != Standing::Active {
        return Verdict::Deny;
    }
    let mut allowed = None;
    let mut when = Vec::new();
    for role in &subject.roles {
        let mut grants =
            role.grants.of(action).iter().filter(|g| resource.is_covered_by(&g.covers));
        let Some(first) = grants.next() else { continue };
        let Some(until) = role.until(resource).filter(|until| *until > now) else { continue };
        for grant in std::iter::once(first).chain(grants) {
            match &grant.condition {
                None => allowed = allowed.max(Some(until)),
                Some(condition) => when.push((condition.clone(), until)),
            }
        }
        if allowed == Some(NEVER) {
            break;
        }
    }
    match allowed {
        Some(until) => Verdict::Allow(until),
        None if when.is_empty() => Verdict::Deny,
        None => Verdict::When(when),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(list: &[(&str, Covers)]) -> Arc<RoleGrants> {
        let grant = |covers: &Covers| Grant { covers: covers.clone(), condition: None };
        Arc::new(RoleGrants::new(
            list.iter().map(|(action, covers)| ((*action).into(), grant(covers))),
        ))
    }

    fn subject(roles: Vec<HeldRole>) -> SubjectView {
        SubjectView { standing: Standing::Active, attributes: None, roles }
    }

    fn resource(nodes: &[u64], types: &[&str]) -> ResourceView {
        let lineage = nodes.iter().map(|node| Node(*node)).collect();
        ResourceView::new(None, lineage, types.iter().map(|type_| (*type_).into()).collect())
    }

    fn allowed(subject: &SubjectView, resource: &ResourceView, now: Micros) -> Option<Micros> {
        match evaluate(subject, resource, "read", now) {
            Verdict::Allow(until) => Some(until),
            Verdict::Deny => None,
            Verdict::When(_) => panic!("no conditions here"),
        }
    }

    #[test]
    fn binding_and_permission_must_both_cover() {
        let document = resource(&[7, 3], &["doc", "folder"]);
        let all = [Covers::All, Covers::Type("folder".into()), Covers::Node(Node(3))];
        let none = [Covers::Type("bucket".into()), Covers::Node(Node(4)), Covers::Nothing];
        for (held, holds) in all.iter().map(|c| (c, true)).chain(none.iter().map(|c| (c, false))) {
            for (granted, grants_it) in
                all.iter().map(|c| (c, true)).chain(none.iter().map(|c| (c, false)))
            {
                let holding = Holding { covers: held.clone(), until: NEVER };
                let role = HeldRole::new(grants(&[("read", granted.clone())]), [holding]);
                let expected = (holds && grants_it).then_some(NEVER);
                assert_eq!(allowed(&subject(vec![role]), &document, 0), expected);
            }
        }
    }

    #[test]
    fn the_latest_end_counts_and_an_end_is_one() {
        let document = resource(&[7], &["doc"]);
        let ends =
            [(Covers::All, 10), (Covers::Node(Node(7)), 30), (Covers::Type("doc".into()), 20)];
        let holdings = ends.map(|(covers, until)| Holding { covers, until });
        let role = HeldRole::new(grants(&[("read", Covers::All)]), holdings);
        let subject = subject(vec![role]);
        assert_eq!(allowed(&subject, &document, 29), Some(30));
        assert_eq!(allowed(&subject, &document, 30), None);
        assert_eq!(allowed(&subject, &resource(&[], &["doc"]), 15), Some(20));
    }

    #[test]
    fn a_barred_or_unknown_subject_may_nothing() {
        let holding = Holding { covers: Covers::All, until: NEVER };
        let role = HeldRole::new(grants(&[("read", Covers::All)]), [holding]);
        for standing in [Standing::Barred, Standing::Unknown] {
            let subject = SubjectView { standing, attributes: None, roles: vec![role.clone()] };
            assert_eq!(allowed(&subject, &resource(&[1], &["doc"]), 0), None);
        }
    }
}
