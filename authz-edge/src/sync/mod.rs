//! Between the graph and Kafka: the relay of changes, what every edge hears of them, and identities, with their lag.

pub mod changes;
pub mod identity;
pub mod lag;
pub mod rebuild;
pub mod relay;
