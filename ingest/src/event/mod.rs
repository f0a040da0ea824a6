//! An audit event: decoded from a record, checked, and identified.
//!
//! Decoding borrows from the record and allocates only for what has to change (escapes, nested
//! values). The same decoder answers `POST …/audit` and the pipeline, so that what HTTP accepts is
//! what the pipeline stores.

pub mod body;
mod decode;
mod identity;
mod json;
mod judge;
mod origin;
mod reason;
mod time;

use std::borrow::Cow;
use std::net::IpAddr;

pub use decode::{Limits, decode};
pub use identity::identify;
pub(crate) use identity::{content_bits, time_of};
pub use judge::{Judge, Judged};
pub use origin::Origin;
pub use reason::{Reason, Rejection};
pub use time::Ticks;

/// The key in `details` that holds unknown top-level fields, as the text of a JSON object.
pub const EXTRA_KEY: &str = "_extra";

/// A key of `details` and its value.
pub type Detail<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A decoded audit event; absent fields are absent columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event<'a> {
    /// The tenant, in `contracts::TenantId`'s alphabet.
    pub tenant: Cow<'a, str>,
    /// The producer's id.
    pub id: Option<Cow<'a, str>>,
    /// When it happened.
    pub time: Option<Ticks>,
    /// Who acted.
    pub actor_id: Option<Cow<'a, str>>,
    /// `user`, `service_account` or `system`.
    pub actor_type: Option<Cow<'a, str>>,
    /// What was done.
    pub action: Cow<'a, str>,
    /// To which thing.
    pub resource_id: Option<Cow<'a, str>>,
    /// To what kind of thing.
    pub resource_type: Option<Cow<'a, str>>,
    /// `SUCCESS`, `FAILURE` or `DENIED`.
    pub status: Option<Cow<'a, str>>,
    /// From which address.
    pub source_ip: Option<IpAddr>,
    /// Everything else, sorted by key, keys unique.
    pub details: Vec<Detail<'a>>,
}
