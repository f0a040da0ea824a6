//! The configuration of `authz-edge`: the shape of `config.example.yaml`, which documents every key.

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use service_kit::admin::AdminConfig;
use service_kit::auth::AuthConfig;
use service_kit::bus::KafkaConfig;
use service_kit::config::{ConfigError, check_ranges};
use service_kit::telemetry::TelemetryConfig;

use crate::audit::DecisionAuditConfig;
use crate::check::{self, views};
use crate::ext_authz::config::ExtAuthzConfig;
use crate::graph::client;
use crate::graph::read::Strangers;
use crate::graph::write::Ownership;
use crate::http::Bodies;
use crate::model::condition::Precedence;
use crate::sync::identity;

/// The commented defaults, embedded.
pub const DEFAULTS: &str = include_str!("../config.example.yaml");

/// The prefix of environment variables that override a key.
pub const ENV_PREFIX: &str = "TRIAD_AUTHZ__";

/// Everything that can be configured.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct Config {
    pub http: HttpConfig,
    pub admin: AdminConfig,
    pub telemetry: TelemetryConfig,
    pub drain_deadline_ms: u64,
    pub auth: AuthConfig,
    pub dgraph: DgraphConfig,
    pub kafka: Kafka,
    pub cache: CacheConfig,
    pub freshness: FreshnessConfig,
    pub relay: RelayConfig,
    pub sync: SyncConfig,
    pub properties: PropertiesConfig,
    pub ext_authz: ExtAuthzConfig,
    pub decision_audit: DecisionAuditConfig,
}

/// The public listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct HttpConfig {
    pub listen: SocketAddr,
    pub max_connections: usize,
    pub max_body_bytes: usize,
    pub header_read_timeout_ms: u64,
    pub body_read_timeout_ms: u64,
    pub public_url: Option<String>,
}

impl HttpConfig {
    /// Of the API.
    #[must_use]
    pub fn bodies(&self) -> Bodies {
        Bodies::new(self.max_body_bytes, Duration::from_millis(self.body_read_timeout_ms))
    }
}

/// The graph.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct DgraphConfig {
    pub alpha_addresses: Vec<String>,
    pub timeout_ms: u64,
    pub connect_timeout_ms: u64,
}

impl DgraphConfig {
    /// Of the client.
    #[must_use]
    pub fn options(&self) -> client::Options {
        client::Options {
            alphas: self.alpha_addresses.clone(),
            timeout: Duration::from_millis(self.timeout_ms),
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
        }
    }
}

/// Kafka: changes and audit events.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct Kafka {
    pub brokers: Vec<String>,
    pub properties: std::collections::BTreeMap<String, String>,
    pub changes_topic: String,
    pub audit_topic: String,
    pub partitions: i32,
    pub replication: i32,
    pub min_insync_replicas: i32,
    pub changes_retention_minutes: u32,
    pub producer_buffer_kib: u32,
    pub producer_timeout_ms: u64,
}

impl Kafka {
    /// How to reach the cluster.
    #[must_use]
    pub fn cluster(&self) -> KafkaConfig {
        KafkaConfig { brokers: self.brokers.clone(), properties: self.properties.clone() }
    }
}

/// What is cached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct CacheConfig {
    pub life_ms: u64,
    pub max_life_ms: u64,
    pub deny_life_ms: u64,
    pub subject_mib: u64,
    pub resource_mib: u64,
    pub decision_mib: u64,
    pub fills: usize,
    pub fill_deadline_ms: u64,
}

/// How fresh answers are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct FreshnessConfig {
    pub strict_after_ms: u64,
    pub wait_ms: u64,
    pub fail_closed_on_lag_ms: Option<u64>,
}

/// From the outbox to Kafka.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct RelayConfig {
    pub interval_ms: u64,
    pub batch: usize,
}

/// Where identities come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct SyncConfig {
    pub mode: SyncMode,
    pub topic: String,
    pub dead_letter_topic: String,
    pub group: String,
}

impl SyncConfig {
    /// Of the consumer.
    #[must_use]
    pub fn options(&self) -> identity::Options {
        identity::Options {
            group: self.group.clone(),
            topic: self.topic.clone(),
            dead_letter_topic: self.dead_letter_topic.clone(),
            ..identity::Options::default()
        }
    }
}

/// Who writes users, service accounts, teams and memberships.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// Whoever may write.
    None,
    /// `identity.changes` alone.
    Identity,
}

impl SyncMode {
    /// Who writes identities.
    #[must_use]
    pub fn ownership(self) -> Ownership {
        if self == Self::Identity { Ownership::Sync } else { Ownership::Anyone }
    }

    /// What unknown subjects may.
    #[must_use]
    pub fn strangers(self) -> Strangers {
        if self == Self::Identity { Strangers::Barred } else { Strangers::Everyone }
    }
}

/// Conditions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct PropertiesConfig {
    pub precedence: Precedence,
}

impl Config {
    /// Checks what the types cannot: ranges and combinations.
    ///
    /// # Errors
    /// The first key that is out of range, by name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let ranges = [
            ("http.max_connections", self.http.max_connections as u64, 1, 1_000_000),
            ("http.max_body_bytes", self.http.max_body_bytes as u64, 1024, 64 << 20),
            ("http.body_read_timeout_ms", self.http.body_read_timeout_ms, 1, 600_000),
            ("dgraph.timeout_ms", self.dgraph.timeout_ms, 10, 60_000),
            ("dgraph.connect_timeout_ms", self.dgraph.connect_timeout_ms, 10, 60_000),
            ("kafka.partitions", whole(self.kafka.partitions), 1, 1000),
            ("cache.life_ms", self.cache.life_ms, 100, 3_600_000),
            ("cache.max_life_ms", self.cache.max_life_ms, self.cache.life_ms, 86_400_000),
            ("cache.deny_life_ms", self.cache.deny_life_ms, 0, self.cache.life_ms),
            ("cache.subject_mib", self.cache.subject_mib, 1, 1 << 20),
            ("cache.resource_mib", self.cache.resource_mib, 1, 1 << 20),
            ("cache.decision_mib", self.cache.decision_mib, 1, 1 << 20),
            ("cache.fills", self.cache.fills as u64, 1, 4096),
            ("cache.fill_deadline_ms", self.cache.fill_deadline_ms, 10, 60_000),
            ("freshness.strict_after_ms", self.freshness.strict_after_ms, 0, 3_600_000),
            ("freshness.wait_ms", self.freshness.wait_ms, 0, 60_000),
            ("relay.interval_ms", self.relay.interval_ms, 10, 200),
            ("relay.batch", self.relay.batch as u64, 1, 10_000),
        ];
        check_ranges(ranges)?;
        if self.dgraph.alpha_addresses.is_empty() {
            return Err(ConfigError::new("dgraph.alpha_addresses", "must name an alpha"));
        }
        self.kafka.cluster().validate()?;
        self.auth.validate()?;
        self.ext_authz.validate()?;
        self.decision_audit.validate()?;
        let listeners = [Some(self.http.listen), self.ext_authz.listen];
        let mut listeners = listeners.iter().flatten();
        listeners.try_for_each(|at| service_kit::http::require_loopback(at, self.auth.is_off()))
    }

    /// The time from SIGTERM to exit.
    #[must_use]
    pub fn drain_deadline(&self) -> Duration {
        Duration::from_millis(self.drain_deadline_ms)
    }

    /// Of the checker.
    #[must_use]
    pub fn checker(&self) -> check::Options {
        let millis = Duration::from_millis;
        check::Options {
            views: views::Options {
                life: millis(self.cache.life_ms),
                max_life: millis(self.cache.max_life_ms),
                subject_bytes: self.cache.subject_mib << 20,
                resource_bytes: self.cache.resource_mib << 20,
                fills: self.cache.fills,
                strict_after: millis(self.freshness.strict_after_ms),
                deadline: millis(self.cache.fill_deadline_ms),
            },
            decision_bytes: self.cache.decision_mib << 20,
            deny_life: millis(self.cache.deny_life_ms),
            precedence: self.properties.precedence,
            wait: millis(self.freshness.wait_ms),
            fail_closed_after: self.freshness.fail_closed_on_lag_ms.map(millis),
        }
    }
}

fn whole(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
