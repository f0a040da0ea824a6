//! What may be done to a tenant.

use contracts::TenantId;
use contracts::identity::{ChangeKind, Deleted};

use super::form::{CreatedTenant, NewTenant, Status, TenantView};
use super::store;
use crate::change::{Answer, Condition, Mutation, Refused, Write};
use crate::users;

/// Makes a tenant and its first administrator.
pub(super) struct Create(pub(super) NewTenant);

impl Mutation for Create {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let NewTenant { id, name, administrator } = &self.0;
        let tenant = TenantView {
            id: id.to_string(),
            name: name.clone(),
            status: Status::Active,
            version: 1,
            created_at: write.now,
            updated_at: write.now,
        };
        store::insert(write.tx, &tenant).await?;
        write.changed(ChangeKind::TenantCreated(tenant.told(id)));
        let administrator = users::create(write, administrator).await?;
        users::grant_administration(write, &administrator).await?;
        let made = CreatedTenant { tenant, administrator };
        Ok(Answer::shows(201, 1, &made)?.at(format!("/v1/tenants/{id}")))
    }
}

/// Gives a tenant another name.
pub(super) struct Rename {
    pub(super) name: Option<String>,
    pub(super) condition: Condition,
}

impl Mutation for Rename {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let mut tenant = present(write, &self.condition).await?;
        if let Some(name) = self.name.as_ref().filter(|name| **name != tenant.name) {
            may_change(write.tenant)?;
            tenant.name.clone_from(name);
            touch(write, &mut tenant).await?;
            write.changed(ChangeKind::TenantUpdated(tenant.told(write.tenant)));
        }
        Answer::shows(200, tenant.version, &tenant)
    }
}

/// Suspends a tenant, or serves it again.
pub(super) struct SetStatus {
    pub(super) status: Status,
    pub(super) condition: Condition,
}

impl Mutation for SetStatus {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let mut tenant = present(write, &self.condition).await?;
        if tenant.status != self.status {
            may_change(write.tenant)?;
            tenant.status = self.status;
            touch(write, &mut tenant).await?;
            let told = tenant.told(write.tenant);
            write.changed(match self.status {
                Status::Active => ChangeKind::TenantUpdated(told),
                Status::Suspended => ChangeKind::TenantSuspended(told),
            });
        }
        Answer::shows(200, tenant.version, &tenant)
    }
}

/// Deletes a tenant with all that it has. Its number of changes stays, and with it its id.
pub(super) struct Delete(pub(super) Condition);

impl Mutation for Delete {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        present(write, &self.0).await?;
        may_change(write.tenant)?;
        store::delete(write.tx, write.tenant).await?;
        write.changed(ChangeKind::TenantDeleted(Deleted { id: write.tenant.clone() }));
        Ok(Answer::gone())
    }
}

async fn present(write: &mut Write<'_>, condition: &Condition) -> Result<TenantView, Refused> {
    let tenant = store::get(write.tx, write.tenant).await?.ok_or(Refused::Missing("tenant"))?;
    condition.check(tenant.version)?;
    Ok(tenant)
}

async fn touch(write: &mut Write<'_>, tenant: &mut TenantView) -> Result<(), Refused> {
    tenant.version += 1;
    tenant.updated_at = write.now;
    Ok(store::update(write.tx, tenant).await?)
}

/// The platform's own tenant is what migrations made it.
fn may_change(tenant: &TenantId) -> Result<(), Refused> {
    if tenant.as_str() == TenantId::SYSTEM {
        return Err(Refused::Conflict("the system tenant stays as it is"));
    }
    Ok(())
}
