//! Who has anything in the graph.

use std::collections::BTreeSet;

use contracts::TenantId;
use serde::Deserialize;

use super::{GraphDb, GraphError, Uid};
use crate::graph::client::Mode;
use crate::model::Key;

/// Nodes of one page: a page is some megabytes.
const PAGE: usize = 50_000;

#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    page: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    uid: Uid,
    listed: String,
}

/// Every tenant that has a role, a subject or a resource. The cost grows with all nodes there are: nothing
/// in the graph lists tenants by themselves.
///
/// # Errors
/// As [`GraphDb::query`].
pub async fn tenants(graph: &GraphDb) -> Result<BTreeSet<TenantId>, GraphError> {
    let (mut tenants, mut after) = (BTreeSet::new(), Some(0));
    while let Some(from) = after {
        let dql = format!(
            "{{ page(func: has(listed), first: {PAGE}, after: {from:#x}) {{ uid listed }} }}"
        );
        let rows: Rows = graph.query(Mode::Strict, &dql, &[]).await?.read()?;
        tenants.extend(rows.page.iter().filter_map(|row| Key::tenant_of_list(&row.listed)));
        after = rows.page.last().map(|row| row.uid.0);
    }
    Ok(tenants)
}
