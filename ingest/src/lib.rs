//! Audit events: from Kafka in batches into time-bucketed Cassandra partitions, and back by range.

pub mod event;
pub mod layout;
pub mod pipeline;
pub mod sink;
