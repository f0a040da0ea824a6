//! Roles: which actions on what, under which condition.

use serde::{Deserialize, Serialize};

use super::Invalid;
use super::condition::Compiler;
use super::key::{ResourceRef, check_id};

/// The most permissions of one role.
pub const MAX_PERMISSIONS: usize = 1000;
/// The most bytes of all conditions of one role: what a holder's view compiles and keeps.
pub const MAX_CONDITION_BYTES: usize = 64 << 10;

/// What a permission or a binding covers: a resource if it is named by it, or one of its ancestors is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Scope {
    /// Everything in the tenant.
    #[default]
    All,
    /// Every resource of a type, and what is below it.
    Type(String),
    /// One resource, and what is below it.
    Resource(ResourceRef),
}

/// On the wire: absent, `{"type"}` or `{"type","id"}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeForm {
    #[serde(rename = "type")]
    type_: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    id: Option<String>,
}

impl Scope {
    /// Whether it is everything, which has no form on the wire.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// Refuses what names nothing.
    ///
    /// # Errors
    /// The member `type` or `id`.
    pub fn check(&self) -> Result<(), Invalid> {
        match self {
            Self::All => Ok(()),
            Self::Type(type_) => check_id("type", type_),
            Self::Resource(resource) => resource.check(),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match self.clone() {
            Self::All => None,
            Self::Type(type_) => Some(ScopeForm { type_, id: None }),
            Self::Resource(of) => Some(ScopeForm { type_: of.type_, id: Some(of.id) }),
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::<ScopeForm>::deserialize(deserializer)? {
            None => Self::All,
            Some(ScopeForm { type_, id: None }) => Self::Type(type_),
            Some(ScopeForm { type_, id: Some(id) }) => Self::Resource(ResourceRef { type_, id }),
        })
    }
}

/// One permission of a role.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// What may be done.
    pub action: String,
    /// On what; everything when absent.
    #[serde(default, skip_serializing_if = "Scope::is_all")]
    pub on: Scope,
    /// When, in CEL; always when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// A role as it is put and got.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What its holders may do; at most [`MAX_PERMISSIONS`], with [`MAX_CONDITION_BYTES`] of conditions.
    pub permissions: Vec<Permission>,
}

impl Role {
    /// Checks every member, and that every condition compiles: up to a tenth of a second for the largest
    /// role.
    ///
    /// # Errors
    /// The first member that is refused.
    pub fn check(&self) -> Result<(), Invalid> {
        if let Some(name) = &self.name {
            check_id("name", name)?;
        }
        if self.permissions.len() > MAX_PERMISSIONS {
            let rule = format!("a role has at most {MAX_PERMISSIONS} permissions");
            return Err(Invalid::new("permissions", rule));
        }
        // Before anything is compiled.
        let conditions =
            self.permissions.iter().filter_map(|permission| permission.condition.as_ref());
        let bytes = conditions.map(String::len).sum::<usize>();
        if bytes > MAX_CONDITION_BYTES {
            let rule = format!(
                "the conditions of a role have at most {MAX_CONDITION_BYTES} bytes together, not {bytes}"
            );
            return Err(Invalid::new("permissions", rule));
        }
        let compiler = Compiler::new();
        let mut each = self.permissions.iter().enumerate();
        each.try_for_each(|(at, permission)| {
            let checked = permission.check(&compiler);
            checked.map_err(|invalid| invalid.within(&format!("permissions[{at}]")))
        })
    }

    /// The same role, each permission once, in one order: what is stored and compared.
    #[must_use]
    pub fn normal(mut self) -> Self {
        self.permissions.sort();
        self.permissions.dedup();
        self
    }
}

impl Permission {
    fn check(&self, compiler: &Compiler) -> Result<(), Invalid> {
        check_id("action", &self.action)?;
        self.on.check().map_err(|invalid| invalid.within("on"))?;
        match &self.condition {
            Some(text) => {
                compiler.compile(text).map(drop).map_err(|error| Invalid::new("condition", error))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_absent_a_type_or_a_resource() {
        let read = |json: &str| serde_json::from_str::<Permission>(json);
        let on = |json: &str| read(json).unwrap().on;
        assert_eq!(on(r#"{"action":"a"}"#), Scope::All);
        assert_eq!(on(r#"{"action":"a","on":{"type":"doc"}}"#), Scope::Type("doc".to_owned()));
        let one = Scope::Resource(ResourceRef::new("doc", "1"));
        assert_eq!(on(r#"{"action":"a","on":{"type":"doc","id":"1"}}"#), one);
        for bad in
            [r#"{"action":"a","on":{"id":"1"}}"#, r#"{"action":"a","on":{"type":"t","x":1}}"#]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_role_is_one_whatever_the_order_and_says_which_member_is_wrong() {
        let permission = |action: &str| Permission {
            action: action.to_owned(),
            on: Scope::All,
            condition: None,
        };
        let role = |actions: &[&str]| Role {
            name: None,
            permissions: actions.iter().map(|action| permission(action)).collect(),
        };
        assert_eq!(role(&["b", "a", "b"]).normal(), role(&["a", "b"]));
        assert_eq!(role(&["a", ""]).check().unwrap_err().member, "permissions[1].action");
        let many = vec!["a"; MAX_PERMISSIONS + 1];
        assert_eq!(role(&many).check().unwrap_err().member, "permissions");
    }

    #[test]
    fn the_conditions_of_a_role_are_bounded_together() {
        let condition = |bytes: usize| Some(format!("{}true", " ".repeat(bytes - 4)));
        let permission = |n: usize| Permission {
            action: format!("a{n}"),
            on: Scope::All,
            condition: condition(1 << 10),
        };
        let mut role = Role { name: None, permissions: (0..64).map(permission).collect() };
        assert_eq!(role.check(), Ok(()));
        role.permissions.push(Permission { condition: condition(4), ..permission(64) });
        let refused = role.check().unwrap_err();
        assert_eq!(refused.member, "permissions");
        assert!(refused.rule.contains("65536 bytes together, not 65540"), "{refused}");
    }
}
