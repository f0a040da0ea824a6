//! Tenants, users, service accounts and teams on MySQL: every mutation is one transaction with its events.
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
//! | `bootstrap` | the first credentials of an installation |
//! | [`import`] | many users and memberships from a file |
//! | [`tenants`], [`users`], [`service_accounts`], `api_keys`, `scopes`, [`teams`] | one feature each: rules, store, mutations, routes |
//! | [`scim`] | users and teams as directories provision them |
//! | [`rules`] | what fields may hold |
//! | [`http`] | what their routes share, and the document of all of them |

mod api_keys;
mod bootstrap;
pub mod change;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod db;
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
mod snapshot;
mod sweep;
pub mod teams;
pub mod tenants;
pub mod topics;
pub mod users;

pub use config::Config;
pub use error::Error;
pub use service::{Listeners, run};
