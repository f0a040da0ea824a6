//! All that holds of a tenant at one change, line by line.

use serde::{Deserialize, Serialize};

use super::{Membership, ServiceAccount, Team, TenantStatus, User};
use crate::TenantId;

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
    User(User),
    /// A service account.
    ServiceAccount(ServiceAccount),
    /// A team.
    Team(Team),
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
