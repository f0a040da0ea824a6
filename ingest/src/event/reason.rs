//! Why a record is a dead letter: one code for each rule.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal),+ $(,)?) => {
        /// The rule that a record broke. The code is what dead letters, metrics and HTTP errors say.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name),+ }

        impl Reason {
            /// Every rule, for metrics that exist from the start.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code on the wire.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }
        }
    };
}

reasons! {
    /// The record has no value.
    Empty = "empty",
    /// The value is longer than `limits.max_record_bytes`.
    TooLarge = "too_large",
    /// The value is not UTF-8.
    InvalidUtf8 = "invalid_utf8",
    /// The value is not JSON.
    InvalidJson = "invalid_json",
    /// A value in `details` or an unknown field nests deeper than `limits.max_depth`.
    TooDeep = "too_deep",
    /// More entries in `details`, or more unknown fields, than `limits.max_fields`.
    TooManyFields = "too_many_fields",
    /// A key stands twice in one object.
    DuplicateKey = "duplicate_key",
    /// A field has another JSON type than its own.
    WrongType = "wrong_type",
    /// `tenant_id` or `action` is missing.
    MissingField = "missing_field",
    /// `tenant_id` is not in the tenant alphabet.
    InvalidTenant = "invalid_tenant",
    /// An id or name is empty, too long, or holds control characters.
    InvalidId = "invalid_id",
    /// `actor_type` or `status` is none of its values.
    InvalidEnum = "invalid_enum",
    /// `source_ip` is not an address.
    InvalidIp = "invalid_ip",
    /// `event_time` is not an RFC 3339 time.
    InvalidTime = "invalid_time",
    /// `event_time` is too far from the record's own time.
    TimeOutOfWindow = "time_out_of_window",
    /// `details._extra` is given together with unknown fields, which are kept there.
    ReservedKey = "reserved_key",
    /// The database refused this row alone while others went in.
    DatabaseRejected = "database_rejected",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A refused record: the rule, and what happened in words.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Rejection {
    /// The rule.
    pub reason: Reason,
    /// For people; names the field, never repeats large input.
    pub detail: String,
}

impl Rejection {
    /// A rejection under `reason`.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
