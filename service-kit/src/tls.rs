//! TLS of listeners, and of connections to engines: rustls with ring, TLS 1.2 and 1.3.
//!
//! | module | what it holds |
//! |---|---|
//! | `listener`, `connection` | accepting, with or without TLS; who reads or writes first does the handshake |
//! | `acceptor` | a listener's certificate, replaced while it serves |
//! | `client` | by whom the servers of an engine are recognised |
//! | `pem` | what is in files, refused by key |
//!
//! librdkafka has a TLS of its own (OpenSSL), by `kafka.properties`: see ADR 0025.

mod acceptor;
mod client;
mod connection;
mod listener;
mod pem;

pub use acceptor::{Acceptor, Protocol, Reload};
pub use client::{ClientPem, ClientTls};
pub use connection::Connection;
pub use listener::Listener;

use crate::config::ConfigError;
use metrics::{Unit, describe_counter, describe_gauge};
use rustls::{
    crypto::{CryptoProvider, ring},
    pki_types::CertificateDer,
};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// When the first certificate of a listener's chain ends.
const EXPIRY: &str = "triad_tls_certificate_expiry_timestamp_seconds";
/// Certificates that were replaced, and those that could not be.
const RELOADS: &str = "triad_tls_reloads_total";

/// Names and help of what listeners with TLS tell.
pub fn describe() {
    describe_gauge!(
        EXPIRY,
        Unit::Seconds,
        "When the first certificate of a listener's chain expires, seconds since 1970"
    );
    describe_counter!(
        RELOADS,
        Unit::Count,
        "Looks at certificates that changed or cannot be read, by outcome: ok, or failed, with which the old one stays"
    );
}

/// The section `tls` of a listener; left empty, it speaks without TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The chain that clients are shown, PEM: the listener's own certificate first.
    pub certificate: Option<PathBuf>,
    /// The private key of the first one, PEM.
    pub key: Option<PathBuf>,
    /// With it clients must show a certificate that one of these signed, PEM (mutual TLS).
    pub client_ca: Option<PathBuf>,
}

impl TlsConfig {
    /// Whether the listener speaks TLS.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.certificate.is_some()
    }

    /// Checks what is given, without reading it: [`Acceptor::start`] does.
    ///
    /// # Errors
    /// The key that is missing, under `section`.
    pub fn validate(&self, section: &str) -> Result<(), ConfigError> {
        let pair = pair(section, self.certificate.as_deref(), self.key.as_deref())?;
        if pair.is_none() && self.client_ca.is_some() {
            let reason = "client_ca needs a certificate to show to clients";
            return Err(ConfigError::new(format!("{section}.certificate"), reason));
        }
        Ok(())
    }
}

/// A certificate and its key: both or neither.
fn pair<'a>(
    section: &str,
    certificate: Option<&'a Path>,
    key: Option<&'a Path>,
) -> Result<Option<(&'a Path, &'a Path)>, ConfigError> {
    let missing = |name: &str, given: &str| {
        ConfigError::new(format!("{section}.{name}"), format!("{given} needs it"))
    };
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (Some(_), None) => Err(missing("key", "certificate")),
        (None, Some(_)) => Err(missing("certificate", "key")),
        (None, None) => Ok(None),
    }
}

/// The certificates of a file in PEM; `key` is where its path is configured.
///
/// # Errors
/// That key: a file that cannot be read, or that holds none.
pub(crate) fn certificates(
    key: &str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    pem::certificates(key, &pem::read(key, path)?)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

#[cfg(test)]
mod tests;
