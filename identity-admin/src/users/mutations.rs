//! What may be done to a user.

use contracts::Scope;
use contracts::identity::{ChangeKind, Deleted};
use serde_json::{Map, Value};

use super::form::{NewUser, Patch, UserView, external};
use super::settings::{NewSettings, SettingsPatch, SettingsView};
use super::store;
use crate::change::{Answer, Condition, Mutation, Refused, Write};
use crate::oauth;
use crate::scopes::{self, Holder};

/// What a tenant's first user may do there.
const ADMINISTRATION: &[Scope] = &[
    Scope::TenantAdmin,
    Scope::IdentityRead,
    Scope::IdentityWrite,
    Scope::AuthzCheck,
    Scope::AuthzWrite,
    Scope::AuditRead,
];

/// Makes a user and its settings, as part of a mutation.
///
/// # Errors
/// [`Refused::Taken`] for an address or a user name that another has.
pub(crate) async fn create(write: &mut Write<'_>, new: &NewUser) -> Result<UserView, Refused> {
    let user = UserView::new(write, new);
    make(write, &user, new.hash.as_deref(), &new.settings).await?;
    Ok(user)
}

/// Stores a user and its settings, as part of a mutation; without the hash of a password, nobody logs in as it.
///
/// # Errors
/// [`Refused::Taken`] for an address or a user name that another has.
pub(crate) async fn make(
    write: &mut Write<'_>,
    user: &UserView,
    hash: Option<&str>,
    settings: &NewSettings,
) -> Result<(), Refused> {
    store::insert(write.tx, user, hash).await?;
    store::insert_settings(write.tx, user, settings).await?;
    write.changed(ChangeKind::UserCreated(user.told()?));
    Ok(())
}

/// Makes a user what it shall be, as part of a mutation; the user as it is then. One that becomes inactive loses its
/// tokens.
///
/// # Errors
/// As [`make`].
pub(crate) async fn alter(
    write: &mut Write<'_>,
    old: &UserView,
    mut new: UserView,
) -> Result<UserView, Refused> {
    if new == *old {
        return Ok(new);
    }
    touch(write, &mut new).await?;
    let told = new.told()?;
    let UserView { active, version, updated_at, .. } = old.clone();
    if (UserView { active, version, updated_at, ..new.clone() }) != *old {
        write.changed(ChangeKind::UserUpdated(told.clone()));
    }
    match (old.active, new.active) {
        (true, false) => {
            oauth::end_sessions(write, &new.id).await?;
            write.changed(ChangeKind::UserDeactivated(told));
        }
        (false, true) => write.changed(ChangeKind::UserReactivated(told)),
        _ => {}
    }
    Ok(new)
}

/// Lets a user that was just made administer its tenant.
///
/// # Errors
/// What the database brings.
pub(crate) async fn grant_administration(
    write: &mut Write<'_>,
    user: &UserView,
) -> Result<(), Refused> {
    scopes::grant(write, Holder::User(&user.id), ADMINISTRATION).await
}

/// Makes a user and its settings.
pub(super) struct Create(pub(super) NewUser);

impl Mutation for Create {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let user = create(write, &self.0).await?;
        let location = format!("/v1/tenants/{}/users/{}", write.tenant, user.id);
        Ok(Answer::shows(201, 1, &user)?.at(location))
    }
}

/// Changes a user by a merge patch.
pub(super) struct Change {
    pub(super) id: String,
    pub(super) patch: Patch,
    pub(super) condition: Condition,
}

impl Mutation for Change {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let user = present(write, &self.id, &self.condition).await?;
        let new = alter(write, &user, self.patch.apply(&user)?).await?;
        Answer::shows(200, new.version, &new)
    }
}

/// Deactivates a user, or reactivates it.
pub(super) struct SetActive {
    pub(super) id: String,
    pub(super) active: bool,
    pub(super) condition: Condition,
}

impl Mutation for SetActive {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let user = present(write, &self.id, &self.condition).await?;
        let new = UserView { active: self.active, ..user.clone() };
        let new = alter(write, &user, new).await?;
        Answer::shows(200, new.version, &new)
    }
}

/// Deletes a user with all that it has.
pub(crate) struct Delete {
    pub(crate) id: String,
    pub(crate) condition: Condition,
}

impl Mutation for Delete {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let UserView { id, .. } = present(write, &self.id, &self.condition).await?;
        store::delete(write.tx, write.tenant, &id).await?;
        write.changed(ChangeKind::UserDeleted(Deleted { id: external(&id)? }));
        Ok(Answer::gone())
    }
}

/// How settings are changed.
pub(super) enum NewHeld {
    /// All of them; the client says what it replaces.
    Replaced(NewSettings),
    /// What a merge patch names.
    Patched(SettingsPatch),
}

/// Changes a user's settings.
pub(super) struct ChangeSettings {
    pub(super) user: String,
    pub(super) new: NewHeld,
    pub(super) condition: Condition,
}

impl Mutation for ChangeSettings {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let found = store::get_settings(write.tx, write.tenant, &self.user).await?;
        let present = found.ok_or(Refused::Missing("user"))?;
        let new = match &self.new {
            NewHeld::Replaced(new) => {
                self.condition.require(present.version)?;
                new.clone()
            }
            NewHeld::Patched(patch) => {
                self.condition.check(present.version)?;
                patch.apply(&present)?
            }
        };
        if new == present.held() {
            return Answer::shows(200, present.version, &present);
        }
        let NewSettings { locale, time_zone, preferences } = new;
        let version = present.version + 1;
        let new = SettingsView { locale, time_zone, preferences, version, updated_at: write.now };
        store::update_settings(write.tx, write.tenant, &self.user, &new).await?;
        self.tell(write).await?;
        Answer::shows(200, new.version, &new)
    }
}

impl ChangeSettings {
    /// Settings are of no interest elsewhere, but that they changed is audited, and it takes a number.
    async fn tell(&self, write: &mut Write<'_>) -> Result<(), Refused> {
        let user = store::get(write.tx, write.tenant, &self.user).await?;
        let user = user.ok_or(Refused::Missing("user"))?;
        let details = Map::from_iter([("part".to_owned(), Value::from("settings"))]);
        write.changed_with(ChangeKind::UserUpdated(user.told()?), details);
        Ok(())
    }
}

/// A user that may be changed.
///
/// # Errors
/// That there is none, or another version of it.
pub(crate) async fn present(
    write: &mut Write<'_>,
    id: &str,
    condition: &Condition,
) -> Result<UserView, Refused> {
    let user = store::get(write.tx, write.tenant, id).await?.ok_or(Refused::Missing("user"))?;
    condition.check(user.version)?;
    Ok(user)
}

pub(super) async fn touch(write: &mut Write<'_>, user: &mut UserView) -> Result<(), Refused> {
    user.version += 1;
    user.updated_at = write.now;
    Ok(store::update(write.tx, user).await?)
}
