//! Identifiers, one type for each that could be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest external id (actor, resource, event id of a producer), in bytes of UTF-8.
pub const MAX_ID_BYTES: usize = 128;

/// The longest tenant id, in bytes.
const MAX_TENANT_BYTES: usize = 36;

/// Why a text is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not `[a-z0-9][a-z0-9-]{0,35}` and not `_system`.
    #[error("a tenant id is [a-z0-9][a-z0-9-]{{0,35}} or _system")]
    Tenant,
    /// Empty.
    #[error("an id has at least one byte")]
    Empty,
    /// Longer than [`MAX_ID_BYTES`].
    #[error("an id has at most {MAX_ID_BYTES} bytes")]
    TooLong,
    /// Holds a control character.
    #[error("an id holds no control characters")]
    Unprintable,
}

/// A tenant: `[a-z0-9][a-z0-9-]{0,35}`, never reused, or the literal `_system`.
///
/// The alphabet is what all stores, topics and URLs agree on without escaping or case folding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

impl TenantId {
    /// The tenant that owns system principals.
    pub const SYSTEM: &'static str = "_system";

    /// Parses a tenant id.
    ///
    /// # Errors
    /// [`IdError::Tenant`] for any other text.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if Self::is_valid(text) { Ok(Self(text.to_owned())) } else { Err(IdError::Tenant) }
    }

    /// Whether `text` is a tenant id; allocates nothing, for hot paths that only borrow.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        match text.as_bytes() {
            [first, rest @ ..] if plain(first) => {
                rest.len() < MAX_TENANT_BYTES && rest.iter().all(|b| plain(b) || *b == b'-')
            }
            _ => text == Self::SYSTEM,
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TenantId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        if Self::is_valid(&text) { Ok(Self(text)) } else { Err(IdError::Tenant) }
    }
}

impl From<TenantId> for String {
    fn from(id: TenantId) -> Self {
        id.0
    }
}

/// Checks an id that another system chose: 1 to [`MAX_ID_BYTES`] bytes of UTF-8 without control
/// characters, compared byte for byte everywhere.
///
/// # Errors
/// The rule that `text` breaks.
pub fn check_external_id(text: &str) -> Result<(), IdError> {
    match text.len() {
        0 => Err(IdError::Empty),
        n if n > MAX_ID_BYTES => Err(IdError::TooLong),
        _ if text.chars().any(char::is_control) => Err(IdError::Unprintable),
        _ => Ok(()),
    }
}

/// Identifies one stored audit event: a version-1 UUID made of the event's time and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub Uuid);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_tenant_alphabet_is_closed() {
        for good in ["a", "0", "acme", "a-b-9", "_system", &"x".repeat(36)] {
            assert!(TenantId::is_valid(good), "{good}");
        }
        for bad in ["", "-a", "A", "acmé", "a_b", "_sys", "a.b", "a b", &"x".repeat(37)] {
            assert_eq!(TenantId::parse(bad), Err(IdError::Tenant), "{bad}");
        }
    }

    #[test]
    fn external_ids_are_short_and_printable() {
        assert_eq!(check_external_id("dossier 9 é"), Ok(()));
        assert_eq!(check_external_id(""), Err(IdError::Empty));
        assert_eq!(check_external_id(&"é".repeat(65)), Err(IdError::TooLong));
        assert_eq!(check_external_id("a\u{7f}"), Err(IdError::Unprintable));
        assert_eq!(check_external_id("a\nb"), Err(IdError::Unprintable));
    }

    proptest! {
        #[test]
        fn a_tenant_id_survives_its_wire_form(text in "[a-z0-9][a-z0-9-]{0,35}") {
            let id = TenantId::parse(&text).unwrap();
            let wire = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<TenantId>(&wire).unwrap(), id);
        }
    }
}
