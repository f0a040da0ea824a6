//! Why `identity-admin` does not start, or a command of it fails. What goes wrong while it runs is retried or
//! answered where it happens: [`DbError`] says what a database does, [`crate::change::Refused`] why a mutation
//! is not made, and `http/answer.rs` how either is told.

use service_kit::bus::BusError;
use service_kit::config::{ConfigError, EXIT_CONFIG};

use crate::db::DbError;

/// What ends the process.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each variant is the part that failed")]
pub enum Error {
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Bus(#[from] BusError),
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
            _ => 1,
        }
    }
}
