//! Who holds an API key: a service account, its tenant, and what both may do.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use contracts::{Scope, TenantId};

use super::{Fault, Form};
use crate::credentials::{Secrets, is_key};
use crate::db::{Db, DbError, Row, Value, params};

/// Between notes of a key's use.
const NOTED: chrono::Duration = chrono::Duration::minutes(1);

/// A service account that has proved itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) tenant: TenantId,
    pub(super) account: String,
    pub(super) key: String,
    /// When the key ends.
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// What the account may do, as far as the key may.
    pub(super) scopes: BTreeSet<Scope>,
}

impl Client {
    /// The claim `sub` of its tokens.
    pub(super) fn subject(&self) -> String {
        format!("service_account:{}", self.account)
    }
}

/// What a key is worth now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    Good(Client),
    /// It is known, and lets nobody in any more.
    Void(Client, &'static str),
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
        db: &Db,
        secrets: &Secrets,
        now: DateTime<Utc>,
    ) -> Result<Standing, DbError> {
        let standing = of_key(db, secrets, &self.secret, now).await?;
        let is_own = |client: &Client| self.id.as_ref().is_none_or(|id| *id == client.account);
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
    db: &Db,
    secrets: &Secrets,
    text: &str,
    now: DateTime<Utc>,
) -> Result<Standing, DbError> {
    // A mistyped key costs no query.
    if !is_key(text) {
        return Ok(Standing::Unknown);
    }
    let hashes: Vec<_> = secrets.peppered(text).map(|known| known.hmac).collect();
    let places = vec!["?"; hashes.len()].join(", ");
    let select = |column: &str, is_previous: u8| {
        format!(
            "SELECT {is_previous} AS is_previous, k.id, k.tenant_id, k.service_account_id, \
             k.previous_until, k.expires_at, k.revoked_at, k.last_used_at, s.is_active, t.status, \
             (SELECT GROUP_CONCAT(scope) FROM principal_scopes p WHERE p.tenant_id = k.tenant_id \
              AND p.service_account_id = k.service_account_id) AS of_account, \
             (SELECT GROUP_CONCAT(scope) FROM principal_scopes p WHERE p.tenant_id = k.tenant_id \
              AND p.api_key_id = k.id) AS of_key \
             FROM api_keys k \
             JOIN service_accounts s ON s.tenant_id = k.tenant_id AND s.id = k.service_account_id \
             JOIN tenants t ON t.id = k.tenant_id WHERE k.{column} IN ({places})"
        )
    };
    let sql = format!("{} UNION ALL {}", select("secret_hmac", 0), select("previous_hmac", 1));
    let once: Vec<Value> = hashes.iter().map(Value::from).collect();
    let values: Vec<Value> = once.iter().chain(&once).cloned().collect();
    let Some(row) = db.row(sql, &values).await? else { return Ok(Standing::Unknown) };
    let client = client(&row)?;
    if let Some(why) = void(&row, now)? {
        return Ok(Standing::Void(client, why));
    }
    let noted = row.opt_time("last_used_at")?;
    if noted.is_none_or(|noted| now - noted >= NOTED) {
        let sql = "UPDATE api_keys SET last_used_at = ? WHERE tenant_id = ? AND id = ?";
        db.execute(sql, params![now, &client.tenant, &client.key]).await?;
    }
    Ok(Standing::Good(client))
}

/// Why a key lets nobody in.
fn void(row: &Row, now: DateTime<Utc>) -> Result<Option<&'static str>, DbError> {
    let is_past = |time: Option<DateTime<Utc>>| time.is_some_and(|time| time <= now);
    let rotated = row.flag("is_previous")?
        && row.opt_time("previous_until")?.is_none_or(|until| until <= now);
    Ok(if row.opt_time("revoked_at")?.is_some() {
        Some("revoked")
    } else if rotated {
        Some("rotated")
    } else if is_past(row.opt_time("expires_at")?) {
        Some("expired")
    } else if !row.flag("is_active")? {
        Some("inactive")
    } else if row.text("status")? != "active" {
        Some("suspended")
    } else {
        None
    })
}

fn client(row: &Row) -> Result<Client, DbError> {
    let tenant = TenantId::parse(&row.text("tenant_id")?)
        .map_err(|error| DbError::Refused(error.to_string()))?;
    let parse = |names: String| names.split(',').filter_map(Scope::parse).collect::<BTreeSet<_>>();
    let of_account = parse(row.opt_text("of_account")?.unwrap_or_default());
    // A key without scopes of its own may all that its account may; one with scopes that are not known, nothing.
    let scopes = match row.opt_text("of_key")?.map(parse) {
        Some(of_key) => of_account.intersection(&of_key).copied().collect(),
        None => of_account,
    };
    let (account, key) = (row.text("service_account_id")?, row.text("id")?);
    Ok(Client { tenant, account, key, expires_at: row.opt_time("expires_at")?, scopes })
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
