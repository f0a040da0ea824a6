//! What clients send and see of an API key.

use chrono::{DateTime, Utc};
use contracts::identity::ApiKey as Told;
use contracts::{ExternalId, Scope};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change::Refused;
use crate::db::DbError;
use crate::rules::{self, Faults};
use crate::scopes;

/// The longest that a former secret may go on, in seconds: a week.
const MAX_OVERLAP: u32 = 7 * 86_400;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyForm {
    /// For people, 1 to 255 characters.
    #[schema(example = "ci")]
    name: String,
    /// What it may do, of what its service account may; without it, all of that.
    scopes: Option<Vec<String>>,
    /// When it ends; without it, only revocation ends it.
    expires_at: Option<DateTime<Utc>>,
}

/// A key that may be made.
#[derive(Debug, Clone)]
pub(crate) struct NewKey {
    pub(crate) name: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

impl KeyForm {
    pub(super) fn check(self) -> Result<NewKey, Refused> {
        let mut faults = Faults::default();
        let name = faults.take("name", rules::name(&self.name));
        let asked = self.scopes.unwrap_or_default();
        let scopes = faults.take("scopes", scopes::parse(&asked));
        let made = name.zip(scopes);
        let expires_at = self.expires_at;
        faults.settle(made.map(|(name, scopes)| NewKey { name, scopes, expires_at }))
    }
}

/// A new secret for a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotationForm {
    /// How long the former secret goes on, seconds, up to a week.
    #[serde(default = "an_hour")]
    #[schema(default = 3600)]
    overlap_seconds: u32,
}

fn an_hour() -> u32 {
    3600
}

impl RotationForm {
    pub(super) fn check(&self) -> Result<chrono::Duration, Refused> {
        let mut faults = Faults::default();
        let fits = self.overlap_seconds <= MAX_OVERLAP;
        let fits = fits.then_some(self.overlap_seconds).ok_or("at most 604800");
        let seconds = faults.take("overlap_seconds", fits);
        faults.settle(seconds.map(|seconds| chrono::Duration::seconds(seconds.into())))
    }
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// Its id, a UUID; stays when the key is rotated.
    pub(super) id: String,
    /// Whose tenant.
    pub(super) tenant_id: String,
    /// Whom it speaks for.
    pub(super) service_account_id: String,
    /// For people.
    pub(super) name: String,
    /// When it ends.
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub(super) revoked_at: Option<DateTime<Utc>>,
    /// Until when the secret before the present one is accepted.
    pub(super) previous_until: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub(super) last_used_at: Option<DateTime<Utc>>,
    /// Counts its changes; what `ETag` says, between quotes.
    pub(super) version: i64,
    /// When it was made.
    pub(super) created_at: DateTime<Utc>,
    /// When it was last changed.
    pub(super) updated_at: DateTime<Utc>,
}

/// A key with its secret, which is not told again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyWithSecret {
    #[serde(flatten)]
    pub(super) key: KeyView,
    /// What the service account sends. Keep it: only its hash is stored.
    #[schema(example = "triad_dev_…")]
    pub(super) secret: String,
}

impl KeyView {
    /// What others are told of it.
    ///
    /// # Errors
    /// An id that is none, which is a fault of ours.
    pub(super) fn told(&self) -> Result<Told, DbError> {
        let id =
            |id: &str| ExternalId::parse(id).map_err(|error| DbError::Refused(error.to_string()));
        Ok(Told {
            id: id(&self.id)?,
            service_account_id: id(&self.service_account_id)?,
            expires_at: self.expires_at,
        })
    }
}
