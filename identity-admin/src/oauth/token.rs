//! `POST /oauth2/token` (RFC 6749 section 4.4): a service account with its API key as its secret.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use contracts::Scope;
use contracts::audit::Status;
use serde_json::{Value, json};
use uuid::Uuid;

use super::claims::Claims;
use super::client::{Client, Proof, Standing};
use super::signing::Signing;
use super::{Fault, OAuth, uncached};
use crate::change::said;
use crate::http::{Api, Posted};
use crate::metrics;

/// Issues an access token to a service account that proves itself with one of its API keys, as HTTP Basic or in
/// the form. That it was issued is in the audit trail before the answer is.
#[utoipa::path(
    post, path = "/oauth2/token", tag = "tokens",
    request_body(content = String, content_type = "application/x-www-form-urlencoded",
        description = "`grant_type=client_credentials`, and `scope` for less than all that the key may."),
    responses(
        (status = 200, description = "`access_token`, `token_type`, `expires_in`, `scope`.", body = Value),
        (status = 400, description = "`error` and `error_description`, as RFC 6749 has them.", body = Value),
        (status = 401, description = "Nobody who is known.", body = Value),
    ),
    security(("client" = []))
)]
pub(crate) async fn token(State(api): State<Arc<Api>>, posted: Posted) -> Result<Response, Fault> {
    let begun = std::time::Instant::now();
    let answered = issue(&api, &posted).await;
    let outcome = match &answered {
        Ok(_) => "issued",
        Err(fault) if fault.status.is_server_error() => "failed",
        Err(_) => "refused",
    };
    metrics::token(outcome, begun);
    answered
}

async fn issue(api: &Api, posted: &Posted) -> Result<Response, Fault> {
    let oauth = api.oauth()?;
    let form = posted.form()?;
    match form.get("grant_type") {
        Some("client_credentials") => {}
        Some(_) => {
            let description = "the grant types are: client_credentials";
            let error = "unsupported_grant_type";
            return Err(Fault::new(StatusCode::BAD_REQUEST, error, description));
        }
        None => return Err(Fault::request("grant_type is missing")),
    }
    let proof = Proof::read(&posted.headers, &form)?.ok_or_else(Fault::client)?;
    let now = api.core.clock.now();
    let client = match proof.check(api.db(), &oauth.credentials.secrets, now).await? {
        Standing::Good(client) => client,
        Standing::Void(client, why) => {
            let details = [("key_id", json!(client.key)), ("reason", json!(why))];
            audit(oauth, posted, now, &client, (Status::Denied, "token.refused"), &details).await?;
            return Err(Fault::client());
        }
        Standing::Unknown => return Err(Fault::client()),
    };
    let scopes = granted(&client, form.get("scope"))?;
    let keys = oauth.signing.keys();
    let key = Signing::current(&keys, now).ok_or_else(Fault::unavailable)?;
    // A token does not outlive the key that it was got with.
    let ends = client.expires_at.map_or(now + oauth.life, |ends| ends.min(now + oauth.life));
    let scope = scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ");
    let claims = Claims {
        iss: oauth.issuer.clone(),
        aud: oauth.audience.clone(),
        sub: client.subject(),
        client_id: client.account.clone(),
        tid: client.tenant.clone(),
        scope,
        iat: now.timestamp(),
        exp: ends.timestamp(),
        jti: Uuid::new_v4(),
    };
    let signed = claims.sign(key).map_err(|error| {
        tracing::error!(%error, "signing a token");
        Fault::server()
    })?;
    let details = [
        ("key_id", json!(client.key)),
        ("jti", json!(claims.jti)),
        ("scope", json!(claims.scope)),
        ("grant_type", json!("client_credentials")),
    ];
    audit(oauth, posted, now, &client, (Status::Success, "token.issued"), &details).await?;
    let body = json!({"access_token": signed, "token_type": "Bearer",
        "expires_in": claims.exp - claims.iat, "scope": claims.scope});
    Ok((uncached(), Json(body)).into_response())
}

/// The scopes that are asked for, all of which the client must have; without any, all that it has.
fn granted(client: &Client, asked: Option<&str>) -> Result<BTreeSet<Scope>, Fault> {
    let fault = |description| Fault::new(StatusCode::BAD_REQUEST, "invalid_scope", description);
    let Some(asked) = asked else { return Ok(client.scopes.clone()) };
    let known: Option<BTreeSet<_>> = asked.split(' ').map(Scope::parse).collect();
    let known = known.ok_or_else(|| fault("a scope that is not known"))?;
    if known.is_subset(&client.scopes) {
        Ok(known)
    } else {
        Err(fault("more than the client may ask for"))
    }
}

/// Stores what was done, or refused, for the trail.
async fn audit(
    oauth: &OAuth,
    posted: &Posted,
    at: DateTime<Utc>,
    client: &Client,
    (status, action): (Status, &str),
    details: &[(&str, Value)],
) -> Result<(), Fault> {
    let details = details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let author = posted.author(client.subject());
    let about = ("service_account", client.account.clone());
    let (_, event) = said(&client.tenant, &author, at, (action, status), about, details);
    Ok(oauth.journal.record(client.tenant.clone(), at, event).await?)
}

#[cfg(test)]
mod tests {
    use contracts::TenantId;

    use super::*;

    #[test]
    fn nobody_gets_a_scope_that_they_lack_or_that_is_none() {
        let client = Client {
            tenant: TenantId::parse("acme").unwrap(),
            account: "s".to_owned(),
            key: "k".to_owned(),
            expires_at: None,
            scopes: [Scope::AuthzCheck, Scope::AuditWrite].into(),
        };
        assert_eq!(granted(&client, None).unwrap(), client.scopes);
        assert_eq!(granted(&client, Some("authz:check")).unwrap(), [Scope::AuthzCheck].into());
        for bad in ["system:admin", "authz:check system:admin", "authz:*", "authz:check  "] {
            assert_eq!(granted(&client, Some(bad)).unwrap_err().error, "invalid_scope", "{bad}");
        }
    }
}
