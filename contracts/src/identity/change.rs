//! One record of the topic.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    ApiKey, Deleted, Membership, Revocation, ServiceAccount, Skipped, Team, Tenant, TenantStatus,
    User,
};
use crate::TenantId;

/// The value of a record on [`CHANGES_TOPIC`](super::CHANGES_TOPIC), whose key is `tenant_id`.
///
/// Written with serde, read with [`Change::parse`] only, which also checks what types cannot say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// The same in every copy of the change.
    pub event_id: Uuid,
    /// Whose change it is.
    pub tenant_id: TenantId,
    /// Its place among the tenant's changes, from 1 without gaps.
    pub seq: u64,
    /// When it was committed, kept to the microsecond.
    pub occurred_at: DateTime<Utc>,
    /// What changed, `type` and `data` on the wire.
    #[serde(flatten)]
    pub kind: ChangeKind,
}

/// Why a record is no [`Change`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// Not JSON, or without the fields that every change has: nobody can say whose it is.
    #[error("not a change: {reason}")]
    Malformed {
        /// What is wrong, for people.
        reason: String,
    },
    /// A type that this build does not know, from a newer producer. It still takes its number.
    #[error("change {seq} of {tenant_id} has the unknown type {kind:?}")]
    UnknownType {
        /// The type.
        kind: String,
        /// Whose change it is.
        tenant_id: TenantId,
        /// Its number.
        seq: u64,
    },
    /// A known type whose content breaks a rule.
    #[error("change {seq} of {tenant_id} is invalid: {reason}")]
    Invalid {
        /// Whose change it is.
        tenant_id: TenantId,
        /// Its number.
        seq: u64,
        /// The rule, for people.
        reason: String,
    },
}

/// What every change has, with the data unread until its type is known.
#[derive(Deserialize)]
struct Envelope<'a> {
    event_id: Uuid,
    tenant_id: TenantId,
    seq: u64,
    occurred_at: DateTime<Utc>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Change {
    /// Reads the value of a record. Fields that are not known are ignored; data that is absent or
    /// null counts as empty.
    ///
    /// # Errors
    /// What keeps it from being a change: see [`ChangeError`].
    pub fn parse(value: &[u8]) -> Result<Self, ChangeError> {
        let malformed = |e: serde_json::Error| ChangeError::Malformed { reason: e.to_string() };
        let envelope: Envelope<'_> = serde_json::from_slice(value).map_err(malformed)?;
        let Envelope { event_id, tenant_id, seq, occurred_at, kind, data } = envelope;
        let read = match ChangeKind::parse(&kind, data.map_or("{}", RawValue::get)) {
            None => return Err(ChangeError::UnknownType { kind, tenant_id, seq }),
            Some(read) => read.map_err(|e| e.to_string()),
        };
        let checked = read.and_then(|kind| match fault(&tenant_id, seq, &kind) {
            None => Ok(kind),
            Some(fault) => Err(fault.to_owned()),
        });
        match checked {
            Ok(kind) => Ok(Self { event_id, tenant_id, seq, occurred_at, kind }),
            Err(reason) => Err(ChangeError::Invalid { tenant_id, seq, reason }),
        }
    }
}

/// Where a change contradicts itself. A consumer that looks at the type and one that looks at the data
/// would come to different answers, and one of them would let somebody in.
fn fault(tenant: &TenantId, seq: u64, kind: &ChangeKind) -> Option<&'static str> {
    let (data_tenant, active, claimed) = match kind {
        ChangeKind::TenantCreated(t) | ChangeKind::TenantUpdated(t) => (Some(&t.id), None, None),
        ChangeKind::TenantSuspended(t) => {
            (Some(&t.id), Some(t.status == TenantStatus::Active), Some(false))
        }
        ChangeKind::TenantDeleted(t) => (Some(&t.id), None, None),
        ChangeKind::UserDeactivated(u) => (None, Some(u.active), Some(false)),
        ChangeKind::UserReactivated(u) => (None, Some(u.active), Some(true)),
        ChangeKind::ServiceAccountDeactivated(s) => (None, Some(s.active), Some(false)),
        ChangeKind::ServiceAccountReactivated(s) => (None, Some(s.active), Some(true)),
        _ => (None, None, None),
    };
    if seq == 0 {
        Some("seq counts from 1")
    } else if data_tenant.is_some_and(|id| id != tenant) {
        Some("data.id is not tenant_id")
    } else if active != claimed {
        Some("data contradicts the type")
    } else {
        None
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident($data:ty) = $text:literal),+ $(,)?) => {
        /// What changed: `type` and `data` of a [`Change`]. The data is the state afterwards.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "type", content = "data")]
        pub enum ChangeKind { $($(#[$doc])* #[serde(rename = $text)] $name($data)),+ }

        impl ChangeKind {
            /// The name of every type there is.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The name of the type, which is also the audited action.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $text),+ }
            }

            /// `None` for an unknown name.
            fn parse(name: &str, data: &str) -> Option<serde_json::Result<Self>> {
                match name {
                    $($text => Some(serde_json::from_str(data).map(Self::$name)),)+
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A tenant came.
    TenantCreated(Tenant) = "tenant.created",
    /// Its name changed, or it is active again.
    TenantUpdated(Tenant) = "tenant.updated",
    /// It is denied everything until further notice.
    TenantSuspended(Tenant) = "tenant.suspended",
    /// It is gone with all that it had. Its id does not come back.
    TenantDeleted(Deleted<TenantId>) = "tenant.deleted",
    /// A user came.
    UserCreated(User) = "user.created",
    /// Its e-mail address or attributes changed.
    UserUpdated(User) = "user.updated",
    /// It is denied everything until further notice.
    UserDeactivated(User) = "user.deactivated",
    /// It is active again.
    UserReactivated(User) = "user.reactivated",
    /// It is gone, and its memberships with it, without changes of their own.
    UserDeleted(Deleted) = "user.deleted",
    /// A service account came.
    ServiceAccountCreated(ServiceAccount) = "service_account.created",
    /// Its name or attributes changed.
    ServiceAccountUpdated(ServiceAccount) = "service_account.updated",
    /// It is denied everything until further notice.
    ServiceAccountDeactivated(ServiceAccount) = "service_account.deactivated",
    /// It is active again.
    ServiceAccountReactivated(ServiceAccount) = "service_account.reactivated",
    /// It is gone, and its keys and memberships with it, without changes of their own.
    ServiceAccountDeleted(Deleted) = "service_account.deleted",
    /// A team came.
    TeamCreated(Team) = "team.created",
    /// Its name changed.
    TeamUpdated(Team) = "team.updated",
    /// It is gone, and the memberships in it and of it, without changes of their own.
    TeamDeleted(Deleted) = "team.deleted",
    /// A team has a member more.
    TeamMemberAdded(Membership) = "team.member_added",
    /// A team has a member less.
    TeamMemberRemoved(Membership) = "team.member_removed",
    /// A service account got a key.
    ApiKeyCreated(ApiKey) = "api_key.created",
    /// A key got a new secret.
    ApiKeyRotated(ApiKey) = "api_key.rotated",
    /// A key is void.
    ApiKeyRevoked(ApiKey) = "api_key.revoked",
    /// Credentials are void before their time.
    CredentialsRevoked(Revocation) = "credentials.revoked",
    /// An operator gave a change up.
    ChangeSkipped(Skipped) = "change.skipped",
}

#[cfg(test)]
mod tests;
