//! What is in files, refused by key. No refusal repeats what a file holds.

use crate::config::{ConfigError, read_file};
use rustls::{
    Error, InconsistentKeys, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{path::Path, time::Duration};
use x509_cert::{Certificate, der::Decode as _};

/// A file's text; `key` is where its path is configured.
pub(super) fn read(key: &str, path: &Path) -> Result<String, ConfigError> {
    read_file(path).map_err(|error| ConfigError::new(key, error))
}

/// One or more certificates.
pub(super) fn certificates(
    key: &str,
    text: &str,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match found {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(ConfigError::new(key, "holds no certificate in PEM")),
    }
}

/// A private key.
pub(super) fn private_key(key: &str, text: &str) -> Result<PrivateKeyDer<'static>, ConfigError> {
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
        ConfigError::new(key, "holds no private key in PEM (PKCS #8, PKCS #1 or SEC 1)")
    })
}

/// Whom to trust: one or more certificates.
pub(super) fn roots(key: &str, text: &str) -> Result<RootCertStore, ConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(key, text)? {
        roots.add(certificate).map_err(|error| ConfigError::new(key, error))?;
    }
    Ok(roots)
}

/// Why rustls does not take a chain with its key.
pub(super) fn refused(section: &str, error: &Error) -> ConfigError {
    match error {
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => {
            ConfigError::new(format!("{section}.certificate"), error)
        }
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            ConfigError::new(format!("{section}.key"), "is not the key of the certificate")
        }
        _ => ConfigError::new(format!("{section}.key"), error),
    }
}

/// When the first of a chain ends, since 1970; certificates that are not of RFC 5280 do not count.
pub(super) fn expiry(chain: &[CertificateDer<'_>]) -> Option<Duration> {
    let ends = |der: &CertificateDer<'_>| {
        let certificate = Certificate::from_der(der).ok()?;
        Some(certificate.tbs_certificate().validity().not_after.to_unix_duration())
    };
    chain.iter().filter_map(ends).min()
}
