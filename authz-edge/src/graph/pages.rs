//! Everything that a tenant has, page by page, at one time of the graph.

mod tally;
mod tenants;

use std::time::Duration;

use contracts::{Revision, TenantId};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use tally::Tally;
use tally::{bounds, count_query};
pub use tenants::tenants;

use super::client::{GraphDb, Snapshot};
use super::dql::Uid;
use super::store::GraphError;
use super::write::{ROLE, RoleRow};
use crate::model::view::{Micros, NEVER};
use crate::model::{
    Key, Properties, Relationship, ResourceRef, Role, Scope, SubjectRef, SubjectType,
};

/// Edges of one predicate that come with their node; of those that have more, the others are asked for.
const EDGES: usize = 200;
/// Nodes of a page without their edges.
const NODES: usize = 1000;
/// Nodes of a page with their edges; of roles, each with up to a thousand permissions.
const HOLDERS: usize = 500;
const ROLES: usize = 50;
/// For a page, and for counting everything.
const PATIENCE: Duration = Duration::from_secs(60);
const COUNTING: Duration = Duration::from_secs(600);
/// A page is asked for so often, with growing waits in between.
const ATTEMPTS: u32 = 8;

/// What is read of a tenant, each kind in the order of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Roles with their permissions.
    Roles,
    /// Subjects without what they hold.
    Subjects,
    /// Resources without what they are below.
    Resources,
    /// Memberships and bindings.
    Holdings,
    /// What resources are below.
    Parents,
}

impl Kind {
    fn first(self) -> usize {
        match self {
            Self::Roles => ROLES,
            Self::Subjects | Self::Resources => NODES,
            Self::Holdings | Self::Parents => HOLDERS,
        }
    }

    fn of_node(self) -> char {
        match self {
            Self::Roles => 'o',
            Self::Subjects | Self::Holdings => 's',
            Self::Resources | Self::Parents => 'r',
        }
    }

    fn edges(self) -> &'static [Edge] {
        match self {
            Self::Roles | Self::Subjects | Self::Resources => &[],
            Self::Holdings => &[Edge::MemberOf, Edge::HasRole, Edge::Binding, Edge::WideBinding],
            Self::Parents => &[Edge::Parent],
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    MemberOf,
    HasRole,
    Binding,
    WideBinding,
    Parent,
}

impl Edge {
    fn query(self, after: u64) -> String {
        let (predicate, of) = match self {
            Self::MemberOf => ("User.memberOf", "xid"),
            Self::HasRole => ("Team.hasRole", "xid"),
            Self::Parent => ("Resource.parent", "xid"),
            Self::Binding => (
                "Team.hasBinding",
                "Binding.role { xid } Binding.onResource { xid } Binding.expiresAt",
            ),
            Self::WideBinding => {
                ("Team.hasWideBinding", "Binding.role { xid } Binding.onType Binding.expiresAt")
            }
        };
        format!("{predicate} (first: {EDGES}, after: {after:#x}) {{ uid {of} }}")
    }

    fn of(self, row: &Row) -> &[To] {
        match self {
            Self::MemberOf => &row.member_of,
            Self::HasRole => &row.has_role,
            Self::Binding => &row.bindings,
            Self::WideBinding => &row.wide,
            Self::Parent => &row.parents,
        }
    }
}

/// One thing that was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A role.
    Role(String, Role),
    /// A subject, its attributes, whether it may act.
    Subject(SubjectRef, Properties, bool),
    /// A resource and its attributes.
    Resource(ResourceRef, Properties),
    /// What binds them.
    Relationship(Relationship),
}

/// One page.
#[derive(Debug)]
pub struct Page {
    /// What it has.
    pub items: Vec<Item>,
    /// Where the next one begins; none after the last.
    pub after: Option<u64>,
}

/// A tenant that is read at one time.
pub struct Pages<'a> {
    tenant: &'a TenantId,
    snapshot: Snapshot,
    now: Micros,
    /// The time of all reads.
    pub revision: Revision,
    /// What was counted at the beginning.
    pub expected: Tally,
    /// What was read.
    pub found: Tally,
}

#[derive(Deserialize)]
struct Rows<R> {
    #[serde(default = "Vec::new")]
    page: Vec<R>,
}

#[derive(Deserialize)]
struct Row {
    uid: Uid,
    #[serde(default)]
    xid: String,
    attributes: Option<String>,
    #[serde(rename = "Subject.inactive")]
    inactive: Option<bool>,
    #[serde(rename = "User.memberOf", default)]
    member_of: Vec<To>,
    #[serde(rename = "Team.hasRole", default)]
    has_role: Vec<To>,
    #[serde(rename = "Team.hasBinding", default)]
    bindings: Vec<To>,
    #[serde(rename = "Team.hasWideBinding", default)]
    wide: Vec<To>,
    #[serde(rename = "Resource.parent", default)]
    parents: Vec<To>,
}

/// A node that an edge leads to, as far as its kind has these.
#[derive(Deserialize)]
struct To {
    uid: Uid,
    /// None when it was deleted.
    xid: Option<String>,
    #[serde(rename = "Binding.role")]
    role: Option<Named>,
    #[serde(rename = "Binding.onResource")]
    on_resource: Option<Named>,
    #[serde(rename = "Binding.onType")]
    on_type: Option<String>,
    #[serde(rename = "Binding.expiresAt")]
    expires_at: Option<Micros>,
}

#[derive(Deserialize)]
struct Named {
    xid: Option<String>,
}

#[derive(Deserialize)]
struct NamedRole {
    xid: String,
    #[serde(flatten)]
    row: RoleRow,
}

impl<'a> Pages<'a> {
    /// Begins: counts what there is. That takes about a second for 50 000 nodes.
    ///
    /// # Errors
    /// As [`GraphDb::query`].
    pub async fn begin(
        graph: &GraphDb,
        tenant: &'a TenantId,
        now: Micros,
    ) -> Result<Self, GraphError> {
        let (snapshot, answer) = graph.snapshot("{ q(func: uid(0x1)) { uid } }", &[]).await?;
        let revision = answer.revision;
        let dql = format!("{{ {} }}", count_query(tenant));
        let expected = Tally::read(&snapshot.query(&dql, &[], COUNTING).await?)?;
        Ok(Self { tenant, snapshot, now, revision, expected, found: Tally::default() })
    }

    /// Whether all that was counted was read.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.expected == self.found
    }

    /// A page, whose nodes follow `after`.
    ///
    /// # Errors
    /// As [`GraphDb::query`].
    pub async fn page(&mut self, kind: Kind, after: u64) -> Result<Page, GraphError> {
        let (low, high) = bounds(self.tenant, kind.of_node());
        let edges: String = kind.edges().iter().map(|edge| edge.query(0) + " ").collect();
        let of = match kind {
            Kind::Roles => format!("xid {ROLE}"),
            Kind::Subjects | Kind::Resources => "uid xid attributes Subject.inactive".to_owned(),
            Kind::Holdings | Kind::Parents => format!("uid xid {edges}"),
        };
        let first = kind.first();
        let list = format!("between(listed, {low:?}, {high:?})");
        let dql = format!("{{ page(func: {list}, first: {first}, after: {after:#x}) {{ {of} }} }}");
        if kind == Kind::Roles {
            let rows: Vec<NamedRole> = self.rows(&dql).await?;
            let after = rows.last().map(|row| row.row.uid.0);
            let items = rows.iter().filter_map(|row| self.role(row)).collect();
            return Ok(Page { items, after });
        }
        let rows: Vec<Row> = self.rows(&dql).await?;
        let (after, mut items) = (rows.last().map(|row| row.uid.0), vec![]);
        for row in &rows {
            if kind.edges().is_empty() {
                items.extend(self.node(row));
            }
            for edge in kind.edges() {
                self.edges(*edge, row, &mut items).await?;
            }
        }
        Ok(Page { items, after })
    }

    async fn rows<R: DeserializeOwned>(&self, dql: &str) -> Result<Vec<R>, GraphError> {
        let mut backoff = Duration::from_millis(200);
        for _ in 1..ATTEMPTS {
            match self.snapshot.query(dql, &[], PATIENCE).await {
                Err(GraphError::Unavailable(_)) => {}
                answer => return Ok(answer?.read::<Rows<R>>()?.page),
            }
            tokio::time::sleep(backoff).await;
            backoff *= 2;
        }
        Ok(self.snapshot.query(dql, &[], PATIENCE).await?.read::<Rows<R>>()?.page)
    }

    fn role(&mut self, row: &NamedRole) -> Option<Item> {
        self.found.nodes += 1;
        self.found.edges += row.row.edges() as u64;
        let key = Key::from_text(row.xid.as_str());
        let (_, _, id) = key.parts(self.tenant)?;
        Some(Item::Role(id.to_owned(), row.row.role(self.tenant)))
    }

    fn node(&mut self, row: &Row) -> Option<Item> {
        self.found.nodes += 1;
        let values = usize::from(row.attributes.is_some()) + usize::from(row.inactive.is_some());
        self.found.values += values as u64;
        let stored = row.attributes.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let attributes = stored.unwrap_or_default();
        let key = Key::from_text(row.xid.as_str());
        Some(match key.parts(self.tenant)? {
            ('s', type_, id) => {
                let subject = SubjectRef::new(SubjectType::parse(type_)?, id);
                Item::Subject(subject, attributes, row.inactive != Some(true))
            }
            (_, type_, id) => Item::Resource(ResourceRef::new(type_, id), attributes),
        })
    }

    /// All edges of a node, however many there are.
    async fn edges(
        &mut self,
        edge: Edge,
        row: &Row,
        items: &mut Vec<Item>,
    ) -> Result<(), GraphError> {
        let from = Key::from_text(row.xid.as_str());
        let mut found: &[To] = edge.of(row);
        let mut more: Vec<Row>;
        loop {
            self.found.edges += found.len() as u64;
            let relationship = |to: &To| self.relationship(edge, &from, to).map(Item::Relationship);
            items.extend(found.iter().filter_map(relationship));
            let Some(last) = found.last().filter(|_| found.len() == EDGES) else { return Ok(()) };
            let (of, uid) = (edge.query(last.uid.0), row.uid.0);
            more = self.rows(&format!("{{ page(func: uid({uid:#x})) {{ uid {of} }} }}")).await?;
            found = more.first().map_or(&[][..], |row| edge.of(row));
        }
    }

    /// `None` when it leads to what was deleted, or has expired.
    fn relationship(&self, edge: Edge, from: &Key, to: &To) -> Option<Relationship> {
        let resource = |key: &Key| {
            let (_, type_, id) = key.parts(self.tenant).filter(|(kind, ..)| *kind == 'r')?;
            Some(ResourceRef::new(type_, id))
        };
        let key = |text: &Option<String>| text.as_deref().map(Key::from_text);
        if edge == Edge::Parent {
            let (resource, parent) = (resource(from)?, resource(&key(&to.xid)?)?);
            return Some(Relationship::Parent { resource, parent });
        }
        let (_, type_, id) = from.parts(self.tenant)?;
        let subject = SubjectRef::new(SubjectType::parse(type_)?, id);
        if edge == Edge::MemberOf {
            let team = key(&to.xid)?.parts(self.tenant)?.2.to_owned();
            return Some(Relationship::MemberOf { subject, team });
        }
        let role = if edge == Edge::HasRole { &to.xid } else { &to.role.as_ref()?.xid };
        let role = key(role)?.parts(self.tenant)?.2.to_owned();
        let on = match edge {
            Edge::Binding => Scope::Resource(resource(&key(&to.on_resource.as_ref()?.xid)?)?),
            _ => to.on_type.clone().map_or(Scope::All, Scope::Type),
        };
        let until = to.expires_at.unwrap_or(NEVER);
        if until <= self.now {
            return None;
        }
        let expires_at = match until {
            NEVER => None,
            until => Some(chrono::DateTime::from_timestamp_micros(until)?),
        };
        Some(Relationship::HasRole { subject, role, on, expires_at })
    }
}
