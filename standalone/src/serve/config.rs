//! The configuration of `triad serve`: the shape of `config.example.yaml`, which documents every key.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use service_kit::admin::AdminConfig;
use service_kit::config::{ConfigError, Source, load, load_over};
use service_kit::telemetry::TelemetryConfig;
use service_kit::tls::TlsConfig;

/// The commented defaults, embedded.
pub const DEFAULTS: &str = include_str!("../../config.example.yaml");

/// The prefix of environment variables that override a key.
pub const ENV_PREFIX: &str = "TRIAD_STANDALONE__";

/// Sections of services that are decided here.
const OWNED: [&str; 8] =
    ["admin", "auth", "cassandra", "dgraph", "drain_deadline_ms", "kafka", "telemetry", "sync"];

/// Keys of services, below a section of which others may be given, that are decided here.
const OWNED_KEYS: [(&str, &str); 3] = [("http", "listen"), ("http", "tls"), ("ext_authz", "tls")];

/// Whether callers are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// API keys and tokens.
    Tokens,
    /// Everyone may do everything.
    Off,
}

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct Config {
    pub listen: SocketAddr,
    pub public_url: Option<String>,
    pub tls: TlsConfig,
    /// Where this process asks itself, if it is not `listen`: nobody configures it.
    #[serde(skip)]
    pub own: Option<SocketAddr>,
    pub admin: AdminConfig,
    pub ext_authz_listen: Option<SocketAddr>,
    pub data_dir: PathBuf,
    pub auth: Auth,
    pub telemetry: TelemetryConfig,
    pub drain_deadline_ms: u64,
    pub ingest: Map<String, Value>,
    pub authz: Map<String, Value>,
    pub identity: Map<String, Value>,
}

/// The configurations of the services.
pub struct Services {
    /// Of the audit trail.
    pub ingest: ingest::Config,
    /// Of checks.
    pub authz: authz_edge::Config,
    /// Of identities.
    pub identity: identity_admin::Config,
}

impl Config {
    /// From the defaults, a file and the environment.
    ///
    /// # Errors
    /// The key that is refused.
    pub fn load(file: Option<&Path>, env: Vec<(String, String)>) -> Result<Self, ConfigError> {
        load(&Source { defaults: DEFAULTS, file, env_prefix: ENV_PREFIX, env })
    }

    /// Where clients find it.
    #[must_use]
    pub fn public_url(&self) -> String {
        let scheme = if self.tls.is_on() { "https" } else { "http" };
        self.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", self.listen))
    }

    /// Where the API key of a service is, or of `admin`.
    #[must_use]
    pub fn key_file(&self, name: &str) -> PathBuf {
        identity_admin::embedded::key_file(&self.data_dir, name)
    }

    /// Where this process finds itself.
    #[must_use]
    pub fn own_url(&self) -> String {
        let listen = self.own.unwrap_or(self.listen);
        let ip = match listen.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        format!("http://{}", SocketAddr::new(ip, listen.port()))
    }

    /// What the services are started with.
    ///
    /// # Errors
    /// The key that is refused, with its section before it.
    pub fn services(&self) -> Result<Services, ConfigError> {
        service_kit::http::require_loopback(&self.listen, self.auth == Auth::Off)?;
        self.tls.validate("tls")?;
        self.admin.tls.validate("admin.tls")?;
        let (own, public) = (self.own_url(), self.public_url());
        let common = |service: &str| {
            let auth = match self.auth {
                Auth::Off => json!({"mode": "off"}),
                Auth::Tokens => json!({
                    "mode": "jwt",
                    "jwks_url": format!("{own}/.well-known/jwks.json"),
                    "issuer": public,
                    "revocations_topic": contracts::identity::CHANGES_TOPIC,
                    "introspection_url": format!("{own}/oauth2/introspect"),
                    "introspection_key_file": self.key_file(service),
                }),
            };
            json!({"auth": auth, "http": {"listen": self.listen}, "drain_deadline_ms": self.drain_deadline_ms})
        };
        let mut authz = common("authz-edge");
        authz["http"]["public_url"] = json!(public);
        authz["sync"] = json!({"mode": "identity"});
        authz["cache"] = json!({"subject_mib": 32, "resource_mib": 16, "decision_mib": 16});
        let mut identity = common("identity-admin");
        identity["http"]["public_url"] = json!(public);
        identity["tokens"] = json!({"issuer": public});
        let services = Services {
            ingest: service(ingest::config::DEFAULTS, common("ingest"), &self.ingest, "ingest")?,
            authz: service(authz_edge::config::DEFAULTS, authz, &self.authz, "authz")?,
            identity: service(
                identity_admin::config::DEFAULTS,
                identity,
                &self.identity,
                "identity",
            )?,
        };
        services.validate()?;
        Ok(services)
    }
}

impl Services {
    /// Checks each as its service would.
    ///
    /// # Errors
    /// The key that is refused, with its section before it.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let of = |section: &'static str| move |error: ConfigError| error.within(section);
        self.ingest.validate().map_err(of("ingest"))?;
        self.authz.validate().map_err(of("authz"))?;
        self.identity.validate().map_err(of("identity"))
    }
}

fn service<T: serde::de::DeserializeOwned>(
    defaults: &str,
    ours: Value,
    theirs: &Map<String, Value>,
    section: &str,
) -> Result<T, ConfigError> {
    let has = |(of, key): &(&str, &str)| theirs.get(*of).is_some_and(|of| of.get(key).is_some());
    let nested = OWNED_KEYS.iter().find(|at| has(at)).map(|(of, key)| format!("{of}.{key}"));
    let whole = OWNED.iter().find(|key| theirs.contains_key(**key)).map(|key| (*key).to_owned());
    if let Some(owned) = whole.or(nested) {
        let reason = "is decided by standalone, or has no meaning without engines";
        return Err(ConfigError::new(format!("{section}.{owned}"), reason));
    }
    let Value::Object(ours) = ours else { return Err(ConfigError::new(section, "no map")) };
    let source = Source { defaults, file: None, env_prefix: "\0", env: Vec::new() };
    load_over(&source, vec![ours, theirs.clone()]).map_err(|error| error.within(section))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(yaml: &str) -> Result<Services, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("triad.yaml");
        std::fs::write(&file, yaml).unwrap();
        let config = Config::load(Some(&file), Vec::new()).map_err(|error| error.to_string())?;
        config.services().map_err(|error| error.to_string())
    }

    #[test]
    fn services_are_configured_as_ever_and_what_has_no_meaning_is_refused_by_name() {
        let all = services("ingest: {query: {default_limit: 7}}\nlisten: '0.0.0.0:9000'").unwrap();
        assert_eq!(all.ingest.query.default_limit, 7);
        assert_eq!(all.authz.auth.jwks_url.unwrap(), "http://127.0.0.1:9000/.well-known/jwks.json");
        assert_eq!(all.identity.auth.issuer.unwrap(), "http://0.0.0.0:9000");
        for (yaml, refused) in [
            ("ingest: {kafka: {brokers: [a]}}", "ingest.kafka: is decided by standalone"),
            ("identity: {http: {listen: 'x'}}", "identity.http.listen: is decided by standalone"),
            ("ingest: {http: {tls: {}}}", "ingest.http.tls: is decided by standalone"),
            ("tls: {key: /a.pem}", "tls.certificate: key needs it"),
            ("authz: {cache: {lif_ms: 1}}", "authz.cache.lif_ms: "),
            ("ingest: {query: {default_limit: 0}}", "ingest.query.default_limit: "),
            ("datadir: x", "datadir: "),
            ("{auth: 'off', listen: '0.0.0.0:1'}", "auth.mode: off serves loopback"),
        ] {
            let error = services(yaml).err().unwrap();
            assert!(error.starts_with(refused), "{yaml}: {error}");
        }
    }
}
