//! What may be done to a service account.

use contracts::identity::{ChangeKind, Deleted};
use uuid::Uuid;

use super::form::{NewServiceAccount, ServiceAccountPatch, ServiceAccountView};
use super::store;
use crate::change::{Answer, Condition, Mutation, Refused, Write};

/// Makes a service account of that name, as part of a mutation; its id.
///
/// # Errors
/// [`Refused::Taken`] for a name that another has.
pub(crate) async fn create(write: &mut Write<'_>, name: &str) -> Result<String, Refused> {
    let (description, attributes) = (None, serde_json::Map::new());
    let new = NewServiceAccount { name: name.to_owned(), description, attributes };
    Ok(make(write, &new).await?.id)
}

async fn make(
    write: &mut Write<'_>,
    new: &NewServiceAccount,
) -> Result<ServiceAccountView, Refused> {
    let NewServiceAccount { name, description, attributes } = new;
    let account = ServiceAccountView {
        id: Uuid::now_v7().to_string(),
        tenant_id: write.tenant.to_string(),
        name: name.clone(),
        description: description.clone(),
        active: true,
        attributes: attributes.clone(),
        version: 1,
        created_at: write.now,
        updated_at: write.now,
    };
    store::insert(write.tx, &account).await?;
    write.changed(ChangeKind::ServiceAccountCreated(account.told()?));
    Ok(account)
}

/// Makes a service account.
pub(super) struct Create(pub(super) NewServiceAccount);

impl Mutation for Create {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let account = make(write, &self.0).await?;
        let location = format!("/v1/tenants/{}/service-accounts/{}", write.tenant, account.id);
        Ok(Answer::shows(201, 1, &account)?.at(location))
    }
}

/// Changes a service account by a merge patch.
pub(super) struct Change {
    pub(super) id: String,
    pub(super) patch: ServiceAccountPatch,
    pub(super) condition: Condition,
}

impl Mutation for Change {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let account = present(write, &self.id, &self.condition).await?;
        let mut new = self.patch.apply(&account)?;
        if new != account {
            touch(write, &mut new).await?;
            write.changed(ChangeKind::ServiceAccountUpdated(new.told()?));
        }
        Answer::shows(200, new.version, &new)
    }
}

/// Deactivates a service account, or reactivates it.
pub(super) struct SetActive {
    pub(super) id: String,
    pub(super) active: bool,
    pub(super) condition: Condition,
}

impl Mutation for SetActive {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let mut account = present(write, &self.id, &self.condition).await?;
        if account.active != self.active {
            account.active = self.active;
            touch(write, &mut account).await?;
            let told = account.told()?;
            write.changed(if self.active {
                ChangeKind::ServiceAccountReactivated(told)
            } else {
                ChangeKind::ServiceAccountDeactivated(told)
            });
        }
        Answer::shows(200, account.version, &account)
    }
}

/// Deletes a service account with all that it has.
pub(super) struct Delete {
    pub(super) id: String,
    pub(super) condition: Condition,
}

impl Mutation for Delete {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let account = present(write, &self.id, &self.condition).await?;
        store::delete(write.tx, write.tenant, &self.id).await?;
        let id = account.told()?.id;
        write.changed(ChangeKind::ServiceAccountDeleted(Deleted { id }));
        Ok(Answer::gone())
    }
}

async fn present(
    write: &mut Write<'_>,
    id: &str,
    condition: &Condition,
) -> Result<ServiceAccountView, Refused> {
    let account = store::get(write.tx, write.tenant, id).await?;
    let account = account.ok_or(Refused::Missing("service account"))?;
    condition.check(account.version)?;
    Ok(account)
}

async fn touch(write: &mut Write<'_>, account: &mut ServiceAccountView) -> Result<(), Refused> {
    account.version += 1;
    account.updated_at = write.now;
    Ok(store::update(write.tx, account).await?)
}
