//! What clients send and see of a tenant.

use chrono::{DateTime, Utc};
use contracts::TenantId;
use contracts::identity::{Tenant as Told, TenantStatus};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change::{FieldFault, Refused};
use crate::rules::{self, Faults, present};
use crate::users::{NewUser, UserForm, UserView};

/// A tenant to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantForm {
    /// `[a-z0-9][a-z0-9-]{0,35}`; it is never given twice, not even after a deletion.
    #[schema(example = "acme")]
    id: String,
    /// Unique, 1 to 255 characters.
    #[schema(example = "Acme Ltd")]
    name: String,
    /// Its first user, who holds the scopes to administer it.
    administrator: UserForm,
}

/// A tenant that may be made.
pub(super) struct NewTenant {
    pub(super) id: TenantId,
    pub(super) name: String,
    pub(super) administrator: NewUser,
}

impl TenantForm {
    /// What it asks for.
    ///
    /// # Errors
    /// Every rule that it breaks.
    pub(super) fn check(self) -> Result<NewTenant, Refused> {
        let mut faults = Faults::default();
        let id = TenantId::parse(&self.id).map_err(|_| "is not [a-z0-9][a-z0-9-]{0,35}");
        let id =
            id.and_then(
                |id| if id.as_str() == TenantId::SYSTEM { Err("is reserved") } else { Ok(id) },
            );
        let id = faults.take("id", id);
        let name = faults.take("name", rules::name(&self.name));
        let administrator = self.administrator.check();
        // Both at once: a client mends all of them before it asks again.
        match (faults.settle(id.zip(name)), administrator) {
            (Ok((id, name)), Ok(administrator)) => Ok(NewTenant { id, name, administrator }),
            (own, administrator) => {
                let within = inside("administrator", administrator.err());
                Err(Refused::Invalid(faults_of(own.err()).into_iter().chain(within).collect()))
            }
        }
    }
}

fn faults_of(refused: Option<Refused>) -> Vec<FieldFault> {
    match refused {
        Some(Refused::Invalid(faults)) => faults,
        _ => Vec::new(),
    }
}

fn inside(field: &str, refused: Option<Refused>) -> Vec<FieldFault> {
    let within =
        |fault: FieldFault| FieldFault::new(format!("{field}.{}", fault.field), fault.reason);
    faults_of(refused).into_iter().map(within).collect()
}

/// A merge patch (RFC 7396) of a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantPatch {
    /// Unique, 1 to 255 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String)]
    pub(super) name: Option<String>,
}

/// Whether a tenant is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// It is.
    Active,
    /// Everything is denied to it.
    Suspended,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Active, Self::Suspended].into_iter().find(|status| status.as_str() == text)
    }
}

/// A tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct TenantView {
    /// Its id.
    pub(super) id: String,
    /// For people.
    pub(super) name: String,
    /// Whether it is served.
    pub(super) status: Status,
    /// Counts its changes; what `ETag` says, between quotes.
    pub(super) version: i64,
    /// When it was made.
    pub(super) created_at: DateTime<Utc>,
    /// When it was last changed.
    pub(super) updated_at: DateTime<Utc>,
}

/// A tenant that was just made, and its first user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedTenant {
    /// The tenant.
    #[serde(flatten)]
    pub(super) tenant: TenantView,
    /// Its first user.
    pub(super) administrator: UserView,
}

impl TenantView {
    /// What others are told of it.
    pub(super) fn told(&self, id: &TenantId) -> Told {
        let status = match self.status {
            Status::Active => TenantStatus::Active,
            Status::Suspended => TenantStatus::Suspended,
        };
        Told { id: id.clone(), name: self.name.clone(), status }
    }
}
