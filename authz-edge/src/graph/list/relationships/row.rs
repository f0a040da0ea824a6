//! Edges as they are asked for and answered.

use chrono::DateTime;
use contracts::TenantId;
use serde::Deserialize;

use super::super::super::dql::Uid;
use super::Edges;
use crate::model::view::Micros;
use crate::model::{Key, Relationship, ResourceRef, Scope, SubjectRef, SubjectType};

/// Asks for edges of a root, as `e0`, `e1` and so on.
pub(super) fn fragment(number: u8, edges: Edges, first: usize, after: u64) -> String {
    let members = if edges.are_bindings() {
        "uid xid Binding.holder { uid xid } Binding.role { uid xid } Binding.onResource { uid xid }
         Binding.onType Binding.expiresAt"
    } else {
        "uid xid"
    };
    let predicate = edges.predicate();
    format!("e{number}: {predicate} (first: {first}, after: {after:#x}) {{ {members} }}\n")
}

/// A node; without a key it was deleted, and so is not listed.
#[derive(Deserialize)]
struct Named {
    xid: Option<String>,
}

/// An edge: the node that it leads to.
#[derive(Deserialize)]
pub(super) struct EdgeRow {
    uid: Uid,
    xid: Option<String>,
    #[serde(rename = "Binding.holder")]
    holder: Option<Named>,
    #[serde(rename = "Binding.role")]
    role: Option<Named>,
    #[serde(rename = "Binding.onResource")]
    on_resource: Option<Named>,
    #[serde(rename = "Binding.onType")]
    on_type: Option<String>,
    #[serde(rename = "Binding.expiresAt")]
    expires_at: Option<Micros>,
}

fn parts(tenant: &TenantId, key: &Key) -> Option<(char, String, String)> {
    let (kind, type_, id) = key.parts(tenant)?;
    Some((kind, type_.to_owned(), id.to_owned()))
}

fn subject(tenant: &TenantId, key: &Key) -> Option<SubjectRef> {
    let (_, type_, id) = parts(tenant, key).filter(|(kind, ..)| *kind == 's')?;
    Some(SubjectRef::new(SubjectType::parse(&type_)?, id))
}

fn team(tenant: &TenantId, key: &Key) -> Option<String> {
    subject(tenant, key).filter(|team| team.type_ == SubjectType::Team).map(|team| team.id)
}

fn role(tenant: &TenantId, key: &Key) -> Option<String> {
    parts(tenant, key).filter(|(kind, ..)| *kind == 'o').map(|(_, _, id)| id)
}

fn resource(tenant: &TenantId, key: &Key) -> Option<ResourceRef> {
    let (_, type_, id) = parts(tenant, key).filter(|(kind, ..)| *kind == 'r')?;
    Some(ResourceRef::new(type_, id))
}

fn everywhere(subject: SubjectRef, role: String) -> Relationship {
    Relationship::HasRole { subject, role, on: Scope::All, expires_at: None }
}

impl EdgeRow {
    /// Its place among its kind.
    pub(super) fn node(&self) -> u64 {
        self.uid.0
    }

    /// What it stands for; nothing when an end of it was deleted.
    pub(super) fn relationship(
        &self,
        tenant: &TenantId,
        root: &Key,
        edges: Edges,
    ) -> Option<Relationship> {
        let to = Key::from_text(self.xid.clone()?);
        Some(match edges {
            Edges::Teams => {
                Relationship::MemberOf { subject: subject(tenant, root)?, team: team(tenant, &to)? }
            }
            Edges::Members => {
                Relationship::MemberOf { subject: subject(tenant, &to)?, team: team(tenant, root)? }
            }
            Edges::Roles => everywhere(subject(tenant, root)?, role(tenant, &to)?),
            Edges::Holders => everywhere(subject(tenant, &to)?, role(tenant, root)?),
            Edges::Parents => Relationship::Parent {
                resource: resource(tenant, root)?,
                parent: resource(tenant, &to)?,
            },
            Edges::Children => Relationship::Parent {
                resource: resource(tenant, &to)?,
                parent: resource(tenant, root)?,
            },
            Edges::Scoped | Edges::Wide | Edges::Bound | Edges::BoundOn => {
                self.binding(tenant, &to)?
            }
        })
    }

    /// Its key says the same as its parts, or it is not whole any more.
    fn binding(&self, tenant: &TenantId, key: &Key) -> Option<Relationship> {
        let named = |node: &Option<Named>| Some(Key::from_text(node.as_ref()?.xid.clone()?));
        let subject = subject(tenant, &named(&self.holder)?)?;
        let role = role(tenant, &named(&self.role)?)?;
        let on = match (&self.on_resource, &self.on_type) {
            (Some(_), _) => Scope::Resource(resource(tenant, &named(&self.on_resource)?)?),
            (None, Some(type_)) => Scope::Type(type_.clone()),
            (None, None) => Scope::All,
        };
        if Key::binding(tenant, &subject, &role, &on) != *key {
            return None;
        }
        let expires_at = match self.expires_at {
            Some(at) => Some(DateTime::from_timestamp_micros(at)?),
            None => None,
        };
        Some(Relationship::HasRole { subject, role, on, expires_at })
    }
}
