//! What the Triad services say to each other: identifiers, scopes and the wire form of every topic.
//!
//! Nothing here does I/O. Every wire form has golden files under `contracts/golden/`, which are the
//! contract: a test that has to change one of them has found a breaking change.

pub mod audit;
mod ids;
mod scope;

pub use ids::{EventId, IdError, MAX_ID_BYTES, TenantId, check_external_id};
pub use scope::Scope;
