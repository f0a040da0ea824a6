//! `loadtest bench`: the goals beside what was measured, on engines of its own.
//!
//! | module | what it does |
//! |---|---|
//! | `goals` | what a figure is, and the table of them |
//! | `file` | `target/bench.json`, shared by the figures of all services |
//! | `suite` | the parts of a service's figures, one after the other, within their time |
//! | `audit` | audit events |
//! | `authz` | permission checks |
//! | `identity` | identities |
//! | `standalone` | the one process |
//! | `idle`, `flood` | what a service costs that does nothing; a tenant that floods |
//! | `drive`, `turns` | requests from many connections; runs of a measurement |

mod audit;
pub(crate) mod authz;
pub(crate) mod drive;
pub(crate) mod file;
mod flood;
pub(crate) mod goals;
pub(crate) mod identity;
mod idle;
mod standalone;
pub(crate) mod suite;
pub(crate) mod turns;

pub use audit::audit;
pub use authz::authz;
pub use goals::Figure;
pub use identity::identity;
pub use standalone::standalone;
