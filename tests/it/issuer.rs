//! Signs bearer tokens as identity-admin will.

use anyhow::Result;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::json;

/// A key, and the file that an edge verifies its tokens by.
pub(crate) struct Issuer {
    key: EncodingKey,
    keys: tempfile::NamedTempFile,
}

impl Issuer {
    pub(crate) fn new() -> Result<Self> {
        Self::of_seed(7)
    }

    /// One whose key is another for each seed, and has the same name.
    pub(crate) fn of_seed(seed: u8) -> Result<Self> {
        // An Ed25519 key of a fixed seed in PKCS#8.
        let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        let key = EncodingKey::from_ed_der(&[&prefix[..], &[seed; 32]].concat());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::EdDSA)?;
        jwk.common.key_id = Some("k".to_owned());
        let keys = tempfile::NamedTempFile::new()?;
        std::fs::write(keys.path(), json!({ "keys": [jwk] }).to_string())?;
        Ok(Self { key, keys })
    }

    /// Where its key set is.
    pub(crate) fn keys(&self) -> String {
        self.keys.path().display().to_string()
    }

    /// `Bearer …` of a subject of a tenant, with scopes that spaces separate.
    pub(crate) fn bearer(&self, tenant: &str, subject: &str, scopes: &str) -> Result<String> {
        let header = Header {
            alg: Algorithm::EdDSA,
            kid: Some("k".to_owned()),
            typ: Some("at+jwt".to_owned()),
            ..Header::default()
        };
        let year_2100 = 4_102_444_800_u64;
        let claims = json!({"aud": "triad", "sub": subject, "tid": tenant, "scope": scopes,
            "exp": year_2100});
        Ok(format!("Bearer {}", self.signed(&header, &claims)?))
    }

    /// Whatever it is, signed.
    pub(crate) fn signed(&self, header: &Header, claims: &serde_json::Value) -> Result<String> {
        Ok(encode(header, claims, &self.key)?)
    }
}
