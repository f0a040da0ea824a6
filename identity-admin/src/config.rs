//! The configuration of `identity-admin`: the shape of `config.example.yaml`, which documents every key.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use service_kit::admin::AdminConfig;
use service_kit::auth::AuthConfig;
use service_kit::bus::{KafkaConfig, PublisherOptions};
#[cfg(feature = "engines")]
use service_kit::config::secret_or_file;
use service_kit::config::{ConfigError, Secret, check_ranges};
use service_kit::http::{HttpKeys, HttpOptions};
use service_kit::rate::RateConfig;
use service_kit::telemetry::TelemetryConfig;
use service_kit::tls::{ClientTls, TlsConfig};

use crate::credentials::{Credentials, HashingOptions, Passwords, Policy, Secrets};
#[cfg(feature = "engines")]
use crate::db;
use crate::logins::LockOut;
use crate::oauth::{People, Rotation};
use crate::{http, relay, scim};

/// The commented defaults, embedded.
pub const DEFAULTS: &str = include_str!("../config.example.yaml");

/// The prefix of environment variables that override a key.
pub const ENV_PREFIX: &str = "TRIAD_IDENTITY__";

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct Config {
    pub http: HttpConfig,
    pub rate: RateConfig,
    pub admin: AdminConfig,
    pub telemetry: TelemetryConfig,
    pub drain_deadline_ms: u64,
    pub auth: AuthConfig,
    pub mysql: MysqlConfig,
    pub kafka: Kafka,
    pub relay: RelayConfig,
    pub snapshots: SnapshotsConfig,
    pub secrets_file: Option<PathBuf>,
    pub passwords: PasswordsConfig,
    pub log_in: LogInConfig,
    pub tokens: TokensConfig,
    pub device: DeviceConfig,
    pub idempotency: IdempotencyConfig,
    pub lists: ListsConfig,
    pub scim: ScimConfig,
}

/// The public listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct HttpConfig {
    pub listen: SocketAddr,
    pub public_url: String,
    pub max_connections: usize,
    pub max_body_bytes: usize,
    pub header_read_timeout_ms: u64,
    pub write_timeout_ms: u64,
    pub request_timeout_ms: u64,
    pub drain_delay_ms: u64,
    pub trusted_proxies: Vec<ipnet::IpNet>,
    pub tls: TlsConfig,
}

/// The database.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct MysqlConfig {
    pub dsn: Secret,
    pub dsn_file: Option<PathBuf>,
    pub max_open_conns: u32,
    pub max_idle_conns: u32,
    pub conn_max_lifetime_minutes: u32,
    pub acquire_timeout_ms: u64,
    pub statement_timeout_ms: u64,
    pub lock_timeout_seconds: u64,
    pub tls: ClientTls,
}

impl MysqlConfig {
    /// Where the database is and how it is reached.
    ///
    /// # Errors
    /// A DSN that cannot be read (`mysql.dsn`), or its file (`mysql.dsn_file`), neither of which repeats it; files of
    /// `mysql.tls` that are not what they should be.
    #[cfg(feature = "engines")]
    pub fn options(&self) -> Result<db::Options, ConfigError> {
        let file = secret_or_file("mysql.dsn", &None, &self.dsn_file)?;
        let key = if file.is_some() { "mysql.dsn_file" } else { "mysql.dsn" };
        let dsn = file.as_ref().unwrap_or(&self.dsn);
        let dsn = db::Dsn::parse(dsn.expose()).map_err(|reason| ConfigError::new(key, reason))?;
        // The driver reads the files itself: here they are judged.
        self.tls.read("mysql.tls")?;
        Ok(db::Options {
            place: db::Place::MySql(dsn.secured(&self.tls)),
            max_open: self.max_open_conns,
            max_idle: self.max_idle_conns,
            max_lifetime: Duration::from_secs(60 * u64::from(self.conn_max_lifetime_minutes)),
            acquire_timeout: Duration::from_millis(self.acquire_timeout_ms),
            statement_timeout: Duration::from_millis(self.statement_timeout_ms),
            lock_timeout: Duration::from_secs(self.lock_timeout_seconds),
        })
    }
}

/// Kafka: changes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct Kafka {
    pub brokers: Vec<String>,
    pub properties: BTreeMap<String, String>,
    pub changes_topic: String,
    pub audit_topic: String,
    pub producer_buffer_kib: u32,
    pub producer_timeout_ms: u64,
    pub max_message_bytes: usize,
    pub partitions: i32,
    pub replication: i32,
    pub min_insync_replicas: i32,
    pub changes_retention_hours: u32,
}

impl Kafka {
    /// How to reach the cluster.
    #[must_use]
    pub fn cluster(&self) -> KafkaConfig {
        KafkaConfig { brokers: self.brokers.clone(), properties: self.properties.clone() }
    }

    /// How the relay publishes.
    #[must_use]
    pub fn publisher(&self) -> PublisherOptions {
        PublisherOptions {
            client_id: "identity-admin".to_owned(),
            max_buffer_kib: self.producer_buffer_kib,
            timeout: Duration::from_millis(self.producer_timeout_ms),
            max_message_bytes: self.max_message_bytes,
        }
    }
}

/// From the outbox to Kafka.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct RelayConfig {
    pub lease_seconds: u64,
    pub poll_ms: u64,
    pub batch_rows: u32,
}

/// Tokens and keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct TokensConfig {
    pub issuer: String,
    pub life_seconds: u32,
    pub signing_key_hours: u32,
    pub jwks_cache_seconds: u32,
    pub key_environment: String,
    pub refresh_hours: u32,
    pub refresh_grace_seconds: u32,
}

/// Passwords of people.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct PasswordsConfig {
    pub min_length: usize,
    pub blocklist_file: Option<PathBuf>,
    pub at_once: usize,
    pub waiting: usize,
}

impl PasswordsConfig {
    /// How many are hashed.
    #[must_use]
    pub fn hashing(&self) -> HashingOptions {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let at_once = if self.at_once == 0 { (processors - 1).max(1) } else { self.at_once };
        HashingOptions { at_once, waiting: self.waiting }
    }
}

/// Lock-out.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct LogInConfig {
    pub max_failures: u32,
    pub lock_seconds: u32,
}

/// What people may allow programs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct DeviceConfig {
    pub clients: Vec<String>,
    pub life_seconds: u32,
    pub interval_seconds: u32,
}

impl DeviceConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        let is_id = |id: &String| {
            (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if self.clients.iter().all(is_id) {
            return Ok(());
        }
        let reason = "must be 1 to 128 printable ASCII characters each, without spaces";
        Err(ConfigError::new("device.clients", reason))
    }
}

impl TokensConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        if !is_url(&self.issuer) {
            let reason = "must be an http or https URL without query (RFC 8414 section 2)";
            return Err(ConfigError::new("tokens.issuer", reason));
        }
        let environment = self.key_environment.as_str();
        let is_word = environment.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !is_word || environment.is_empty() || environment.len() > 16 {
            let reason = "must be 1 to 16 of a-z and 0-9";
            return Err(ConfigError::new("tokens.key_environment", reason));
        }
        Ok(())
    }
}

/// Whole tenants, read at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct SnapshotsConfig {
    pub at_once: usize,
    pub timeout_seconds: u64,
}

/// Answers that are kept for repeats.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct IdempotencyConfig {
    pub life_hours: u32,
    pub sweep_seconds: u64,
}

/// Pages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct ListsConfig {
    pub default_limit: usize,
    pub max_limit: usize,
}

/// Directories that provision.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct ScimConfig {
    pub passwords: scim::Passwords,
    pub max_body_bytes: usize,
    pub max_operations: usize,
    pub max_scan: usize,
    pub max_members: usize,
}

impl Config {
    /// Checks what the types cannot: ranges and combinations.
    ///
    /// # Errors
    /// The first key that is out of range, by name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let (mysql, lists) = (&self.mysql, &self.lists);
        // A lock must be given up before the statement that waits for it is.
        let longest_lock = mysql.statement_timeout_ms.saturating_sub(1) / 1000;
        check_ranges([
            ("http.max_body_bytes", self.http.max_body_bytes as u64, 1024, 64 << 20),
            ("http.request_timeout_ms", self.http.request_timeout_ms, 100, 600_000),
            ("mysql.max_open_conns", u64::from(mysql.max_open_conns), 1, 10_000),
            ("mysql.max_idle_conns", u64::from(mysql.max_idle_conns), 0, 10_000),
            ("mysql.conn_max_lifetime_minutes", mysql.conn_max_lifetime_minutes.into(), 1, 1440),
            ("mysql.acquire_timeout_ms", mysql.acquire_timeout_ms, 10, 60_000),
            ("mysql.statement_timeout_ms", mysql.statement_timeout_ms, 1100, 600_000),
            ("mysql.lock_timeout_seconds", mysql.lock_timeout_seconds, 1, longest_lock.max(1)),
            ("kafka.partitions", whole(self.kafka.partitions), 1, 1000),
            ("kafka.replication", whole(self.kafka.replication), 1, 100),
            (
                "kafka.changes_retention_hours",
                self.kafka.changes_retention_hours.into(),
                168,
                87_600,
            ),
            ("kafka.producer_buffer_kib", self.kafka.producer_buffer_kib.into(), 1024, 1 << 20),
            ("kafka.producer_timeout_ms", self.kafka.producer_timeout_ms, 1000, 600_000),
            ("kafka.max_message_bytes", self.kafka.max_message_bytes as u64, 1024, 16 << 20),
            ("relay.lease_seconds", self.relay.lease_seconds, 1, 300),
            ("relay.poll_ms", self.relay.poll_ms, 5, 10_000),
            ("relay.batch_rows", self.relay.batch_rows.into(), 1, 10_000),
            ("snapshots.at_once", self.snapshots.at_once as u64, 1, 10_000),
            ("snapshots.timeout_seconds", self.snapshots.timeout_seconds, 1, 86_400),
            ("tokens.life_seconds", self.tokens.life_seconds.into(), 30, 3600),
            ("tokens.signing_key_hours", self.tokens.signing_key_hours.into(), 2, 8760),
            ("tokens.jwks_cache_seconds", self.tokens.jwks_cache_seconds.into(), 10, 3600),
            ("tokens.refresh_hours", self.tokens.refresh_hours.into(), 1, 8760),
            ("tokens.refresh_grace_seconds", self.tokens.refresh_grace_seconds.into(), 0, 300),
            ("passwords.min_length", self.passwords.min_length as u64, 8, 64),
            ("passwords.at_once", self.passwords.at_once as u64, 0, 1024),
            ("passwords.waiting", self.passwords.waiting as u64, 0, 100_000),
            ("log_in.max_failures", self.log_in.max_failures.into(), 1, 100),
            ("log_in.lock_seconds", self.log_in.lock_seconds.into(), 1, 86_400),
            ("device.life_seconds", self.device.life_seconds.into(), 30, 3600),
            ("device.interval_seconds", self.device.interval_seconds.into(), 1, 60),
            ("idempotency.life_hours", self.idempotency.life_hours.into(), 1, 168),
            ("idempotency.sweep_seconds", self.idempotency.sweep_seconds, 1, 86_400),
            ("scim.max_body_bytes", self.scim.max_body_bytes as u64, 1024, 64 << 20),
            ("scim.max_operations", self.scim.max_operations as u64, 1, 10_000),
            ("scim.max_scan", self.scim.max_scan as u64, 1, 10_000_000),
            ("scim.max_members", self.scim.max_members as u64, 1, 1_000_000),
            ("lists.max_limit", lists.max_limit as u64, 1, 10_000),
            ("lists.default_limit", lists.default_limit as u64, 1, lists.max_limit as u64),
        ])?;
        self.http_keys().validate()?;
        self.rate.validate()?;
        let url = &self.http.public_url;
        if !is_url(url) || url.ends_with('/') || url.contains(' ') {
            let reason = "an http or https URL without / at its end";
            return Err(ConfigError::new("http.public_url", reason));
        }
        self.tokens.validate()?;
        self.device.validate()?;
        self.http.tls.validate("http.tls")?;
        self.admin.tls.validate("admin.tls")?;
        #[cfg(feature = "engines")]
        self.mysql.options()?;
        self.kafka.cluster().validate()?;
        self.auth.validate()?;
        service_kit::http::require_loopback(&self.http.listen, self.auth.is_off())
    }

    /// The time from SIGTERM to exit.
    #[must_use]
    pub fn drain_deadline(&self) -> Duration {
        Duration::from_millis(self.drain_deadline_ms)
    }

    /// Of the public listener.
    #[must_use]
    pub fn http_options(&self) -> HttpOptions {
        self.http_keys().options()
    }

    fn http_keys(&self) -> HttpKeys {
        HttpKeys {
            max_connections: self.http.max_connections,
            header_read_timeout_ms: self.http.header_read_timeout_ms,
            write_timeout_ms: self.http.write_timeout_ms,
            drain_delay_ms: self.http.drain_delay_ms,
            drain_deadline_ms: self.drain_deadline_ms,
        }
    }

    /// Of the API.
    #[must_use]
    pub fn api_options(&self) -> http::Options {
        http::Options {
            max_body_bytes: self.http.max_body_bytes,
            request_timeout: Duration::from_millis(self.http.request_timeout_ms),
            trusted_proxies: self.http.trusted_proxies.clone(),
            default_limit: self.lists.default_limit,
            max_limit: self.lists.max_limit,
            // Others go on beside them.
            snapshots: self.snapshots.at_once.min(self.mysql.max_open_conns as usize / 2).max(1),
            snapshot_timeout: Duration::from_secs(self.snapshots.timeout_seconds),
            rate: self.rate,
            scim: scim::Options {
                passwords: self.scim.passwords,
                public_url: self.http.public_url.clone(),
                max_body_bytes: self.scim.max_body_bytes,
                max_operations: self.scim.max_operations,
                max_scan: self.scim.max_scan,
                max_members: self.scim.max_members,
            },
        }
    }

    /// Of the relay.
    #[must_use]
    pub fn relay_options(&self) -> relay::Options {
        relay::Options {
            changes_topic: self.kafka.changes_topic.clone(),
            audit_topic: self.kafka.audit_topic.clone(),
            lease: Duration::from_secs(self.relay.lease_seconds),
            poll: Duration::from_millis(self.relay.poll_ms),
            batch: self.relay.batch_rows,
        }
    }

    /// What makes and checks credentials; none without `secrets_file`.
    ///
    /// # Errors
    /// As [`Secrets::read`], and a blocklist that cannot be read.
    pub fn credentials(&self) -> Result<Option<Credentials>, ConfigError> {
        let Some(path) = &self.secrets_file else { return Ok(None) };
        let secrets = Arc::new(Secrets::read(path)?);
        let PasswordsConfig { min_length, blocklist_file, .. } = &self.passwords;
        let policy = Policy::read(*min_length, blocklist_file.as_deref())
            .map_err(|error| ConfigError::new("passwords.blocklist_file", error.to_string()))?;
        let passwords = Passwords::new(self.passwords.hashing(), policy);
        let environment = self.tokens.key_environment.clone();
        Ok(Some(Credentials { secrets, environment, passwords }))
    }

    /// What people may allow.
    pub(crate) fn people(&self) -> People {
        let seconds = |seconds: u32| chrono::Duration::seconds(seconds.into());
        People {
            clients: self.device.clients.clone(),
            device_life: seconds(self.device.life_seconds),
            interval_seconds: self.device.interval_seconds,
            refresh_life: chrono::Duration::hours(self.tokens.refresh_hours.into()),
            refresh_grace: seconds(self.tokens.refresh_grace_seconds),
            lock_out: LockOut {
                max_failures: self.log_in.max_failures,
                lock: seconds(self.log_in.lock_seconds),
            },
        }
    }

    /// How signing keys follow each other.
    pub(crate) fn rotation(&self) -> Rotation {
        let seconds = |seconds: u32| chrono::Duration::seconds(seconds.into());
        Rotation {
            signs: chrono::Duration::hours(self.tokens.signing_key_hours.into()),
            published: seconds(self.tokens.jwks_cache_seconds),
            // Verifiers tolerate clocks that differ by five minutes at most.
            token: seconds(self.tokens.life_seconds) + chrono::Duration::minutes(5),
        }
    }

    /// How long an answer is kept for its Idempotency-Key.
    #[must_use]
    pub fn answers_live(&self) -> chrono::Duration {
        chrono::Duration::hours(i64::from(self.idempotency.life_hours))
    }
}

/// Whether it is an http or https URL without query.
fn is_url(text: &str) -> bool {
    (text.starts_with("http://") || text.starts_with("https://")) && !text.contains(['?', '#'])
}

fn whole(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

#[cfg(all(test, feature = "engines"))]
mod tests {
    use std::io::Write as _;

    use service_kit::config::{Source, load};

    use super::*;

    fn read(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let env =
            env.iter().map(|(key, value)| (format!("{ENV_PREFIX}{key}"), (*value).to_owned()));
        let source =
            Source { defaults: DEFAULTS, file: None, env_prefix: ENV_PREFIX, env: env.collect() };
        let config: Config = load(&source)?;
        config.validate()?;
        Ok(config)
    }

    #[test]
    fn the_embedded_default_is_whole_and_valid() {
        let config = read(&[]).unwrap();
        let options = config.mysql.options().unwrap();
        assert_eq!(options.place.to_string(), "mysql tcp(127.0.0.1:3306)/triad_identity");
    }

    #[test]
    fn what_is_bad_is_refused_by_name_and_the_dsn_is_never_shown() {
        for (key, value, name) in [
            ("MYSQL__DSN", "u:hush@tcp(h)", "mysql.dsn"),
            ("MYSQL__DSN", "u:hush@tcp(h)/d?tls=true", "mysql.dsn"),
            ("MYSQL__MAX_OPEN_CONNS", "0", "mysql.max_open_conns"),
            ("MYSQL__LOCK_TIMEOUT_SECONDS", "10", "mysql.lock_timeout_seconds"),
            ("MYSQL__DSN_FILE", "/nonexistent", "mysql.dsn_file"),
            ("MYSQL__TLS__CA", "/nonexistent", "mysql.tls.ca"),
            ("MYSQL__TLS__KEY", "/nonexistent", "mysql.tls.certificate"),
            ("HTTP__TLS__CERTIFICATE", "/nonexistent", "http.tls.key"),
            ("LISTS__DEFAULT_LIMIT", "1001", "lists.default_limit"),
            ("KAFKA__CHANGES_RETENTION_HOURS", "24", "kafka.changes_retention_hours"),
            ("HTTP__LISTEN", "0.0.0.0:8101", "auth.mode"),
        ] {
            let error = read(&[(key, value)]).unwrap_err();
            assert_eq!(error.key(), name, "{error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
    }

    #[test]
    fn a_name_for_servers_is_refused_as_the_driver_checks_their_host() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "mysql: {{tls: {{server_name: db}}}}").unwrap();
        let (file, env) = (Some(file.path()), Vec::new());
        let source = Source { defaults: DEFAULTS, file, env_prefix: ENV_PREFIX, env };
        let error = load::<Config>(&source).unwrap().validate().unwrap_err();
        assert_eq!(error.key(), "mysql.tls.server_name");
    }

    #[test]
    fn a_dsn_may_be_a_file() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "mysql://u:hush@h/d").unwrap();
        let config = read(&[("MYSQL__DSN_FILE", file.path().to_str().unwrap())]).unwrap();
        assert_eq!(config.mysql.options().unwrap().place.to_string(), "mysql tcp(h:3306)/d");
        assert!(!format!("{config:?}").contains("hush"));
    }
}
