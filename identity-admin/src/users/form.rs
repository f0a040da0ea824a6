//! What clients send and see of a user.

use chrono::{DateTime, Utc};
use contracts::ExternalId;
use contracts::identity::User as Told;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::settings::{NewSettings, SettingsForm};
use crate::change::{Refused, Write};
use crate::credentials::Password;
use crate::db::DbError;
use crate::rules::{self, Faults, present};

/// A user to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserForm {
    /// Unique in the tenant without regard to case.
    #[schema(example = "ada@example.com")]
    email: String,
    /// Unique in the tenant without regard to case; the address when absent.
    user_name: Option<String>,
    /// For people.
    #[schema(example = "Ada Lovelace")]
    display_name: Option<String>,
    /// What the user logs in with; without it, nobody logs in as the user. It is never shown again.
    password: Option<Password>,
    /// What conditions may read of the user, up to 16 KiB.
    #[serde(default)]
    attributes: Map<String, Value>,
    /// How the user wants things.
    #[serde(default)]
    settings: SettingsForm,
}

/// A user that may be made.
pub(crate) struct NewUser {
    pub(crate) email: String,
    pub(crate) user_name: String,
    pub(super) display_name: Option<String>,
    pub(super) attributes: Map<String, Value>,
    pub(super) settings: NewSettings,
    /// Until it is hashed.
    pub(crate) password: Option<Password>,
    /// Of the password, as it is stored.
    pub(super) hash: Option<String>,
}

impl UserForm {
    /// What it asks for.
    ///
    /// # Errors
    /// Every rule that it breaks.
    pub(crate) fn check(self) -> Result<NewUser, Refused> {
        let mut faults = Faults::default();
        let email = faults.take("email", rules::email(&self.email));
        let user_name = self.user_name.as_deref().map(rules::name).transpose();
        let user_name = faults.take("user_name", user_name);
        let display_name = self.display_name.as_deref().map(rules::name).transpose();
        let display_name = faults.take("display_name", display_name);
        let attributes = faults.take("attributes", rules::object(self.attributes));
        let settings = self.settings.check(&mut faults, "settings.");
        let made = (|| {
            let email = email?;
            Some(NewUser {
                user_name: user_name?.unwrap_or_else(|| email.clone()),
                email,
                display_name: display_name?,
                attributes: attributes?,
                settings: settings?,
                password: self.password,
                hash: None,
            })
        })();
        faults.settle(made)
    }
}

/// A merge patch (RFC 7396) of a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserPatch {
    /// Unique in the tenant. A user name that was the address follows it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String)]
    email: Option<String>,
    /// Unique in the tenant.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String)]
    user_name: Option<String>,
    /// For people; null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    display_name: Option<Option<String>>,
    /// Merged into those that there are; null removes one, and all of them when it stands for the object.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Map<String, Value>>)]
    attributes: Option<Option<Map<String, Value>>>,
}

/// A patch whose parts may be applied.
pub(super) struct Patch {
    email: Option<String>,
    user_name: Option<String>,
    display_name: Option<Option<String>>,
    attributes: Option<Option<Map<String, Value>>>,
}

impl UserPatch {
    pub(super) fn check(self) -> Result<Patch, Refused> {
        let mut faults = Faults::default();
        let email = self.email.as_deref().map(rules::email).transpose();
        let email = faults.take("email", email);
        let user_name = self.user_name.as_deref().map(rules::name).transpose();
        let user_name = faults.take("user_name", user_name);
        let display_name =
            self.display_name.map(|name| name.as_deref().map(rules::name).transpose());
        let display_name = faults.take("display_name", display_name.transpose());
        let made = (|| {
            let (email, user_name, display_name) = (email?, user_name?, display_name?);
            Some(Patch { email, user_name, display_name, attributes: self.attributes })
        })();
        faults.settle(made)
    }
}

impl Patch {
    /// The user as it would be.
    ///
    /// # Errors
    /// Attributes that would be too large.
    pub(super) fn apply(&self, user: &UserView) -> Result<UserView, Refused> {
        let mut new = user.clone();
        if let Some(email) = &self.email {
            if user.email.as_deref() == Some(&user.user_name) {
                new.user_name.clone_from(email);
            }
            new.email = Some(email.clone());
        }
        if let Some(user_name) = &self.user_name {
            new.user_name.clone_from(user_name);
        }
        if let Some(display_name) = &self.display_name {
            new.display_name.clone_from(display_name);
        }
        match &self.attributes {
            None => {}
            Some(None) => new.attributes = Map::new(),
            Some(Some(patch)) => rules::merge(&mut new.attributes, patch.clone()),
        }
        let mut faults = Faults::default();
        let attributes = faults.take("attributes", rules::object(new.attributes.clone()));
        faults.settle(attributes.map(|_| new))
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct UserView {
    /// Its id, a UUID.
    pub(crate) id: String,
    /// Whose user.
    pub(crate) tenant_id: String,
    /// In lower case.
    pub(crate) email: Option<String>,
    /// Unique in the tenant without regard to case.
    pub(crate) user_name: String,
    /// For people.
    pub(crate) display_name: Option<String>,
    /// What the directory that provisioned the user calls it.
    pub(crate) external_id: Option<String>,
    /// Attributes that only SCIM knows, JSON.
    #[serde(skip)]
    pub(crate) scim: Option<String>,
    /// An inactive user is denied everything.
    pub(crate) active: bool,
    /// What conditions may read of the user.
    pub(crate) attributes: Map<String, Value>,
    /// Counts its changes; what `ETag` says, between quotes.
    pub(crate) version: i64,
    /// When it was made.
    pub(crate) created_at: DateTime<Utc>,
    /// When it was last changed.
    pub(crate) updated_at: DateTime<Utc>,
}

impl UserView {
    /// One that is to be made, with an id of its own and nothing else.
    pub(crate) fn blank(write: &Write<'_>) -> Self {
        Self {
            id: Uuid::now_v7().to_string(),
            tenant_id: write.tenant.to_string(),
            email: None,
            user_name: String::new(),
            display_name: None,
            external_id: None,
            scim: None,
            active: true,
            attributes: Map::new(),
            version: 1,
            created_at: write.now,
            updated_at: write.now,
        }
    }

    /// One that is to be made, with an id of its own.
    pub(super) fn new(write: &Write<'_>, new: &NewUser) -> Self {
        Self {
            email: Some(new.email.clone()),
            user_name: new.user_name.clone(),
            display_name: new.display_name.clone(),
            attributes: new.attributes.clone(),
            ..Self::blank(write)
        }
    }

    /// What others are told of it.
    ///
    /// # Errors
    /// An id that is none, which is a fault of ours.
    pub(super) fn told(&self) -> Result<Told, DbError> {
        Ok(Told {
            id: external(&self.id)?,
            email: self.email.clone(),
            active: self.active,
            attributes: self.attributes.clone().into_iter().collect(),
        })
    }
}

/// An id as it is told.
pub(super) fn external(id: &str) -> Result<ExternalId, DbError> {
    ExternalId::parse(id).map_err(|error| DbError::Refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user() -> UserView {
        let form: UserForm = serde_json::from_value(json!({
            "email": "Ada@Example.com", "attributes": {"a": 1, "b": {"c": 2}}
        }))
        .unwrap();
        let new = form.check().unwrap();
        UserView {
            id: "u".to_owned(),
            tenant_id: "acme".to_owned(),
            email: Some(new.email),
            user_name: new.user_name,
            display_name: new.display_name,
            external_id: None,
            scim: None,
            active: true,
            attributes: new.attributes,
            version: 1,
            created_at: DateTime::default(),
            updated_at: DateTime::default(),
        }
    }

    fn patched(patch: Value) -> UserView {
        let patch: UserPatch = serde_json::from_value(patch).unwrap();
        patch.check().unwrap().apply(&user()).unwrap()
    }

    #[test]
    fn every_fault_is_told_with_its_field() {
        let form: UserForm = serde_json::from_value(json!({
            "email": "x", "user_name": " ", "display_name": "", "settings": {"locale": "?"}
        }))
        .unwrap();
        let Err(Refused::Invalid(faults)) = form.check() else { panic!("accepted") };
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["email", "user_name", "display_name", "settings.locale"]);
    }

    #[test]
    fn a_patch_changes_what_it_names_and_a_user_name_follows_its_address() {
        assert_eq!(patched(json!({})), user());
        let moved = patched(json!({"email": "Eve@x.y"}));
        assert_eq!(
            (moved.email.as_deref(), moved.user_name.as_str()),
            (Some("eve@x.y"), "eve@x.y")
        );
        let named = patched(json!({"user_name": "Eve"}));
        assert_eq!(
            (named.email.as_deref(), named.user_name.as_str()),
            (Some("ada@example.com"), "Eve")
        );
        let merged = patched(json!({"attributes": {"a": null, "b": {"d": 3}}}));
        assert_eq!(Value::Object(merged.attributes), json!({"b": {"c": 2, "d": 3}}));
        assert!(patched(json!({"attributes": null})).attributes.is_empty());
    }
}
