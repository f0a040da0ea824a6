//! `POST /oauth2/revoke` (RFC 7009): a token or an API key is void from now on.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use contracts::identity::{ChangeKind, Revocation};
use contracts::{ExternalId, Scope, TenantId};

use super::client::{Standing, of_key};
use super::introspect::{Asker, verified};
use super::sessions::is_refresh;
use super::{Fault, refresh, uncached};
use crate::api_keys;
use crate::change::{Answer, Condition, Mutation, Opening, Refused, Request, Write};
use crate::credentials::is_key;
use crate::db::{DbError, params};
use crate::http::{Api, Posted, unbroken};

/// Voids a token or an API key: one's own, or with `tenant:admin` any of the tenant. A refresh token takes
/// those of its session with it; its client sends `client_id` and needs no other proof. What is not known is void already.
#[utoipa::path(
    post, path = "/oauth2/revoke", tag = "tokens",
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "`token`."),
    responses(
        (status = 200, description = "It lets nobody in any more."),
        (status = 400, description = "`error` and `error_description`, as RFC 6749 has them.", body = Value),
        (status = 401, description = "Nobody who is known.", body = Value),
    ),
    security(("client" = []), ("bearer" = ["tenant:admin"]))
)]
pub(crate) async fn revoke(State(api): State<Arc<Api>>, posted: Posted) -> Result<Response, Fault> {
    let revoked = unbroken(async move { void(&api, &posted).await }).await;
    revoked.unwrap_or_else(|| Err(Fault::server()))
}

async fn void(api: &Api, posted: &Posted) -> Result<Response, Fault> {
    let oauth = api.oauth()?;
    let form = posted.form()?;
    let token = form.get("token").ok_or_else(|| Fault::request("token is missing"))?;
    // Its clients have no secret; having the token is all that there is to prove.
    if is_refresh(token) {
        refresh::revoke(api, posted, &form, token).await?;
        return Ok((uncached(), StatusCode::OK).into_response());
    }
    let asker = Asker::of(api, posted, &form).await?;
    let now = api.core.clock.now();
    let foreign = || {
        let description = "it is not the caller's";
        Fault::new(StatusCode::BAD_REQUEST, "unauthorized_client", description)
    };
    if is_key(token) {
        let found = of_key(api, oauth, token, now).await?;
        if let Standing::Good(client) | Standing::Void(client, _) = found {
            let is_own = asker.account.as_ref() == Some(&client.account);
            let administers = asker.has(Scope::TenantAdmin);
            if !asker.reaches(&client.tenant) || !(is_own || administers) {
                return Err(foreign());
            }
            let (account, id) = (client.account.clone(), client.key.clone());
            let revoke = api_keys::Revoke { account, id, condition: Condition::Absent };
            run(api, posted, &asker.subject, &client.tenant, revoke).await?;
        }
    } else if let Some(claims) = verified(oauth, token, now) {
        let is_own = asker.subject == claims.sub;
        if !asker.reaches(&claims.tid) || !(is_own || asker.has(Scope::TenantAdmin)) {
            return Err(foreign());
        }
        let jti = ExternalId::parse(&claims.jti.to_string()).map_err(|_| Fault::server())?;
        let ends = DateTime::from_timestamp(claims.exp, 0).unwrap_or_default();
        run(api, posted, &asker.subject, &claims.tid, VoidToken { jti, ends }).await?;
    }
    Ok((uncached(), StatusCode::OK).into_response())
}

/// Makes a mutation by which something is void; that it is not there any more is as good.
pub(super) async fn run(
    api: &Api,
    posted: &Posted,
    subject: &str,
    tenant: &TenantId,
    mutation: impl Mutation,
) -> Result<(), Fault> {
    let author = posted.author(subject.to_owned());
    let tenant = tenant.clone();
    let request = Request { tenant, opening: Opening::Existing, author, key: None };
    match api.core.run(&request, &mutation).await {
        Ok(_) | Err(Refused::Missing(_)) => Ok(()),
        Err(Refused::Db(error)) => Err(error.into()),
        Err(refused) => {
            tracing::error!(%refused, "revoking");
            Err(Fault::server())
        }
    }
}

/// Voids one token.
struct VoidToken {
    jti: ExternalId,
    ends: DateTime<Utc>,
}

impl Mutation for VoidToken {
    async fn apply(&self, write: &mut Write<'_>) -> Result<Answer, Refused> {
        let revocation = Revocation::Token { jti: self.jti.clone() };
        if keep(write, &revocation, self.ends).await? {
            write.changed(ChangeKind::CredentialsRevoked(revocation));
        }
        Ok(Answer::gone())
    }
}

/// Keeps a revocation until what it voids is over by itself; `false` when it was kept before.
pub(crate) async fn keep(
    write: &mut Write<'_>,
    revocation: &Revocation,
    until: DateTime<Utc>,
) -> Result<bool, DbError> {
    let (kind, value, not_before) = match revocation {
        Revocation::Token { jti } => ("jti", jti.as_str(), write.now),
        Revocation::Key { key_id } => ("key", key_id.as_str(), write.now),
        Revocation::Subject { subject, not_before } => ("subject", subject.as_str(), *not_before),
    };
    let sql = "UPDATE revocations SET not_before = ?, expires_at = ? \
               WHERE tenant_id = ? AND kind = ? AND value = ?";
    let tenant = write.tenant;
    // The tenant is locked: nobody else keeps the same one meanwhile.
    if write.tx.execute(sql, params![not_before, until, tenant, kind, value]).await? > 0 {
        return Ok(kind == "subject");
    }
    let sql = "INSERT INTO revocations (tenant_id, kind, value, not_before, expires_at) \
               VALUES (?, ?, ?, ?, ?)";
    write.tx.execute(sql, params![tenant, kind, value, not_before, until]).await?;
    Ok(true)
}
