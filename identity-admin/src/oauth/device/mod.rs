//! The device grant (RFC 8628): how a program of a person's, which has no browser of its own, gets a token.
//!
//! The program asks for two codes ([`authorization`]), shows the person the short one, and asks with the long one
//! until there is an answer ([`grant`]). The person opens [`page`], the only place that takes a password, enters
//! the short code, logs in, and allows or denies what is asked for.
//!
//! | module | what it holds |
//! |---|---|
//! | `codes` | how both codes are made and written |
//! | `store` | what was asked for, in the database |
//! | `authorization`, `token`, `page` | the routes |
//! | `html` | what people see |

pub(crate) mod authorization;
mod codes;
mod html;
pub(crate) mod page;
mod store;
mod token;

pub(in crate::oauth) use token::{GRANT_TYPE, grant};
