//! Why a mutation is not made.

use crate::db::DbError;

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Its name on the wire; dotted when it is inside another.
    pub field: String,
    /// The rule that it breaks, for people. It repeats no value.
    pub reason: String,
}

impl FieldFault {
    /// A fault of a field.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// Why a mutation was not made. Nothing of it is left then, but for [`DbError::Unknown`].
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The request breaks rules.
    #[error("invalid: {0:?}")]
    Invalid(Vec<FieldFault>),
    /// What it is about is not there, or not in this tenant.
    #[error("no such {0}")]
    Missing(&'static str),
    /// A value that must be unique belongs to another.
    #[error("{field} is taken")]
    Taken {
        /// The field.
        field: String,
    },
    /// It does not fit the state of things.
    #[error("{0}")]
    Conflict(&'static str),
    /// What a patch is about is not in it.
    #[error("{0}")]
    Unmatched(&'static str),
    /// The entity tag that the client knows is not the present one.
    #[error("the entity tag is not the present one")]
    Outdated,
    /// A replacement wants the entity tag that it replaces.
    #[error("an entity tag is needed")]
    Unconditional,
    /// The Idempotency-Key was used for another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyReused,
    /// The Idempotency-Key may be in use: another mutation of its tenant did not end in time.
    #[error("another request is under way")]
    KeyInUse,
    /// The database.
    #[error(transparent)]
    Db(DbError),
}

impl Refused {
    /// One field is at fault.
    pub fn invalid(field: &str, reason: &str) -> Self {
        Self::Invalid(vec![FieldFault::new(field, reason)])
    }
}

impl From<DbError> for Refused {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Duplicate { field } => Self::Taken { field },
            // Mutations look before they refer to something, and nobody comes between.
            error => Self::Db(error),
        }
    }
}
