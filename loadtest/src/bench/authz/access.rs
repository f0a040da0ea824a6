//! An access token of our own, and the key set that it is verified with.

use std::path::PathBuf;

use anyhow::Context;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

/// Its id in the key set.
const KEY: &str = "bench";
/// PKCS#8 of an Ed25519 key is this, and the key's 32 bytes (RFC 8410).
const PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// Longer than any bench.
const LIFE: i64 = 24 * 3600;

/// A token for checks in one tenant. The key set's file goes with it.
pub(super) struct Access {
    pub(super) token: String,
    file: PathBuf,
}

impl Access {
    /// Signs a token with a fresh key.
    ///
    /// # Errors
    /// When the key set cannot be written.
    pub(super) fn new(tenant: &str) -> anyhow::Result<Self> {
        let der = [&PREFIX[..], &rand::random::<[u8; 32]>()].concat();
        let key = EncodingKey::from_ed_der(&der);
        let mut public = Jwk::from_encoding_key(&key, Algorithm::EdDSA)?;
        public.common.key_id = Some(KEY.to_owned());
        let header = Header {
            typ: Some("at+jwt".to_owned()),
            kid: Some(KEY.to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        // As identity-admin's will be (RFC 9068): its length is what the header costs.
        let now = chrono::Utc::now().timestamp();
        let claims = json!({
            "iss": "https://identity.example.com", "aud": "triad", "sub": "service_account:bench",
            "client_id": "bench", "tid": tenant, "scope": "authz:check", "iat": now,
            "exp": now + LIFE, "jti": uuid::Uuid::new_v4(),
        });
        let token = encode(&header, &claims, &key)?;
        let file = std::env::temp_dir().join(format!("lt-jwks-{}.json", uuid::Uuid::new_v4()));
        std::fs::write(&file, json!({"keys": [public]}).to_string())
            .with_context(|| file.display().to_string())?;
        Ok(Self { token, file })
    }

    /// What an edge is told to verify it.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("auth.mode", "jwt".to_owned()), ("auth.jwks_file", self.file.display().to_string())]
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        // In the temporary folder it is nobody's trouble.
        let _ = std::fs::remove_file(&self.file);
    }
}

#[cfg(test)]
mod tests {
    use contracts::{Scope, TenantId};
    use hyper::header::HeaderValue;
    use service_kit::auth::{AuthConfig, Verifier};
    use service_kit::shutdown::Shutdown;

    use super::*;

    #[tokio::test]
    async fn the_token_is_good_for_checks_in_its_tenant_and_for_nothing_else() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let access = Access::new("acme").unwrap();
        let file = access.file.clone();
        let config: AuthConfig = serde_json::from_value(json!({
            "mode": "jwt", "jwks_file": file, "audience": "triad", "leeway_seconds": 5,
            "jwks_refresh_seconds": 300, "jwks_url": null, "issuer": null, "default_tenant": null,
        }))
        .unwrap();
        let (_trigger, shutdown) = Shutdown::new();
        let verifier = Verifier::start(&config, shutdown).await.unwrap();
        let header = HeaderValue::try_from(format!("Bearer {}", access.token)).unwrap();
        let principal = verifier.verify(Some(&header)).await.unwrap();
        let tenant = |id| TenantId::parse(id).unwrap();
        assert!(principal.authorize(&tenant("acme"), Scope::AuthzCheck).is_ok());
        assert!(principal.authorize(&tenant("acme"), Scope::AuthzWrite).is_err());
        assert!(principal.authorize(&tenant("other"), Scope::AuthzCheck).is_err());
        drop(access);
        assert!(!file.exists());
    }
}
