//! Cassandra: how rows are written, and never reported as written when they are not.

mod classify;
pub mod row;
pub mod schema;
pub mod session;
pub mod skip;
mod statements;
mod writer;

pub use statements::Statements;
pub use writer::{Rejected, Sink, SinkRow};
