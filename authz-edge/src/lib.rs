//! Permission checks: the graph of who may do what on Dgraph, answered from views and decisions in moka.
//!
//! | module | subject |
//! |---|---|
//! | [`model`] | keys, relationships, roles, conditions, views: no I/O |
//! | [`graph`] | Dgraph: reads, writes, outbox |
//! | [`check`] | the one evaluator: views, decisions, fences, freshness |
//! | [`http`] | the routes |

pub mod check;
pub mod clock;
pub mod graph;
pub mod http;
pub mod metrics;
pub mod model;
