//! What is listed: from which nodes, which of their edges, and what of those.

use contracts::TenantId;

use crate::model::{Key, Relationship, ResourceRef, Scope, SubjectType};

/// Edges from a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edges {
    /// The teams of a subject.
    Teams,
    /// What a subject holds everywhere and for ever.
    Roles,
    /// What a subject holds on resources.
    Scoped,
    /// What it holds otherwise.
    Wide,
    /// The members of a team.
    Members,
    /// Who holds a role everywhere and for ever.
    Holders,
    /// All other bindings of a role.
    Bound,
    /// The bindings on a resource.
    BoundOn,
    /// What a resource is below.
    Parents,
    /// What is below a resource.
    Children,
}

impl Edges {
    pub(super) fn predicate(self) -> &'static str {
        match self {
            Self::Teams => "User.memberOf",
            Self::Roles => "Team.hasRole",
            Self::Scoped => "Team.hasBinding",
            Self::Wide => "Team.hasWideBinding",
            Self::Members => "~User.memberOf",
            Self::Holders => "~Team.hasRole",
            Self::Bound => "~Binding.role",
            Self::BoundOn => "~Binding.onResource",
            Self::Parents => "Resource.parent",
            Self::Children => "~Resource.parent",
        }
    }

    /// Whether they lead to bindings, and not to what is bound.
    pub(super) fn are_bindings(self) -> bool {
        matches!(self, Self::Scoped | Self::Wide | Self::Bound | Self::BoundOn)
    }
}

/// Where a listing begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// At one node.
    One(Key),
    /// At every subject.
    Subjects,
    /// At every resource of a type.
    Resources(String),
}

/// How a list of roots is found: a predicate and its value.
pub(super) type List = (&'static str, String);

impl Roots {
    /// How each list of roots is found: `eq(listed, …)` or `eq(xid, …)`. Whatever a cursor says, nothing
    /// outside the tenant is.
    pub(super) fn lists(&self, tenant: &TenantId) -> Vec<List> {
        let listed = |list| ("listed", list);
        match self {
            Self::One(key) => vec![("xid", key.as_str().to_owned())],
            Self::Resources(type_) => vec![listed(Key::resources(tenant, type_))],
            Self::Subjects => [SubjectType::User, SubjectType::ServiceAccount, SubjectType::Team]
                .map(|type_| listed(Key::subjects(tenant, type_)))
                .to_vec(),
        }
    }
}

/// What entries must name beyond where they were found; anything where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// The team of a membership.
    pub team: Option<String>,
    /// The role of a binding.
    pub role: Option<String>,
    /// The resource of a binding, or what is below a parent.
    pub resource: Option<ResourceRef>,
    /// The parent.
    pub parent: Option<ResourceRef>,
    /// The type of what is below a parent.
    pub resource_type: Option<String>,
}

impl Filter {
    pub(super) fn takes(&self, relationship: &Relationship) -> bool {
        fn is<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| Some(wanted) == found)
        }
        let (team, role, resource, parent) = match relationship {
            Relationship::MemberOf { team, .. } => (Some(team), None, None, None),
            Relationship::HasRole { role, on: Scope::Resource(on), .. } => {
                (None, Some(role), Some(on), None)
            }
            Relationship::HasRole { role, .. } => (None, Some(role), None, None),
            Relationship::Parent { resource, parent } => (None, None, Some(resource), Some(parent)),
        };
        is(self.team.as_ref(), team)
            && is(self.role.as_ref(), role)
            && is(self.resource.as_ref(), resource)
            && is(self.parent.as_ref(), parent)
            && is(self.resource_type.as_ref(), resource.map(|resource| &resource.type_))
    }
}

/// A listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Where it begins.
    pub roots: Roots,
    /// What is listed of each root, in this order; at most four.
    pub edges: Vec<Edges>,
    /// What of it.
    pub filter: Filter,
}
