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
    /// Not `user:ID` and not `service_account:ID`.
    #[error("a subject is user:ID or service_account:ID")]
    Subject,
    /// Not 16 lower-case hexadecimal digits.
    #[error("a graph epoch is 16 lower-case hexadecimal digits")]
    Epoch,
}

/// What every id that travels as text has: its text, and the way from and to a `String` for serde.
macro_rules! text_form {
    ($($id:ident),+) => {$(
        impl $id {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $id {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.0
            }
        }
    )+};
}

text_form!(TenantId, ExternalId, Subject);

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
        Self::check(text)?;
        Ok(Self(text.to_owned()))
    }

    fn check(text: &str) -> Result<(), IdError> {
        if Self::is_valid(text) { Ok(()) } else { Err(IdError::Tenant) }
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

/// An id that passes [`check_external_id`]: of a user, a team, a service account, a key, a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ExternalId(String);

impl ExternalId {
    /// Parses an id.
    ///
    /// # Errors
    /// The rule of [`check_external_id`] that `text` breaks.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Self::check(text)?;
        Ok(Self(text.to_owned()))
    }

    fn check(text: &str) -> Result<(), IdError> {
        check_external_id(text)
    }
}

/// Whom a token speaks for, as its claim `sub` says it: `user:ID` or `service_account:ID`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subject(String);

impl Subject {
    /// Parses the value of a claim `sub`.
    ///
    /// # Errors
    /// [`IdError::Subject`] for another kind, or the rule that the id behind the colon breaks.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        Self::check(text)?;
        Ok(Self(text.to_owned()))
    }

    fn check(text: &str) -> Result<(), IdError> {
        match text.split_once(':') {
            Some(("user" | "service_account", id)) => check_external_id(id),
            _ => Err(IdError::Subject),
        }
    }
}

/// A state of the graph: a timestamp of Dgraph, which orders its transactions. Only revisions of one
/// [`GraphEpoch`] can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The life of one graph: a random number that its schema got when it was first applied. A restored
/// or emptied graph counts its revisions anew and has another epoch.
///
/// As text 16 lower-case hexadecimal digits: many JSON readers lose bits of numbers above 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GraphEpoch(pub u64);

impl GraphEpoch {
    /// Parses the text form.
    ///
    /// # Errors
    /// [`IdError::Epoch`] for any other text.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.as_bytes().iter().all(digit) {
            return Err(IdError::Epoch);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| IdError::Epoch)
    }
}

impl fmt::Display for GraphEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl TryFrom<String> for GraphEpoch {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<GraphEpoch> for String {
    fn from(epoch: GraphEpoch) -> Self {
        epoch.to_string()
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

    #[test]
    fn a_subject_is_a_kind_and_an_id() {
        for good in ["user:u-1", "service_account:billing", "user:a:b"] {
            assert_eq!(Subject::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "u-1", "team:t-1", "USER:u-1", ":u-1"] {
            assert_eq!(Subject::parse(bad), Err(IdError::Subject), "{bad}");
        }
        assert_eq!(Subject::parse("user:"), Err(IdError::Empty));
        assert_eq!(Subject::parse("user:\t"), Err(IdError::Unprintable));
    }

    #[test]
    fn an_epoch_has_one_text_form() {
        assert_eq!(GraphEpoch::parse("00000000000000ff"), Ok(GraphEpoch(255)));
        for bad in ["", "ff", "00000000000000FF", "+0000000000000ff", "000000000000000ff"] {
            assert_eq!(GraphEpoch::parse(bad), Err(IdError::Epoch), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn an_epoch_survives_its_wire_form(number in any::<u64>()) {
            let wire = serde_json::to_string(&GraphEpoch(number)).unwrap();
            prop_assert_eq!(wire.len(), 18);
            prop_assert_eq!(serde_json::from_str::<GraphEpoch>(&wire).unwrap(), GraphEpoch(number));
        }

        #[test]
        fn an_external_id_is_read_as_it_is_checked(text in ".{0,140}") {
            let wire = serde_json::to_string(&text).unwrap();
            let read = serde_json::from_str::<ExternalId>(&wire).ok();
            prop_assert_eq!(read.is_some(), check_external_id(&text).is_ok());
            prop_assert!(read.is_none_or(|id| id.as_str() == text));
        }

        #[test]
        fn a_tenant_id_survives_its_wire_form(text in "[a-z0-9][a-z0-9-]{0,35}") {
            let id = TenantId::parse(&text).unwrap();
            let wire = serde_json::to_string(&id).unwrap();
            prop_assert_eq!(serde_json::from_str::<TenantId>(&wire).unwrap(), id);
        }
    }
}
