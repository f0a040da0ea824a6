//! One session to Cassandra, shared by writes, reads and the registry.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::{Consistency, SerialConsistency};
use service_kit::config::{ConfigError, secret_or_file};

use crate::config::{self, CassandraConfig};

/// A connected session and what its statements need to know.
#[derive(Clone)]
pub struct Cassandra {
    /// The driver's session.
    pub session: Arc<Session>,
    /// Where the tables are.
    pub keyspace: String,
    /// Of writes and reads.
    pub consistency: Consistency,
    /// How long one request may take.
    pub timeout: Duration,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The credentials or TLS are misconfigured.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nobody answered, or the answer was no.
    #[error("cassandra: {0}")]
    Unreachable(#[from] scylla::errors::NewSessionError),
}

impl From<config::Consistency> for Consistency {
    fn from(level: config::Consistency) -> Self {
        use config::Consistency as Level;
        match level {
            Level::One => Self::One,
            Level::Two => Self::Two,
            Level::Three => Self::Three,
            Level::Quorum => Self::Quorum,
            Level::All => Self::All,
            Level::LocalQuorum => Self::LocalQuorum,
            Level::EachQuorum => Self::EachQuorum,
            Level::LocalOne => Self::LocalOne,
        }
    }
}

impl Cassandra {
    /// The consistency of the layout registry: a quorum at least, whatever rows are written at,
    /// because every read of it must see every insert before it.
    #[must_use]
    pub fn registry_consistency(&self) -> Consistency {
        match self.consistency {
            Consistency::LocalOne | Consistency::LocalQuorum => Consistency::LocalQuorum,
            Consistency::EachQuorum => Consistency::EachQuorum,
            Consistency::All => Consistency::All,
            _ => Consistency::Quorum,
        }
    }

    /// Connects; the keyspace need not exist yet.
    ///
    /// One connection a node suffices: requests are multiplexed, and eight measured no faster. The
    /// driver retries nothing: only the sink knows that an unanswered write may be repeated, and for
    /// how long.
    ///
    /// # Errors
    /// [`ConnectError`]; a cluster that is partly down is no error.
    pub async fn connect(config: &CassandraConfig) -> Result<Self, ConnectError> {
        let timeout = Duration::from_secs(config.timeout_seconds.max(1));
        let consistency = config.consistency.into();
        let profile = ExecutionProfile::builder()
            .consistency(consistency)
            .serial_consistency(Some(SerialConsistency::Serial))
            .request_timeout(Some(timeout))
            .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&config.hosts)
            .default_execution_profile_handle(profile.into_handle())
            .pool_size(PoolSize::PerHost(std::num::NonZeroUsize::MIN))
            .connection_timeout(Duration::from_secs(5))
            .keyspaces_to_fetch([config.keyspace.as_str()])
            // A paused node keeps its connections: without keepalive it would hold requests for ever.
            .keepalive_interval(Duration::from_secs(5))
            .keepalive_timeout(Duration::from_secs(5));
        let password =
            secret_or_file("cassandra.password", &config.password, &config.password_file)?;
        if let (Some(user), Some(password)) = (&config.username, &password) {
            builder = builder.user(user, password.expose());
        }
        builder = builder.tls_context(config.tls.rustls("cassandra.tls")?);
        let session = Arc::new(builder.build().await?);
        Ok(Self { session, keyspace: config.keyspace.clone(), consistency, timeout })
    }
}
