//! Permission checks: the graph of who may do what on Dgraph, answered from views and decisions in moka.

pub mod graph;
pub mod metrics;
pub mod model;
