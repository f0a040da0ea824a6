//! What a mutation works with, and what it answers.

use std::fmt;
use std::future::Future;

use chrono::{DateTime, Utc};
use contracts::TenantId;
use contracts::identity::ChangeKind;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::Refused;
use crate::db::{DbError, Tx};

/// One thing that a client may do to a tenant.
pub trait Mutation: Send + Sync + 'static {
    /// Reads, tests and writes rows, and says what changed. It may run more than once, each time in a new
    /// transaction, so it changes nothing else.
    fn apply(&self, write: &mut Write<'_>) -> impl Future<Output = Result<Answer, Refused>> + Send;
}

/// A mutation's transaction. The tenant is locked: nobody else writes to it meanwhile.
#[derive(Debug)]
pub struct Write<'a> {
    /// Where rows are read and written.
    pub tx: &'a mut Tx,
    /// Whose rows.
    pub tenant: &'a TenantId,
    /// The time of everything in it.
    pub now: DateTime<Utc>,
    pub(super) changes: Vec<Pending>,
}

/// A change that is to be numbered and published.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) kind: ChangeKind,
    /// More for the audit trail than the change itself says.
    pub(super) details: Map<String, Value>,
}

impl Write<'_> {
    /// Something changed: it gets the tenant's next number.
    pub fn changed(&mut self, kind: ChangeKind) {
        self.changed_with(kind, Map::new());
    }

    /// As [`Write::changed`], with details that only the audit trail is told. Never a secret.
    pub fn changed_with(&mut self, kind: ChangeKind, details: Map<String, Value>) {
        self.changes.push(Pending { kind, details });
    }
}

/// What a mutation answers, as it is stored for a repeat.
#[derive(Clone, Serialize, Deserialize)]
pub struct Answer {
    /// HTTP's.
    pub status: u16,
    /// The version of what the answer shows, for `ETag`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<i64>,
    /// Where what was made is found.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub location: Option<String>,
    /// JSON, as it goes out.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<Box<RawValue>>,
    /// Whether the body holds a secret: it is kept encrypted then.
    #[serde(skip)]
    pub holds_secret: bool,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body may hold a secret.
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Answer {
    /// 204, for what is gone.
    #[must_use]
    pub fn gone() -> Self {
        Self { status: 204, version: None, location: None, body: None, holds_secret: false }
    }

    /// What has no version.
    ///
    /// # Errors
    /// As [`Answer::shows`].
    pub fn plain(status: u16, view: &impl Serialize) -> Result<Self, Refused> {
        Ok(Self { version: None, ..Self::shows(status, 0, view)? })
    }

    /// Says that the body holds a secret.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.holds_secret = true;
        self
    }

    /// What something is now.
    ///
    /// # Errors
    /// A form that is no JSON, which is a fault of ours.
    pub fn shows(status: u16, version: i64, view: &impl Serialize) -> Result<Self, Refused> {
        let body = to_raw_value(view).map_err(|error| DbError::Refused(error.to_string()))?;
        let (version, body) = (Some(version), Some(body));
        Ok(Self { status, version, location: None, body, holds_secret: false })
    }

    /// Says where it is found.
    #[must_use]
    pub fn at(mut self, location: String) -> Self {
        self.location = Some(location);
        self
    }
}
