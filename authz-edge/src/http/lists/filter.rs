//! What relationships are asked for, and where the list of them begins.

use contracts::TenantId;
use serde::Deserialize;

use crate::graph::list::relationships::{Edges, Filter, Listing, Roots};
use crate::model::key::check_id;
use crate::model::{Invalid, Key, ResourceRef, SubjectRef, SubjectType};

/// The kinds of relationships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    MemberOf,
    HasRole,
    Parent,
}

/// The query of `GET …/relationships`. Subjects and resources are `type:id`, split at the first colon.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RelationshipsForm {
    /// Only these; else what the others imply.
    pub(super) kind: Option<Kind>,
    /// The member, or who holds a role.
    pub(super) subject: Option<String>,
    /// The team of a membership, by id.
    pub(super) team: Option<String>,
    /// The role that is held, by id.
    pub(super) role: Option<String>,
    /// On which resource a role is held; or what is below a parent.
    pub(super) resource: Option<String>,
    /// The parent.
    pub(super) parent: Option<String>,
    /// The type of what is below parents.
    pub(super) resource_type: Option<String>,
    pub(super) limit: Option<usize>,
    pub(super) cursor: Option<String>,
}

/// The same, read.
struct Wanted {
    kind: Option<Kind>,
    subject: Option<SubjectRef>,
    team: Option<String>,
    role: Option<String>,
    resource: Option<ResourceRef>,
    parent: Option<ResourceRef>,
    resource_type: Option<String>,
}

impl RelationshipsForm {
    /// Everything that a cursor is bound to.
    pub(super) fn parts(&self) -> Vec<String> {
        let kind = format!("{:?}", self.kind);
        let texts = [
            &self.subject,
            &self.team,
            &self.role,
            &self.resource,
            &self.parent,
            &self.resource_type,
        ];
        // A debug form keeps what is absent apart from what is empty.
        std::iter::once(kind).chain(texts.map(|text| format!("{text:?}"))).collect()
    }

    /// What is listed for it.
    ///
    /// # Errors
    /// The member that is refused.
    pub(super) fn listing(&self, tenant: &TenantId) -> Result<Listing, Invalid> {
        let wanted = self.read()?;
        wanted.refuse_strangers()?;
        wanted.listing(tenant)
    }

    fn read(&self) -> Result<Wanted, Invalid> {
        let id = |member: &str, id: &Option<String>| {
            id.as_deref().map_or(Ok(()), |id| check_id(member, id))
        };
        id("team", &self.team)?;
        id("role", &self.role)?;
        id("resource_type", &self.resource_type)?;
        Ok(Wanted {
            kind: self.kind,
            subject: self.subject.as_deref().map(subject).transpose()?,
            team: self.team.clone(),
            role: self.role.clone(),
            resource: resource("resource", self.resource.as_deref())?,
            parent: resource("parent", self.parent.as_deref())?,
            resource_type: self.resource_type.clone(),
        })
    }
}

fn subject(text: &str) -> Result<SubjectRef, Invalid> {
    let named = text.split_once(':').and_then(|(type_, id)| {
        Some(SubjectRef::new(SubjectType::parse(type_)?, id)).filter(|s| s.check().is_ok())
    });
    named.ok_or_else(|| Invalid::new("subject", "is user:ID, service_account:ID or team:ID"))
}

fn resource(member: &str, text: Option<&str>) -> Result<Option<ResourceRef>, Invalid> {
    let Some(text) = text else { return Ok(None) };
    let named = text.split_once(':').map(|(type_, id)| ResourceRef::new(type_, id));
    let named = named.filter(|resource| resource.check().is_ok());
    named.map(Some).ok_or_else(|| Invalid::new(member, "is TYPE:ID"))
}

impl Wanted {
    fn may_be(&self, kind: Kind) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
    }

    /// Refuses members that no relationship of the kind has, also when others imply the kind.
    fn refuse_strangers(&self) -> Result<(), Invalid> {
        let given = [
            ("team", self.team.is_some(), &[Kind::MemberOf][..]),
            ("role", self.role.is_some(), &[Kind::HasRole]),
            ("parent", self.parent.is_some(), &[Kind::Parent]),
            ("resource_type", self.resource_type.is_some(), &[Kind::Parent]),
            ("subject", self.subject.is_some(), &[Kind::MemberOf, Kind::HasRole]),
            ("resource", self.resource.is_some(), &[Kind::HasRole, Kind::Parent]),
        ];
        let mut left = vec![Kind::MemberOf, Kind::HasRole, Kind::Parent];
        left.retain(|kind| self.may_be(*kind));
        for (member, _, kinds) in given.into_iter().filter(|(_, is_given, _)| *is_given) {
            left.retain(|kind| kinds.contains(kind));
            if left.is_empty() {
                let rule = "no kind of relationship has it together with the rest of the filter";
                return Err(Invalid::new(member, rule));
            }
        }
        if self.resource_type.is_some() && self.resource.is_some() {
            return Err(Invalid::new("resource_type", "resource names the type already"));
        }
        Ok(())
    }

    /// From the side that is named; if several are, from the one that has fewest edges as a rule.
    fn listing(self, tenant: &TenantId) -> Result<Listing, Invalid> {
        let edges = self.edges();
        let of = |resource: &ResourceRef| Key::resource(tenant, &resource.type_, &resource.id);
        let mut filter = Filter {
            team: self.team,
            role: self.role,
            resource: self.resource,
            parent: self.parent,
            resource_type: self.resource_type,
        };
        // What is the root itself need not be compared.
        let roots = if let Some(SubjectRef { type_, id }) = &self.subject {
            Roots::One(Key::subject(tenant, *type_, id))
        } else if let Some(team) = filter.team.take() {
            Roots::One(Key::subject(tenant, SubjectType::Team, &team))
        } else if let Some(resource) = filter.resource.take() {
            Roots::One(of(&resource))
        } else if let Some(role) = filter.role.take() {
            Roots::One(Key::role(tenant, &role))
        } else if let Some(parent) = filter.parent.take() {
            Roots::One(of(&parent))
        } else if let Some(type_) = filter.resource_type.take() {
            Roots::Resources(type_)
        } else if edges.is_empty() {
            let rule = match self.kind {
                Some(_) => "parents are listed by resource, parent or resource_type",
                None => "name one, or a subject, team, role, resource, parent or resource_type",
            };
            return Err(Invalid::new("kind", rule));
        } else {
            Roots::Subjects
        };
        Ok(Listing { roots, edges, filter })
    }

    /// The edges that may match, as they are seen from the root.
    fn edges(&self) -> Vec<Edges> {
        use Edges::{
            Bound, BoundOn, Children, Holders, Members, Parents, Roles, Scoped, Teams, Wide,
        };
        let some = |kind: Kind, given: bool, list: &[Edges]| {
            if self.may_be(kind) && given { list.to_vec() } else { Vec::new() }
        };
        let (no_team, no_role) = (self.team.is_none(), self.role.is_none());
        if self.subject.is_some() {
            let held: &[_] =
                if self.resource.is_some() { &[Scoped] } else { &[Roles, Scoped, Wide] };
            let teams = some(Kind::MemberOf, no_role && self.resource.is_none(), &[Teams]);
            return [teams, some(Kind::HasRole, no_team, held)].concat();
        }
        if !no_team {
            return vec![Members];
        }
        if self.resource.is_some() {
            let bound = some(Kind::HasRole, self.parent.is_none(), &[BoundOn]);
            return [bound, some(Kind::Parent, no_role, &[Parents])].concat();
        }
        match self.kind {
            _ if !no_role => vec![Holders, Bound],
            _ if self.parent.is_some() => vec![Children],
            _ if self.resource_type.is_some() => vec![Parents],
            Some(Kind::MemberOf) => vec![Teams],
            Some(Kind::HasRole) => vec![Roles, Scoped, Wide],
            Some(Kind::Parent) | None => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(query: &str) -> Result<Listing, String> {
        let tenant = TenantId::parse("acme").unwrap();
        let uri = format!("/x?{query}").parse().unwrap();
        let form = axum::extract::Query::<RelationshipsForm>::try_from_uri(&uri);
        let form = form.map_err(|error| error.body_text())?;
        form.0.listing(&tenant).map_err(|invalid| invalid.to_string())
    }

    #[test]
    fn a_list_begins_at_what_is_named_and_has_what_may_match() {
        use Edges::{
            Bound, BoundOn, Children, Holders, Members, Parents, Roles, Scoped, Teams, Wide,
        };
        for (query, wanted) in [
            ("subject=user:a", &[Teams, Roles, Scoped, Wide][..]),
            ("subject=user:a&kind=has_role", &[Roles, Scoped, Wide]),
            ("subject=user:a&team=t", &[Teams]),
            ("subject=user:a&role=r", &[Roles, Scoped, Wide]),
            ("subject=user:a&resource=doc:1", &[Scoped]),
            ("team=t", &[Members]),
            ("role=r", &[Holders, Bound]),
            ("resource=doc:1", &[BoundOn, Parents]),
            ("resource=doc:1&role=r", &[BoundOn]),
            ("resource=doc:1&parent=doc:2", &[Parents]),
            ("parent=doc:2", &[Children]),
            ("resource_type=doc", &[Parents]),
            ("resource_type=doc&parent=doc:2", &[Children]),
            ("kind=member_of", &[Teams]),
            ("kind=has_role", &[Roles, Scoped, Wide]),
        ] {
            assert_eq!(listing(query).unwrap().edges, wanted, "{query}");
        }
        let one = listing("subject=team:a:b").unwrap().roots;
        let key = Key::subject(&TenantId::parse("acme").unwrap(), SubjectType::Team, "a:b");
        assert_eq!(one, Roots::One(key));
    }

    #[test]
    fn what_cannot_be_listed_is_refused_by_name() {
        for (query, member) in [
            ("", "kind"),
            ("kind=parent", "kind"),
            ("kind=owner", "kind"),
            ("subject=robot:a", "subject"),
            ("subject=a", "subject"),
            ("subject=user:", "subject"),
            ("resource=doc", "resource"),
            ("resource=doc:*", "resource"),
            ("role=", "role"),
            ("kind=parent&role=r", "role"),
            ("team=t&role=r", "role"),
            ("subject=user:a&parent=doc:1", "subject"),
            ("resource=doc:1&resource_type=doc", "resource_type"),
            ("limit=x&kind=has_role", "limit"),
            ("owner=x", "owner"),
        ] {
            let refused = listing(query).unwrap_err();
            assert!(refused.contains(member), "{query}: {refused}");
        }
    }
}
