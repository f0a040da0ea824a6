//! How an access token is made and handed out, whatever it was got with.

use std::collections::BTreeSet;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use contracts::{Scope, TenantId};
use serde_json::json;
use uuid::Uuid;

use super::claims::Claims;
use super::signing::Signing;
use super::{Fault, OAuth, uncached};

/// Who gets a token, by whom and for what.
pub(super) struct Holder<'a> {
    pub(super) tenant: &'a TenantId,
    /// Claim `sub`.
    pub(super) subject: String,
    pub(super) client_id: &'a str,
    pub(super) scopes: &'a BTreeSet<Scope>,
    /// When what it was got with ends: the token does not outlive it.
    pub(super) ends: Option<DateTime<Utc>>,
}

/// A token that was made.
pub(super) struct Issued {
    pub(super) claims: Claims,
    signed: String,
}

/// Makes one.
///
/// # Errors
/// 503 while there is no key to sign with.
pub(super) fn issue(
    oauth: &OAuth,
    holder: Holder<'_>,
    now: DateTime<Utc>,
) -> Result<Issued, Fault> {
    let keys = oauth.signing.keys();
    let key = Signing::current(&keys, now).ok_or_else(Fault::unavailable)?;
    let ends = holder.ends.map_or(now + oauth.life, |ends| ends.min(now + oauth.life));
    let claims = Claims {
        iss: oauth.issuer.clone(),
        aud: oauth.audience.clone(),
        sub: holder.subject,
        client_id: holder.client_id.to_owned(),
        tid: holder.tenant.clone(),
        scope: names(holder.scopes),
        iat: now.timestamp(),
        exp: ends.timestamp(),
        jti: Uuid::new_v4(),
    };
    let signed = claims.sign(key).map_err(|error| {
        tracing::error!(%error, "signing a token");
        Fault::server()
    })?;
    Ok(Issued { claims, signed })
}

impl Issued {
    /// The answer of RFC 6749 section 5.1.
    pub(super) fn answer(self, refresh: Option<&str>) -> Response {
        let Claims { exp, iat, scope, .. } = self.claims;
        let mut body = json!({"access_token": self.signed, "token_type": "Bearer",
            "expires_in": exp - iat, "scope": scope});
        if let Some(refresh) = refresh {
            body["refresh_token"] = refresh.into();
        }
        (uncached(), Json(body)).into_response()
    }
}

/// Scopes as OAuth writes them.
pub(super) fn names(scopes: &BTreeSet<Scope>) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" ")
}

/// Scopes that OAuth writes so.
///
/// # Errors
/// `invalid_scope` for one that is not known.
pub(super) fn scopes(text: &str) -> Result<BTreeSet<Scope>, Fault> {
    let known: Option<BTreeSet<_>> = text.split(' ').map(Scope::parse).collect();
    known.ok_or_else(|| bad_scope("a scope that is not known"))
}

/// The scopes that are asked for, all of which must be held; without any, all that are held.
///
/// # Errors
/// `invalid_scope`.
pub(super) fn granted(
    held: &BTreeSet<Scope>,
    asked: Option<&str>,
) -> Result<BTreeSet<Scope>, Fault> {
    let Some(asked) = asked else { return Ok(held.clone()) };
    let known = scopes(asked)?;
    if known.is_subset(held) {
        Ok(known)
    } else {
        Err(bad_scope("more than the client may ask for"))
    }
}

fn bad_scope(description: &'static str) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "invalid_scope", description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_a_scope_that_they_lack_or_that_is_none() {
        let held = [Scope::AuthzCheck, Scope::AuditWrite].into();
        assert_eq!(granted(&held, None).unwrap(), held);
        assert_eq!(granted(&held, Some("authz:check")).unwrap(), [Scope::AuthzCheck].into());
        for bad in ["system:admin", "authz:check system:admin", "authz:*", "authz:check  "] {
            assert_eq!(granted(&held, Some(bad)).unwrap_err().error, "invalid_scope", "{bad}");
        }
    }
}
