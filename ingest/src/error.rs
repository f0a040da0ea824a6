//! Why `ingest` does not start, or a command of it fails. What goes wrong while it runs is retried,
//! dead-lettered or answered where it happens.

use service_kit::bus::BusError;
use service_kit::config::{ConfigError, EXIT_CONFIG};

#[cfg(feature = "engines")]
use crate::layout::registry::RegistryError;
#[cfg(feature = "engines")]
use crate::sink::schema::SchemaError;
#[cfg(feature = "engines")]
use crate::sink::session::ConnectError;
#[cfg(feature = "engines")]
use crate::source::SourceError;

/// What ends the process.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the part that failed")]
pub enum Error {
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    #[cfg(feature = "engines")]
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[cfg(feature = "engines")]
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[cfg(feature = "engines")]
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[cfg(feature = "engines")]
    #[error("prepare: {0} (has `ingest schema apply` been run?)")]
    Prepare(#[from] scylla::errors::PrepareError),
    #[error(transparent)]
    Bus(#[from] BusError),
    #[cfg(feature = "engines")]
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("the Kafka producer is dead: {0}")]
    Producer(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Command(String),
}

impl Error {
    /// The process's exit code: 64 for a bad configuration, else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_CONFIG,
            #[cfg(feature = "engines")]
            Self::Connect(ConnectError::Config(_)) => EXIT_CONFIG,
            _ => 1,
        }
    }
}
