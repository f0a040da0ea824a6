//! The configuration of `authz-edge`: the shape of `config.example.yaml`, which documents every key.

mod validate;

use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use service_kit::admin::AdminConfig;
use service_kit::auth::AuthConfig;
use service_kit::bus::KafkaConfig;
use service_kit::http::{HttpKeys, HttpOptions};
use service_kit::rate::RateConfig;
use service_kit::telemetry::TelemetryConfig;
use service_kit::tls::{ClientTls, TlsConfig};

use crate::audit::DecisionAuditConfig;
use crate::check::{self, views};
use crate::ext_authz::config::ExtAuthzConfig;
use crate::graph::client;
use crate::graph::read::Strangers;
use crate::graph::write::Ownership;
use crate::model::condition::Precedence;
use crate::sync::identity;
use service_kit::body::Bodies;

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
    pub rate: RateConfig,
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
    pub write_timeout_ms: u64,
    pub drain_delay_ms: u64,
    pub public_url: Option<String>,
    pub tls: TlsConfig,
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
    pub alpha_address: Option<String>,
    pub alpha_addresses: Vec<String>,
    pub timeout_ms: u64,
    pub connect_timeout_ms: u64,
    pub tls: ClientTls,
}

/// Where an alpha is when neither key says it.
const LOCAL_ALPHA: &str = "127.0.0.1:9080";

impl DgraphConfig {
    /// Every alpha, by whichever key it was given.
    #[must_use]
    pub fn alphas(&self) -> Vec<String> {
        match &self.alpha_address {
            Some(one) => vec![one.clone()],
            None if self.alpha_addresses.is_empty() => vec![LOCAL_ALPHA.to_owned()],
            None => self.alpha_addresses.clone(),
        }
    }

    /// Of the client.
    #[must_use]
    pub fn options(&self) -> client::Options {
        client::Options {
            alphas: self.alphas(),
            timeout: Duration::from_millis(self.timeout_ms),
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            tls: self.tls.clone(),
        }
    }
}

/// Places for the questions that were asked once: more than so many MiB of decisions have room for.
fn doorkeeper(decision_mib: u64) -> usize {
    const MOST: usize = 1 << 24;
    usize::try_from(decision_mib << 12).unwrap_or(MOST).min(MOST)
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
            doorkeeper: doorkeeper(self.cache.decision_mib),
            deny_life: millis(self.cache.deny_life_ms),
            precedence: self.properties.precedence,
            wait: millis(self.freshness.wait_ms),
            fail_closed_after: self.freshness.fail_closed_on_lag_ms.map(millis),
        }
    }
}

#[cfg(test)]
mod tests;
