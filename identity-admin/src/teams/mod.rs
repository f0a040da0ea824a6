//! Teams, and who is in them.
//!
//! | module | what it holds |
//! |---|---|
//! | `form`, `member` | what clients send and see |
//! | `store`, `memberships` | rows |
//! | `mutations`, `members` | what may be done to a team, and to its members one by one and many at once |
//! | `routes`, `member_routes` | how it is asked for |

mod form;
mod member;
pub(crate) mod member_routes;
mod members;
mod memberships;
mod mutations;
pub(crate) mod routes;
mod store;

pub(crate) use form::TeamView;
pub(crate) use members::{enter, inside, leave};
pub(crate) use memberships::{SNAPSHOT as MEMBERS_SNAPSHOT, told as member_told};
pub(crate) use mutations::{Delete, add_users, alter, make, present};
pub(crate) use store::{COLUMNS, SNAPSHOT, by_names, told};

use std::sync::Arc;

use axum::Router;

use crate::http::Api;

pub(crate) fn routes() -> Router<Arc<Api>> {
    routes::routes().merge(member_routes::routes())
}
