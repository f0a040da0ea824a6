//! What a change or a snapshot says of one thing: its state afterwards, as far as others may know it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ExternalId, Subject, TenantId};

/// What conditions may read of a subject, as `subject.properties`.
pub type Attributes = BTreeMap<String, Value>;

/// Whether a tenant is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantStatus {
    /// It is.
    Active,
    /// Everything is denied until a `tenant.updated` says that it is active.
    Suspended,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The tenant whose change it is.
    pub id: TenantId,
    /// For people.
    pub name: String,
    /// Whether it is served.
    pub status: TenantStatus,
}

/// A person's account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Unique among the tenant's users.
    pub id: ExternalId,
    /// Normalised.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    /// An inactive user is denied everything.
    pub active: bool,
    /// For conditions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub attributes: Attributes,
}

/// A program's account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// Unique among the tenant's service accounts.
    pub id: ExternalId,
    /// For people.
    pub name: String,
    /// An inactive service account is denied everything.
    pub active: bool,
    /// For conditions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub attributes: Attributes,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Unique among the tenant's teams.
    pub id: ExternalId,
    /// For people.
    pub name: String,
}

/// What was deleted; nothing else of it is told again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted<Id = ExternalId> {
    /// The id that it had.
    pub id: Id,
}

/// One direct membership.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Membership {
    /// In which team.
    pub team_id: ExternalId,
    /// Whose.
    pub member: Member,
}

/// What is in a team.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Its kind, `type` on the wire.
    #[serde(rename = "type")]
    pub kind: MemberKind,
    /// Its id among the tenant's of that kind.
    pub id: ExternalId,
}

/// The kind of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// A person.
    User,
    /// A program.
    ServiceAccount,
    /// Another team, with all that are in it.
    Team,
}

/// An API key, without anything that proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Unique among the tenant's keys; stays when the key is rotated.
    pub id: ExternalId,
    /// Whom it speaks for.
    pub service_account_id: ExternalId,
    /// When it ends; absent when only revocation ends it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Which credentials are void from now on: `{"jti"}`, `{"key_id"}` or `{"subject","not_before"}`.
///
/// Data that names none of them, or more than one, is refused: taken for one, it would leave the
/// others in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "RevocationFields")]
pub enum Revocation {
    /// One access token.
    Token {
        /// Its claim `jti`.
        jti: ExternalId,
    },
    /// One API key.
    Key {
        /// Its id.
        key_id: ExternalId,
    },
    /// All tokens that a subject got before a time.
    Subject {
        /// Its claim `sub`.
        subject: Subject,
        /// Tokens are void whose `iat` is below it. As `iat` has whole seconds, that includes tokens
        /// issued later in the same second.
        not_before: DateTime<Utc>,
    },
}

#[derive(Deserialize)]
struct RevocationFields {
    jti: Option<ExternalId>,
    key_id: Option<ExternalId>,
    subject: Option<Subject>,
    not_before: Option<DateTime<Utc>>,
}

impl TryFrom<RevocationFields> for Revocation {
    type Error = &'static str;

    fn try_from(fields: RevocationFields) -> Result<Self, Self::Error> {
        let RevocationFields { jti, key_id, subject, not_before } = fields;
        match (jti, key_id, subject, not_before) {
            (Some(jti), None, None, None) => Ok(Self::Token { jti }),
            (None, Some(key_id), None, None) => Ok(Self::Key { key_id }),
            (None, None, Some(subject), Some(not_before)) => {
                Ok(Self::Subject { subject, not_before })
            }
            _ => Err("a revocation names a jti, a key_id, or a subject and its not_before"),
        }
    }
}

/// Stands for a change that an operator gave up, so that the numbers have no gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// What the operator said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}
