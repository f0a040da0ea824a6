//! What clients send and see of a service account.

use chrono::{DateTime, Utc};
use contracts::ExternalId;
use contracts::identity::ServiceAccount as Told;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::change::Refused;
use crate::db::DbError;
use crate::rules::{self, Faults, present};

/// A service account to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceAccountForm {
    /// Unique in the tenant, 1 to 255 characters.
    #[schema(example = "billing")]
    name: String,
    /// For people.
    description: Option<String>,
    /// What conditions may read of it, up to 16 KiB.
    #[serde(default)]
    attributes: Map<String, Value>,
}

/// A service account that may be made.
pub(super) struct NewServiceAccount {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) attributes: Map<String, Value>,
}

impl ServiceAccountForm {
    pub(super) fn check(self) -> Result<NewServiceAccount, Refused> {
        let mut faults = Faults::default();
        let name = faults.take("name", rules::name(&self.name));
        let description = self.description.as_deref().map(rules::description).transpose();
        let description = faults.take("description", description);
        let attributes = faults.take("attributes", rules::object(self.attributes));
        let made = name.zip(description).zip(attributes);
        let made = made.map(|((name, description), attributes)| NewServiceAccount {
            name,
            description,
            attributes,
        });
        faults.settle(made)
    }
}

/// A merge patch (RFC 7396) of a service account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceAccountPatch {
    /// Unique in the tenant.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String)]
    name: Option<String>,
    /// For people; null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// Merged into those that there are; null removes one, and all of them when it stands for the object.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Map<String, Value>>)]
    attributes: Option<Option<Map<String, Value>>>,
}

impl ServiceAccountPatch {
    /// The service account as it would be.
    ///
    /// # Errors
    /// Every rule that it would break.
    pub(super) fn apply(&self, old: &ServiceAccountView) -> Result<ServiceAccountView, Refused> {
        let mut attributes = old.attributes.clone();
        match &self.attributes {
            None => {}
            Some(None) => attributes.clear(),
            Some(Some(patch)) => rules::merge(&mut attributes, patch.clone()),
        }
        let form = ServiceAccountForm {
            name: self.name.clone().unwrap_or_else(|| old.name.clone()),
            description: self.description.clone().unwrap_or_else(|| old.description.clone()),
            attributes,
        };
        let NewServiceAccount { name, description, attributes } = form.check()?;
        Ok(ServiceAccountView { name, description, attributes, ..old.clone() })
    }
}

/// A service account.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ServiceAccountView {
    /// Its id, a UUID.
    pub(super) id: String,
    /// Whose service account.
    pub(super) tenant_id: String,
    /// Unique in the tenant.
    pub(super) name: String,
    /// For people.
    pub(super) description: Option<String>,
    /// An inactive one is denied everything.
    pub(super) active: bool,
    /// What conditions may read of it.
    pub(super) attributes: Map<String, Value>,
    /// Counts its changes; what `ETag` says, between quotes.
    pub(super) version: i64,
    /// When it was made.
    pub(super) created_at: DateTime<Utc>,
    /// When it was last changed.
    pub(super) updated_at: DateTime<Utc>,
}

impl ServiceAccountView {
    /// What others are told of it.
    ///
    /// # Errors
    /// An id that is none, which is a fault of ours.
    pub(super) fn told(&self) -> Result<Told, DbError> {
        let id = ExternalId::parse(&self.id);
        Ok(Told {
            id: id.map_err(|error| DbError::Refused(error.to_string()))?,
            name: self.name.clone(),
            active: self.active,
            attributes: self.attributes.clone().into_iter().collect(),
        })
    }
}
