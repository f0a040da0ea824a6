//! Many users in a few statements.

use std::collections::{BTreeSet, HashMap, HashSet};

use contracts::TenantId;
use contracts::identity::ChangeKind;

use super::form::{NewUser, UserView};
use super::settings::NewSettings;
use super::store;
use crate::change::{Refused, Write};
use crate::db::{DbError, Tx, Value, places};

/// A user that is to be made with others.
pub(crate) struct Imported {
    pub(super) user: UserView,
    pub(super) hash: Option<String>,
    pub(super) settings: NewSettings,
}

impl Imported {
    /// One with an id of its own; without a hash it has no password.
    pub(crate) fn new(write: &Write<'_>, new: &NewUser, hash: Option<&str>) -> Self {
        let user = UserView::new(write, new);
        Self { user, hash: hash.map(str::to_owned), settings: new.settings.clone() }
    }

    pub(crate) fn id(&self) -> &str {
        &self.user.id
    }
}

/// Makes them with their settings. That nobody has their addresses and names was seen under the tenant's lock.
///
/// # Errors
/// What the database brings.
pub(crate) async fn insert_all(write: &mut Write<'_>, all: &[Imported]) -> Result<(), Refused> {
    store::insert_all(write.tx, all).await?;
    for one in all {
        write.changed(ChangeKind::UserCreated(one.user.told()?));
    }
    Ok(())
}

/// Which of some addresses users have.
pub(crate) async fn taken_emails(
    tx: &mut Tx,
    tenant: &TenantId,
    emails: impl Iterator<Item = &str>,
) -> Result<HashSet<String>, DbError> {
    let emails: BTreeSet<&str> = emails.collect();
    Ok(ids_by_email(tx, tenant, emails).await?.into_keys().collect())
}

/// Which of some names, without regard to case, users have.
pub(crate) async fn taken_names(
    tx: &mut Tx,
    tenant: &TenantId,
    names: BTreeSet<String>,
) -> Result<HashSet<String>, DbError> {
    if names.is_empty() {
        return Ok(HashSet::new());
    }
    let places = places(names.len());
    let sql = format!(
        "SELECT user_name_key FROM users WHERE tenant_id = ? AND user_name_key IN ({places})"
    );
    let mut values: Vec<Value> = vec![tenant.into()];
    values.extend(names.into_iter().map(Value::from));
    tx.rows(sql, &values).await?.iter().map(|row| row.text("user_name_key")).collect()
}

/// The ids of users with some addresses.
pub(crate) async fn ids_by_email(
    tx: &mut Tx,
    tenant: &TenantId,
    emails: BTreeSet<&str>,
) -> Result<HashMap<String, String>, DbError> {
    if emails.is_empty() {
        return Ok(HashMap::new());
    }
    let places = places(emails.len());
    let sql = format!("SELECT id, email FROM users WHERE tenant_id = ? AND email IN ({places})");
    let mut values: Vec<Value> = vec![tenant.into()];
    values.extend(emails.into_iter().map(Value::from));
    let rows = tx.rows(sql, &values).await?;
    rows.iter().map(|row| Ok((row.text("email")?, row.text("id")?))).collect()
}
