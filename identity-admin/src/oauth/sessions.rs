//! What a person allowed a client: a family of refresh tokens, of which the newest is good. They are random and
//! stored hashed; each is exchanged for the next (RFC 9700 section 4.14.2).

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use contracts::identity::Revocation;
use contracts::{Scope, Subject, TenantId};

use super::issue::names;
use super::{Fault, LONGEST, keep};
use crate::change::Write;
use crate::credentials::Secrets;
use crate::db::{DbError, Row, Tx, params};
use crate::scopes::{self, Holder};

/// What refresh tokens begin with, so that a leaked one is known for what it is.
const PREFIX: &str = "trr_";
/// Of random numbers, in bytes.
const RANDOM: usize = 32;
/// Separates these hashes from any other.
const CONTEXT: &str = "triad identity-admin 2026-11 refresh token";

/// Whose family of tokens, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) family: String,
    pub(super) tenant: TenantId,
    pub(super) user: String,
    pub(super) client_id: String,
    /// What the person allowed.
    pub(super) scopes: BTreeSet<Scope>,
    /// No token of it holds longer.
    pub(super) ends: DateTime<Utc>,
}

impl Session {
    /// The claim `sub` of its tokens.
    pub(super) fn subject(&self) -> String {
        format!("user:{}", self.user)
    }

    /// Of a row of `refresh_tokens`.
    pub(super) fn of(row: &Row) -> Result<Self, DbError> {
        let refused = |error: &dyn std::fmt::Display| DbError::Refused(error.to_string());
        let scopes = row.text("scope")?;
        Ok(Self {
            family: row.text("family_id")?,
            tenant: TenantId::parse(&row.text("tenant_id")?).map_err(|error| refused(&error))?,
            user: row.text("user_id")?,
            client_id: row.text("client_id")?,
            scopes: scopes.split(' ').filter_map(Scope::parse).collect(),
            ends: row.time("expires_at")?,
        })
    }

    /// Stores a new token of the family; its text, which is not told again.
    pub(super) async fn store(
        &self,
        tx: &mut Tx,
        secrets: &Secrets,
        now: DateTime<Utc>,
    ) -> Result<String, Fault> {
        let random: [u8; RANDOM] = secrets.random().map_err(|_| Fault::server())?;
        let text = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
        let sql = "INSERT INTO refresh_tokens \
                   (token_hash, family_id, tenant_id, user_id, client_id, scope, issued_at, expires_at) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        let values = params![
            &hash(&text),
            &self.family,
            &self.tenant,
            &self.user,
            &self.client_id,
            names(&self.scopes),
            now,
            self.ends,
        ];
        tx.execute(sql, values).await?;
        Ok(text)
    }
}

/// Whether a text may be a refresh token.
pub(super) fn is_refresh(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// A token as it is stored. It is long and random: nobody guesses it from its hash.
pub(super) fn hash(text: &str) -> [u8; 32] {
    blake3::derive_key(CONTEXT, text.as_bytes())
}

/// What a person may do now; `None` for one who may not log in. The person's row is locked: who deactivates them
/// comes before, and is seen here, or after, and ends what is stored here.
pub(super) async fn held(
    tx: &mut Tx,
    tenant: &TenantId,
    user: &str,
) -> Result<Option<BTreeSet<Scope>>, DbError> {
    let sql = format!("SELECT is_active FROM users WHERE tenant_id = ? AND id = ?{}", tx.lock());
    let row = tx.row(sql, params![tenant, user]).await?;
    let is_active = row.map(|row| row.flag("is_active")).transpose()?;
    let row = tx.row("SELECT status FROM tenants WHERE id = ?", params![tenant]).await?;
    let status = row.map(|row| row.text("status")).transpose()?;
    if is_active != Some(true) || status.as_deref() != Some("active") {
        return Ok(None);
    }
    scopes::held(tx, tenant, Holder::User(user)).await.map(Some)
}

/// Ends everything that a person allowed clients: their tokens, and what clients were about to fetch. Whoever is to
/// hear of it is told by the caller.
///
/// # Errors
/// What the database brings.
pub(crate) async fn end_sessions(write: &mut Write<'_>, user: &str) -> Result<Revocation, DbError> {
    let sql = "UPDATE refresh_tokens SET revoked_at = ? \
               WHERE tenant_id = ? AND user_id = ? AND revoked_at IS NULL";
    write.tx.execute(sql, params![write.now, write.tenant, user]).await?;
    let sql = "DELETE FROM device_grants WHERE tenant_id = ? AND user_id = ?";
    write.tx.execute(sql, params![write.tenant, user]).await?;
    void(write, &format!("user:{user}")).await
}

/// Voids the access tokens of a subject that were issued until now.
///
/// # Errors
/// What the database brings.
pub(crate) async fn void(write: &mut Write<'_>, subject: &str) -> Result<Revocation, DbError> {
    let subject = Subject::parse(subject).map_err(|error| DbError::Refused(error.to_string()))?;
    let revoked = Revocation::Subject { subject, not_before: write.now };
    keep(write, &revoked, write.now + LONGEST).await?;
    Ok(revoked)
}

/// Locks the row of a person, before the rows of their tokens as everywhere.
pub(super) async fn lock(tx: &mut Tx, tenant: &TenantId, user: &str) -> Result<(), DbError> {
    let sql = format!("SELECT id FROM users WHERE tenant_id = ? AND id = ?{}", tx.lock());
    tx.row(sql, params![tenant, user]).await.map(drop)
}
