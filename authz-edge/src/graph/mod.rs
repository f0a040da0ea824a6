//! The graph of who may do what. The one module that knows a store.
//!
//! | module | what it holds |
//! |---|---|
//! | [`store`] | what the rest of the program asks of a graph, and how that fails |
//! | [`client`] | Dgraph: alphas, deadlines, warmed transactions |
//! | [`schema`] | predicates, version, epoch |
//! | [`search`] | candidates of searches |
//! | [`pages`] | everything that a tenant has, page by page |
//! | [`read`] | the views of a subject and of a resource |
//! | [`list`] | pages of what is stored |
//! | [`mod@write`] | lists of relationships, roles, resources, subjects; each with its outbox node |
//! | [`outbox`] | changes that wait to be published |

pub mod client;
mod dql;
pub mod list;
pub mod outbox;
pub mod pages;
pub mod read;
pub mod schema;
pub mod search;
pub mod store;
pub mod write;

pub use client::{Dgraph, Mode};
pub use store::{Graph, GraphError, Reading};
