//! Between the graph and Kafka: the relay of changes, what every edge hears of them, and identities.

pub mod changes;
pub mod identity;
pub mod rebuild;
pub mod relay;
