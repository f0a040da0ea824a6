//! Rows of users and of their settings.

use contracts::TenantId;
use serde_json::Value as Json;

use super::form::UserView;
use super::import::Imported;
use super::settings::{NewSettings, SettingsView};
use crate::credentials::UNUSABLE;
use crate::db::{DbError, Row, Tx, Value, exact, params};
use crate::http::{Filter, Kind, Listing, Sort, truth};
use crate::rules;

macro_rules! columns {
    () => {
        "id, tenant_id, email, user_name, user_name_key, display_name, external_id, scim, is_active, \
         attributes, version, created_at, updated_at"
    };
}

/// What is selected of users.
pub(crate) const COLUMNS: &str = columns!();

/// One, by id.
pub(super) const GET: &str =
    concat!("SELECT ", columns!(), " FROM users WHERE tenant_id = ? AND id = ?");

/// One, by address.
pub(super) const GET_BY_EMAIL: &str =
    concat!("SELECT ", columns!(), " FROM users WHERE tenant_id = ? AND email = ?");

/// The settings of one.
pub(super) const GET_SETTINGS: &str = "SELECT locale, time_zone, preferences, version, updated_at \
     FROM user_settings WHERE tenant_id = ? AND user_id = ?";

/// A page of all of them, by id.
pub(crate) const SNAPSHOT: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM users WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?"
);

/// What others are told of the user of a row.
pub(crate) fn told(row: &Row) -> Result<contracts::identity::User, DbError> {
    UserView::of(row)?.told()
}

/// Those of a tenant.
pub(super) static LIST: Listing = Listing {
    name: "users",
    columns: columns!(),
    table: "users",
    bound: "tenant_id = ?",
    key: Kind::Text,
    sorts: &[
        Sort { name: "created_at", column: "created_at", kind: Kind::Time },
        Sort { name: "user_name", column: "user_name_key", kind: Kind::Text },
    ],
    filters: &[
        Filter {
            name: "email",
            holds: "email = ?",
            value: |text| rules::email(text).map(Value::Text),
        },
        Filter {
            name: "user_name",
            holds: "user_name_key = ?",
            value: |text| Ok(rules::folded(text).into()),
        },
        Filter { name: "active", holds: "is_active = ?", value: truth },
    ],
};

impl UserView {
    /// Of a row of [`GET`], [`GET_BY_EMAIL`] or [`LIST`].
    pub(crate) fn of(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.text("id")?,
            tenant_id: row.text("tenant_id")?,
            email: row.opt_text("email")?,
            user_name: row.text("user_name")?,
            display_name: row.opt_text("display_name")?,
            external_id: row.opt_text("external_id")?,
            scim: row.opt_text("scim")?,
            active: row.flag("is_active")?,
            attributes: row.json("attributes")?,
            version: row.int("version")?,
            created_at: row.time("created_at")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

impl SettingsView {
    /// Of a row of [`GET_SETTINGS`].
    pub(super) fn of(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            locale: row.text("locale")?,
            time_zone: row.text("time_zone")?,
            preferences: row.json("preferences")?,
            version: row.int("version")?,
            updated_at: row.time("updated_at")?,
        })
    }
}

fn text(object: &serde_json::Map<String, Json>) -> Result<String, DbError> {
    serde_json::to_string(object).map_err(|error| DbError::Refused(error.to_string()))
}

/// A user; without the hash of a password, nobody logs in as it.
pub(super) async fn insert(
    tx: &mut Tx,
    user: &UserView,
    hash: Option<&str>,
) -> Result<(), DbError> {
    let sql = "INSERT INTO users (id, tenant_id, email, hashed_password, user_name, user_name_key, \
               display_name, external_id, scim, is_active, attributes, version, created_at, updated_at) \
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        &user.id,
        &user.tenant_id,
        &user.email,
        hash.unwrap_or(UNUSABLE),
        &user.user_name,
        rules::folded(&user.user_name),
        &user.display_name,
        exact(user.external_id.as_deref()),
        &user.scim,
        user.active,
        text(&user.attributes)?,
        user.version,
        user.created_at,
        user.updated_at,
    ];
    match tx.execute(sql, values).await {
        Err(error) => Err(taken(tx, user, error).await),
        Ok(_) => Ok(()),
    }
}

/// Users that nobody stands in the way of, with their settings.
pub(super) async fn insert_all(tx: &mut Tx, all: &[Imported]) -> Result<(), DbError> {
    // A statement takes only so many parameters.
    for some in all.chunks(1000) {
        insert_some(tx, some).await?;
    }
    Ok(())
}

async fn insert_some(tx: &mut Tx, some: &[Imported]) -> Result<(), DbError> {
    let (mut users, mut settings) = (Vec::new(), Vec::new());
    for Imported { user, hash, settings: own } in some {
        let hash = hash.as_deref().unwrap_or(UNUSABLE);
        let row: [Value; 12] = [
            (&user.id).into(),
            (&user.tenant_id).into(),
            (&user.email).into(),
            hash.into(),
            (&user.user_name).into(),
            rules::folded(&user.user_name).into(),
            (&user.display_name).into(),
            user.active.into(),
            text(&user.attributes)?.into(),
            user.version.into(),
            user.created_at.into(),
            user.updated_at.into(),
        ];
        users.extend(row);
        let row: [Value; 6] = [
            (&user.tenant_id).into(),
            (&user.id).into(),
            (&own.locale).into(),
            (&own.time_zone).into(),
            text(&own.preferences)?.into(),
            user.created_at.into(),
        ];
        settings.extend(row);
    }
    let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"; some.len()].join(", ");
    let sql = format!(
        "INSERT INTO users (id, tenant_id, email, hashed_password, user_name, user_name_key, \
         display_name, is_active, attributes, version, created_at, updated_at) VALUES {rows}"
    );
    tx.execute(sql, &users).await?;
    let rows = vec!["(?, ?, ?, ?, ?, 1, ?)"; some.len()].join(", ");
    let sql = format!(
        "INSERT INTO user_settings \
         (tenant_id, user_id, locale, time_zone, preferences, version, updated_at) VALUES {rows}"
    );
    tx.execute(sql, &settings).await.map(drop)
}

/// Which of its values another user has. When an address and the name made of it are both taken, databases
/// name either, and the client sent the address.
async fn taken(tx: &mut Tx, user: &UserView, error: DbError) -> DbError {
    if !matches!(error, DbError::Duplicate { .. }) {
        return error;
    }
    let sql = "SELECT id FROM users WHERE tenant_id = ? AND email = ? AND id <> ?";
    match tx.row(sql, params![&user.tenant_id, &user.email, &user.id]).await {
        Ok(Some(_)) => DbError::Duplicate { field: "email".to_owned() },
        Ok(None) => error,
        Err(error) => error,
    }
}

pub(super) async fn update(tx: &mut Tx, user: &UserView) -> Result<(), DbError> {
    let sql = "UPDATE users SET email = ?, user_name = ?, user_name_key = ?, display_name = ?, \
               external_id = ?, scim = ?, is_active = ?, attributes = ?, version = ?, updated_at = ? \
               WHERE tenant_id = ? AND id = ?";
    let values = params![
        &user.email,
        &user.user_name,
        rules::folded(&user.user_name),
        &user.display_name,
        exact(user.external_id.as_deref()),
        &user.scim,
        user.active,
        text(&user.attributes)?,
        user.version,
        user.updated_at,
        &user.tenant_id,
        &user.id,
    ];
    match tx.execute(sql, values).await {
        Err(error) => Err(taken(tx, user, error).await),
        Ok(_) => Ok(()),
    }
}

/// The stored hash of a user's password.
pub(super) async fn hash_of(
    tx: &mut Tx,
    tenant: &TenantId,
    id: &str,
) -> Result<Option<String>, DbError> {
    let sql = "SELECT hashed_password FROM users WHERE tenant_id = ? AND id = ?";
    let row = tx.row(sql, params![tenant, id]).await?;
    let hash = row.map(|row| row.text("hashed_password")).transpose()?;
    Ok(hash.filter(|hash| hash != UNUSABLE))
}

/// Gives a user another password, or none.
pub(super) async fn set_hash(
    tx: &mut Tx,
    tenant: &TenantId,
    id: &str,
    hash: Option<&str>,
) -> Result<(), DbError> {
    let sql = "UPDATE users SET hashed_password = ? WHERE tenant_id = ? AND id = ?";
    tx.execute(sql, params![hash.unwrap_or(UNUSABLE), tenant, id]).await.map(drop)
}

/// With settings, scopes and memberships, which go by foreign keys.
pub(super) async fn delete(tx: &mut Tx, tenant: &TenantId, id: &str) -> Result<(), DbError> {
    let sql = "DELETE FROM users WHERE tenant_id = ? AND id = ?";
    tx.execute(sql, params![tenant, id]).await.map(drop)
}

pub(crate) async fn get(
    tx: &mut Tx,
    tenant: &TenantId,
    id: &str,
) -> Result<Option<UserView>, DbError> {
    tx.row(GET, params![tenant, id]).await?.as_ref().map(UserView::of).transpose()
}

/// What others are told of a user.
pub(crate) async fn told_of(
    tx: &mut Tx,
    tenant: &TenantId,
    id: &str,
) -> Result<Option<contracts::identity::User>, DbError> {
    get(tx, tenant, id).await?.map(|user| user.told()).transpose()
}

/// Whether the tenant has that user.
pub(crate) async fn exists(tx: &mut Tx, tenant: &TenantId, id: &str) -> Result<bool, DbError> {
    let sql = "SELECT id FROM users WHERE tenant_id = ? AND id = ?";
    Ok(tx.row(sql, params![tenant, id]).await?.is_some())
}

pub(super) async fn insert_settings(
    tx: &mut Tx,
    user: &UserView,
    settings: &NewSettings,
) -> Result<(), DbError> {
    let sql = "INSERT INTO user_settings \
               (tenant_id, user_id, locale, time_zone, preferences, version, updated_at) \
               VALUES (?, ?, ?, ?, ?, 1, ?)";
    let NewSettings { locale, time_zone, preferences } = settings;
    let preferences = text(preferences)?;
    let values =
        params![&user.tenant_id, &user.id, locale, time_zone, preferences, user.created_at];
    tx.execute(sql, values).await.map(drop)
}

pub(super) async fn get_settings(
    tx: &mut Tx,
    tenant: &TenantId,
    user: &str,
) -> Result<Option<SettingsView>, DbError> {
    tx.row(GET_SETTINGS, params![tenant, user]).await?.as_ref().map(SettingsView::of).transpose()
}

pub(super) async fn update_settings(
    tx: &mut Tx,
    tenant: &TenantId,
    user: &str,
    settings: &SettingsView,
) -> Result<(), DbError> {
    let sql = "UPDATE user_settings \
               SET locale = ?, time_zone = ?, preferences = ?, version = ?, updated_at = ? \
               WHERE tenant_id = ? AND user_id = ?";
    let SettingsView { locale, time_zone, preferences, version, updated_at } = settings;
    let preferences = text(preferences)?;
    let values = params![locale, time_zone, preferences, *version, *updated_at, tenant, user];
    tx.execute(sql, values).await.map(drop)
}
