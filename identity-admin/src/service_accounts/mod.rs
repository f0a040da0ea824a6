//! Service accounts: programs that act on their own.
//!
//! | module | what it holds |
//! |---|---|
//! | `form` | what clients send and see |
//! | `store` | rows |
//! | `mutations` | what may be done to a service account |
//! | `routes` | how it is asked for |

mod form;
mod mutations;
pub(crate) mod routes;
mod store;

pub(crate) use mutations::create;
pub(crate) use routes::routes;
pub(crate) use store::{SNAPSHOT, exists, told, told_of};
