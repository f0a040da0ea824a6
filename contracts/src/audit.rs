//! Audit events on Kafka: the topics, the value of a record, and the headers of a dead letter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::TenantId;

/// Where producers publish audit events.
pub const EVENTS_TOPIC: &str = "audit.events";

/// Where events that cannot be stored go, with their reason.
pub const DEAD_LETTER_TOPIC: &str = "audit.events.dlq";

/// Headers of a dead letter. They stay on a replayed record, whose identity is its first origin's.
pub mod header {
    /// The topic that the record was first read from.
    pub const ORIGIN_TOPIC: &str = "x-origin-topic";
    /// Its partition there, decimal.
    pub const ORIGIN_PARTITION: &str = "x-origin-partition";
    /// Its offset there, decimal.
    pub const ORIGIN_OFFSET: &str = "x-origin-offset";
    /// Its timestamp there, milliseconds since 1970-01-01T00:00:00Z, decimal.
    pub const ORIGIN_TIMESTAMP: &str = "x-origin-timestamp";
    /// The rule that it broke, one code a rule.
    pub const REASON: &str = "x-reason";
    /// What happened, for people; at most [`MAX_ERROR_BYTES`].
    pub const ERROR: &str = "x-error";
    /// Present when the dead-letter topic does not take the record as large as it is: its original
    /// size in bytes, decimal. Then the key, foreign headers and the end of the value are missing.
    pub const TRUNCATED_FROM: &str = "x-truncated-from";
    /// The longest [`ERROR`] value, in bytes.
    pub const MAX_ERROR_BYTES: usize = 1024;
}

/// Who acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorType {
    /// A person.
    User,
    /// A program with an account of its own.
    ServiceAccount,
    /// Triad itself, or a platform component.
    System,
}

impl ActorType {
    /// The actor type of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "user" => Some(Self::User),
            "service_account" => Some(Self::ServiceAccount),
            "system" => Some(Self::System),
            _ => None,
        }
    }
}

/// How the action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// It was done.
    Success,
    /// It was allowed and failed.
    Failure,
    /// It was not allowed.
    Denied,
}

impl Status {
    /// The status of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "SUCCESS" => Some(Self::Success),
            "FAILURE" => Some(Self::Failure),
            "DENIED" => Some(Self::Denied),
            _ => None,
        }
    }
}

/// The value of a record on [`EVENTS_TOPIC`], as a producer writes it.
///
/// Only `tenant_id` and `action` are required. Send both `id` and `event_time` to have identical
/// resends stored once. Fields that are not listed here are kept by `ingest`, so a newer producer
/// never needs a newer consumer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// The producer's id for this event, unique within the tenant.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// Whose event it is.
    pub tenant_id: TenantId,
    /// When it happened, RFC 3339; kept to 100 ns.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub event_time: Option<String>,
    /// Who acted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub actor_id: Option<String>,
    /// What kind of principal acted.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub actor_type: Option<ActorType>,
    /// What was done, as `subject.verb`.
    pub action: String,
    /// To what kind of thing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resource_type: Option<String>,
    /// To which thing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resource_id: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<Status>,
    /// From which address, IPv4 or IPv6.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_ip: Option<String>,
    /// Anything else; what is not text is stored as JSON text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub details: BTreeMap<String, Value>,
}
