//! Idempotency-Key: a repeated request gets the answer that the first one got.
//!
//! A key counts for one principal in one tenant, and for one request: method, path and body. Only what
//! committed is kept, with the rows that it is about and in their transaction; a refusal may be followed by
//! another try with the same key.

use chrono::{DateTime, Utc};
use contracts::TenantId;

use super::{Answer, Refused};
use crate::credentials::Secrets;
use crate::db::{DbError, Tx, params};

/// The longest key, in bytes.
const MAX_KEY_BYTES: usize = 255;
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

    /// The fingerprint as it is stored, and as it may have been stored before peppers were rotated. A body may
    /// hold a password, which nobody shall guess from its fingerprint.
    fn fingerprints(&self, secrets: Option<&Secrets>) -> impl Iterator<Item = [u8; 32]> {
        let text = blake3::Hash::from_bytes(self.fingerprint).to_hex();
        let peppered = secrets.map(|secrets| {
            let known: Vec<_> = secrets.peppered(&text).map(|known| known.hmac).collect();
            known
        });
        peppered.unwrap_or_else(|| vec![self.fingerprint]).into_iter()
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
        let kept = row.bytes("fingerprint")?;
        if !self.fingerprints(secrets).any(|known| known.as_slice() == kept.as_slice()) {
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
        let fingerprint = self.fingerprints(secrets).next().unwrap_or(self.fingerprint);
        let values = params![&self.id, tenant, &fingerprint, kept, key, seq, until];
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

    #[test]
    fn a_password_in_a_body_is_not_guessed_from_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        Secrets::create(&path).unwrap();
        let secrets = Secrets::read(&path).unwrap();
        let key = key("acme", "p", "k", ("POST", "/", "{\"password\": \"guess me\"}"));
        let kept: Vec<_> = key.fingerprints(Some(&secrets)).collect();
        assert!(kept.len() == 1 && kept[0] != key.fingerprint, "under the pepper alone");
        assert_eq!(key.fingerprints(Some(&secrets)).collect::<Vec<_>>(), kept, "the same again");
        assert_eq!(key.fingerprints(None).collect::<Vec<_>>(), [key.fingerprint]);
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
