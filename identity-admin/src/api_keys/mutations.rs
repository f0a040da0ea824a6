//! What may be done to an API key.

use contracts::identity::ChangeKind;
use uuid::Uuid;

use super::form::{KeyView, KeyWithSecret, NewKey};
use super::store;
use crate::change::{Answer, Condition, Mutation, Refused, Write};
use crate::credentials::Peppered;
use crate::scopes::{self, Holder};
use crate::service_accounts;

/// A secret that was made for a key: its text, and what is stored of it.
pub(crate) struct Secret {
    pub(crate) text: String,
    pub(crate) stored: Peppered,
}

/// Makes a key.
pub(crate) struct Create {
    pub(crate) account: String,
    pub(crate) new: NewKey,
    pub(crate) secret: Secret,
}

/// Makes a key of a service account that is there, as part of a mutation.
///
/// # Errors
/// What the account may not.
pub(crate) async fn create(
    write: &mut Write<'_>,
    account: &str,
    new: &NewKey,
    secret: &Peppered,
) -> Result<KeyView, Refused> {
    let NewKey { name, scopes, expires_at } = new;
    if expires_at.is_some_and(|ends| ends <= write.now) {
        return Err(Refused::invalid("expires_at", "is past"));
    }
    let held = scopes::held(write.tx, write.tenant, Holder::ServiceAccount(account)).await?;
    if scopes.iter().any(|scope| !held.contains(scope)) {
        return Err(Refused::invalid("scopes", "more than its service account has"));
    }
    let key = KeyView {
        id: Uuid::now_v7().to_string(),
        tenant_id: write.tenant.to_string(),
        service_account_id: account.to_owned(),
        name: name.clone(),
        expires_at: *expires_at,
        revoked_at: None,
        previous_until: None,
        last_used_at: None,
        version: 1,
        created_at: write.now,
        updated_at: write.now,
    };
    store::insert(write.tx, &key, secret).await?;
    scopes::grant(write, Holder::ApiKey(&key.id), scopes).await?;
    write.changed(ChangeKind::ApiKeyCreated(key.told()?));
    Ok(key)
}

impl Mutation for Create {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        if !service_accounts::exists(write.tx, write.tenant, &self.account).await? {
            return Err(Refused::Missing("service account"));
        }
        let key = create(write, &self.account, &self.new, &self.secret.stored).await?;
        let location = format!(
            "/v1/tenants/{}/service-accounts/{}/keys/{}",
            write.tenant, self.account, key.id
        );
        let shown = KeyWithSecret { key, secret: self.secret.text.clone() };
        Ok(Answer::shows(201, 1, &shown)?.at(location).secret())
    }
}

/// Gives a key another secret; the former one goes on for a while.
pub(super) struct Rotate {
    pub(super) account: String,
    pub(super) id: String,
    pub(super) overlap: chrono::Duration,
    pub(super) secret: Secret,
    pub(super) condition: Condition,
}

impl Mutation for Rotate {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let named = (self.account.as_str(), self.id.as_str());
        let mut key = present(write, named, &self.condition).await?;
        if key.revoked_at.is_some() {
            return Err(Refused::Conflict("the key is revoked"));
        }
        key.previous_until = Some(write.now + self.overlap);
        key.version += 1;
        key.updated_at = write.now;
        store::rotate(write.tx, &key, &self.secret.stored).await?;
        write.changed(ChangeKind::ApiKeyRotated(key.told()?));
        let version = key.version;
        let shown = KeyWithSecret { key, secret: self.secret.text.clone() };
        Ok(Answer::shows(200, version, &shown)?.secret())
    }
}

/// Voids a key, for good. It stays to be seen.
#[derive(Debug)]
pub(crate) struct Revoke {
    pub(crate) account: String,
    pub(crate) id: String,
    pub(crate) condition: Condition,
}

impl Mutation for Revoke {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let named = (self.account.as_str(), self.id.as_str());
        let mut key = present(write, named, &self.condition).await?;
        if key.revoked_at.is_none() {
            key.revoked_at = Some(write.now);
            key.version += 1;
            key.updated_at = write.now;
            store::revoke(write.tx, &key).await?;
            write.changed(ChangeKind::ApiKeyRevoked(key.told()?));
        }
        Ok(Answer::gone())
    }
}

async fn present(
    write: &mut Write<'_>,
    named: (&str, &str),
    condition: &Condition,
) -> Result<KeyView, Refused> {
    let key = store::get(write.tx, write.tenant, named).await?;
    let key = key.ok_or(Refused::Missing("key"))?;
    condition.check(key.version)?;
    Ok(key)
}
