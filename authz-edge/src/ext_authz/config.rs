//! The section `ext_authz` of the configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use service_kit::config::ConfigError;
use service_kit::tls::{Acceptor, Protocol, TlsConfig};

use super::table::Table;
use crate::model::SubjectRef;

/// The section `ext_authz`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtAuthzConfig {
    /// Where the gRPC service listens; without it only the HTTP form is served.
    pub listen: Option<SocketAddr>,
    /// Connections of the gRPC listener at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// Checks of one connection at once; Envoy queues further ones.
    pub max_concurrent_streams: u32,
    /// The largest check, in bytes.
    pub max_message_bytes: usize,
    /// Time for one check, in milliseconds; then it is answered with 503.
    pub deadline_ms: u64,
    /// The certificate of the gRPC service; without, it speaks in the clear.
    pub tls: TlsConfig,
    /// Which requests are which questions; the first that fits counts, what fits none is denied.
    pub routes: Vec<RouteConfig>,
}

/// One route: requests of one form, and the question that they are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// `docs.example.com`, `*.example.com` (not the domain itself), or any.
    #[serde(default)]
    pub host: Option<String>,
    /// Methods, as in `GET`; or any.
    #[serde(default)]
    pub methods: Option<Vec<String>>,
    /// `/v1/docs/{id}`, or `/files/{path..}` for one or more last segments.
    pub path: String,
    /// `token` (the verified token's tenant), or a tenant's id.
    pub tenant: String,
    /// `token` (the verified token's subject), or one that all requests of this route have.
    pub subject: SubjectConfig,
    /// What is done.
    pub action: ActionConfig,
    /// To what.
    pub resource: ResourceConfig,
    /// Headers that conditions see in `context.headers`, by lower-case name. Clients choose their
    /// values unless the proxy overwrites them.
    #[serde(default)]
    pub context: Vec<String>,
}

/// Who a route's requests are from.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "must be `token`, or a map of type and id")]
pub enum SubjectConfig {
    /// Whom the token names.
    Token(TokenWord),
    /// Always the same, whoever asks.
    Fixed(SubjectRef),
}

/// The word `token`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenWord {
    /// From the verified token.
    Token,
}

/// What a route's requests do.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "must be an action's name, or a map of methods to names")]
pub enum ActionConfig {
    /// Always the same.
    Name(String),
    /// By method; a request with another method fits the route and is denied.
    ByMethod(BTreeMap<String, String>),
}

/// What a route's requests are about.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceConfig {
    /// Its type.
    #[serde(rename = "type")]
    pub type_: String,
    /// Its id, with `{name}` for what the path captured.
    pub id: String,
}

impl ExtAuthzConfig {
    /// Checks what a type cannot.
    ///
    /// # Errors
    /// The key that is refused, as in `ext_authz.routes[2].path`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.within("max_connections", self.max_connections as u64, 1..=65_536)?;
        self.within("max_concurrent_streams", self.max_concurrent_streams.into(), 1..=65_536)?;
        self.within("max_message_bytes", self.max_message_bytes as u64, 65_536..=16 << 20)?;
        self.within("deadline_ms", self.deadline_ms, 1..=60_000)?;
        self.tls.validate("ext_authz.tls")?;
        Table::new(self).map(drop)
    }

    fn within(
        &self,
        key: &str,
        value: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<(), ConfigError> {
        if range.contains(&value) {
            return Ok(());
        }
        let reason = format!("must be from {} to {}", range.start(), range.end());
        Err(ConfigError::new(format!("ext_authz.{key}"), reason))
    }

    /// The TLS of the gRPC service, if it has any.
    ///
    /// # Errors
    /// As [`Acceptor::start`], under `ext_authz.tls`.
    pub fn acceptor(&self) -> Result<Option<Acceptor>, ConfigError> {
        Acceptor::start(&self.tls, "ext_authz.tls", "ext_authz", Protocol::Http2)
    }

    /// Time for one check.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}
