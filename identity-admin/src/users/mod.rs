//! Users and their settings.
//!
//! | module | what it holds |
//! |---|---|
//! | `form`, `settings` | what clients send and see |
//! | `store` | rows |
//! | `import` | many of them at once |
//! | `mutations` | what may be done to a user |
//! | `password` | what it logs in with |
//! | `routes` | how it is asked for |

mod form;
mod import;
mod mutations;
pub(crate) mod password;
pub(crate) mod routes;
mod settings;
mod store;

pub(crate) use form::{NewUser, UserForm, UserView};
pub(crate) use import::{Imported, ids_by_email, insert_all, taken_emails, taken_names};
pub(crate) use mutations::{Delete, alter, create, grant_administration, make, present};
pub(crate) use password::{
    Account, account, give_password, hash, hash_password, is_still, renew_hash, unlike,
};
pub(crate) use routes::routes;
pub(crate) use settings::NewSettings;
pub(crate) use store::{COLUMNS, SNAPSHOT, exists, told, told_of};
