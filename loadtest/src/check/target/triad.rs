//! Triad's own API, as `authz-edge` serves it.

use bytes::BytesMut;
use hyper::{Method, Uri};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::change::Change;
use super::super::graph::Shape;
use super::super::link::{Ask, Endpoint};
use super::super::space::Question;
use super::super::words::{Fact, Family, Holder, Scope, role_name};
use super::body::Body;

/// Writes of one request.
const BATCH: usize = 1000;

/// The paths of each tenant.
pub(super) struct Triad {
    shape: Shape,
    checks: Vec<Uri>,
    relationships: Vec<Uri>,
    /// By tenant, then by role.
    roles: Vec<Vec<Uri>>,
}

impl Triad {
    pub(super) fn new(endpoint: &Endpoint, shape: &Shape, tenants: u32) -> anyhow::Result<Self> {
        let uris = |path: &str| {
            let uri = |rank| endpoint.uri(&format!("/v1/tenants/{}/{path}", shape.tenant(rank)));
            (0..tenants).map(uri).collect::<anyhow::Result<Vec<_>>>()
        };
        let by_role = (0..shape.roles)
            .map(|role| uris(&format!("roles/{}", role_name(role))))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let roles = (0..tenants as usize)
            .map(|rank| by_role.iter().map(|uris| uris[rank].clone()).collect())
            .collect();
        let (checks, relationships) = (uris("check")?, uris("relationships")?);
        Ok(Self { shape: shape.clone(), checks, relationships, roles })
    }

    pub(super) fn check(
        &self,
        endpoint: &Endpoint,
        question: &Question,
        buffer: &mut BytesMut,
    ) -> Ask {
        let mut body = Body::new(buffer);
        body.text(br#"{"subject":{"type":"user","id":"u-"#);
        body.number(question.user);
        body.text(br#""},"action":{"name":""#);
        body.text(question.action.name().as_bytes());
        body.text(br#""},"resource":{"type":"document","id":"d-"#);
        body.number(question.document);
        body.text(br#""}}"#);
        endpoint.post(&self.checks[question.tenant as usize], body.take())
    }

    pub(super) fn change(&self, endpoint: &Endpoint, tenant: u32, change: Change) -> Ask {
        let (op, fact) = match change {
            Change::Role { role, more } => return self.put_role(endpoint, tenant, role, more),
            Change::Add(fact) => ("touch", fact),
            Change::Remove(fact) => ("delete", fact),
        };
        self.write(endpoint, tenant, op, relationship(fact))
    }

    pub(super) fn tell(
        &self,
        endpoint: &Endpoint,
        tenant: u32,
        facts: &[Fact],
    ) -> impl Iterator<Item = Ask> + Send {
        let roles =
            (0..self.shape.roles).map(move |role| self.put_role(endpoint, tenant, role, false));
        roles.chain(facts.chunks(BATCH).map(move |facts| {
            let told = facts.iter().copied().filter_map(relationship);
            self.write(endpoint, tenant, "touch", told)
        }))
    }

    fn write(
        &self,
        endpoint: &Endpoint,
        tenant: u32,
        op: &str,
        relationships: impl IntoIterator<Item = Value>,
    ) -> Ask {
        let write = |relationship| json!({"op": op, "relationship": relationship});
        let writes: Vec<_> = relationships.into_iter().map(write).collect();
        let body = json!({ "writes": writes }).to_string();
        endpoint.post(&self.relationships[tenant as usize], body.into())
    }

    /// The role as its family has it, with one action more if asked.
    fn put_role(&self, endpoint: &Endpoint, tenant: u32, role: u32, more: bool) -> Ask {
        let uri = &self.roles[tenant as usize][role as usize];
        let body = json!({ "permissions": permissions(role, more) }).to_string();
        endpoint.ask(Method::PUT, uri, body.into())
    }
}

/// What a role may do, with one action more if asked.
pub(crate) fn permissions(role: u32, more: bool) -> Vec<Value> {
    let on = json!({"type": "document"});
    let actions = Family::of(role).actions().iter().map(|action| action.name());
    let actions = actions.chain(more.then_some("list"));
    actions.map(|action| json!({"action": action, "on": on})).collect()
}

/// `None` for what Triad need not be told: that a folder lies at the top.
pub(crate) fn relationship(fact: Fact) -> Option<Value> {
    let user = |user: u32| json!({"type": "user", "id": format!("u-{user}")});
    let team = |team: u32| json!({"type": "team", "id": format!("t-{team}")});
    let folder = |folder: u32| json!({"type": "folder", "id": format!("f-{folder}")});
    let document = |document: u32| json!({"type": "document", "id": format!("d-{document}")});
    let member = |subject, team| json!({"relation": "member_of", "subject": subject, "team": format!("t-{team}")});
    let parent =
        |resource, parent| json!({"relation": "parent", "resource": resource, "parent": parent});
    Some(match fact {
        Fact::Member { user: id, team } => member(user(id), team),
        Fact::Nested { team: id, parent } => member(team(id), parent),
        Fact::Folder { parent: None, .. } => return None,
        Fact::Folder { folder: id, parent: Some(outer) } => parent(folder(id), folder(outer)),
        Fact::Document { document: id, folder: outer } => parent(document(id), folder(outer)),
        Fact::Binding { holder, role, scope } => {
            let subject = match holder {
                Holder::User(id) => user(id),
                Holder::Team(id) => team(id),
            };
            let on = match scope {
                Scope::Document(id) => document(id),
                Scope::Folder(id) => folder(id),
                Scope::Documents => json!({"type": "document"}),
            };
            json!({"relation": "has_role", "subject": subject, "role": role_name(role), "on": on})
        }
    })
}

/// The decision in a check's answer.
pub(super) fn decision(body: &[u8]) -> Option<bool> {
    #[derive(Deserialize)]
    struct Answer {
        decision: bool,
    }
    Some(serde_json::from_slice::<Answer>(body).ok()?.decision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relationships_are_told_in_triad_s_words() {
        let fact = Fact::Binding { holder: Holder::Team(3), role: 4, scope: Scope::Documents };
        let expected = json!({
            "relation": "has_role", "subject": {"type": "team", "id": "t-3"}, "role": "editor-4",
            "on": {"type": "document"},
        });
        assert_eq!(relationship(fact), Some(expected));
        let expected = json!({
            "relation": "member_of", "subject": {"type": "team", "id": "t-3"}, "team": "t-9",
        });
        assert_eq!(relationship(Fact::Nested { team: 3, parent: 9 }), Some(expected));
        let expected = json!({
            "relation": "parent", "resource": {"type": "document", "id": "d-1"},
            "parent": {"type": "folder", "id": "f-2"},
        });
        assert_eq!(relationship(Fact::Document { document: 1, folder: 2 }), Some(expected));
        assert_eq!(relationship(Fact::Folder { folder: 1, parent: None }), None);
    }

    #[test]
    fn decisions_are_read_and_nothing_else_is_taken_for_one() {
        assert_eq!(decision(br#"{"decision":true}"#), Some(true));
        assert_eq!(decision(br#"{ "decision" : false, "more": [] }"#), Some(false));
        assert_eq!(decision(br#"{"allowed":true}"#), None);
    }
}
