//! Audit events: from Kafka in batches into time-bucketed Cassandra partitions, and back by range.
//!
//! | module | subject |
//! |---|---|
//! | [`event`] | decoding, rules, row identity |
//! | [`layout`] | placement: buckets, shards, retention classes, registry, promotion |
//! | [`source`] | Kafka: polling, assignments, commits |
//! | [`pipeline`] | decode, gather, watermark, dead letters |
//! | [`sink`] | Cassandra: schema, statements, writes |
//! | [`skip`] | the data-skipping index for filters |
//! | [`query`], [`http`] | reading back, and the routes |

pub mod cli;
pub mod config;
pub mod error;
pub mod event;
pub mod http;
pub mod layout;
pub mod metrics;
pub mod pipeline;
pub mod query;
mod service;
pub mod sink;
pub mod skip;
pub mod source;
pub mod topics;

pub use config::Config;
pub use error::Error;
pub use service::{Listeners, run};
