//! Who calls, and what they may do: bearer verification (RFC 9068) and authorisation.

mod fetch;
#[cfg(any(feature = "engines", feature = "embedded"))]
mod follow;
mod introspection;
mod jwks;
mod principal;
mod revocations;
mod verifier;

#[cfg(any(feature = "engines", feature = "embedded"))]
pub use follow::follow_revocations;
pub use principal::Principal;
pub use revocations::Revocations;
pub use verifier::Verifier;

use crate::config::ConfigError;
use contracts::TenantId;
use serde::Deserialize;
use std::path::PathBuf;

/// Clocks that differ by more than this are broken, in seconds.
const MAX_LEEWAY_SECONDS: u64 = 300;

/// No token holds longer, the difference of clocks included: what is revoked is remembered so long. Issuers of
/// tokens that hold longer are not told of here.
const MAX_TOKEN_LIFE: chrono::Duration = chrono::Duration::minutes(65);

/// Whether callers are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Everyone may do everything. Serves loopback only: see [`crate::http::require_loopback`].
    Off,
    /// Access tokens as RFC 9068 describes them.
    Jwt,
}

/// The section `auth` of every service's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthConfig {
    /// Whether callers are verified.
    pub mode: AuthMode,
    /// Where the issuer publishes its keys; this or `jwks_file` with mode `jwt`.
    pub jwks_url: Option<String>,
    /// The issuer's keys in a file, read again as often as a URL would be.
    pub jwks_file: Option<PathBuf>,
    /// What `iss` must be; unchecked when absent, which trusts every holder of a listed key.
    pub issuer: Option<String>,
    /// What `aud` must contain.
    pub audience: String,
    /// How far the issuer's clock may differ, at most 300 s.
    pub leeway_seconds: u64,
    /// How often the keys are read again; how long a withdrawn key keeps working.
    pub jwks_refresh_seconds: u64,
    /// Where revocations are told: identity-admin's topic. Without one, tokens hold to their ends.
    pub revocations_topic: Option<String>,
    /// Where API keys are asked about, with mode `jwt`; without it they are no bearers here.
    pub introspection_url: Option<String>,
    /// The API key that asks, whose account may `token:introspect`.
    pub introspection_key_file: Option<PathBuf>,
    /// Who signs certificates of `https` URLs above, PEM, instead of those whom the system trusts.
    pub ca: Option<PathBuf>,
    /// The tenant of callers with mode `off`.
    pub default_tenant: Option<String>,
}

impl AuthConfig {
    /// Whether callers go unverified, which [`crate::http::require_loopback`] wants to know.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.mode == AuthMode::Off
    }

    /// Checks what a type cannot.
    ///
    /// # Errors
    /// The key that is refused, under `auth.`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.tenant()?;
        let refuse = |key: &str, reason: &str| Err(ConfigError::new(format!("auth.{key}"), reason));
        if self.is_off() {
            return Ok(());
        }
        match (&self.jwks_url, &self.jwks_file) {
            (None, None) => return refuse("jwks_url", "mode jwt needs jwks_url or jwks_file"),
            (Some(_), Some(_)) => return refuse("jwks_url", "give either jwks_url or jwks_file"),
            _ => {}
        }
        if self.audience.is_empty() {
            return refuse("audience", "must not be empty");
        }
        if self.leeway_seconds > MAX_LEEWAY_SECONDS {
            return refuse("leeway_seconds", "must be at most 300");
        }
        if !(1..=86_400).contains(&self.jwks_refresh_seconds) {
            return refuse("jwks_refresh_seconds", "must be from 1 to 86400");
        }
        Ok(())
    }

    fn tenant(&self) -> Result<Option<TenantId>, ConfigError> {
        let tenant = self.default_tenant.as_deref().map(TenantId::parse).transpose();
        tenant.map_err(|error| ConfigError::new("auth.default_tenant", error))
    }
}

#[cfg(test)]
mod tests;
