//! What the types cannot check: ranges, names and combinations. Refused by key, before anything binds.

use axum::http::Uri;
use axum::http::uri::Authority;
use service_kit::config::{ConfigError, check_ranges};

use super::{CacheConfig, Config, DgraphConfig, FreshnessConfig, HttpConfig, Kafka, RelayConfig};

/// A key, its value, and the lowest and the highest that is taken.
type Range = (&'static str, u64, u64, u64);

/// The longest name of a topic or a group, bytes; Kafka's for topics.
const MAX_NAME: usize = 249;

impl Config {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// The first key that is refused, by name.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_ranges([("drain_deadline_ms", self.drain_deadline_ms, 100, 600_000)])?;
        self.http.validate()?;
        self.admin.tls.validate("admin.tls")?;
        self.rate.validate()?;
        self.http_keys().validate()?;
        self.dgraph.validate()?;
        self.kafka.validate()?;
        check_ranges(self.cache.ranges())?;
        self.freshness.validate(self.cache.life_ms)?;
        check_ranges(self.relay.ranges())?;
        self.names()?;
        self.auth.validate()?;
        self.ext_authz.validate()?;
        self.decision_audit.validate()?;
        let listeners = [Some(self.http.listen), self.ext_authz.listen];
        let mut listeners = listeners.iter().flatten();
        listeners.try_for_each(|at| service_kit::http::require_loopback(at, self.auth.is_off()))
    }

    /// Topics that are told apart, and a group.
    fn names(&self) -> Result<(), ConfigError> {
        let topics = [
            ("kafka.changes_topic", &self.kafka.changes_topic),
            ("kafka.audit_topic", &self.kafka.audit_topic),
            ("sync.topic", &self.sync.topic),
            ("sync.dead_letter_topic", &self.sync.dead_letter_topic),
        ];
        for (at, (key, name)) in topics.iter().enumerate() {
            if !is_topic(name) {
                return Err(ConfigError::new(*key, "is not [a-zA-Z0-9._-]{1,249}"));
            }
            if let Some((other, _)) = topics[..at].iter().find(|(_, other)| other == name) {
                return Err(ConfigError::new(*key, format!("is {other} already")));
            }
        }
        let group = &self.sync.group;
        if group.is_empty() || group.len() > MAX_NAME || group.chars().any(char::is_control) {
            return Err(ConfigError::new("sync.group", "is not 1 to 249 printable characters"));
        }
        Ok(())
    }
}

impl HttpConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        let ranges: [Range; 2] = [
            ("http.max_body_bytes", self.max_body_bytes as u64, 1024, 64 << 20),
            ("http.body_read_timeout_ms", self.body_read_timeout_ms, 1, 600_000),
        ];
        check_ranges(ranges)?;
        self.tls.validate("http.tls")?;
        match &self.public_url {
            Some(url) if !is_base(url) => {
                let reason = "is not http(s)://host[:port][/path], without query and fragment";
                Err(ConfigError::new("http.public_url", reason))
            }
            _ => Ok(()),
        }
    }
}

impl DgraphConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        let key = match (&self.alpha_address, self.alpha_addresses.as_slice()) {
            (Some(_), []) => "dgraph.alpha_address",
            (None, _) => "dgraph.alpha_addresses",
            (Some(_), [..]) => {
                let reason = "give either alpha_address or alpha_addresses";
                return Err(ConfigError::new("dgraph.alpha_address", reason));
            }
        };
        if let Some(bad) = self.alphas().iter().find(|alpha| !is_host_and_port(alpha)) {
            return Err(ConfigError::new(key, format!("{bad:?} is not host:port")));
        }
        check_ranges([
            ("dgraph.timeout_ms", self.timeout_ms, 10, 60_000),
            ("dgraph.connect_timeout_ms", self.connect_timeout_ms, 10, 60_000),
        ])?;
        if self.tls.read_named("dgraph.tls")?.is_none() {
            return Ok(());
        }
        let unnamed = self.tls.server_name.is_none();
        if let Some(alpha) = self.alphas().iter().find(|alpha| unnamed && is_ip(alpha)) {
            let reason =
                format!("must name what {alpha} is in its certificate: a name, no address");
            return Err(ConfigError::new("dgraph.tls.server_name", reason));
        }
        Ok(())
    }
}

impl Kafka {
    fn validate(&self) -> Result<(), ConfigError> {
        let (replication, in_sync) = (whole(self.replication), whole(self.min_insync_replicas));
        let ranges: [Range; 6] = [
            ("kafka.partitions", whole(self.partitions), 1, 1000),
            ("kafka.replication", replication, 1, 100),
            ("kafka.min_insync_replicas", in_sync, 1, replication),
            ("kafka.changes_retention_minutes", self.changes_retention_minutes.into(), 5, 43_200),
            // The lower one holds the largest record, the upper one is librdkafka's.
            ("kafka.producer_buffer_kib", self.producer_buffer_kib.into(), 1024, 2_097_151),
            // 0 would be no timeout at all.
            ("kafka.producer_timeout_ms", self.producer_timeout_ms, 100, 600_000),
        ];
        check_ranges(ranges)?;
        self.cluster().validate()
    }
}

impl CacheConfig {
    fn ranges(&self) -> [Range; 8] {
        [
            ("cache.life_ms", self.life_ms, 100, 3_600_000),
            ("cache.max_life_ms", self.max_life_ms, self.life_ms, 86_400_000),
            ("cache.deny_life_ms", self.deny_life_ms, 0, self.life_ms),
            ("cache.subject_mib", self.subject_mib, 1, 1 << 20),
            ("cache.resource_mib", self.resource_mib, 1, 1 << 20),
            ("cache.decision_mib", self.decision_mib, 1, 1 << 20),
            ("cache.fills", self.fills as u64, 1, 4096),
            ("cache.fill_deadline_ms", self.fill_deadline_ms, 10, 60_000),
        ]
    }
}

impl FreshnessConfig {
    /// What was read while reads need not be strict adds to the bound: it must not outweigh `life_ms`.
    fn validate(&self, life_ms: u64) -> Result<(), ConfigError> {
        let ranges: [Range; 2] = [
            ("freshness.strict_after_ms", self.strict_after_ms, 0, life_ms),
            ("freshness.wait_ms", self.wait_ms, 0, 60_000),
        ];
        check_ranges(ranges)?;
        // A healthy bus brings a watermark every 200 ms: less would refuse checks for no reason.
        let lag = self.fail_closed_on_lag_ms;
        check_ranges(lag.map(|lag| ("freshness.fail_closed_on_lag_ms", lag, 500, 3_600_000)))
    }
}

impl RelayConfig {
    fn ranges(&self) -> [Range; 2] {
        [
            ("relay.interval_ms", self.interval_ms, 10, 200),
            ("relay.batch", self.batch as u64, 1, 10_000),
        ]
    }
}

fn whole(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// By Kafka's rules.
fn is_topic(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(known) && name != "." && name != ".."
}

fn is_host_and_port(address: &str) -> bool {
    let named = |authority: Authority| {
        !authority.host().is_empty() && authority.port_u16().is_some_and(|port| port > 0)
    };
    !address.contains('@') && address.parse().is_ok_and(named)
}

/// Whether the host of `host:port` is an address.
fn is_ip(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

/// What paths can be put behind.
fn is_base(url: &str) -> bool {
    let fits = |uri: Uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    };
    !url.contains('#') && url.parse().is_ok_and(fits)
}
