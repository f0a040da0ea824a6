//! The issuer's keys: where they come from, which of them are usable, and when they are read again.

use super::{AuthConfig, Revocations, fetch, principal::Principal, revocations::Token};
use crate::config::ConfigError;
use anyhow::{Context as _, ensure};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A larger key set is refused, in bytes.
const MAX_JWKS_BYTES: usize = 1 << 20;
/// Keys beyond this are ignored.
const MAX_KEYS: usize = 100;
/// RFC 7518 section 3.3: RSA keys of 2048 bits or more.
const MIN_RSA_MODULUS_BASE64: usize = 2048 / 8 * 4 / 3;
/// How long one read of the key set may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Verified tokens kept for each half of a key set's cache.
const CACHE_HALF: usize = 5_000;

/// One reading of the key set, with the tokens that its keys verified: a new key set starts with
/// none, so that a withdrawn key's tokens do not outlive it.
#[derive(Default)]
pub(super) struct KeySet {
    text: Vec<u8>,
    keys: HashMap<String, (Algorithm, DecodingKey)>,
    pub(super) cache: Mutex<TokenCache>,
}

impl KeySet {
    /// The usable keys; others are ignored, as RFC 7517 section 5 demands.
    pub(super) fn parse(text: Vec<u8>) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<serde_json::Value>,
        }
        let document: Document = serde_json::from_slice(&text).context("is no JSON Web Key Set")?;
        let usable = |value| usable_key(&serde_json::from_value(value).ok()?);
        let keys: HashMap<_, _> =
            document.keys.into_iter().take(MAX_KEYS).filter_map(usable).collect();
        ensure!(!keys.is_empty(), "holds no usable key (kid; EdDSA, ES256 or RS256)");
        Ok(Self { text, keys, cache: Mutex::default() })
    }

    pub(super) fn find(&self, kid: &str) -> Option<&(Algorithm, DecodingKey)> {
        self.keys.get(kid)
    }

    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

fn usable_key(jwk: &Jwk) -> Option<(String, (Algorithm, DecodingKey))> {
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::RSA(key) if key.n.len() >= MIN_RSA_MODULUS_BASE64 => {
            (Algorithm::RS256, KeyAlgorithm::RS256)
        }
        _ => return None,
    };
    let common = &jwk.common;
    let signs = common.public_key_use.as_ref().is_none_or(|use_| *use_ == PublicKeyUse::Signature);
    let fits = common.key_algorithm.is_none_or(|given| given == name);
    let key = DecodingKey::from_jwk(jwk).ok()?;
    (signs && fits).then_some((common.key_id.clone()?, (algorithm, key)))
}

/// A token that was verified.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) principal: Arc<Principal>,
    pub(super) expires: u64,
    pub(super) jti: Option<Box<str>>,
    pub(super) issued: Option<u64>,
    /// How much was told of revocations when none of it was about this token.
    pub(super) told: u64,
}

impl Known {
    /// Whether it is void, by what was told since it was last asked.
    pub(super) fn is_void(&mut self, revocations: &Revocations) -> bool {
        // Before it is looked up: what is told meanwhile is looked at the next time.
        let told = revocations.told();
        if told == self.told {
            return false;
        }
        self.told = told;
        let Some(tenant) = &self.principal.tenant else { return false };
        let (subject, jti) = (self.principal.subject.as_str(), self.jti.as_deref());
        revocations.voids(Token { tenant, subject, jti, issued: self.issued })
    }
}

/// Verified tokens by their BLAKE3 hash, until they expire; at most `2 × CACHE_HALF`. When the young
/// half is full the old one is forgotten and they change places: O(1), and what is used stays.
#[derive(Default)]
pub(super) struct TokenCache {
    young: HashMap<[u8; 32], Known>,
    old: HashMap<[u8; 32], Known>,
}

impl TokenCache {
    /// Whose token it is, if it is known and neither over nor void.
    pub(super) fn get(
        cache: &Mutex<Self>,
        token: &[u8; 32],
        revocations: &Revocations,
        now: u64,
    ) -> Option<Arc<Principal>> {
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = cache.old.remove(token) {
            cache.insert(*token, entry);
        }
        let known = cache.young.get_mut(token)?;
        if known.is_void(revocations) {
            cache.young.remove(token);
            return None;
        }
        (now < known.expires).then(|| Arc::clone(&known.principal))
    }

    pub(super) fn put(cache: &Mutex<Self>, token: [u8; 32], known: Known) {
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.insert(token, known);
    }

    fn insert(&mut self, token: [u8; 32], entry: Known) {
        if self.young.len() >= CACHE_HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, entry);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// Where the keys come from.
pub(super) enum Source {
    Url(reqwest::Client, reqwest::Url),
    File(PathBuf),
}

impl Source {
    /// `None` with no source configured.
    pub(super) fn new(config: &AuthConfig) -> Result<Option<Self>, ConfigError> {
        let Some(url) = &config.jwks_url else {
            return Ok(config.jwks_file.clone().map(Self::File));
        };
        let (client, url) = fetch::client(config, "auth.jwks_url", url, FETCH_TIMEOUT)?;
        Ok(Some(Self::Url(client, url)))
    }

    /// Reads the key set, within [`FETCH_TIMEOUT`].
    pub(super) async fn read(&self) -> anyhow::Result<KeySet> {
        let text = match self {
            Self::Url(client, url) => {
                fetch::body(client.get(url.clone()).send().await?, MAX_JWKS_BYTES).await?
            }
            Self::File(path) => {
                tokio::time::timeout(FETCH_TIMEOUT, tokio::fs::read(path)).await??
            }
        };
        ensure!(text.len() <= MAX_JWKS_BYTES, "is larger than {MAX_JWKS_BYTES} bytes");
        KeySet::parse(text)
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}
