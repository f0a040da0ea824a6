//! Lists of what is stored, in parts: roles, subjects and resources by their list, relationships by the
//! nodes that they begin from.
//!
//! Everything comes in the order of node ids, so that what stays stored from the first page to the last is
//! listed once, whatever else is written meanwhile.

pub mod relationships;

use contracts::Revision;
use serde::Deserialize;

use super::client::{GraphDb, Mode};
use super::dql::Uid;
use super::store::GraphError;
use crate::model::Key;

/// A role, a subject or a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its place in the order.
    pub node: u64,
    /// What it is.
    pub key: Key,
    /// Of a role.
    pub name: Option<String>,
    /// Of a role.
    pub permissions: u64,
    /// Of a subject.
    pub active: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    page: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    uid: Uid,
    xid: String,
    #[serde(rename = "Role.name")]
    name: Option<String>,
    #[serde(default)]
    permissions: u64,
    #[serde(rename = "Subject.inactive", default)]
    inactive: bool,
}

/// At most `first` members of a list ([`Key::list`]) whose nodes follow `after`, of a strict read.
///
/// # Errors
/// As [`GraphDb::query`].
pub async fn members(
    graph: &GraphDb,
    list: &str,
    after: u64,
    first: usize,
) -> Result<(Revision, Vec<Listed>), GraphError> {
    let dql = format!(
        "query q($l: string) {{
           page(func: eq(listed, $l), first: {first}, after: {after:#x}) {{
             uid xid Role.name Subject.inactive permissions: count(Role.hasPermission) }} }}"
    );
    let answer = graph.query(Mode::Strict, &dql, &[("$l", list)]).await?;
    let found: Answer = answer.read()?;
    let listed = |row: Row| Listed {
        node: row.uid.0,
        key: Key::from_text(row.xid),
        name: row.name,
        permissions: row.permissions,
        active: !row.inactive,
    };
    Ok((answer.revision, found.page.into_iter().map(listed).collect()))
}
