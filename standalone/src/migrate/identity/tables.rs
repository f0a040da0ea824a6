//! Which tables and columns there are. A test holds them to the schema.

use Kind::{Bytes, Int, Text, Time};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A number, or a truth.
    Int,
    Bytes,
    Time,
}

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// How many of the columns, from the first on, are its primary key.
    pub(super) key: usize,
    pub(super) columns: &'static [(&'static str, Kind)],
    /// What people call its rows, where they are told of them.
    pub(super) told: Option<&'static str>,
}

impl Table {
    const fn new(
        name: &'static str,
        key: usize,
        columns: &'static [(&'static str, Kind)],
        told: Option<&'static str>,
    ) -> Self {
        Self { name, key, columns, told }
    }

    /// Its primary key.
    pub(super) fn keys(&self) -> &'static [(&'static str, Kind)] {
        self.columns.split_at(self.key).0
    }
}

/// What has numbers of its own, that are never given twice.
pub(super) const COUNTED: [&str; 3] = ["outbox", "team_members", "principal_scopes"];

/// What is not copied: an outbox that is empty by then, and leases of processes.
#[cfg(test)]
const LEFT: [&str; 2] = ["outbox", "relay_leases"];

/// In the order of foreign keys.
pub(super) const TABLES: &[Table] = &[
    Table::new(
        "tenants",
        1,
        &[
            ("id", Text),
            ("name", Text),
            ("created_at", Time),
            ("updated_at", Time),
            ("status", Text),
            ("version", Int),
        ],
        Some("tenants"),
    ),
    Table::new("tenant_changes", 1, &[("tenant_id", Text), ("seq", Int)], None),
    Table::new(
        "users",
        1,
        &[
            ("id", Text),
            ("tenant_id", Text),
            ("email", Text),
            ("hashed_password", Text),
            ("is_active", Int),
            ("created_at", Time),
            ("updated_at", Time),
            ("user_name", Text),
            ("user_name_key", Text),
            ("display_name", Text),
            ("external_id", Bytes),
            ("attributes", Text),
            ("version", Int),
            ("scim", Text),
        ],
        Some("users"),
    ),
    Table::new(
        "user_settings",
        2,
        &[
            ("tenant_id", Text),
            ("user_id", Text),
            ("locale", Text),
            ("time_zone", Text),
            ("preferences", Text),
            ("version", Int),
            ("updated_at", Time),
        ],
        None,
    ),
    Table::new(
        "service_accounts",
        1,
        &[
            ("id", Text),
            ("tenant_id", Text),
            ("name", Text),
            ("description", Text),
            ("is_active", Int),
            ("attributes", Text),
            ("version", Int),
            ("created_at", Time),
            ("updated_at", Time),
        ],
        Some("service accounts"),
    ),
    Table::new(
        "teams",
        1,
        &[
            ("id", Text),
            ("tenant_id", Text),
            ("name", Text),
            ("description", Text),
            ("external_id", Bytes),
            ("version", Int),
            ("created_at", Time),
            ("updated_at", Time),
        ],
        Some("teams"),
    ),
    Table::new(
        "team_members",
        1,
        &[
            ("id", Int),
            ("tenant_id", Text),
            ("team_id", Text),
            ("user_id", Text),
            ("service_account_id", Text),
            ("member_team_id", Text),
            ("created_at", Time),
        ],
        Some("memberships"),
    ),
    Table::new(
        "api_keys",
        1,
        &[
            ("id", Text),
            ("tenant_id", Text),
            ("service_account_id", Text),
            ("name", Text),
            ("secret_hmac", Bytes),
            ("pepper_id", Text),
            ("previous_hmac", Bytes),
            ("previous_pepper_id", Text),
            ("previous_until", Time),
            ("expires_at", Time),
            ("revoked_at", Time),
            ("last_used_at", Time),
            ("version", Int),
            ("created_at", Time),
            ("updated_at", Time),
        ],
        Some("API keys"),
    ),
    Table::new(
        "principal_scopes",
        1,
        &[
            ("id", Int),
            ("tenant_id", Text),
            ("user_id", Text),
            ("service_account_id", Text),
            ("api_key_id", Text),
            ("scope", Text),
            ("created_at", Time),
        ],
        None,
    ),
    Table::new(
        "refresh_tokens",
        1,
        &[
            ("token_hash", Bytes),
            ("family_id", Text),
            ("tenant_id", Text),
            ("user_id", Text),
            ("service_account_id", Text),
            ("client_id", Text),
            ("scope", Text),
            ("issued_at", Time),
            ("expires_at", Time),
            ("rotated_at", Time),
            ("revoked_at", Time),
        ],
        None,
    ),
    Table::new(
        "device_grants",
        1,
        &[
            ("device_hash", Bytes),
            ("user_code_hmac", Bytes),
            ("source", Bytes),
            ("client_id", Text),
            ("scope", Text),
            ("status", Text),
            ("tenant_id", Text),
            ("user_id", Text),
            ("interval_seconds", Int),
            ("polled_at", Time),
            ("created_at", Time),
            ("expires_at", Time),
        ],
        None,
    ),
    Table::new(
        "revocations",
        3,
        &[
            ("tenant_id", Text),
            ("kind", Text),
            ("value", Text),
            ("not_before", Time),
            ("expires_at", Time),
        ],
        None,
    ),
    Table::new(
        "login_attempts",
        1,
        &[("id", Bytes), ("failures", Int), ("locked_until", Time), ("expires_at", Time)],
        None,
    ),
    Table::new(
        "signing_keys",
        1,
        &[
            ("kid", Text),
            ("algorithm", Text),
            ("public_jwk", Text),
            ("private_key", Bytes),
            ("key_id", Text),
            ("published_at", Time),
            ("signs_from", Time),
            ("signs_until", Time),
            ("kept_until", Time),
        ],
        Some("signing keys"),
    ),
    Table::new(
        "idempotency_keys",
        1,
        &[
            ("id", Bytes),
            ("tenant_id", Text),
            ("fingerprint", Bytes),
            ("answer", Bytes),
            ("key_id", Text),
            ("seq", Int),
            ("expires_at", Time),
        ],
        None,
    ),
];

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
