//! All that holds of a tenant at one change, line by line.

use serde::{Deserialize, Serialize};

use super::{Membership, ServiceAccount, Team, TenantStatus, User};
use crate::TenantId;

/// Something that has an id, and which of all that had it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made<T> {
    /// The thing.
    #[serde(flatten)]
    pub of: T,
    /// The number of the change that created it: a consumer that holds an earlier change only knows
    /// another one of that id, and hands nothing of it on. Absent when it is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_seq: Option<u64>,
}

/// One line of `GET /v1/tenants/{tenant}/snapshot` (NDJSON): a header, then users, service accounts
/// and teams, then the memberships between them, then the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SnapshotLine {
    /// The first line.
    Header {
        /// Whose snapshot it is.
        tenant_id: TenantId,
        /// The last change that it includes; a consumer goes on at `seq + 1`.
        seq: u64,
        /// Whether the tenant is served.
        status: TenantStatus,
    },
    /// A user.
    User(Made<User>),
    /// A service account.
    ServiceAccount(Made<ServiceAccount>),
    /// A team.
    Team(Made<Team>),
    /// A membership.
    Member(Membership),
    /// The last line. A stream without it was cut.
    End {
        /// The lines between the header and this one, those of unknown types included.
        count: u64,
    },
    /// A type that this build does not know, from a newer producer; it counts as a line.
    #[serde(other, skip_serializing)]
    Unknown,
}
