//! API keys: what a service account proves itself with. A key's secret is told once, when it is made.
//!
//! | module | what it holds |
//! |---|---|
//! | `form` | what clients send and see |
//! | `store` | rows |
//! | `mutations` | what may be done to a key |
//! | `routes` | how it is asked for |

mod form;
mod mutations;
pub(crate) mod routes;
mod store;

pub(crate) use form::NewKey;
pub(crate) use mutations::{Revoke, Secret, create};
pub(crate) use routes::routes;
