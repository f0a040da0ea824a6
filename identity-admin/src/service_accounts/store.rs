//! Rows of service accounts.

use contracts::TenantId;

use super::form::ServiceAccountView;
use crate::db::{DbError, Row, Tx, params};
use crate::http::{Filter, Kind, Listing, Sort, truth};

macro_rules! columns {
    () => {
        "id, tenant_id, name, description, is_active, attributes, version, created_at, updated_at"
    };
}

/// One, by id.
pub(super) const GET: &str =
    concat!("SELECT ", columns!(), " FROM service_accounts WHERE tenant_id = ? AND id = ?");

/// A page of all of them, by id.
pub(crate) const SNAPSHOT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM service_accounts WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?"
);

/// What others are told of the service account of a row.
pub(crate) fn told(row: &Row) -> Result<contracts::identity::ServiceAccount, DbError> {
    ServiceAccountView::of(row)?.told()
}

/// Those of a tenant.
pub(super) static LIST: Listing = Listing {
    name: "service_accounts",
    columns: columns!(),
    table: "service_accounts",
    bound: "tenant_id = ?",
    key: Kind::Text,
    sorts: &[
        Sort { name: "created_at", column: "created_at", kind: Kind::Time },
        Sort { name: "name", column: "name", kind: Kind::Text },
    ],
    filters: &[
        Filter { name: "name", holds: "name = ?", value: |text| Ok(text.into()) },
        Filter { name: "active", holds: "is_active = ?", value: truth },
    ],
};

impl ServiceAccountView {
    /// Of a row of [`GET`] or [`LIST`].
    pub(super) fn of(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.text("id")?,
            tenant_id: row.text("tenant_id")?,
            name: row.text("name")?,
            description: row.opt_text("description")?,
            active: row.flag("is_active")?,
            attributes: row.json("attributes")?,
            version: row.int("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }

    fn attributes(&self) -> Result<String, DbError> {
        let text = serde_json::to_string(&self.attributes);
        text.map_err(|error| DbError::Refused(error.to_string()))
    }
}

pub(super) async fn insert(tx: &mut Tx, account: &ServiceAccountView) -> Result<(), DbError> {
    let sql = "INSERT INTO service_accounts (id, tenant_id, name, description, is_active, attributes, \
               version, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        &account.id,
        &account.tenant_id,
        &account.name,
        &account.description,
        account.active,
        account.attributes()?,
        account.version,
        account.created_at,
        account.updated_at,
    ];
    tx.execute(sql, values).await.map(drop)
}

pub(super) async fn update(tx: &mut Tx, account: &ServiceAccountView) -> Result<(), DbError> {
    let sql = "UPDATE service_accounts SET name = ?, description = ?, is_active = ?, attributes = ?, \
               version = ?, updated_at = ? WHERE tenant_id = ? AND id = ?";
    let values = params![
        &account.name,
        &account.description,
        account.active,
        account.attributes()?,
        account.version,
        account.updated_at,
        &account.tenant_id,
        &account.id,
    ];
    tx.execute(sql, values).await.map(drop)
}

/// With keys, scopes and memberships, which go by foreign keys.
pub(super) async fn delete(tx: &mut Tx, tenant: &TenantId, id: &str) -> Result<(), DbError> {
    let sql = "DELETE FROM service_accounts WHERE tenant_id = ? AND id = ?";
    tx.execute(sql, params![tenant, id]).await.map(drop)
}

pub(super) async fn get(
    tx: &mut Tx,
    tenant: &TenantId,
    id: &str,
) -> Result<Option<ServiceAccountView>, DbError> {
    tx.row(GET, params![tenant, id]).await?.as_ref().map(ServiceAccountView::of).transpose()
}

/// What others are told of a service account.
pub(crate) async fn told_of(
    tx: &mut Tx,
    tenant: &TenantId,
    id: &str,
) -> Result<Option<contracts::identity::ServiceAccount>, DbError> {
    get(tx, tenant, id).await?.map(|account| account.told()).transpose()
}

/// Whether the tenant has that service account.
pub(crate) async fn exists(tx: &mut Tx, tenant: &TenantId, id: &str) -> Result<bool, DbError> {
    let sql = "SELECT id FROM service_accounts WHERE tenant_id = ? AND id = ?";
    Ok(tx.row(sql, params![tenant, id]).await?.is_some())
}
