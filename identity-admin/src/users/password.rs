//! What a user logs in with: set and removed by who administers users. It is hashed before the transaction.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use contracts::identity::ChangeKind;
use contracts::{Scope, TenantId};
use serde::Deserialize;
use serde_json::{Map, Value};
use service_kit::Problem;
use utoipa::ToSchema;

use super::form::{NewUser, UserView};
use super::mutations::{present, touch};
use super::store;
use crate::change::{Answer, Condition, Mutation, Refused, Write};
use crate::credentials::{Password, is_name_of};
use crate::db::{Db, DbError, Row, Tx, params};
use crate::http::{Api, Incoming, Path, problem, read};
use crate::{oauth, rules};

/// What a user is to log in with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordForm {
    /// As long as `passwords.min_length` has it, up to 256 characters, and none of `passwords.blocklist_file`.
    password: Password,
}

/// Sets a user's password. Tokens that were got with the one before are void.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/users/{user}/password", tag = "users",
    request_body = PasswordForm,
    responses((status = 204, description = "It is set.")),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn set_password(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Path<(String, String)>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let PasswordForm { password } = read(&incoming.body)?;
    let hash = hash(&api, &password, "password").await?;
    let condition = incoming.condition();
    let new = Some((password, hash));
    api.change(&caller, &incoming, SetPassword { id, new, condition }).await
}

/// Removes a user's password: nobody logs in as the user, and tokens that were got with it are void.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/users/{user}/password", tag = "users",
    responses((status = 204, description = "There is none.")),
    security(("bearer" = ["identity:write"]))
)]
pub(crate) async fn remove_password(
    State(api): State<Arc<Api>>,
    Path((tenant, id)): Path<(String, String)>,
    incoming: Incoming,
) -> Result<Response, Problem> {
    let caller = incoming.caller(&tenant, Scope::IdentityWrite)?;
    let condition = incoming.condition();
    api.change(&caller, &incoming, SetPassword { id, new: None, condition }).await
}

/// Hashes the password of a user that is to be made, if it has one.
///
/// # Errors
/// 400 for a password that is refused, named by `field`; 503 when too many are hashed, or without
/// `secrets_file`.
pub(crate) async fn hash_password(
    api: &Api,
    new: &mut NewUser,
    field: &str,
) -> Result<(), Problem> {
    let Some(password) = new.password.take() else { return Ok(()) };
    unlike_names(&password, &[&new.email, &new.user_name], field).map_err(problem)?;
    new.hash = Some(hash(api, &password, field).await?);
    Ok(())
}

/// The hash of a password that may be taken, unless it is its user's own name.
///
/// # Errors
/// As [`hash_password`].
pub(crate) async fn hash(api: &Api, password: &Password, field: &str) -> Result<String, Problem> {
    let passwords = &api.credentials()?.passwords;
    let fits = passwords.policy.check(password);
    fits.map_err(|reason| problem(Refused::invalid(field, reason)))?;
    let hash = async { passwords.hash(passwords.place()?, password).await };
    hash.await.map_err(|busy| Problem::unavailable(busy.to_string(), 1))
}

/// That a password is not what its user is called.
///
/// # Errors
/// That it is.
pub(crate) fn unlike(password: &Password, user: &UserView, field: &str) -> Result<(), Refused> {
    let address = user.email.as_deref().unwrap_or_default();
    unlike_names(password, &[address, &user.user_name], field)
}

fn unlike_names(password: &Password, names: &[&str], field: &str) -> Result<(), Refused> {
    if is_name_of(password, names) {
        return Err(Refused::invalid(field, "is the user's own name or address"));
    }
    Ok(())
}

/// What a log-in is checked against.
pub(crate) struct Account {
    /// The user's.
    pub(crate) id: String,
    /// Of its password.
    pub(crate) hash: String,
    /// Whether user and tenant are active.
    pub(crate) may_log_in: bool,
}

/// The user who calls itself so: by its name or, if nobody has that name, by its address.
pub(crate) async fn account(
    db: &Db,
    tenant: &TenantId,
    name: &str,
) -> Result<Option<Account>, DbError> {
    const SELECT: &str = "u.id, u.hashed_password, u.is_active, t.status FROM users u \
                          JOIN tenants t ON t.id = u.tenant_id WHERE u.tenant_id = ?";
    let sql = format!(
        "SELECT 1 AS place, {SELECT} AND u.user_name_key = ? \
         UNION ALL SELECT 2 AS place, {SELECT} AND u.email = ? ORDER BY place"
    );
    // What is no address is nobody's.
    let address = rules::email(name.trim()).unwrap_or_default();
    let row = db.row(sql, params![tenant, rules::called(name), tenant, address]).await?;
    let account = |row: Row| {
        let may_log_in = row.flag("is_active")? && row.text("status")? == "active";
        Ok(Account { id: row.text("id")?, hash: row.text("hashed_password")?, may_log_in })
    };
    row.map(account).transpose()
}

/// Puts another hash of the same password in the place of the one that an account was found with; `false` when it
/// has another by now.
pub(crate) async fn renew_hash(
    db: &Db,
    tenant: &TenantId,
    account: &Account,
    hash: &str,
) -> Result<bool, DbError> {
    let sql = "UPDATE users SET hashed_password = ? \
               WHERE tenant_id = ? AND id = ? AND hashed_password = ?";
    Ok(db.execute(sql, params![hash, tenant, &account.id, &account.hash]).await? > 0)
}

/// Whether a hash is still that of a user who may log in. The user's row is locked: who changes the password comes
/// before, and is seen here, or after, and ends what is done here.
pub(crate) async fn is_still(
    tx: &mut Tx,
    tenant: &TenantId,
    user: &str,
    hash: &str,
) -> Result<bool, DbError> {
    let sql = format!(
        "SELECT hashed_password, is_active FROM users WHERE tenant_id = ? AND id = ?{}",
        tx.lock()
    );
    match tx.row(sql, params![tenant, user]).await? {
        Some(row) => Ok(row.flag("is_active")? && row.text("hashed_password")? == hash),
        None => Ok(false),
    }
}

/// Gives a user another password, or none.
struct SetPassword {
    id: String,
    /// With its hash.
    new: Option<(Password, String)>,
    condition: Condition,
}

impl Mutation for SetPassword {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let mut user = present(write, &self.id, &self.condition).await?;
        give_password(write, &mut user, self.new.as_ref()).await?;
        Ok(Answer::gone())
    }
}

/// Gives a user another password with its hash, or none, as part of a mutation. Tokens that were got with the one
/// before are void.
///
/// # Errors
/// A password that is the user's own name.
pub(crate) async fn give_password(
    write: &mut Write<'_>,
    user: &mut UserView,
    new: Option<&(Password, String)>,
) -> Result<(), Refused> {
    if let Some((password, _)) = new {
        unlike(password, user, "password")?;
    }
    let before = store::hash_of(write.tx, write.tenant, &user.id).await?;
    let hash = new.map(|(_, hash)| hash.as_str());
    if before.is_none() && hash.is_none() {
        return Ok(());
    }
    store::set_hash(write.tx, write.tenant, &user.id, hash).await?;
    touch(write, user).await?;
    let details = Map::from_iter([("part".to_owned(), Value::from("password"))]);
    write.changed_with(ChangeKind::UserUpdated(user.told()?), details);
    if before.is_some() {
        let revoked = oauth::end_sessions(write, &user.id).await?;
        write.changed(ChangeKind::CredentialsRevoked(revoked));
    }
    Ok(())
}
