//! Rows of API keys.

use contracts::TenantId;

use super::form::KeyView;
use crate::credentials::Peppered;
use crate::db::{DbError, Row, Tx, params};
use crate::http::{Kind, Listing, Sort};

macro_rules! columns {
    () => {
        "id, tenant_id, service_account_id, name, expires_at, revoked_at, previous_until, last_used_at, \
         version, created_at, updated_at"
    };
}

/// One, by id.
pub(super) const GET: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM api_keys WHERE tenant_id = ? AND service_account_id = ? AND id = ?"
);

/// Those of a service account.
pub(super) static LIST: Listing = Listing {
    name: "api_keys",
    columns: columns!(),
    table: "api_keys",
    bound: "tenant_id = ? AND service_account_id = ?",
    key: Kind::Text,
    sorts: &[Sort { name: "created_at", column: "created_at", kind: Kind::Time }],
    filters: &[],
};

impl KeyView {
    /// Of a row of [`GET`] or [`LIST`].
    pub(super) fn of(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.text("id")?,
            tenant_id: row.text("tenant_id")?,
            service_account_id: row.text("service_account_id")?,
            name: row.text("name")?,
            expires_at: row.opt_time("expires_at")?,
            revoked_at: row.opt_time("revoked_at")?,
            previous_until: row.opt_time("previous_until")?,
            last_used_at: row.opt_time("last_used_at")?,
            version: row.int("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

pub(super) async fn insert(tx: &mut Tx, key: &KeyView, secret: &Peppered) -> Result<(), DbError> {
    let sql = "INSERT INTO api_keys (id, tenant_id, service_account_id, name, secret_hmac, pepper_id, \
               expires_at, version, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        &key.id,
        &key.tenant_id,
        &key.service_account_id,
        &key.name,
        &secret.hmac,
        &secret.pepper,
        key.expires_at,
        key.version,
        key.created_at,
        key.updated_at,
    ];
    tx.execute(sql, values).await.map(drop)
}

pub(super) async fn get(
    tx: &mut Tx,
    tenant: &TenantId,
    (account, id): (&str, &str),
) -> Result<Option<KeyView>, DbError> {
    tx.row(GET, params![tenant, account, id]).await?.as_ref().map(KeyView::of).transpose()
}

/// The present secret becomes the one before.
pub(super) async fn rotate(tx: &mut Tx, key: &KeyView, secret: &Peppered) -> Result<(), DbError> {
    let sql = "UPDATE api_keys SET previous_hmac = secret_hmac, previous_pepper_id = pepper_id, \
               previous_until = ? WHERE tenant_id = ? AND id = ?";
    tx.execute(sql, params![key.previous_until, &key.tenant_id, &key.id]).await?;
    let sql = "UPDATE api_keys SET secret_hmac = ?, pepper_id = ?, version = ?, updated_at = ? \
               WHERE tenant_id = ? AND id = ?";
    let values = params![
        &secret.hmac,
        &secret.pepper,
        key.version,
        key.updated_at,
        &key.tenant_id,
        &key.id,
    ];
    tx.execute(sql, values).await.map(drop)
}

pub(super) async fn revoke(tx: &mut Tx, key: &KeyView) -> Result<(), DbError> {
    let sql = "UPDATE api_keys SET revoked_at = ?, version = ?, updated_at = ? \
               WHERE tenant_id = ? AND id = ?";
    let values = params![key.revoked_at, key.version, key.updated_at, &key.tenant_id, &key.id];
    tx.execute(sql, values).await.map(drop)
}
