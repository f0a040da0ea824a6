//! The keys that tokens are signed with.
//!
//! Each stands in `signing_keys`, its private half encrypted. One replica, by a lease, makes the next key in
//! time: it is published for as long as anybody may hold an older key set before it signs, and stays published
//! until the last token that it signed is over. Every replica reads the table again now and then.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::DecodingKey;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value as Json, json};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::claims::TYPE;
use crate::change::Core;
use crate::credentials::Secrets;
use crate::db::{Db, DbError, params};
use crate::metrics;
use crate::relay::Lease;

/// Of a seed, in bytes (RFC 8032 section 5.1.5).
const SEED: usize = 32;
/// Between looks at the table.
const LOOK: Duration = Duration::from_secs(5);

/// A key pair.
pub(crate) struct Key {
    pub(crate) kid: String,
    pair: Ed25519KeyPair,
    /// The header of its tokens, encoded, and a dot.
    head: String,
    public: DecodingKey,
    jwk: Json,
    signs_from: DateTime<Utc>,
    signs_until: DateTime<Utc>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Key {
    /// Of a seed; it signs at no time yet.
    ///
    /// # Errors
    /// A seed of another length.
    pub(super) fn of(kid: String, seed: &[u8]) -> Result<Self, ring::error::KeyRejected> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)?;
        let public = pair.public_key().as_ref();
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
            "kid": kid, "x": URL_SAFE_NO_PAD.encode(public)});
        let public = DecodingKey::from_ed_der(public);
        let head = json!({"alg": "EdDSA", "kid": kid, "typ": TYPE}).to_string();
        let head = format!("{}.", URL_SAFE_NO_PAD.encode(head));
        let never = DateTime::<Utc>::UNIX_EPOCH;
        Ok(Self { kid, pair, head, public, jwk, signs_from: never, signs_until: never })
    }

    /// A token with this payload (RFC 7515 section 3.1): some 20 µs, as the key pair is ready.
    pub(super) fn sign(&self, payload: &[u8]) -> String {
        let mut token = self.head.clone();
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        token
    }

    pub(super) fn public(&self) -> &DecodingKey {
        &self.public
    }
}

/// How keys follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rotation {
    /// How long a key signs.
    pub(crate) signs: chrono::Duration,
    /// How long key sets are kept by those who verify: a key is published so long before it signs.
    pub(crate) published: chrono::Duration,
    /// How long a token holds, with the difference of clocks that verifiers tolerate.
    pub(crate) token: chrono::Duration,
}

/// The keys as this process knows them.
pub(crate) struct Signing {
    keys: RwLock<Arc<Vec<Key>>>,
    pub(crate) rotation: Rotation,
}

impl Signing {
    pub(crate) fn new(rotation: Rotation) -> Self {
        Self { keys: RwLock::default(), rotation }
    }

    /// All that are published.
    pub(crate) fn keys(&self) -> Arc<Vec<Key>> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The place of the one that signs now: of several, the one that began last.
    pub(super) fn current(keys: &[Key], now: DateTime<Utc>) -> Option<&Key> {
        let signs = |key: &&Key| key.signs_from <= now && now < key.signs_until;
        keys.iter().filter(signs).max_by_key(|key| key.signs_from)
    }

    /// The key set (RFC 7517).
    pub(super) fn set(&self) -> Json {
        let keys = self.keys();
        json!({ "keys": keys.iter().map(|key| &key.jwk).collect::<Vec<_>>() })
    }

    async fn load(&self, db: &Db, secrets: &Secrets, now: DateTime<Utc>) -> Result<(), DbError> {
        let sql = "SELECT kid, private_key, key_id, signs_from, signs_until \
                   FROM signing_keys WHERE kept_until > ? ORDER BY signs_from";
        let mut keys = Vec::new();
        for row in db.rows(sql, params![now]).await? {
            let kid = row.text("kid")?;
            let sealed = row.bytes("private_key")?;
            let seed = secrets.open(&kid, &sealed, &row.text("key_id")?).ok();
            let Some(key) = seed.and_then(|seed| Key::of(kid.clone(), &seed).ok()) else {
                error!(kid, "a signing key cannot be decrypted: is its encryption key gone?");
                continue;
            };
            keys.push(Key {
                signs_from: row.time("signs_from")?,
                signs_until: row.time("signs_until")?,
                ..key
            });
        }
        metrics::signing(keys.len());
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }
}

/// When a next key is to sign, if one is to be made now.
fn next(keys: &[Key], rotation: &Rotation, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let Some(last) = keys.iter().map(|key| key.signs_until).max().filter(|last| *last > now) else {
        // Nothing signs: at once, whoever has an older key set asks again for an unknown key.
        return Some(now);
    };
    // Twice, so that a rotator that was away for a while is not late.
    (last - now <= rotation.published * 2).then_some(last)
}

/// Keeps the keys up to date, and makes the next one in time, for as long as it runs.
pub(crate) async fn rotate(
    core: Arc<Core>,
    secrets: Arc<Secrets>,
    signing: Arc<Signing>,
    holder: String,
) {
    let mut lease = Lease::new("signing", holder, 6 * LOOK);
    let mut failing = false;
    loop {
        let done = turn(&core, &secrets, &signing, &mut lease).await;
        match (&done, failing) {
            (Err(error), false) => warn!(%error, "reading the signing keys"),
            (Ok(()), true) => info!("the signing keys are read again"),
            _ => {}
        }
        failing = done.is_err();
        // Soon, until there is a key to sign with.
        let soon = Signing::current(&signing.keys(), core.clock.now()).is_none();
        tokio::time::sleep(if soon { LOOK / 20 } else { LOOK }).await;
    }
}

/// As [`rotate`] does it, once.
#[cfg(test)]
pub(crate) async fn keep_keys(
    core: &Core,
    secrets: &Secrets,
    signing: &Signing,
) -> Result<(), DbError> {
    turn(core, secrets, signing, &mut Lease::new("signing", "test".to_owned(), 6 * LOOK)).await
}

async fn turn(
    core: &Core,
    secrets: &Secrets,
    signing: &Signing,
    lease: &mut Lease,
) -> Result<(), DbError> {
    let now = core.clock.now();
    signing.load(&core.db, secrets, now).await?;
    let Some(from) = next(&signing.keys(), &signing.rotation, now) else { return Ok(()) };
    if !lease.hold(&core.db, now).await? {
        return Ok(());
    }
    // Another replica may have made one since.
    signing.load(&core.db, secrets, now).await?;
    if next(&signing.keys(), &signing.rotation, now) != Some(from) {
        return Ok(());
    }
    make(core, secrets, &signing.rotation, (now, from)).await?;
    signing.load(&core.db, secrets, now).await
}

async fn make(
    core: &Core,
    secrets: &Secrets,
    rotation: &Rotation,
    (now, from): (DateTime<Utc>, DateTime<Utc>),
) -> Result<(), DbError> {
    let refused = |error: &dyn fmt::Display| DbError::Refused(error.to_string());
    let seed: [u8; SEED] = secrets.random().map_err(|error| refused(&error))?;
    let kid = Uuid::now_v7().simple().to_string();
    let key = Key::of(kid.clone(), &seed).map_err(|error| refused(&error))?;
    let (sealed, key_id) = secrets.seal(&kid, &seed).map_err(|error| refused(&error))?;
    let until = from + rotation.signs;
    let sql = "INSERT INTO signing_keys (kid, algorithm, public_jwk, private_key, key_id, \
               published_at, signs_from, signs_until, kept_until) \
               VALUES (?, 'EdDSA', ?, ?, ?, ?, ?, ?, ?)";
    let jwk = key.jwk.to_string();
    let values = params![&kid, jwk, sealed, key_id, now, from, until, until + rotation.token];
    core.db.execute(sql, values).await?;
    info!(kid, signs_from = %from, "a signing key was made");
    // Those who were are not needed any more.
    let sql = "DELETE FROM signing_keys WHERE kept_until <= ?";
    core.db.execute(sql, params![now]).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + chrono::Duration::minutes(minutes)
    }

    fn key(from: i64, until: i64) -> Key {
        let key = Key::of(format!("{from}"), &[1; 32]).unwrap();
        Key { signs_from: at(from), signs_until: at(until), ..key }
    }

    fn rotation() -> Rotation {
        let minutes = chrono::Duration::minutes;
        Rotation { signs: minutes(100), published: minutes(5), token: minutes(10) }
    }

    #[test]
    fn a_key_signs_in_its_time_and_the_next_one_is_published_before() {
        let mut keys = vec![key(0, 100)];
        assert_eq!(next(&[], &rotation(), at(7)), Some(at(7)), "the first signs at once");
        assert_eq!(next(&keys, &rotation(), at(89)), None);
        assert_eq!(next(&keys, &rotation(), at(90)), Some(at(100)));
        keys.push(key(100, 200));
        assert_eq!(next(&keys, &rotation(), at(90)), None, "one is enough");
        let kid = |minutes| Signing::current(&keys, at(minutes)).map(|key| key.kid.as_str());
        assert_eq!((kid(99), kid(100), kid(200)), (Some("0"), Some("100"), None));
        assert_eq!(next(&keys, &rotation(), at(250)), Some(at(250)), "after a long absence");
    }

    #[test]
    fn the_public_half_is_that_of_the_rfc() {
        // RFC 8037 appendix A.
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = Key::of("k".to_owned(), &seed).unwrap();
        assert_eq!(key.jwk["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert!(!key.jwk.to_string().contains("nWGxne"));
        assert!(!format!("{key:?}").contains("nWGxne"));
    }
}
