//! What the Triad services say to each other: identifiers, scopes, consistency tokens and the wire
//! form of every topic.
//!
//! Nothing here does I/O. Every wire form has golden files under `contracts/golden/`, which are the
//! contract: a test that has to change one of them has found a breaking change.

pub mod audit;
pub mod authz;
pub mod identity;
mod ids;
mod scope;
mod token;

pub use ids::{
    EventId, ExternalId, GraphEpoch, IdError, MAX_ID_BYTES, Revision, Subject, TenantId,
    check_external_id,
};
pub use scope::Scope;
pub use token::{CONSISTENCY_TOKEN_HEADER, ConsistencyToken, TokenError, TokenText};
