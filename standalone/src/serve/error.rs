//! Why `triad serve` does not start, or ends.

use std::net::SocketAddr;

use service_kit::config::{ConfigError, EXIT_CONFIG};
use service_kit::embedded::DiskError;

/// What ends the process.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the part that failed")]
pub enum ServeError {
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    #[error("{key}: {address} cannot be listened at: {error}")]
    Bind { key: &'static str, address: SocketAddr, error: std::io::Error },
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(
        "{folder} was moved on to {target} at {at}, and is served there; to serve this copy all the same, delete its \
         migration.json"
    )]
    Moved { folder: String, target: String, at: String },
    #[error("identities: {0}")]
    Identity(#[from] identity_admin::Error),
    #[error("checks: {0}")]
    Authz(#[from] authz_edge::Error),
    #[error("audit: {0}")]
    Audit(#[from] ingest::Error),
    #[error("{0}; start again once that is mended")]
    Dead(String),
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Other(String),
}

impl ServeError {
    /// The process's exit code: 64 for a bad configuration, 75 for a folder that another process has (try again),
    /// 74 for what the disk does not do (as in sysexits.h), else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_CONFIG,
            Self::Disk(DiskError::Locked(_)) => 75,
            Self::Disk(_) | Self::Dead(_) => 74,
            _ => 1,
        }
    }
}
