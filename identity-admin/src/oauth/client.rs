//! Who holds an API key: a service account, its tenant, and what both may do.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};

use super::keys::Client;
use super::{Fault, Form, OAuth};
use crate::credentials::is_key;
use crate::db::{DbError, params};
use crate::http::Api;

/// Between notes of a key's use.
const NOTED: chrono::Duration = chrono::Duration::minutes(1);

/// What a key is worth now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    Good(Arc<Client>),
    /// It is known, and lets nobody in any more.
    Void(Arc<Client>, &'static str),
    Unknown,
}

/// What a client sends to prove itself.
pub(super) struct Proof {
    /// Its id; absent where the secret says all.
    id: Option<String>,
    secret: String,
}

impl Proof {
    /// From the header (RFC 7617) or, with `form`, from the body (RFC 6749 section 2.3.1), never both.
    pub(super) fn read(headers: &HeaderMap, form: &Form) -> Result<Option<Self>, Fault> {
        let basic = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let basic = basic.and_then(|value| {
            let (scheme, rest) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("basic").then_some(rest.trim())
        });
        let posted = form.get("client_secret");
        match (basic, posted) {
            (Some(_), Some(_)) => Err(Fault::request("the client proves itself in two ways")),
            (Some(basic), None) => {
                let text = BASE64.decode(basic).ok().and_then(|text| String::from_utf8(text).ok());
                let text = text.ok_or_else(Fault::client)?;
                let (id, secret) = text.split_once(':').ok_or_else(Fault::client)?;
                Ok(Some(Self { id: Some(decoded(id)), secret: decoded(secret) }))
            }
            (None, Some(secret)) => {
                let id = form.get("client_id").map(str::to_owned);
                Ok(Some(Self { id, secret: secret.to_owned() }))
            }
            (None, None) => Ok(None),
        }
    }

    /// Who it proves, and what that is worth.
    pub(super) async fn check(
        &self,
        api: &Api,
        oauth: &OAuth,
        now: DateTime<Utc>,
    ) -> Result<Standing, DbError> {
        let standing = of_key(api, oauth, &self.secret, now).await?;
        let is_own = |client: &Arc<Client>| self.id.as_ref().is_none_or(|id| *id == client.account);
        Ok(match standing {
            Standing::Good(client) | Standing::Void(client, _) if !is_own(&client) => {
                Standing::Unknown
            }
            standing => standing,
        })
    }
}

/// Id and secret come form-encoded within the header.
fn decoded(text: &str) -> String {
    let pair = format!("v={text}");
    let mut pairs = form_urlencoded::parse(pair.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// What the key of that text is worth.
pub(super) async fn of_key(
    api: &Api,
    oauth: &OAuth,
    text: &str,
    now: DateTime<Utc>,
) -> Result<Standing, DbError> {
    // A mistyped key costs no query.
    if !is_key(text) {
        return Ok(Standing::Unknown);
    }
    let found = oauth.keys.of(&oauth.credentials.secrets, text).await?;
    let Some(client) = found else { return Ok(Standing::Unknown) };
    if let Some(why) = void(&client, now) {
        return Ok(Standing::Void(client, why));
    }
    if client.last_used_at.is_none_or(|noted| now - noted >= NOTED) {
        let sql = "UPDATE api_keys SET last_used_at = ? WHERE tenant_id = ? AND id = ?";
        api.db().execute(sql, params![now, &client.tenant, &client.key]).await?;
    }
    Ok(Standing::Good(client))
}

/// Why a key lets nobody in.
fn void(client: &Client, now: DateTime<Utc>) -> Option<&'static str> {
    if client.is_revoked {
        Some("revoked")
    } else if client.is_previous && client.previous_until.is_none_or(|until| until <= now) {
        Some("rotated")
    } else if client.expires_at.is_some_and(|ends| ends <= now) {
        Some("expired")
    } else if !client.is_active {
        Some("inactive")
    } else if !client.tenant_is_active {
        Some("suspended")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(authorization: &str, form: &[(&str, &str)]) -> Result<Option<(String, String)>, Fault> {
        let mut headers = HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        }
        let form = form.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let proof = Proof::read(&headers, &Form(form))?;
        Ok(proof.map(|proof| (proof.id.unwrap_or_default(), proof.secret)))
    }

    #[test]
    fn a_client_proves_itself_in_one_way() {
        let basic = format!("Basic {}", BASE64.encode("a%2Db:s%5Fc"));
        let pair = |id: &str, secret: &str| Ok(Some((id.to_owned(), secret.to_owned())));
        assert_eq!(read(&basic, &[]), pair("a-b", "s_c"));
        assert_eq!(read("", &[("client_id", "a"), ("client_secret", "s")]), pair("a", "s"));
        assert_eq!(read("", &[("client_id", "a")]), Ok(None));
        assert_eq!(read("Bearer x", &[]), Ok(None));
        assert!(read(&basic, &[("client_secret", "s")]).is_err());
        assert_eq!(read("Basic ???", &[]), Err(Fault::client()));
    }
}
