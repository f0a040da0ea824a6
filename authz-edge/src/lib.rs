//! Permission checks: the graph of who may do what on Dgraph, answered from views and decisions in moka.
//!
//! | module | subject |
//! |---|---|
//! | [`model`] | keys, relationships, roles, conditions, views: no I/O |
//! | [`graph`] | Dgraph: reads, writes, outbox |
//! | [`check`] | the one evaluator: views, decisions, fences, freshness |
//! | [`sync`] | the relay, what edges hear of changes, identities |
//! | [`http`] | the routes |
//! | [`transfer`] | a tenant's graph as a file, and back |
//! | [`ext_authz`], [`grpc`] | Envoy's external authorization |
//! | [`audit`] | answered checks as audit events |

pub mod audit;
pub mod check;
#[cfg(feature = "engines")]
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod ext_authz;
pub mod graph;
pub mod grpc;
pub mod http;
pub mod metrics;
pub mod model;
mod service;
pub mod sync;
pub mod topics;
pub mod transfer;

pub use config::Config;
pub use error::Error;
#[cfg(feature = "engines")]
pub use service::{Listeners, run};
pub use service::{Listening, Running};
