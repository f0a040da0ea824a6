//! `POST /oauth2/introspect` (RFC 7662): whether a token or an API key lets somebody in now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use contracts::{Scope, TenantId};
use serde_json::{Value, json};

use super::claims::Claims;
use super::client::{Proof, Standing, of_key};
use super::keys::Client;
use super::{Fault, Form, OAuth, uncached};
use crate::credentials::is_key;
use crate::db::{Db, DbError, params};
use crate::http::{Api, Posted};

/// Who asks about a token, or has one revoked.
pub(super) struct Asker {
    pub(super) subject: String,
    pub(super) tenant: Option<TenantId>,
    pub(super) account: Option<String>,
    scopes: Vec<Scope>,
}

impl Asker {
    /// By an API key (Basic or in the form), or by a bearer token.
    pub(super) async fn of(api: &Api, posted: &Posted, form: &Form) -> Result<Self, Fault> {
        let Some(proof) = Proof::read(&posted.headers, form)? else {
            let principal = api.principal(&posted.headers).await.map_err(|problem| {
                if problem.status.is_server_error() {
                    Fault::unavailable()
                } else {
                    Fault::client()
                }
            })?;
            let scopes = Scope::ALL.iter().copied().filter(|scope| principal.has(*scope)).collect();
            let (subject, tenant) = (principal.subject.clone(), principal.tenant.clone());
            return Ok(Self { subject, tenant, account: None, scopes });
        };
        let now = api.core.clock.now();
        match proof.check(api, api.oauth()?, now).await? {
            Standing::Good(client) => Ok(Self {
                subject: client.subject(),
                tenant: Some(client.tenant.clone()),
                account: Some(client.account.clone()),
                scopes: client.scopes.iter().copied().collect(),
            }),
            Standing::Void(..) | Standing::Unknown => Err(Fault::client()),
        }
    }

    pub(super) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether it may ask about tokens of that tenant: those of its own, and a service of the platform, which
    /// serves all tenants, about all of them.
    fn may_ask_about(&self, tenant: &TenantId) -> bool {
        let is_platform = self.tenant.as_ref().is_some_and(|own| own.as_str() == TenantId::SYSTEM);
        is_platform || self.reaches(tenant)
    }

    /// Whether what belongs to that tenant is any business of the asker's.
    pub(super) fn reaches(&self, tenant: &TenantId) -> bool {
        self.tenant.as_ref() == Some(tenant) || self.has(Scope::SystemAdmin)
    }
}

/// Says whether a token or an API key lets somebody in now, and whom. One of another tenant is inactive, unless
/// a service of the platform asks.
#[utoipa::path(
    post, path = "/oauth2/introspect", tag = "tokens",
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "`token`."),
    responses(
        (status = 200, description = "`active`, and if so `sub`, `tid`, `scope`, `client_id`, `exp`, `iat`, `jti`.", body = Value),
        (status = 400, description = "`error` and `error_description`, as RFC 6749 has them.", body = Value),
        (status = 401, description = "Nobody who is known.", body = Value),
        (status = 403, description = "The caller lacks `token:introspect`.", body = Value),
    ),
    security(("client" = []), ("bearer" = ["token:introspect"]))
)]
pub(crate) async fn introspect(
    State(api): State<Arc<Api>>,
    posted: Posted,
) -> Result<Response, Fault> {
    let oauth = api.oauth()?;
    let form = posted.form()?;
    let asker = Asker::of(&api, &posted, &form).await?;
    if !asker.has(Scope::TokenIntrospect) {
        let description = "token:introspect is needed";
        return Err(Fault::new(StatusCode::FORBIDDEN, "insufficient_scope", description));
    }
    let token = form.get("token").ok_or_else(|| Fault::request("token is missing"))?;
    let now = api.core.clock.now();
    let active = if is_key(token) {
        match of_key(&api, oauth, token, now).await? {
            Standing::Good(client) if asker.may_ask_about(&client.tenant) => {
                Some(of_client(&client))
            }
            _ => None,
        }
    } else {
        match verified(oauth, token, now) {
            Some(claims) if asker.may_ask_about(&claims.tid) => {
                let stands = stands(api.db(), &claims).await?;
                stands.then(|| of_claims(&claims))
            }
            _ => None,
        }
    };
    let body = active.unwrap_or_else(|| json!({"active": false}));
    Ok((uncached(), Json(body)).into_response())
}

/// What one of our tokens says, if it holds.
pub(super) fn verified(oauth: &OAuth, token: &str, now: DateTime<Utc>) -> Option<Claims> {
    let keys = oauth.signing.keys();
    let expected = (oauth.issuer.as_str(), oauth.audience.as_str());
    Claims::verify(token, keys.iter(), expected, now.timestamp())
}

fn of_client(client: &Client) -> Value {
    let scope = client.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
    let mut said = json!({"active": true, "token_type": "api_key", "scope": scope,
        "client_id": client.account, "sub": client.subject(), "tid": client.tenant,
        "key_id": client.key});
    if let Some(ends) = client.expires_at {
        said["exp"] = ends.timestamp().into();
    }
    said
}

fn of_claims(claims: &Claims) -> Value {
    json!({"active": true, "token_type": "Bearer", "scope": claims.scope,
        "client_id": claims.client_id, "sub": claims.sub, "tid": claims.tid, "iss": claims.iss,
        "aud": claims.aud, "iat": claims.iat, "exp": claims.exp, "jti": claims.jti})
}

/// Whether nobody has voided the token, and its subject is still let in.
async fn stands(db: &Db, claims: &Claims) -> Result<bool, DbError> {
    let sql = "SELECT kind, not_before FROM revocations WHERE tenant_id = ? AND kind = 'jti' AND value = ? \
               UNION ALL SELECT kind, not_before FROM revocations \
               WHERE tenant_id = ? AND kind = 'subject' AND value = ?";
    let (tenant, jti) = (&claims.tid, claims.jti.to_string());
    for row in db.rows(sql, params![tenant, jti, tenant, &claims.sub]).await? {
        let issued = DateTime::from_timestamp(claims.iat, 0).unwrap_or_default();
        if row.text("kind")? == "jti" || issued < row.time("not_before")? {
            return Ok(false);
        }
    }
    let (table, id) = match claims.sub.split_once(':') {
        Some(("user", id)) => ("users", id),
        Some(("service_account", id)) => ("service_accounts", id),
        _ => return Ok(false),
    };
    let sql = format!(
        "SELECT p.is_active, t.status FROM {table} p JOIN tenants t ON t.id = p.tenant_id \
         WHERE p.tenant_id = ? AND p.id = ?"
    );
    match db.row(sql, params![tenant, id]).await? {
        Some(row) => Ok(row.flag("is_active")? && row.text("status")? == "active"),
        None => Ok(false),
    }
}
