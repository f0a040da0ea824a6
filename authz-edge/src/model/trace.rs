//! What an explanation is made from: a subject's and a resource's view, with the nodes and edges behind
//! them, all of one reading.

use std::collections::BTreeMap;

use super::view::{Covers, Micros, Node, ResourceView, SubjectView};
use super::{ResourceRef, SubjectRef};

/// Both views of a question, and what they were made from.
#[derive(Debug, Clone)]
pub struct Trace {
    /// What decides, as for a check.
    pub subject: SubjectView,
    /// What decides, as for a check.
    pub resource: ResourceView,
    /// Whether nobody may anything here.
    pub suspended: bool,
    /// The subject, everyone of its type, and its teams, as far as the graph knows them.
    pub holders: Vec<Holder>,
    /// What they hold.
    pub bindings: Vec<Bound>,
    /// The ids of the roles that are held.
    pub roles: BTreeMap<Node, String>,
    /// What these permit.
    pub permissions: Vec<Permitted>,
    /// The resource and its ancestors, as far as the graph knows them.
    pub lineage: Vec<Place>,
    /// Whether bindings on other resources and permissions of other actions were left out, because the
    /// subject holds too much.
    pub narrowed: bool,
    /// Whether edges were left out, which changes no verdict.
    pub cut: bool,
}

/// Who holds roles.
#[derive(Debug, Clone)]
pub struct Holder {
    /// Its node.
    pub node: Node,
    /// Who it is.
    pub subject: SubjectRef,
    /// The teams that it belongs to itself.
    pub teams: Vec<Node>,
}

/// A resource of a lineage.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its node.
    pub node: Node,
    /// Which it is.
    pub resource: ResourceRef,
    /// What it is below itself.
    pub parents: Vec<Node>,
}

/// One binding.
#[derive(Debug, Clone)]
pub struct Bound {
    /// Whose.
    pub holder: Node,
    /// Of which role.
    pub role: Node,
    /// Where.
    pub on: Target,
    /// From when on it does not hold.
    pub until: Micros,
}

/// One permission.
#[derive(Debug, Clone)]
pub struct Permitted {
    /// Whose.
    pub role: Node,
    /// To do what.
    pub action: String,
    /// On what.
    pub on: Target,
    /// When, as it was written.
    pub condition: Option<String>,
}

/// What a binding or a permission covers, and how it is called.
#[derive(Debug, Clone)]
pub struct Target {
    /// What it covers.
    pub covers: Covers,
    /// The resource that it names, unless that was deleted.
    pub resource: Option<ResourceRef>,
}
