//! What clients send and see of a team.

use chrono::{DateTime, Utc};
use contracts::ExternalId;
use contracts::identity::Team as Told;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change::Refused;
use crate::db::DbError;
use crate::rules::{self, Faults, present};

/// A team to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeamForm {
    /// Unique in the tenant, 1 to 255 characters.
    #[schema(example = "Platform")]
    name: String,
    /// For people.
    description: Option<String>,
}

/// A team that may be made.
pub(super) struct NewTeam {
    pub(super) name: String,
    pub(super) description: Option<String>,
}

impl TeamForm {
    pub(super) fn check(self) -> Result<NewTeam, Refused> {
        let mut faults = Faults::default();
        let name = faults.take("name", rules::name(&self.name));
        let description = self.description.as_deref().map(rules::description).transpose();
        let description = faults.take("description", description);
        let made = name.zip(description);
        faults.settle(made.map(|(name, description)| NewTeam { name, description }))
    }
}

/// A merge patch (RFC 7396) of a team.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TeamPatch {
    /// Unique in the tenant.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String)]
    name: Option<String>,
    /// For people; null removes it.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
}

impl TeamPatch {
    /// The team as it would be.
    ///
    /// # Errors
    /// Every rule that it would break.
    pub(super) fn apply(&self, old: &TeamView) -> Result<TeamView, Refused> {
        let form = TeamForm {
            name: self.name.clone().unwrap_or_else(|| old.name.clone()),
            description: self.description.clone().unwrap_or_else(|| old.description.clone()),
        };
        let NewTeam { name, description } = form.check()?;
        Ok(TeamView { name, description, ..old.clone() })
    }
}

/// A team.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct TeamView {
    /// Its id, a UUID.
    pub(super) id: String,
    /// Whose team.
    pub(super) tenant_id: String,
    /// Unique in the tenant.
    pub(super) name: String,
    /// For people.
    pub(super) description: Option<String>,
    /// Counts its changes, those of its members among them; what `ETag` says, between quotes.
    pub(super) version: i64,
    /// When it was made.
    pub(super) created_at: DateTime<Utc>,
    /// When it or its members last changed.
    pub(super) updated_at: DateTime<Utc>,
}

impl TeamView {
    /// What others are told of it.
    ///
    /// # Errors
    /// An id that is none, which is a fault of ours.
    pub(super) fn told(&self) -> Result<Told, DbError> {
        Ok(Told { id: external(&self.id)?, name: self.name.clone() })
    }
}

/// An id as it is told.
pub(super) fn external(id: &str) -> Result<ExternalId, DbError> {
    ExternalId::parse(id).map_err(|error| DbError::Refused(error.to_string()))
}
