//! A listener's certificate: read at start, and again whenever what is in its files changes.

use super::{EXPIRY, RELOADS, TlsConfig, pair, pem, provider};
use crate::config::ConfigError;
use metrics::{counter, gauge};
use rustls::{ServerConfig, server::WebPkiClientVerifier};
use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, SystemTime},
};
use tokio::net::TcpStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// Between looks at the files: how soon a new certificate is served.
const LOOK: Duration = Duration::from_secs(30);

/// What is spoken above TLS, which clients are told (ALPN, RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, as gRPC needs it.
    Http2,
}

impl Protocol {
    fn alpn(self) -> Vec<u8> {
        match self {
            Self::Http1 => b"http/1.1".to_vec(),
            Self::Http2 => b"h2".to_vec(),
        }
    }
}

/// What a look at the files led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Reload {
    /// They hold what is served.
    Unchanged,
    /// New connections are shown what they hold now; others go on as they began.
    Replaced,
    /// They are not complete or not valid; what was served still is.
    Kept(ConfigError),
}

/// The TLS of one listener. Cheap to clone.
#[derive(Clone)]
pub struct Acceptor(Arc<Shared>);

struct Shared {
    files: Files,
    listener: &'static str,
    loaded: RwLock<Loaded>,
}

/// What is served, and what it was made from.
struct Loaded {
    digest: blake3::Hash,
    config: Arc<ServerConfig>,
}

impl Acceptor {
    /// The TLS of `section`, under whose name keys are refused; `None` when it is left empty. Metrics know it as
    /// `listener`. The files are looked at every 30 s while it is used.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what it should, by key.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(
        config: &TlsConfig,
        section: &str,
        listener: &'static str,
        protocol: Protocol,
    ) -> Result<Option<Self>, ConfigError> {
        config.validate(section)?;
        let Some(files) = Files::new(config, section, protocol)? else { return Ok(None) };
        let texts = files.read()?;
        let (config, expiry) = files.build(&texts)?;
        let loaded = RwLock::new(Loaded { digest: texts.digest(), config });
        tell(listener, expiry);
        // Rates need a first value.
        for outcome in ["ok", "failed"] {
            counter!(RELOADS, "listener" => listener, "outcome" => outcome).increment(0);
        }
        let shared = Arc::new(Shared { files, listener, loaded });
        tokio::spawn(watch(Arc::downgrade(&shared)));
        Ok(Some(Self(shared)))
    }

    /// Looks at the files now. Blocks while it reads them.
    pub fn reload(&self) -> Reload {
        let shared = &*self.0;
        let counted = |outcome: &'static str| {
            counter!(RELOADS, "listener" => shared.listener, "outcome" => outcome).increment(1);
        };
        match shared.read_new() {
            Ok(None) => Reload::Unchanged,
            Ok(Some((loaded, expiry))) => {
                *shared.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                tell(shared.listener, expiry);
                counted("ok");
                tracing::info!(listener = shared.listener, "serving a new certificate");
                Reload::Replaced
            }
            Err(error) => {
                counted("failed");
                tracing::warn!(%error, listener = shared.listener, "the certificate stays as it is");
                Reload::Kept(error)
            }
        }
    }

    /// The server's side of a handshake, which is done by whoever awaits it.
    pub(super) fn accept(&self, stream: TcpStream) -> Accept<TcpStream> {
        let config = {
            let loaded = self.0.loaded.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&loaded.config)
        };
        TlsAcceptor::from(config).accept(stream)
    }
}

impl Shared {
    /// What the files hold, if it is not what is served. One that has ended replaces none.
    fn read_new(&self) -> Result<Option<(Loaded, Option<Duration>)>, ConfigError> {
        let texts = self.files.read()?;
        let digest = texts.digest();
        if digest == self.loaded.read().unwrap_or_else(PoisonError::into_inner).digest {
            return Ok(None);
        }
        let (config, expiry) = self.files.build(&texts)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if expiry.is_some_and(|end| end <= now) {
            return Err(ConfigError::new(self.files.key_of("certificate"), "has ended"));
        }
        Ok(Some((Loaded { digest, config }, expiry)))
    }
}

/// Until nobody uses it any more.
async fn watch(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(shared) = shared.upgrade() else { return };
        let looked = tokio::task::spawn_blocking(move || Acceptor(shared).reload());
        if let Err(error) = looked.await {
            tracing::warn!(%error, "a look at a certificate ended early");
        }
    }
}

fn tell(listener: &'static str, expiry: Option<Duration>) {
    if let Some(at) = expiry {
        gauge!(EXPIRY, "listener" => listener).set(at.as_secs_f64());
    }
}

/// Where a listener's TLS is kept.
struct Files {
    section: String,
    protocol: Protocol,
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// What the files held when they were read.
struct Texts {
    certificate: String,
    key: String,
    client_ca: Option<String>,
}

impl Texts {
    fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let client_ca = self.client_ca.as_deref().unwrap_or_default();
        for text in [self.certificate.as_str(), &self.key, client_ca] {
            hasher.update(blake3::hash(text.as_bytes()).as_bytes());
        }
        hasher.finalize()
    }
}

impl Files {
    fn new(
        config: &TlsConfig,
        section: &str,
        protocol: Protocol,
    ) -> Result<Option<Self>, ConfigError> {
        let pair = pair(section, config.certificate.as_deref(), config.key.as_deref())?;
        Ok(pair.map(|(certificate, key)| Self {
            section: section.to_owned(),
            protocol,
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            client_ca: config.client_ca.clone(),
        }))
    }

    fn key_of(&self, name: &str) -> String {
        format!("{}.{name}", self.section)
    }

    fn read(&self) -> Result<Texts, ConfigError> {
        let client_ca = self.client_ca.as_deref();
        let client_ca = client_ca.map(|path| pem::read(&self.key_of("client_ca"), path));
        Ok(Texts {
            certificate: pem::read(&self.key_of("certificate"), &self.certificate)?,
            key: pem::read(&self.key_of("key"), &self.key)?,
            client_ca: client_ca.transpose()?,
        })
    }

    /// What is served, and when it expires.
    fn build(&self, texts: &Texts) -> Result<(Arc<ServerConfig>, Option<Duration>), ConfigError> {
        let chain = pem::certificates(&self.key_of("certificate"), &texts.certificate)?;
        let key = pem::private_key(&self.key_of("key"), &texts.key)?;
        let expiry = pem::expiry(&chain);
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| pem::refused(&self.section, &error))?;
        let builder = match &texts.client_ca {
            None => builder.with_no_client_auth(),
            Some(text) => {
                let name = self.key_of("client_ca");
                let roots = Arc::new(pem::roots(&name, text)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
                    .build()
                    .map_err(|error| ConfigError::new(name, error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|error| pem::refused(&self.section, &error))?;
        config.alpn_protocols = vec![self.protocol.alpn()];
        Ok((Arc::new(config), expiry))
    }
}
