//! Changes of identities on Kafka, and the snapshot that a consumer starts from.
//!
//! A tenant's changes are numbered without gaps from 1, so that a consumer knows that it missed none;
//! a snapshot says the number that it includes, and the consumer goes on at the next. No form here
//! holds a secret or a hash of one.

mod change;
mod data;
mod snapshot;

pub use change::{Change, ChangeError, ChangeKind};
pub use data::{
    ApiKey, Attributes, Deleted, Member, MemberKind, Membership, Revocation, ServiceAccount,
    Skipped, Team, Tenant, TenantStatus, User,
};
pub use snapshot::{Made, SnapshotLine};

/// Where changes are published, keyed by tenant id. Deleted by age, never compacted.
pub const CHANGES_TOPIC: &str = "identity.changes";
