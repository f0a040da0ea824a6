//! Audit events: from Kafka in batches into time-bucketed Cassandra partitions, and back by range.
//!
//! | module | subject |
//! |---|---|
//! | [`event`] | decoding, rules, row identity |
//! | [`layout`] | placement: buckets, shards, retention classes, registry, promotion |
//! | `source` | Kafka: polling, assignments, commits |
//! | `pipeline` | decode, gather, watermark, dead letters |
//! | `sink` | Cassandra: schema, statements, writes |
//! | `skip` | the data-skipping index for filters |
//! | [`query`], [`http`] | reading back, and the routes |
//! | [`destination`] | where the routes put accepted events: a topic, or a store |
//! | `embedded` | all of it on this process's disk, for `standalone` |

#[cfg(feature = "engines")]
pub mod cli;
pub mod config;
pub mod destination;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod error;
pub mod event;
pub mod http;
pub mod layout;
mod letter;
pub mod metrics;
#[cfg(feature = "engines")]
pub mod pipeline;
pub mod query;
pub mod recent;
#[cfg(feature = "engines")]
mod service;
#[cfg(feature = "engines")]
pub mod sink;
#[cfg(feature = "engines")]
pub mod skip;
#[cfg(feature = "engines")]
pub mod source;
pub mod topics;

pub use config::Config;
pub use error::Error;
#[cfg(feature = "engines")]
pub use service::{Listeners, run};
