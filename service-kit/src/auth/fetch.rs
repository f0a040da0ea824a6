//! Asking the issuer over HTTP: bounded in time and size, and never led elsewhere.

use super::AuthConfig;
use crate::{config::ConfigError, tls};
use anyhow::ensure;
use std::time::Duration;

/// A client, and where it asks; `key` is where that is configured.
pub(super) fn client(
    config: &AuthConfig,
    key: &str,
    url: &str,
    timeout: Duration,
) -> Result<(reqwest::Client, reqwest::Url), ConfigError> {
    let refuse = |error: &dyn std::fmt::Display| ConfigError::new(key, error);
    let url: reqwest::Url = url.parse().map_err(|error| refuse(&error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(&"must be an http or https URL"));
    }
    // A second installation fails because one is installed, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client =
        reqwest::Client::builder().timeout(timeout).redirect(reqwest::redirect::Policy::none());
    if let Some(path) = &config.ca {
        let trusted = tls::certificates("auth.ca", path)?;
        let trusted = trusted.iter().map(|der| reqwest::Certificate::from_der(der));
        let trusted = trusted.collect::<Result<Vec<_>, _>>();
        client =
            client.tls_certs_only(trusted.map_err(|error| ConfigError::new("auth.ca", error))?);
    }
    let client = client.build().map_err(|error| refuse(&error))?;
    Ok((client, url))
}

/// The body of an answer of 200, of at most so many bytes.
pub(super) async fn body(mut response: reqwest::Response, most: usize) -> anyhow::Result<Vec<u8>> {
    ensure!(response.status() == reqwest::StatusCode::OK, "answered {}", response.status());
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        ensure!(text.len() + chunk.len() <= most, "is larger than {most} bytes");
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}
