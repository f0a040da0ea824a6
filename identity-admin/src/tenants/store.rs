//! Rows of tenants.

use contracts::TenantId;

use super::form::{Status, TenantView};
use crate::db::{DbError, Row, Tx, Value, params};
use crate::http::{Filter, Kind, Listing, Sort};

macro_rules! columns {
    () => {
        "id, name, status, version, created_at, updated_at"
    };
}

/// One, by id.
pub(super) const GET: &str = concat!("SELECT ", columns!(), " FROM tenants WHERE id = ?");

/// All of them.
pub(super) static LIST: Listing = Listing {
    name: "tenants",
    columns: columns!(),
    table: "tenants",
    bound: "1 = 1",
    key: Kind::Text,
    sorts: &[
        Sort { name: "created_at", column: "created_at", kind: Kind::Time },
        Sort { name: "name", column: "name", kind: Kind::Text },
        Sort { name: "id", column: "id", kind: Kind::Text },
    ],
    filters: &[
        Filter { name: "status", holds: "status = ?", value: status },
        Filter { name: "name", holds: "name = ?", value: |text| Ok(text.into()) },
    ],
};

fn status(text: &str) -> Result<Value, &'static str> {
    Status::parse(text).map(|status| status.as_str().into()).ok_or("active or suspended")
}

impl TenantView {
    /// Of a row of [`GET`] or [`LIST`].
    pub(super) fn of(row: &Row) -> Result<Self, DbError> {
        let status = row.text("status")?;
        let unknown = || DbError::Refused("a tenant's status".to_owned());
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            status: Status::parse(&status).ok_or_else(unknown)?,
            version: row.int("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

pub(super) async fn insert(tx: &mut Tx, tenant: &TenantView) -> Result<(), DbError> {
    let sql = "INSERT INTO tenants (id, name, status, version, created_at, updated_at) \
               VALUES (?, ?, ?, ?, ?, ?)";
    let TenantView { id, name, status, version, created_at, updated_at } = tenant;
    let values = params![id, name, status.as_str(), *version, *created_at, *updated_at];
    tx.execute(sql, values).await.map(drop)
}

pub(super) async fn get(tx: &mut Tx, tenant: &TenantId) -> Result<Option<TenantView>, DbError> {
    let row = tx.row(GET, params![tenant]).await?;
    row.as_ref().map(TenantView::of).transpose()
}

pub(super) async fn update(tx: &mut Tx, tenant: &TenantView) -> Result<(), DbError> {
    let sql = "UPDATE tenants SET name = ?, status = ?, version = ?, updated_at = ? WHERE id = ?";
    let TenantView { id, name, status, version, updated_at, .. } = tenant;
    let values = params![name, status.as_str(), *version, *updated_at, id];
    tx.execute(sql, values).await.map(drop)
}

/// With all that it has, which goes by foreign keys; answers that are kept for repeats have none.
pub(super) async fn delete(tx: &mut Tx, tenant: &TenantId) -> Result<(), DbError> {
    tx.execute("DELETE FROM idempotency_keys WHERE tenant_id = ?", params![tenant]).await?;
    tx.execute("DELETE FROM tenants WHERE id = ?", params![tenant]).await.map(drop)
}
