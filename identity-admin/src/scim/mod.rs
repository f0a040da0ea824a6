//! SCIM 2.0 (RFC 7642 to 7644): directories provision a tenant's users and teams.
//!
//! A resource is JSON by the names of its schema, from the wire to the row and back. The schemas are tables, and what
//! is accepted, filtered, patched and shown goes by them; what users and groups do not share is small.
//!
//! | module | what it holds |
//! |---|---|
//! | `schema`, `schemas` | what resources are made of |
//! | `accept` | values that clients send, as they are kept |
//! | `filter`, `parse` | what a filter says, and how it and paths are written |
//! | `patch`, `apply` | operations on a resource, read and done |
//! | `project` | what of a resource is shown |
//! | `user`, `group` | rows as resources, and what clients want of one |
//! | `users`, `groups` | what is done to them |
//! | `asked`, `search`, `read`, `common` | what is asked for, and how it is found |
//! | `bulk` | many requests in one |
//! | `discovery` | what the service says of itself |
//! | `fault` | errors as SCIM has them |
//! | `routes` | all of it over HTTP |

mod accept;
mod apply;
mod asked;
mod bulk;
mod common;
pub(crate) mod discovery;
pub(crate) mod document;
mod fault;
mod filter;
mod group;
mod groups;
mod parse;
mod patch;
mod project;
mod read;
mod routes;
mod schema;
mod schemas;
mod search;
mod user;
mod users;

#[cfg(test)]
mod tests;

pub(crate) use fault::speak;
pub(crate) use routes::routes;

/// Where all of it is.
pub(crate) const PATH: &str = "/scim/v2";

/// Bounds of SCIM.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether directories set passwords.
    pub passwords: Passwords,
    /// Where clients find the service: `http://` or `https://` and what is before `/scim/v2`.
    pub public_url: String,
    /// The largest body, bytes; that of a bulk request, too.
    pub max_body_bytes: usize,
    /// Operations of a bulk request.
    pub max_operations: usize,
    /// Rows that one search looks at.
    pub max_scan: usize,
    /// Members in one answer.
    pub max_members: usize,
}

/// What becomes of the passwords that directories send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Passwords {
    /// Nothing.
    Ignore,
    /// Users log in with them.
    Set,
}

impl Options {
    fn base(&self) -> String {
        format!("{}{PATH}", self.public_url)
    }
}
