//! SpiceDB's gRPC API. It has no tenants: their names are parts of the objects' ids.

use anyhow::ensure;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use hyper::Uri;
use prost::Message;

use super::super::change::Change;
use super::super::graph::Shape;
use super::super::link::{Ask, Endpoint};
use super::super::space::Question;
use super::super::words::{Action, Fact, Family, Holder, Scope};
use super::proto::{
    Check, Checked, Consistency, DELETE, HAS_PERMISSION, Import, NO_PERMISSION, Object,
    Relationship, Schema, Subject, TOUCH, Update, Write,
};
use super::refusal;

/// Relationships of one message of an import.
const MESSAGE: usize = 1000;
/// Messages of one import, which is one transaction.
const MESSAGES: usize = 10;

/// The methods that are called, and the tenants' names.
pub(super) struct SpiceDb {
    shape: Shape,
    tenants: Vec<String>,
    check: Uri,
    write: Uri,
    import: Uri,
    schema: Uri,
}

impl SpiceDb {
    pub(super) fn new(endpoint: &Endpoint, shape: &Shape, tenants: u32) -> anyhow::Result<Self> {
        let method =
            |service, method| endpoint.uri(&format!("/authzed.api.v1.{service}Service/{method}"));
        Ok(Self {
            shape: shape.clone(),
            tenants: (0..tenants).map(|rank| shape.tenant(rank)).collect(),
            check: method("Permissions", "CheckPermission")?,
            write: method("Permissions", "WriteRelationships")?,
            import: method("Permissions", "ImportBulkRelationships")?,
            schema: method("Schema", "WriteSchema")?,
        })
    }

    pub(super) async fn write_schema(&self, endpoint: &Endpoint) -> anyhow::Result<()> {
        let request = endpoint.post(&self.schema, frames([&Schema { schema: schema() }]));
        let answer = endpoint.connect().await?.exchange(request).await?;
        let written = answer.grpc.as_ref().is_some_and(|(code, _)| *code == 0);
        ensure!(written, "WriteSchema: {}", refusal(&answer));
        Ok(())
    }

    pub(super) fn check(&self, endpoint: &Endpoint, question: &Question) -> Ask {
        let tenant = &self.tenants[question.tenant as usize];
        let check = Check {
            consistency: Some(Consistency { minimize_latency: Some(true) }),
            resource: Some(object(tenant, "document", "d", question.document)),
            permission: question.action.name().to_owned(),
            subject: Some(user(tenant, question.user)),
        };
        endpoint.post(&self.check, frames([&check]))
    }

    pub(super) fn change(&self, endpoint: &Endpoint, tenant: u32, change: Change) -> Ask {
        let (add, fact) = change.relationship(&self.shape);
        let relationship = Some(relationship(&self.tenants[tenant as usize], fact));
        let operation = if add { TOUCH } else { DELETE };
        let write = Write { updates: vec![Update { operation, relationship }] };
        endpoint.post(&self.write, frames([&write]))
    }

    pub(super) fn tell(
        &self,
        endpoint: &Endpoint,
        tenant: u32,
        facts: &[Fact],
    ) -> impl Iterator<Item = Ask> + Send {
        let tenant = &self.tenants[tenant as usize];
        facts.chunks(MESSAGE * MESSAGES).map(move |facts| {
            let message = |facts: &[Fact]| Import {
                relationships: facts.iter().map(|fact| relationship(tenant, *fact)).collect(),
            };
            let messages: Vec<_> = facts.chunks(MESSAGE).map(message).collect();
            endpoint.post(&self.import, frames(&messages))
        })
    }
}

/// Messages as gRPC frames them: not compressed, length, bytes.
fn frames<'a, M: Message + 'a>(messages: impl IntoIterator<Item = &'a M>) -> Bytes {
    let mut all = BytesMut::new();
    for message in messages {
        all.reserve(5 + message.encoded_len());
        all.put_u8(0);
        all.put_u32(message.encoded_len() as u32);
        message.encode_raw(&mut all);
    }
    all.freeze()
}

/// The decision in a check's answer.
pub(super) fn decision(mut body: &[u8]) -> Option<bool> {
    let whole = body.len() >= 5 && body.get_u8() == 0 && body.get_u32() as usize == body.len();
    match Checked::decode(body).ok().filter(|_| whole)?.permissionship {
        HAS_PERMISSION => Some(true),
        NO_PERMISSION => Some(false),
        _ => None,
    }
}

/// Roles as relations on whatever has documents below it; the root stands for all documents.
fn schema() -> String {
    let mut text = "definition user {}\n\
        definition team {\n  relation member: user | team#member\n}\n"
        .to_owned();
    for (name, parents) in [("root", ""), ("folder", "root | folder"), ("document", "folder")] {
        text += &format!("definition {name} {{\n");
        for family in Family::ALL {
            text += &format!("  relation {}: user | team#member\n", family.name());
        }
        if !parents.is_empty() {
            text += &format!("  relation parent: {parents}\n");
        }
        for action in Action::ALL {
            let mut who: Vec<_> =
                Family::with(action).iter().map(|family| family.name().to_owned()).collect();
            if !parents.is_empty() {
                who.push(format!("parent->{}", action.name()));
            }
            text += &format!("  permission {} = {}\n", action.name(), who.join(" + "));
        }
        text += "}\n";
    }
    text
}

fn object(tenant: &str, kind: &str, prefix: &str, number: u32) -> Object {
    Object { kind: kind.to_owned(), id: format!("{tenant}/{prefix}-{number}") }
}

fn root(tenant: &str) -> Object {
    Object { kind: "root".to_owned(), id: format!("{tenant}/all") }
}

fn itself(object: Object) -> Subject {
    Subject { object: Some(object), relation: String::new() }
}

fn user(tenant: &str, number: u32) -> Subject {
    itself(object(tenant, "user", "u", number))
}

fn members(tenant: &str, team: u32) -> Subject {
    let relation = "member".to_owned();
    Subject { object: Some(object(tenant, "team", "t", team)), relation }
}

fn relationship(tenant: &str, fact: Fact) -> Relationship {
    let relate = |resource, relation: &str, subject| Relationship {
        resource: Some(resource),
        relation: relation.to_owned(),
        subject: Some(subject),
    };
    let folder = |number| object(tenant, "folder", "f", number);
    let document = |number| object(tenant, "document", "d", number);
    match fact {
        Fact::Member { user: id, team } => {
            relate(object(tenant, "team", "t", team), "member", user(tenant, id))
        }
        Fact::Nested { team, parent } => {
            relate(object(tenant, "team", "t", parent), "member", members(tenant, team))
        }
        Fact::Folder { folder: id, parent } => {
            let parent = parent.map_or_else(|| root(tenant), folder);
            relate(folder(id), "parent", itself(parent))
        }
        Fact::Document { document: id, folder: outer } => {
            relate(document(id), "parent", itself(folder(outer)))
        }
        Fact::Binding { holder, role, scope } => {
            let holder = match holder {
                Holder::User(id) => user(tenant, id),
                Holder::Team(id) => members(tenant, id),
            };
            let on = match scope {
                Scope::Document(id) => document(id),
                Scope::Folder(id) => folder(id),
                Scope::Documents => root(tenant),
            };
            relate(on, Family::of(role).name(), holder)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relationships_are_told_in_spicedb_s_words() {
        let fact = Fact::Binding { holder: Holder::Team(3), role: 4, scope: Scope::Documents };
        let told = relationship("acme", fact);
        assert_eq!(told.resource, Some(root("acme")));
        assert_eq!((told.relation.as_str(), told.subject), ("editor", Some(members("acme", 3))));
        assert!(schema().contains("permission share = manager + parent->share\n"));
    }

    #[test]
    fn messages_are_framed_one_after_the_other() {
        let one = Schema { schema: "a".to_owned() };
        let bytes = frames([&one, &one]);
        assert_eq!(&bytes[..], b"\0\0\0\0\x03\x0a\x01a\0\0\0\0\x03\x0a\x01a");
    }

    #[test]
    fn decisions_are_read_and_nothing_else_is_taken_for_one() {
        let answer = |permissionship| decision(&frames([&Checked { permissionship }]));
        assert_eq!(answer(HAS_PERMISSION), Some(true));
        assert_eq!(answer(NO_PERMISSION), Some(false));
        assert_eq!(answer(3), None, "conditional");
        assert_eq!(decision(b"\0\0\0\0\x05\x10\x02"), None, "cut off");
        assert_eq!(decision(b""), None);
    }
}
