//! Who and what, and the external key that names each in every tenant.

use std::fmt;

use contracts::{TenantId, check_external_id};
use serde::{Deserialize, Serialize};

use super::{Invalid, Scope};

/// The id that stands for every subject of its type.
pub const EVERYONE: &str = "*";

/// What can act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectType {
    /// A person.
    User,
    /// A program with an account of its own.
    ServiceAccount,
    /// A group of subjects, teams among them.
    Team,
}

impl SubjectType {
    /// The type of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "user" => Some(Self::User),
            "service_account" => Some(Self::ServiceAccount),
            "team" => Some(Self::Team),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ServiceAccount => "service_account",
            Self::Team => "team",
        }
    }
}

/// One subject, or everyone of a type ([`EVERYONE`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectRef {
    /// What it is.
    #[serde(rename = "type")]
    pub type_: SubjectType,
    /// Which one.
    pub id: String,
}

impl SubjectRef {
    /// A subject; nothing is checked.
    #[must_use]
    pub fn new(type_: SubjectType, id: impl Into<String>) -> Self {
        Self { type_, id: id.into() }
    }

    /// Whether it stands for everyone of its type.
    #[must_use]
    pub fn is_everyone(&self) -> bool {
        self.id == EVERYONE
    }

    /// Refuses what is no id.
    ///
    /// # Errors
    /// The member `id`.
    pub fn check(&self) -> Result<(), Invalid> {
        check_id("id", &self.id)
    }
}

impl fmt::Display for SubjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.type_.as_str(), self.id)
    }
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceRef {
    /// Its kind, chosen by who stores it: `document`.
    #[serde(rename = "type")]
    pub type_: String,
    /// Which one.
    pub id: String,
}

impl ResourceRef {
    /// A resource; nothing is checked.
    #[must_use]
    pub fn new(type_: impl Into<String>, id: impl Into<String>) -> Self {
        Self { type_: type_.into(), id: id.into() }
    }

    /// Refuses what is no type or id.
    ///
    /// # Errors
    /// The member `type` or `id`.
    pub fn check(&self) -> Result<(), Invalid> {
        check_resource(&self.type_, &self.id)
    }
}

impl fmt::Display for ResourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.type_, self.id)
    }
}

/// Refuses what names no resource.
///
/// # Errors
/// The member `type` or `id`.
pub fn check_resource(type_: &str, id: &str) -> Result<(), Invalid> {
    check_id("type", type_)?;
    check_id("id", id)?;
    if id == EVERYONE {
        return Err(Invalid::new("id", "is no wildcard; leave it out for all of the type"));
    }
    Ok(())
}

/// Refuses what is no id.
///
/// # Errors
/// `member`, with the rule.
pub fn check_id(member: &str, id: &str) -> Result<(), Invalid> {
    check_external_id(id).map_err(|rule| Invalid::new(member, rule))
}

/// The external key of a node: tenant, kind, type and id, each with its length, so that no two things
/// share one whatever their ids hold. It is the `xid` in the graph and what fences are raised for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// Of a subject.
    #[must_use]
    pub fn subject(tenant: &TenantId, type_: SubjectType, id: &str) -> Self {
        Self::of(tenant, 's', type_.as_str(), id)
    }

    /// Of the roles that the subject of this key has itself: what its bindings change. Never a node's.
    /// `None` for what is no subject of `tenant`.
    #[must_use]
    pub fn holdings(&self, tenant: &TenantId) -> Option<Self> {
        let (_, type_, id) = self.parts(tenant).filter(|(kind, ..)| *kind == 's')?;
        Some(Self::of(tenant, 'h', type_, id))
    }

    /// Of everyone of a type.
    #[must_use]
    pub fn everyone(tenant: &TenantId, type_: SubjectType) -> Self {
        Self::subject(tenant, type_, EVERYONE)
    }

    /// Of a resource.
    #[must_use]
    pub fn resource(tenant: &TenantId, type_: &str, id: &str) -> Self {
        Self::of(tenant, 'r', type_, id)
    }

    /// Of a role.
    #[must_use]
    pub fn role(tenant: &TenantId, id: &str) -> Self {
        Self::of(tenant, 'o', "", id)
    }

    /// Of the tenant itself: whether it is suspended, and what sync has applied.
    #[must_use]
    pub fn tenant(tenant: &TenantId) -> Self {
        Self::of(tenant, 't', "", "")
    }

    /// Of anything in the tenant: its fence is raised by every change there. Never a node's.
    #[must_use]
    pub fn anything(tenant: &TenantId) -> Self {
        Self::of(tenant, 'a', "", "")
    }

    /// Of the way in which a subject has a role in a scope: the identity of a binding, as far as it is a
    /// node of its own.
    #[must_use]
    pub fn binding(tenant: &TenantId, subject: &SubjectRef, role: &str, scope: &Scope) -> Self {
        let scope = match scope {
            Scope::All => "*".to_owned(),
            Scope::Type(type_) => format!("t{type_}"),
            Scope::Resource(of) => format!("r{}:{}{}", of.type_.len(), of.type_, of.id),
        };
        let id = &subject.id;
        let id = format!("{}:{id}{}:{role}{scope}", id.len(), role.len());
        Self::of(tenant, 'b', subject.type_.as_str(), &id)
    }

    /// What everything of its kind and type in its tenant has in common: what lists are made of.
    #[must_use]
    pub fn list(&self, tenant: &TenantId) -> String {
        let id = self.parts(tenant).map_or(0, |(_, _, id)| id.len());
        self.0[..self.0.len() - id].to_owned()
    }

    /// The list of subjects of a type.
    #[must_use]
    pub fn subjects(tenant: &TenantId, type_: SubjectType) -> String {
        Self::subject(tenant, type_, "").0
    }

    /// The list of resources of a type.
    #[must_use]
    pub fn resources(tenant: &TenantId, type_: &str) -> String {
        Self::resource(tenant, type_, "").0
    }

    /// The list of roles.
    #[must_use]
    pub fn roles(tenant: &TenantId) -> String {
        Self::role(tenant, "").0
    }

    /// A key as it was written; nothing is checked.
    #[must_use]
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it names, as `(kind, type, id)`, if it is well formed and of `tenant`.
    #[must_use]
    pub fn parts(&self, tenant: &TenantId) -> Option<(char, &str, &str)> {
        let (found, rest) = take(&self.0)?;
        let kind = rest.chars().next().filter(|_| found == tenant.as_str())?;
        let (type_, id) = take(&rest[kind.len_utf8()..])?;
        Some((kind, type_, id))
    }

    /// Whose a list is, if it is well formed.
    #[must_use]
    pub fn tenant_of_list(list: &str) -> Option<TenantId> {
        TenantId::parse(take(list)?.0).ok()
    }

    fn of(tenant: &TenantId, kind: char, type_: &str, id: &str) -> Self {
        let tenant = tenant.as_str();
        Self(format!("{}:{tenant}{kind}{}:{type_}{id}", tenant.len(), type_.len()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A length, a colon, so many bytes; and what follows.
fn take(text: &str) -> Option<(&str, &str)> {
    let (length, rest) = text.split_once(':')?;
    rest.split_at_checked(length.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Keys of every kind that those words make, each with what it names.
    fn all(tenant: &TenantId, type_: &str, id: &str) -> Vec<(Key, String)> {
        let named = |kind: &str| format!("{tenant:?} {kind} {type_:?} {id:?}");
        vec![
            (Key::subject(tenant, SubjectType::User, id), format!("{tenant:?} user {id:?}")),
            (Key::subject(tenant, SubjectType::Team, id), format!("{tenant:?} team {id:?}")),
            (
                Key::subject(tenant, SubjectType::ServiceAccount, id),
                format!("{tenant:?} service {id:?}"),
            ),
            (Key::resource(tenant, type_, id), named("resource")),
            (Key::role(tenant, id), format!("{tenant:?} role {id:?}")),
            (
                Key::subject(tenant, SubjectType::Team, id).holdings(tenant).unwrap(),
                format!("{tenant:?} holdings of team {id:?}"),
            ),
            (Key::tenant(tenant), format!("{tenant:?} tenant")),
            (Key::anything(tenant), format!("{tenant:?} anything")),
        ]
    }

    /// Every binding that those words make.
    fn bindings(tenant: &TenantId, types: &[String], ids: &[String]) -> Vec<(Key, String)> {
        let mut scopes = vec![Scope::All];
        for type_ in types {
            scopes.push(Scope::Type(type_.clone()));
            scopes.extend(ids.iter().map(|id| Scope::Resource(ResourceRef::new(type_, id))));
        }
        let mut bindings = Vec::new();
        for type_ in [SubjectType::User, SubjectType::Team] {
            for (id, role) in ids.iter().flat_map(|id| ids.iter().map(move |role| (id, role))) {
                let subject = SubjectRef::new(type_, id);
                for scope in &scopes {
                    let name = format!("{tenant:?} {subject:?} {role:?} {scope:?}");
                    bindings.push((Key::binding(tenant, &subject, role, scope), name));
                }
            }
        }
        bindings
    }

    /// Every list that those words make.
    fn lists(tenant: &TenantId, type_: &str) -> Vec<(String, String)> {
        let types = [SubjectType::User, SubjectType::ServiceAccount, SubjectType::Team];
        let subjects =
            types.map(|type_| (Key::subjects(tenant, type_), format!("{tenant:?} {type_:?}")));
        let mut lists = subjects.to_vec();
        lists.push((Key::resources(tenant, type_), format!("{tenant:?} resources {type_:?}")));
        lists.push((Key::roles(tenant), format!("{tenant:?} roles")));
        lists
    }

    /// Dgraph's hash index takes any length; what is indexed as a whole is a key of Badger, of 65 000 bytes
    /// at most.
    #[test]
    fn the_longest_ids_make_keys_within_dgraphs_limits() {
        let tenant = TenantId::parse(&"t".repeat(36)).unwrap();
        for letter in ["x", "\u{e9}", "\u{20ac}\u{e9}\u{e9}x", "\u{1d11e}"] {
            let id = letter.repeat(128 / letter.len());
            check_id("id", &id).unwrap();
            let subject = SubjectRef::new(SubjectType::ServiceAccount, &*id);
            let scope = Scope::Resource(ResourceRef::new(&*id, &*id));
            let key = Key::binding(&tenant, &subject, &id, &scope);
            assert!(key.as_str().len() < 600, "{}", key.as_str().len());
            let (kind, type_, _) = key.parts(&tenant).unwrap();
            assert_eq!((kind, type_), ('b', "service_account"));
            let resource = Key::resource(&tenant, &id, &id);
            assert!(resource.list(&tenant).len() < 200);
            assert_eq!(resource.parts(&tenant), Some(('r', &*id, &*id)));
        }
    }

    proptest! {
        #[test]
        fn no_two_things_share_a_key(
            tenants in prop::array::uniform2("[a-c0-2][a-c0-2-]{0,4}"),
            types in prop::array::uniform2("[a1:rst*\u{e9}]{0,4}|user|team"),
            ids in prop::array::uniform2("[a1:rsot\u{e9}*]{0,6}"),
        ) {
            let (mut named, mut listed) = (HashMap::new(), HashMap::new());
            let mut keys = Vec::new();
            for tenant in tenants.map(|tenant| TenantId::parse(&tenant).unwrap()) {
                keys.extend(bindings(&tenant, &types, &ids));
                for type_ in &types {
                    keys.extend(ids.iter().flat_map(|id| all(&tenant, type_, id)));
                    for (list, name) in lists(&tenant, type_) {
                        let known = listed.entry(list).or_insert_with(|| name.clone());
                        prop_assert_eq!(&*known, &name);
                    }
                }
            }
            for (key, name) in keys {
                let known = named.entry(key).or_insert_with(|| name.clone());
                prop_assert_eq!(&*known, &name);
            }
        }

        #[test]
        fn a_thing_is_in_the_list_of_its_kind_and_type(
            type_ in "[a1:rs\u{e9}]{1,4}", id in "[a1:rs\u{e9}]{1,6}",
        ) {
            let tenant = TenantId::parse("acme").unwrap();
            let resource = Key::resource(&tenant, &type_, &id);
            prop_assert_eq!(resource.list(&tenant), Key::resources(&tenant, &type_));
            let subject = Key::subject(&tenant, SubjectType::Team, &id);
            prop_assert_eq!(subject.list(&tenant), Key::subjects(&tenant, SubjectType::Team));
            prop_assert_eq!(Key::role(&tenant, &id).list(&tenant), Key::roles(&tenant));
            prop_assert_eq!(Key::tenant_of_list(&resource.list(&tenant)), Some(tenant));
        }

        #[test]
        fn a_key_says_what_it_names(type_ in ".{0,20}", id in ".{0,20}") {
            let tenant = TenantId::parse("acme").unwrap();
            let key = Key::resource(&tenant, &type_, &id);
            prop_assert_eq!(key.parts(&tenant), Some(('r', type_.as_str(), id.as_str())));
            prop_assert_eq!(key.parts(&TenantId::parse("acm").unwrap()), None);
        }

        #[test]
        fn any_text_may_be_asked_what_it_names(text in ".{0,30}") {
            let _ = Key::from_text(text).parts(&TenantId::parse("acme").unwrap());
        }
    }
}
