//! Connections to servers of others: by whom they are recognised, and how we are.

use super::{pair, pem, provider};
use crate::config::ConfigError;
use rustls::ClientConfig;
use serde::Deserialize;
use std::{path::PathBuf, sync::Arc};

/// The section `tls` of an engine; without `ca` it is spoken to without TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientTls {
    /// Who signs certificates of its servers, PEM.
    pub ca: Option<PathBuf>,
    /// The chain that its servers are shown, PEM, if they ask.
    pub certificate: Option<PathBuf>,
    /// The private key of the first one, PEM.
    pub key: Option<PathBuf>,
    /// The name in its servers' certificates, where it is not the host of their address. Refused by engines whose
    /// client cannot be told.
    pub server_name: Option<String>,
}

/// What the files of a [`ClientTls`] hold, checked.
pub struct ClientPem {
    /// Who is trusted.
    pub ca: String,
    /// The own chain and its key.
    pub identity: Option<(String, String)>,
}

impl ClientTls {
    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.ca.is_some()
    }

    /// What its files hold; `None` without TLS.
    ///
    /// # Errors
    /// A `server_name`; else as [`ClientTls::read_named`].
    pub fn read(&self, section: &str) -> Result<Option<ClientPem>, ConfigError> {
        if self.server_name.is_some() {
            let reason = "has no meaning here: servers are known by their addresses";
            return Err(ConfigError::new(format!("{section}.server_name"), reason));
        }
        self.read_named(section)
    }

    /// The same for a client that is told the servers' name.
    ///
    /// # Errors
    /// A key that is missing, a file that cannot be read or does not hold what it should, under `section`.
    pub fn read_named(&self, section: &str) -> Result<Option<ClientPem>, ConfigError> {
        let pair = pair(section, self.certificate.as_deref(), self.key.as_deref())?;
        let of = |name: &str| format!("{section}.{name}");
        let Some(ca) = &self.ca else {
            let reason = "certificate needs it: nobody else is trusted";
            return pair.map_or(Ok(None), |_| Err(ConfigError::new(of("ca"), reason)));
        };
        let identity = match pair {
            None => None,
            Some((certificate, key)) => {
                Some((pem::read(&of("certificate"), certificate)?, pem::read(&of("key"), key)?))
            }
        };
        let texts = ClientPem { ca: pem::read(&of("ca"), ca)?, identity };
        texts.rustls(section)?;
        Ok(Some(texts))
    }

    /// The configuration of a rustls client; `None` without TLS.
    ///
    /// # Errors
    /// As [`ClientTls::read`].
    pub fn rustls(&self, section: &str) -> Result<Option<Arc<ClientConfig>>, ConfigError> {
        let Some(texts) = self.read(section)? else { return Ok(None) };
        texts.rustls(section).map(Arc::new).map(Some)
    }
}

impl ClientPem {
    fn rustls(&self, section: &str) -> Result<ClientConfig, ConfigError> {
        let of = |name: &str| format!("{section}.{name}");
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::new(of("ca"), error))?
            .with_root_certificates(pem::roots(&of("ca"), &self.ca)?);
        let Some((certificate, key)) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let chain = pem::certificates(&of("certificate"), certificate)?;
        let key = pem::private_key(&of("key"), key)?;
        builder.with_client_auth_cert(chain, key).map_err(|error| pem::refused(section, &error))
    }
}
