//! Rows of teams.

use std::collections::{BTreeSet, HashMap};

use contracts::TenantId;

use super::form::TeamView;
use crate::db::{DbError, Row, Tx, Value, exact, params, places};
use crate::http::{Filter, Kind, Listing, Sort};

macro_rules! columns {
    () => {
        "id, tenant_id, name, description, external_id, version, created_at, updated_at"
    };
}

/// What is selected of teams.
pub(crate) const COLUMNS: &str = columns!();

/// One, by id.
pub(super) const GET: &str =
    concat!("SELECT ", columns!(), " FROM teams WHERE tenant_id = ? AND id = ?");

/// A page of all of them, by id.
pub(crate) const SNAPSHOT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM teams WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?"
);

/// What others are told of the team of a row.
pub(crate) fn told(row: &Row) -> Result<contracts::identity::Team, DbError> {
    TeamView::of(row)?.told()
}

/// Those of a tenant.
pub(super) static LIST: Listing = Listing {
    name: "teams",
    columns: columns!(),
    table: "teams",
    bound: "tenant_id = ?",
    key: Kind::Text,
    sorts: &[
        Sort { name: "created_at", column: "created_at", kind: Kind::Time },
        Sort { name: "name", column: "name", kind: Kind::Text },
    ],
    filters: &[Filter { name: "name", holds: "name = ?", value: |text| Ok(text.into()) }],
};

impl TeamView {
    /// Of a row of [`GET`] or [`LIST`].
    pub(crate) fn of(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.text("id")?,
            tenant_id: row.text("tenant_id")?,
            name: row.text("name")?,
            description: row.opt_text("description")?,
            external_id: row.opt_text("external_id")?,
            version: row.int("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

/// The ids of teams, by name.
pub(crate) async fn by_names(
    tx: &mut Tx,
    tenant: &TenantId,
    names: BTreeSet<&str>,
) -> Result<HashMap<String, String>, DbError> {
    let (names, mut ids) = (Vec::from_iter(names), HashMap::new());
    // A statement takes only so many parameters, and an import may name a team in each row.
    for names in names.chunks(1000) {
        let places = places(names.len());
        let sql = format!("SELECT id, name FROM teams WHERE tenant_id = ? AND name IN ({places})");
        let mut values: Vec<Value> = vec![tenant.into()];
        values.extend(names.iter().map(|name| Value::from(*name)));
        for row in tx.rows(sql, &values).await? {
            ids.insert(row.text("name")?, row.text("id")?);
        }
    }
    Ok(ids)
}

pub(super) async fn insert(tx: &mut Tx, team: &TeamView) -> Result<(), DbError> {
    let sql = "INSERT INTO teams \
               (id, tenant_id, name, description, external_id, version, created_at, updated_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let TeamView { id, tenant_id, name, description, external_id, version, created_at, updated_at } =
        team;
    let external = exact(external_id.as_deref());
    let values =
        params![id, tenant_id, name, description, external, *version, *created_at, *updated_at];
    tx.execute(sql, values).await.map(drop)
}

pub(super) async fn update(tx: &mut Tx, team: &TeamView) -> Result<(), DbError> {
    let sql = "UPDATE teams SET name = ?, description = ?, external_id = ?, version = ?, updated_at = ? \
               WHERE tenant_id = ? AND id = ?";
    let TeamView { id, tenant_id, name, description, external_id, version, updated_at, .. } = team;
    let external = exact(external_id.as_deref());
    let values = params![name, description, external, *version, *updated_at, tenant_id, id];
    tx.execute(sql, values).await.map(drop)
}

/// With the memberships in it and of it, which go by foreign keys.
pub(super) async fn delete(tx: &mut Tx, tenant: &TenantId, id: &str) -> Result<(), DbError> {
    let sql = "DELETE FROM teams WHERE tenant_id = ? AND id = ?";
    tx.execute(sql, params![tenant, id]).await.map(drop)
}

pub(super) async fn get(
    tx: &mut Tx,
    tenant: &TenantId,
    id: &str,
) -> Result<Option<TeamView>, DbError> {
    tx.row(GET, params![tenant, id]).await?.as_ref().map(TeamView::of).transpose()
}
