//! Why `triad migrate-to` ends early. Called again, it goes on.

use authz_edge::graph::GraphError;
use authz_edge::sync::rebuild::RebuildError;
use authz_edge::transfer::TransferError;
use identity_admin::db::DbError;
use ingest::embedded::Stays;
use ingest::layout::registry::RegistryError;
use ingest::query::QueryError;
use ingest::sink::session::ConnectError;
use service_kit::bus::{BusError, PublishError};
use service_kit::config::{ConfigError, EXIT_CONFIG};
use service_kit::embedded::DiskError;

use crate::serve::ServeError;

/// What ends the command.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the part that failed")]
pub enum MigrateError {
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    #[error("the deployment here: {0}")]
    Here(#[from] ServeError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error("identities, {at}: {error}")]
    Identity { at: String, error: DbError },
    #[error("the graph: {0}")]
    Graph(#[from] GraphError),
    #[error("the graph of {tenant}: {error}")]
    Transfer { tenant: String, error: TransferError },
    #[error("the graph of {tenant}: {error}")]
    Rebuild { tenant: String, error: RebuildError },
    #[error("events: {0}")]
    Cassandra(#[from] ConnectError),
    #[error("events: {0}")]
    Layouts(#[from] RegistryError),
    #[error("events: {0}")]
    Query(#[from] QueryError),
    #[error("events: {0}")]
    Ingest(#[from] ingest::Error),
    #[error("events: {0}")]
    Stays(#[from] Stays),
    #[error("topics: {0}")]
    Bus(#[from] BusError),
    #[error("topics: {0}")]
    Publish(#[from] PublishError),
    #[error("{what}: {error}")]
    File { what: String, error: std::io::Error },
    /// Something that must not be overwritten, or must not go on; it says what to do.
    #[error("{0}")]
    Refused(String),
    /// What was copied is not what is here.
    #[error("not verified: {0}")]
    Differs(String),
}

impl MigrateError {
    /// Of a statement about identities.
    pub(super) fn identity(at: impl Into<String>) -> impl FnOnce(DbError) -> Self {
        move |error| Self::Identity { at: at.into(), error }
    }

    /// Of a file.
    pub(super) fn file(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::File { what: what.to_string(), error }
    }

    /// The process's exit code: 64 for a bad configuration, 75 for a folder that another process has (try again), 74
    /// for a disk that fails, 65 for what is not verified (as in sysexits.h), else 1.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_CONFIG,
            Self::Here(error) => error.exit_code(),
            Self::Disk(DiskError::Locked(_)) => 75,
            Self::Disk(_) => 74,
            Self::Differs(_) => 65,
            _ => 1,
        }
    }
}
