//! Tenants, users, service accounts and teams on MySQL, or in a file (SQLite): every mutation is one transaction with
//! its events.
//!
//! | module | subject |
//! |---|---|
//! | [`db`] | the layer that every statement goes through, and migrations |
//! | [`change`] | how a mutation is made: order, outbox, idempotency |
//! | [`relay`] | the outbox to Kafka |
//! | [`credentials`] | what keys and secrets are made of |
//! | `oauth` | tokens: issued, asked about, revoked |
//! | `logins` | people with names and passwords, and lock-out |
//! | `sweep` | deletes what has ended |
//! | `bootstrap`, `embedded` | the first credentials of an installation; one in a folder |
//! | [`import`] | many users and memberships from a file |
//! | [`tenants`], [`users`], [`service_accounts`], `api_keys`, `scopes`, [`teams`] | one feature each: rules, store, mutations, routes |
//! | [`scim`] | users and teams as directories provision them |
//! | [`rules`] | what fields may hold |
//! | [`http`] | what their routes share, and the document of all of them |

mod api_keys;
mod bootstrap;
pub mod change;
#[cfg(feature = "engines")]
pub mod cli;
pub mod clock;
pub mod config;
#[cfg(test)]
mod contract;
pub mod credentials;
pub mod db;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod error;
pub mod http;
pub mod import;
mod logins;
pub mod metrics;
mod oauth;
pub mod relay;
pub mod rules;
pub mod scim;
mod scopes;
mod service;
pub mod service_accounts;
pub mod snapshot;
mod sweep;
pub mod teams;
pub mod tenants;
pub mod topics;
pub mod users;

pub use config::Config;
pub use error::Error;
pub use service::Running;
#[cfg(feature = "engines")]
pub use service::{Listeners, run};
