//! The graph of who may do what. The one module that knows a store.
//!
//! | module | what it holds |
//! |---|---|
//! | [`store`] | what the rest of the program asks of a graph, and how that fails |
//! | [`client`] | the database behind it, whichever it is |
//! | `dgraph` | Dgraph: alphas, deadlines, warmed transactions |
//! | `embedded` | the same in this process: queries, commits, and the log on disk |
//! | [`schema`] | predicates, version, epoch |
//! | [`search`] | candidates of searches |
//! | [`pages`] | everything that a tenant has, page by page |
//! | [`read`] | the views of a subject and of a resource |
//! | [`list`] | pages of what is stored |
//! | [`mod@write`] | lists of relationships, roles, resources, subjects; each with its outbox node |
//! | [`outbox`] | changes that wait to be published |

pub mod client;
#[cfg(feature = "engines")]
pub mod dgraph;
mod dql;
#[cfg(feature = "embedded")]
pub mod embedded;
pub mod list;
pub mod outbox;
pub mod pages;
pub mod read;
pub mod schema;
pub mod search;
pub mod store;
pub mod write;

pub use client::{GraphDb, Mode};
pub use store::{Graph, GraphError, Reading};
