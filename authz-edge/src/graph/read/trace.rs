//! What an explanation needs: both views and what they are made from, in one request, so that all of it
//! is of one time. The views are read from the answer by the code that reads them for checks.

use std::collections::BTreeMap;

use contracts::TenantId;
use serde::Deserialize;

use super::super::client::{Answer, Mode};
use super::super::dql::{HasUid, Uid};
use super::super::store::{GraphError, Reading};
use super::{
    CLOSURE, FIRST, LIVING, LineageAnswer, NARROWED, ROLES, Reader, SubjectAnswer, SubjectKeys,
    WHOLE, held, lineage,
};
use crate::model::trace::{Bound, Holder, Permitted, Place, Target, Trace};
use crate::model::view::{Covers, Micros, NEVER, Node};
use crate::model::{Key, ResourceRef, SubjectRef, SubjectType};

/// The most memberships and roles of one holder, and parents of one resource, that are looked at.
const EDGES: usize = ROLES;

const RESOURCE: &str = "
  E as var(func: eq(xid, $r))
  var(func: uid(E)) @recurse(loop: false) { F as Resource.parent LIVING }";

const BLOCKS: &str = "
  tenant(func: eq(xid, $t)) { Tenant.suspended }
  subject(func: uid(S)) { uid Subject.inactive attributes }
  holders(func: uid(S, W, T), first: FIRST) {
    uid xid User.memberOf (first: EDGES) { uid } Team.hasRole (first: EDGES) { uid }
  }
  plain(func: uid(R), first: FIRST) { uid }
  scoped(func: uid(B), first: FIRST) {
    Binding.holder { uid } Binding.role { uid } Binding.onResource { uid xid } Binding.expiresAt
  }
  wide(func: uid(C), first: FIRST) {
    Binding.holder { uid } Binding.role { uid } Binding.onType Binding.expiresAt
  }
  roles(func: uid(R, Q), first: FIRST) { uid xid }
  permissions(func: uid(P), first: FIRST) {
    Permission.role { uid } Permission.action Permission.scope Permission.onType
    Permission.onResource { uid xid } Permission.condition
  }
  lineage(func: uid(E, F), first: FIRST) { uid xid Resource.parent (first: EDGES) { uid } }
  resource(func: uid(E)) { attributes }
}";

/// The queries as they are sent.
pub(super) struct Queries {
    pub(super) whole: String,
    pub(super) narrowed: String,
}

impl Default for Queries {
    fn default() -> Self {
        let blocks = BLOCKS.replace("FIRST", &FIRST.to_string());
        let blocks = blocks.replace("EDGES", &EDGES.to_string());
        let head = "$s: string, $w: string, $t: string, $r: string";
        // Whoever asks for an explanation is in no hurry.
        let living = |query: String| query.replace("LIVING", LIVING);
        Self {
            whole: held(
                &living(format!("query q({head}) {{{CLOSURE}{RESOURCE}{WHOLE}{blocks}")),
                "S, W, T",
                "",
            ),
            narrowed: living(format!("query q({head}, $a: string) {{{CLOSURE}{NARROWED}{blocks}")),
        }
    }
}

/// What the views leave out; the rest of the answer is theirs.
#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    holders: Vec<HolderRow>,
    #[serde(default)]
    scoped: Vec<BindingRow>,
    #[serde(default)]
    wide: Vec<BindingRow>,
    #[serde(default)]
    roles: Vec<Named>,
    #[serde(default)]
    permissions: Vec<PermissionRow>,
    #[serde(default)]
    lineage: Vec<PlaceRow>,
}

#[derive(Deserialize)]
struct HolderRow {
    #[serde(flatten)]
    named: Named,
    #[serde(rename = "User.memberOf", default)]
    teams: Vec<HasUid>,
    #[serde(rename = "Team.hasRole", default)]
    roles: Vec<HasUid>,
}

#[derive(Deserialize)]
struct PlaceRow {
    #[serde(flatten)]
    named: Named,
    #[serde(rename = "Resource.parent", default)]
    parents: Vec<HasUid>,
}

/// A node; without a key it was deleted.
#[derive(Deserialize)]
struct Named {
    uid: Uid,
    xid: Option<String>,
}

#[derive(Deserialize)]
struct BindingRow {
    #[serde(rename = "Binding.holder")]
    holder: Option<HasUid>,
    #[serde(rename = "Binding.role")]
    role: Option<HasUid>,
    #[serde(rename = "Binding.onResource")]
    on_resource: Option<Named>,
    #[serde(rename = "Binding.expiresAt")]
    expires_at: Option<Micros>,
}

#[derive(Deserialize)]
struct PermissionRow {
    #[serde(rename = "Permission.role")]
    role: Option<HasUid>,
    #[serde(rename = "Permission.action")]
    action: String,
    #[serde(rename = "Permission.onResource")]
    on_resource: Option<Named>,
    #[serde(rename = "Permission.condition")]
    condition: Option<String>,
}

impl Reader {
    /// Both views of a question, with what they were made from. Of a subject that holds too much for a
    /// view, it is what may matter for the question, in a second request.
    ///
    /// # Errors
    /// `Limit` where a check has one, or when the details are more than Dgraph follows in one request;
    /// else as [`super::super::GraphDb::query`].
    pub async fn trace(
        &self,
        tenant: &TenantId,
        subject: &SubjectRef,
        action: &str,
        resource: &ResourceRef,
        mode: Mode,
    ) -> Result<Reading<Trace>, GraphError> {
        let keys = SubjectKeys::new(tenant, subject);
        let on = Key::resource(tenant, &resource.type_, &resource.id);
        let mut vars = keys.vars().to_vec();
        vars.push(("$r", on.as_str()));
        let answer = self.graph.query(mode, &self.traces.whole, &vars).await.map_err(limited)?;
        if let Some(view) = self.traced(tenant, resource, &answer, false).await? {
            return Ok(Reading { revision: answer.revision, visited: Vec::new(), view });
        }
        vars.push(("$a", action));
        let answer = self.graph.query(mode, &self.traces.narrowed, &vars).await.map_err(limited)?;
        match self.traced(tenant, resource, &answer, true).await? {
            Some(view) => Ok(Reading { revision: answer.revision, visited: Vec::new(), view }),
            None => {
                let limit = format!("{subject} has too many bindings for one question");
                Err(GraphError::Limit(limit))
            }
        }
    }

    /// `None` when it is too much for a view.
    async fn traced(
        &self,
        tenant: &TenantId,
        resource: &ResourceRef,
        answer: &Answer,
        narrowed: bool,
    ) -> Result<Option<Trace>, GraphError> {
        let found: SubjectAnswer<'_> = answer.read()?;
        if found.holds_too_much() || (!narrowed && found.is_too_large()) {
            return Ok(None);
        }
        let above: LineageAnswer<'_> = answer.read()?;
        let key = Key::resource(tenant, &resource.type_, &resource.id);
        let resource = lineage(tenant, resource, &key, answer, &above)?.view;
        let details: Details = answer.read()?;
        let cut = details.is_cut();
        let roles: BTreeMap<Node, String> =
            details.roles.iter().filter_map(|row| row.named(tenant)).collect();
        let mut bindings = details.plain(&roles);
        let scoped = found.scoped.iter().map(super::Binding::scoped);
        bindings.extend(details.scoped.iter().zip(scoped).filter_map(|(r, c)| r.bound(c, tenant)));
        let wide = found.wide.iter().map(super::Binding::wide);
        bindings.extend(details.wide.iter().zip(wide).filter_map(|(r, c)| r.bound(c, tenant)));
        // Of a role that was deleted nothing is held.
        bindings.retain(|bound| roles.contains_key(&bound.role));
        let covers = found.permissions.iter().map(super::roles::PermissionRow::covers);
        let permissions = details.permissions.iter().zip(covers);
        let permissions = permissions
            .filter_map(|(row, covers)| row.permitted(covers, tenant))
            .filter(|permitted| roles.contains_key(&permitted.role));
        Ok(Some(Trace {
            suspended: found.tenant.iter().any(|tenant| tenant.suspended),
            holders: details.holders.iter().filter_map(|row| row.holder(tenant)).collect(),
            permissions: permissions.collect(),
            lineage: details.lineage.iter().filter_map(|row| row.place(tenant)).collect(),
            subject: self.view(found).await?,
            resource,
            bindings,
            roles,
            narrowed,
            cut,
        }))
    }
}

fn limited(error: GraphError) -> GraphError {
    match error {
        GraphError::Refused(reason) if reason.contains("edge limit") => {
            GraphError::Limit("the paths are more than can be followed at once".to_owned())
        }
        other => other,
    }
}

fn nodes(edges: &[HasUid]) -> Vec<Node> {
    edges.iter().map(|edge| Node(edge.uid.0)).collect()
}

impl Named {
    fn node(&self) -> Node {
        Node(self.uid.0)
    }

    fn named(&self, tenant: &TenantId) -> Option<(Node, String)> {
        let key = Key::from_text(self.xid.clone()?);
        let (_, _, id) = key.parts(tenant)?;
        Some((self.node(), id.to_owned()))
    }

    fn resource(&self, tenant: &TenantId) -> Option<ResourceRef> {
        let key = Key::from_text(self.xid.clone()?);
        let (_, type_, id) = key.parts(tenant)?;
        Some(ResourceRef::new(type_, id))
    }
}

impl Details {
    fn is_cut(&self) -> bool {
        let holders = self.holders.iter().any(|h| h.teams.len().max(h.roles.len()) >= EDGES);
        holders
            || self.holders.len() >= FIRST
            || self.lineage.iter().any(|place| place.parents.len() >= EDGES)
    }

    /// Roles that are held everywhere and for ever are edges.
    fn plain(&self, roles: &BTreeMap<Node, String>) -> Vec<Bound> {
        let everywhere = || Target { covers: Covers::All, resource: None };
        let bound = |holder, role| Bound { holder, role, on: everywhere(), until: NEVER };
        let held = self.holders.iter().flat_map(|row| {
            nodes(&row.roles).into_iter().map(move |role| (row.named.node(), role))
        });
        held.filter(|(_, role)| roles.contains_key(role)).map(|(h, role)| bound(h, role)).collect()
    }
}

impl HolderRow {
    fn holder(&self, tenant: &TenantId) -> Option<Holder> {
        let key = Key::from_text(self.named.xid.clone()?);
        let (_, type_, id) = key.parts(tenant)?;
        let subject = SubjectRef::new(SubjectType::parse(type_)?, id);
        Some(Holder { node: self.named.node(), subject, teams: nodes(&self.teams) })
    }
}

impl PlaceRow {
    fn place(&self, tenant: &TenantId) -> Option<Place> {
        let resource = self.named.resource(tenant)?;
        Some(Place { node: self.named.node(), resource, parents: nodes(&self.parents) })
    }
}

impl BindingRow {
    fn bound(&self, covers: Covers, tenant: &TenantId) -> Option<Bound> {
        let resource = self.on_resource.as_ref().and_then(|on| on.resource(tenant));
        Some(Bound {
            holder: Node(self.holder?.uid.0),
            role: Node(self.role?.uid.0),
            on: Target { covers, resource },
            until: self.expires_at.unwrap_or(NEVER),
        })
    }
}

impl PermissionRow {
    fn permitted(&self, covers: Covers, tenant: &TenantId) -> Option<Permitted> {
        let resource = self.on_resource.as_ref().and_then(|on| on.resource(tenant));
        Some(Permitted {
            role: Node(self.role?.uid.0),
            action: self.action.clone(),
            on: Target { covers, resource },
            condition: self.condition.clone(),
        })
    }
}
