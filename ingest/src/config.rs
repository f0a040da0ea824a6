//! The configuration of `ingest`: the shape of `config.example.yaml`, which documents every key.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use service_kit::admin::AdminConfig;
use service_kit::auth::AuthConfig;
use service_kit::bus::KafkaConfig;
use service_kit::config::{ConfigError, Secret, check_ranges};
use service_kit::http::{HttpKeys, HttpOptions};
use service_kit::rate::RateConfig;
use service_kit::telemetry::TelemetryConfig;
use service_kit::tls::{ClientTls, TlsConfig};

use crate::event::Limits;

/// The commented defaults, embedded.
pub const DEFAULTS: &str = include_str!("../config.example.yaml");

/// The prefix of environment variables that override a key.
pub const ENV_PREFIX: &str = "TRIAD_INGEST__";

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
    pub kafka: Kafka,
    pub cassandra: CassandraConfig,
    pub pipeline: PipelineConfig,
    pub limits: LimitsConfig,
    pub layout: LayoutConfig,
    pub query: QueryConfig,
}

/// The public listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct HttpConfig {
    pub listen: SocketAddr,
    pub max_connections: usize,
    pub max_body_bytes: usize,
    pub max_events: usize,
    pub header_read_timeout_ms: u64,
    pub write_timeout_ms: u64,
    pub request_timeout_ms: u64,
    pub drain_delay_ms: u64,
    pub tls: TlsConfig,
}

/// Kafka: source, dead letters and accepted events.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct Kafka {
    pub brokers: Vec<String>,
    pub properties: std::collections::BTreeMap<String, String>,
    pub topic: String,
    pub dead_letter_topic: String,
    pub group: String,
    pub prefetch_kib: u32,
    pub commit_interval_ms: u64,
    pub session_timeout_ms: u32,
    pub max_poll_interval_ms: u32,
    pub revoke_wait_ms: u64,
    pub producer_buffer_kib: u32,
    pub producer_timeout_ms: u64,
    pub partitions: i32,
    pub replication: i32,
    pub min_insync_replicas: i32,
    pub retention_hours: u32,
}

impl Kafka {
    /// How to reach the cluster.
    #[must_use]
    pub fn cluster(&self) -> KafkaConfig {
        KafkaConfig { brokers: self.brokers.clone(), properties: self.properties.clone() }
    }
}

/// Cassandra: sink, registry and reads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct CassandraConfig {
    pub hosts: Vec<String>,
    pub keyspace: String,
    pub consistency: Consistency,
    pub timeout_seconds: u64,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub password_file: Option<PathBuf>,
    pub tls: ClientTls,
    pub replication: u8,
    pub datacenter: String,
    pub index: Index,
}

/// Consistency levels that promise a durable write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the names are Cassandra's")]
pub enum Consistency {
    One,
    Two,
    Three,
    Quorum,
    All,
    LocalQuorum,
    EachQuorum,
    LocalOne,
}

/// How filters by actor and by resource are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Index {
    /// A data-skipping index ([`crate::skip`]).
    Skip,
    /// Storage-attached indexes.
    Sai,
    /// By reading the range.
    None,
}

/// Between Kafka and Cassandra.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct PipelineConfig {
    pub in_flight_bytes: usize,
    pub pause_after_ms: u64,
    pub batch_bytes: usize,
    pub batch_rows: usize,
    pub linger_min_ms: u64,
    pub linger_max_ms: u64,
    pub batches_in_flight: usize,
    pub index_linger_ms: u64,
}

/// What one event may be.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct LimitsConfig {
    pub max_record_bytes: usize,
    pub max_fields: usize,
    pub max_depth: usize,
    pub future_skew_seconds: u32,
    pub past_days: u32,
}

impl LimitsConfig {
    /// The limits of the decoder.
    #[must_use]
    pub fn decoder(&self) -> Limits {
        Limits {
            max_record_bytes: self.max_record_bytes,
            max_fields: self.max_fields,
            max_depth: self.max_depth,
        }
    }

    /// The accepted future, in milliseconds.
    #[must_use]
    pub fn future_millis(&self) -> i64 {
        i64::from(self.future_skew_seconds) * 1000
    }

    /// The accepted past, in milliseconds.
    #[must_use]
    pub fn past_millis(&self) -> i64 {
        i64::from(self.past_days) * 86_400_000
    }
}

/// The layout registry and promotion.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct LayoutConfig {
    pub lease_seconds: u32,
    pub clock_skew_seconds: u32,
    pub promote: bool,
    pub partition_rows: u64,
    pub promote_interval_seconds: u64,
}

/// Reads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "config.example.yaml documents every key, with unit and range")]
pub struct QueryConfig {
    pub concurrency: usize,
    pub queue: usize,
    pub max_limit: usize,
    pub default_limit: usize,
    pub page_partitions: usize,
    pub page_rows: usize,
    pub timeout_ms: u64,
    pub cursor_key: Option<Secret>,
    pub cursor_key_file: Option<PathBuf>,
}

impl Config {
    /// Checks what the types cannot: ranges and combinations.
    ///
    /// # Errors
    /// The first key that is out of range, by name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let session_timeout_ms = self.kafka.session_timeout_ms as usize;
        let ranges = [
            ("http.max_events", self.http.max_events, 1, 10_000),
            ("http.max_body_bytes", self.http.max_body_bytes, 1024, 64 << 20),
            ("http.request_timeout_ms", whole(self.http.request_timeout_ms), 100, 600_000),
            ("kafka.prefetch_kib", self.kafka.prefetch_kib as usize, 64, 2_097_151),
            ("kafka.session_timeout_ms", session_timeout_ms, 6_000, 300_000),
            (
                "kafka.max_poll_interval_ms",
                self.kafka.max_poll_interval_ms as usize,
                session_timeout_ms,
                3_600_000,
            ),
            ("pipeline.in_flight_bytes", self.pipeline.in_flight_bytes, 1 << 20, 16 << 30),
            // Half a commit-log segment of 32 MiB is the most that Cassandra takes at once.
            ("pipeline.batch_bytes", self.pipeline.batch_bytes, 1024, 8 << 20),
            ("pipeline.batch_rows", self.pipeline.batch_rows, 1, 10_000),
            ("pipeline.batches_in_flight", self.pipeline.batches_in_flight, 1, 4096),
            ("limits.max_record_bytes", self.limits.max_record_bytes, 256, 4 << 20),
            ("limits.max_fields", self.limits.max_fields, 1, 4096),
            ("limits.max_depth", self.limits.max_depth, 1, 128),
            ("kafka.commit_interval_ms", whole(self.kafka.commit_interval_ms), 1, 60_000),
            ("cassandra.timeout_seconds", whole(self.cassandra.timeout_seconds), 1, 600),
            ("layout.lease_seconds", self.layout.lease_seconds as usize, 3, 3600),
            ("layout.partition_rows", whole(self.layout.partition_rows), 1, 1_000_000_000),
            (
                "layout.promote_interval_seconds",
                whole(self.layout.promote_interval_seconds),
                1,
                3600,
            ),
            ("query.concurrency", self.query.concurrency, 1, 1024),
            ("query.max_limit", self.query.max_limit, 1, 10_000),
            ("query.default_limit", self.query.default_limit, 1, self.query.max_limit),
            ("query.page_partitions", self.query.page_partitions, 1, 10_000),
            ("query.page_rows", self.query.page_rows, self.query.max_limit, 1_000_000),
        ];
        check_ranges(ranges)?;
        self.http_keys().validate()?;
        self.rate.validate()?;
        if self.pipeline.linger_min_ms > self.pipeline.linger_max_ms {
            return Err(ConfigError::new("pipeline.linger_min_ms", "above pipeline.linger_max_ms"));
        }
        let keyspace = self.cassandra.keyspace.as_str();
        if keyspace.is_empty()
            || keyspace.len() > 48
            || !keyspace.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            return Err(ConfigError::new("cassandra.keyspace", "is not [a-z0-9_]{1,48}"));
        }
        if self.kafka.topic == self.kafka.dead_letter_topic {
            return Err(ConfigError::new("kafka.dead_letter_topic", "is the source topic"));
        }
        self.http.tls.validate("http.tls")?;
        self.admin.tls.validate("admin.tls")?;
        self.cassandra.tls.read("cassandra.tls")?;
        self.kafka.cluster().validate()?;
        self.auth.validate()?;
        service_kit::http::require_loopback(
            &self.http.listen,
            self.auth.mode == service_kit::auth::AuthMode::Off,
        )
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

    /// The time from SIGTERM to exit.
    #[must_use]
    pub fn drain_deadline(&self) -> Duration {
        Duration::from_millis(self.drain_deadline_ms)
    }
}

fn whole(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
