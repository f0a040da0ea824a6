//! What clients send and see of a team.

use chrono::{DateTime, Utc};
use contracts::ExternalId;
use contracts::identity::Team as Told;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::change::{Refused, Write};
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
#[derive(Clone)]
pub(super) struct NewTeam {
    pub(super) name: String,
    pub(super) description: Option<String>,
}

impl NewTeam {
    /// The team, with an id of its own.
    pub(super) fn team(&self, write: &Write<'_>) -> TeamView {
        let Self { name, description } = self.clone();
        TeamView { description, ..TeamView::new(write, name) }
    }
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
    pub(crate) id: String,
    /// Whose team.
    pub(crate) tenant_id: String,
    /// Unique in the tenant.
    pub(crate) name: String,
    /// For people.
    pub(crate) description: Option<String>,
    /// What the directory that provisioned the team calls it.
    pub(crate) external_id: Option<String>,
    /// Counts its changes, those of its members among them; what `ETag` says, between quotes.
    pub(crate) version: i64,
    /// When it was made.
    pub(crate) created_at: DateTime<Utc>,
    /// When it or its members last changed.
    pub(crate) updated_at: DateTime<Utc>,
}

impl TeamView {
    /// One that is to be made, with an id of its own.
    pub(crate) fn new(write: &Write<'_>, name: String) -> Self {
        Self {
            id: Uuid::now_v7().to_string(),
            tenant_id: write.tenant.to_string(),
            name,
            description: None,
            external_id: None,
            version: 1,
            created_at: write.now,
            updated_at: write.now,
        }
    }

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
