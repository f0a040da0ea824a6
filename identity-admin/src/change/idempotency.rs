//! Idempotency-Key: a repeated request gets the answer that the first one got.
//!
//! A key counts for one principal in one tenant, and for one request: method, path and body. Only what
//! committed is kept, with the rows that it is about and in their transaction; a refusal may be followed by
//! another try with the same key.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::TenantId;

use super::{Answer, Core, Refused};
use crate::credentials::Secrets;
use crate::db::{DbError, Tx, params};
use crate::metrics;

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;
/// Answers deleted at once, so that a sweep holds no lock for long.
const BATCH: i64 = 500;
/// Separates these hashes from any other.
const SCOPE: &str = "triad identity-admin 2026-11 idempotency scope";
/// What encrypted answers are about.
const ABOUT: &str = "idempotency";
const FINGERPRINT: &str = "triad identity-admin 2026-11 idempotency fingerprint";

/// A key, and the request that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    id: [u8; 32],
    fingerprint: [u8; 32],
}

impl Key {
    /// The key of a header, 1 to 255 printable ASCII characters, as `principal` uses it in `tenant` for a
    /// request; `None` if it is not that.
    #[must_use]
    pub fn new(
        header: &str,
        tenant: &TenantId,
        principal: &str,
        (method, path, body): (&str, &str, &[u8]),
    ) -> Option<Self> {
        let printable = header.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if header.is_empty() || header.len() > MAX_KEY_BYTES || !printable {
            return None;
        }
        let id =
            hash(SCOPE, &[tenant.as_str().as_bytes(), principal.as_bytes(), header.as_bytes()]);
        let fingerprint = hash(FINGERPRINT, &[method.as_bytes(), path.as_bytes(), body]);
        Some(Self { id, fingerprint })
    }

    /// The answer that was given before, with the seq of its last change.
    ///
    /// # Errors
    /// [`Refused::KeyReused`] when it was to another request.
    pub(super) async fn find(
        &self,
        tx: &mut Tx,
        secrets: Option<&Secrets>,
        now: DateTime<Utc>,
    ) -> Result<Option<(Answer, i64)>, Refused> {
        let sql = "SELECT fingerprint, answer, key_id, seq FROM idempotency_keys \
                   WHERE id = ? AND expires_at > ?";
        let Some(row) = tx.row(sql, params![&self.id, now]).await? else { return Ok(None) };
        if row.bytes("fingerprint")? != self.fingerprint {
            return Err(Refused::KeyReused);
        }
        let mut answer = row.bytes("answer")?;
        if let Some(key) = row.opt_text("key_id")? {
            let opened = secrets.and_then(|secrets| secrets.open(ABOUT, &answer, &key).ok());
            answer = opened.ok_or_else(|| {
                DbError::Refused("a stored answer cannot be decrypted".to_owned())
            })?;
        }
        let answer = serde_json::from_slice(&answer)
            .map_err(|error| DbError::Refused(format!("a stored answer: {error}")))?;
        Ok(Some((answer, row.int("seq")?)))
    }

    /// Keeps an answer, encrypted if it holds a secret. One whose life is over gives way.
    pub(super) async fn keep(
        &self,
        tx: &mut Tx,
        (tenant, secrets): (&TenantId, Option<&Secrets>),
        (answer, seq): (&Answer, i64),
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<(), DbError> {
        let refused = |error: &dyn std::fmt::Display| DbError::Refused(error.to_string());
        let mut kept = serde_json::to_vec(answer).map_err(|error| refused(&error))?;
        let mut key = None;
        if answer.holds_secret {
            let secrets = secrets.ok_or_else(|| refused(&"nothing to encrypt a secret with"))?;
            let sealed = secrets.seal(ABOUT, &kept).map_err(|error| refused(&error))?;
            kept = sealed.0;
            key = Some(sealed.1);
        }
        let insert = "INSERT INTO idempotency_keys \
                      (id, tenant_id, fingerprint, answer, key_id, seq, expires_at) \
                      VALUES (?, ?, ?, ?, ?, ?, ?)";
        let values = params![&self.id, tenant, &self.fingerprint, kept, key, seq, until];
        match tx.execute(insert, values).await {
            Err(DbError::Duplicate { .. }) => {
                let expired = "DELETE FROM idempotency_keys WHERE id = ? AND expires_at <= ?";
                tx.execute(expired, params![&self.id, now]).await?;
                tx.execute(insert, values).await.map(drop)
            }
            done => done.map(drop),
        }
    }
}

/// Each part goes in behind its length, so that no two lists read alike.
fn hash(context: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(context);
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
    }
    *hasher.finalize().as_bytes()
}

/// Deletes answers whose life is over, for as long as it runs.
pub async fn sweep(core: Arc<Core>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        match sweep_once(&core).await {
            Ok(swept) => metrics::swept(swept),
            // The next round is the retry.
            Err(error) => tracing::warn!(%error, "sweeping stored answers"),
        }
    }
}

async fn sweep_once(core: &Core) -> Result<u64, DbError> {
    let now = core.clock.now();
    let mut swept = 0;
    loop {
        // The end of a batch is a time, as neither database deletes with a limit in the same words.
        let sql = "SELECT expires_at FROM idempotency_keys WHERE expires_at <= ? \
                   ORDER BY expires_at LIMIT 1 OFFSET ?";
        let further = core.db.row(sql, params![now, BATCH]).await?;
        let until = further.as_ref().map_or(Ok(now), |row| row.time("expires_at"))?;
        let sql = "DELETE FROM idempotency_keys WHERE expires_at <= ?";
        swept += core.db.execute(sql, params![until]).await?;
        if further.is_none() {
            return Ok(swept);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(tenant: &str, principal: &str, header: &str, request: (&str, &str, &str)) -> Key {
        let (method, path, body) = request;
        let tenant = TenantId::parse(tenant).unwrap();
        Key::new(header, &tenant, principal, (method, path, body.as_bytes())).unwrap()
    }

    #[test]
    fn a_key_is_short_and_printable() {
        let tenant = TenantId::parse("acme").unwrap();
        for bad in ["", "é", "a\tb", &"x".repeat(256)] {
            assert_eq!(Key::new(bad, &tenant, "p", ("POST", "/", b"")), None, "{bad}");
        }
        assert!(Key::new(&"x".repeat(255), &tenant, "p", ("POST", "/", b"")).is_some());
    }

    proptest! {
        #[test]
        fn keys_meet_only_for_one_principal_in_one_tenant_and_one_request(
            a in ("[ab]{1,2}", "[ab]{0,2}", "[ab]{1,2}", "[ab]{0,2}", "[ab]{0,2}", "[ab]{0,2}"),
            b in ("[ab]{1,2}", "[ab]{0,2}", "[ab]{1,2}", "[ab]{0,2}", "[ab]{0,2}", "[ab]{0,2}"),
        ) {
            let one = key(&a.0, &a.1, &a.2, (&a.3, &a.4, &a.5));
            let other = key(&b.0, &b.1, &b.2, (&b.3, &b.4, &b.5));
            let (scope, request) = ((&a.0, &a.1, &a.2) == (&b.0, &b.1, &b.2), (&a.3, &a.4, &a.5) == (&b.3, &b.4, &b.5));
            prop_assert_eq!(one.id == other.id, scope);
            prop_assert_eq!(one.fingerprint == other.fingerprint, request);
        }
    }
}
